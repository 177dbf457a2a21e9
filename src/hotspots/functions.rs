//! The functions, numbered by their place in the code.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::spread::Spread;
use super::{Frame, Totals};

/// A function and what its calls did, on all paths.
#[derive(Clone, Debug)]
pub(super) struct Function {
    name: Box<str>,
    module: Box<str>,
    file: Box<str>,
    line: u32,
    is_site: bool,
    pub(super) totals: Totals,
    /// Nanoseconds from start to stop.
    pub(super) wall: Spread,
    pub(super) allocates: Spread,
}

impl Function {
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            name: &self.name,
            module: &self.module,
            file: &self.file,
            line: self.line,
            is_site: self.is_site,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Functions {
    all: Vec<Function>,
    numbers: HashTable<usize>,
    /// Seeded at random, so that nobody can choose names that collide.
    hasher: DefaultHashBuilder,
}

impl Functions {
    pub(super) fn number(&mut self, frame: Frame<'_>) -> usize {
        let Self {
            all,
            numbers,
            hasher,
        } = self;
        let hash = hasher.hash_one(frame);
        if let Some(number) = numbers.find(hash, |number| all[*number].frame() == frame) {
            return *number;
        }
        let number = all.len();
        all.push(Function {
            name: frame.name.into(),
            module: frame.module.into(),
            file: frame.file.into(),
            line: frame.line,
            is_site: frame.is_site,
            totals: Totals::default(),
            wall: Spread::new(),
            allocates: Spread::new(),
        });
        numbers.insert_unique(hash, number, |number| hasher.hash_one(all[*number].frame()));
        number
    }

    pub(super) fn get(&self, number: usize) -> &Function {
        &self.all[number]
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Function {
        &mut self.all[number]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Function> {
        self.all.iter()
    }
}
