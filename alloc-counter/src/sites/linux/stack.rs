//! What a walk has found.

use crate::sites::MOST_FRAMES;

use super::registers::Start;

/// The addresses at which the functions of this thread called each other, from the allocator outwards. They
/// are return addresses: they follow the call.
pub(in crate::sites) struct Stack {
    /// After a place for the owner of an allocation.
    frames: [usize; 1 + MOST_FRAMES],
    /// The stack pointer of each frame's function, which grow outwards.
    pointers: [usize; MOST_FRAMES],
    len: usize,
    /// The walk came to the end that was asked for, or to that of the stack.
    pub(super) is_whole: bool,
}

/// How far a stack goes.
#[derive(Clone, Copy)]
pub(in crate::sites) struct Extent {
    /// The number of frames.
    pub(in crate::sites) len: usize,
    /// Whether they go as far as was asked for.
    pub(in crate::sites) is_whole: bool,
}

impl Stack {
    /// A stack of which nothing is known.
    pub(in crate::sites) const UNKNOWN: Self = Self {
        frames: [0; 1 + MOST_FRAMES],
        pointers: [0; MOST_FRAMES],
        len: 0,
        is_whole: false,
    };

    pub(in crate::sites) fn extent(&self) -> Extent {
        Extent {
            len: self.len,
            is_whole: self.is_whole,
        }
    }

    /// Returns how far the stack goes to the innermost function that was already running when `base` was walked.
    pub(in crate::sites) fn extent_to(&self, base: &Base) -> Extent {
        let mut met = base.met();
        match { self.functions() }.position(|(pointer, frame)| met.at(pointer, frame)) {
            Some(len) => Extent {
                len,
                is_whole: true,
            },
            None => Extent {
                len: self.len,
                is_whole: self.is_whole && base.is_unknown(),
            },
        }
    }

    /// Returns the owner of an allocation, followed by so many frames.
    pub(in crate::sites) fn key(&mut self, owner: u32, len: usize) -> &[usize] {
        self.frames[0] = owner as usize;
        &self.frames[..=len]
    }

    fn functions(&self) -> impl Iterator<Item = (usize, usize)> {
        let pointers = self.pointers[..self.len].iter();
        pointers.copied().zip(self.frames[1..].iter().copied())
    }

    /// Returns `false` if there are 64 already.
    pub(super) fn push(&mut self, frame: usize, pointer: usize) -> bool {
        let has_room = self.len < MOST_FRAMES;
        if has_room {
            self.pointers[self.len] = pointer;
            self.len += 1;
            self.frames[self.len] = frame;
        }
        has_room
    }
}

/// The functions that were running at a moment, each as the stack pointer of its frame, which grow outwards, and the
/// address at which it called the next one.
pub(in crate::sites) struct Base(Vec<(usize, usize)>);

impl Base {
    /// No functions, and no memory.
    pub(in crate::sites) const UNKNOWN: Self = Self(Vec::new());

    /// Walks the stack from the function that calls this. Nothing is known if there is no memory.
    #[inline(never)]
    pub(in crate::sites) fn here() -> Self {
        let mut stack = Stack::UNKNOWN;
        stack.walk(&Start::here(), &Self::UNKNOWN);
        let mut functions = Vec::new();
        if functions.try_reserve_exact(stack.len).is_ok() {
            functions.extend(stack.functions());
        }
        Self(functions)
    }

    pub(in crate::sites) fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what a walk meets of these functions.
    pub(super) fn met(&self) -> Met<'_> {
        Met {
            further_out: &self.0,
        }
    }
}

/// What a walk outwards may still meet.
pub(super) struct Met<'a> {
    further_out: &'a [(usize, usize)],
}

impl Met<'_> {
    /// Returns whether a function, the next one of the walk, had been called there, and had not returned. Another call
    /// from the same place, which can't be told apart, has the same callers.
    #[inline]
    pub(super) fn at(&mut self, pointer: usize, frame: usize) -> bool {
        while let [(known, address), rest @ ..] = self.further_out
            && *known <= pointer
        {
            if (*known, *address) == (pointer, frame) {
                return true;
            }
            self.further_out = rest;
        }
        false
    }
}
