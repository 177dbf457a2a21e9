//! What a walk has found.

use crate::sites::MOST_FRAMES;

use super::registers::Start;

/// The addresses at which the functions of this thread called each other, from the allocator outwards. They
/// are return addresses: they follow the call.
pub(in crate::sites) struct Stack {
    pub(super) frames: [usize; MOST_FRAMES],
    /// The stack pointer of each frame's function, which grow outwards.
    pub(super) pointers: [usize; MOST_FRAMES],
    pub(super) len: usize,
    /// The walk came to the end that was asked for, or to that of the stack.
    pub(super) is_whole: bool,
}

impl Stack {
    /// A stack of which nothing is known.
    pub(in crate::sites) const UNKNOWN: Self = Self {
        frames: [0; MOST_FRAMES],
        pointers: [0; MOST_FRAMES],
        len: 0,
        is_whole: false,
    };

    /// Returns the frames, and whether they go as far as was asked for.
    pub(in crate::sites) fn frames(&self) -> (&[usize], bool) {
        (&self.frames[..self.len], self.is_whole)
    }

    /// Returns the frames as far as the innermost function that was already running when `base` was walked, and
    /// whether they go as far.
    pub(in crate::sites) fn up_to(&self, base: &Base) -> (&[usize], bool) {
        let walked = self.pointers[..self.len].iter().zip(&self.frames);
        let end = { walked.clone() }.position(|(pointer, frame)| base.has(*pointer, *frame));
        match end {
            Some(end) => (&self.frames[..end], true),
            None => (&self.frames[..self.len], self.is_whole && base.is_unknown()),
        }
    }

    /// Returns `false` if there are 64 already.
    pub(super) fn push(&mut self, frame: usize, pointer: usize) -> bool {
        let has_room = self.len < MOST_FRAMES;
        if has_room {
            self.frames[self.len] = frame;
            self.pointers[self.len] = pointer;
            self.len += 1;
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
        let stack = Stack::walk(&Start::here(), &Self::UNKNOWN);
        let mut functions = Vec::new();
        if functions.try_reserve_exact(stack.len).is_ok() {
            let pointers = stack.pointers[..stack.len].iter();
            functions.extend(pointers.copied().zip(stack.frames));
        }
        Self(functions)
    }

    pub(in crate::sites) fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a function had been called there, and had not returned. Another call from the same place,
    /// which can't be told apart, has the same callers.
    pub(super) fn has(&self, pointer: usize, frame: usize) -> bool {
        if self.0.first().is_none_or(|(lowest, _)| pointer < *lowest) {
            return false;
        }
        let found = self.0.binary_search_by_key(&pointer, |(known, _)| *known);
        found.is_ok_and(|place| self.0[place].1 == frame)
    }
}
