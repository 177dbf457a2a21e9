//! The threads that record: a number for each, and its name.
//!
//! A record holds both in one word. Names are kept once for all threads that share one and are never
//! freed, so the number of distinct names is bounded.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{Directory, Number};
use crate::primitives::sync::{AtomicU32, shared_static};
use crate::primitives::text::character_boundary;

const NAME_BITS: u32 = 10;
/// The last of the names' numbers: no name, or one more than are kept.
const NAMELESS: u32 = (1 << NAME_BITS) - 1;
const MAX_NAME_BYTES: usize = 64;

shared_static! {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
}
shared_static! {
    static NAMES: Directory<Name> = Directory::new();
}

struct Name {
    number: Number,
    text: String,
}

/// A thread's number, counted from 1 in the order in which threads first recorded, and the number of its
/// name. After four million, the count starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(NonZeroU32);

impl Tag {
    /// Makes a tag for this thread, which keeps it.
    #[cold]
    #[inline(never)]
    pub(crate) fn new() -> Self {
        let number = NUMBERS.fetch_add(1, Relaxed).wrapping_add(1);
        let name = alloc_counter::exclude(|| std::thread::current().name().map_or(NAMELESS, keep));
        Self::from_bits(number << NAME_BITS | name)
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(NonZeroU32::new(bits).unwrap_or(NonZeroU32::MAX))
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0.get()
    }

    pub(crate) const fn number(self) -> u32 {
        self.to_bits() >> NAME_BITS
    }

    pub(crate) fn name(self) -> Option<&'static str> {
        let name = self.to_bits() & NAMELESS;
        let name = (name != NAMELESS).then(|| NAMES.get(Number::from_bits(name)))??;
        Some(&name.text)
    }
}

fn keep(name: &str) -> u32 {
    let name = &name[..character_boundary(name.as_bytes(), MAX_NAME_BYTES)];
    let known = NAMES.iter().find(|known| *known.text == *name);
    // Two threads of one name that record at the same time may keep it twice.
    let kept = known.or_else(|| {
        let room = || {
            let has_number = NAMES.len() < NAMELESS;
            let (mut text, mut one) = (String::new(), Vec::new());
            text.try_reserve_exact(name.len()).ok()?;
            one.try_reserve_exact(1).ok()?;
            text.push_str(name);
            has_number.then_some((text, one))
        };
        NAMES.add(room, |(text, mut one), number| {
            one.push(Name { number, text });
            &one.leak()[0]
        })
    });
    let number = kept.map_or(NAMELESS, |name| name.number.to_bits());
    number.min(NAMELESS)
}
