//! What a walk has found.

use crate::sites::MOST_FRAMES;

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
    pub(in crate::sites) fn up_to(&self, base: &Self) -> (&[usize], bool) {
        let walked = self.pointers[..self.len].iter().zip(&self.frames);
        let end = { walked.clone() }.position(|(pointer, frame)| base.has(*pointer, *frame));
        match end {
            Some(end) => (&self.frames[..end], true),
            None => self.frames(),
        }
    }

    /// Returns whether a function had been called there, and had not returned. Another call from the same place,
    /// which can't be told apart, has the same callers.
    pub(super) fn has(&self, pointer: usize, frame: usize) -> bool {
        let pointers = &self.pointers[..self.len];
        if pointers.first().is_none_or(|lowest| pointer < *lowest) {
            return false;
        }
        let found = pointers.binary_search(&pointer);
        found.is_ok_and(|place| self.frames[place] == frame)
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
