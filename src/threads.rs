//! The threads that record: a number for each, and its name.
//!
//! A record holds both in one word. Names are kept once for all threads that share one and are
//! never freed, so only so many different ones are kept.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::wait;

const NAME_BITS: u32 = 10;
/// The last of the names' numbers: no name, or one more than are kept.
const NAMELESS: u32 = (1 << NAME_BITS) - 1;
const MAX_NAME_BYTES: usize = 64;

static NUMBERS: AtomicU32 = AtomicU32::new(0);
static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A thread's number, counted from 1 in the order in which threads first recorded (and beginning
/// anew after four million), and the number of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(NonZeroU32);

impl Tag {
    /// A new one, for this thread, which keeps it.
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
        wait::lock(&NAMES)?.get(name as usize).copied()
    }
}

fn keep(name: &str) -> u32 {
    let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
    let Some(mut names) = wait::lock(&NAMES) else {
        return NAMELESS;
    };
    let known = names.iter().position(|known| *known == name);
    let index = known.unwrap_or_else(|| {
        if names.len() < NAMELESS as usize {
            names.push(Box::leak(Box::from(name)));
            names.len() - 1
        } else {
            NAMELESS as usize
        }
    });
    u32::try_from(index).unwrap_or(NAMELESS)
}
