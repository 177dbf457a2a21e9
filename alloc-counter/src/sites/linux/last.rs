//! The last walk of a thread. Most of the functions that called each other then still run at the next walk: a walk
//! that comes to one of them takes over what is further out, after it has looked that all of it is still there.

use crate::sites::MOST_FRAMES;

use super::stack::{Base, Stack};

/// The frames of the last walk.
pub(super) struct Last {
    frames: [usize; MOST],
    /// The stack pointer of each frame's function, which grow outwards.
    pointers: [usize; MOST],
    /// Whether the stack pointer of each follows from that of the one before, whatever the other registers.
    are_fixed: [bool; MOST],
    len: usize,
    /// Whether the last frame is the thread's first one.
    is_root: bool,
}

/// With the frame at which the walk ended.
const MOST: usize = MOST_FRAMES + 1;

/// What is taken over.
pub(super) struct Rest {
    /// The first frame that is taken over.
    from: usize,
    /// The frame at which the walk ends, or the number of frames.
    to: usize,
    is_whole: bool,
}

impl Last {
    pub(super) fn new() -> Self {
        Self {
            frames: [0; MOST],
            pointers: [0; MOST],
            are_fixed: [false; MOST],
            len: 0,
            is_root: false,
        }
    }

    /// Returns what is further out than a frame; `None` if that is not known, or not all of it is still there.
    ///
    /// The same place in the same function with the same stack pointer has its return address at the same place
    /// as before, if this follows from the stack pointer. So what `read` returns there is what a walk would find.
    pub(super) fn further_out(
        &self,
        (pointer, frame): (usize, usize),
        base: &Base,
        mut read: impl FnMut(u64) -> Result<u64, ()>,
    ) -> Option<Rest> {
        let pointers = &self.pointers[..self.len];
        if pointers.first().is_none_or(|lowest| pointer < *lowest) {
            return None;
        }
        let place = pointers.binary_search(&pointer).ok()?;
        if self.frames[place] != frame {
            return None;
        }
        let from = place + 1;
        for place in from..self.len {
            let (pointer, frame) = (self.pointers[place], self.frames[place]);
            if !self.are_fixed[place] || read(slot(pointer)) != Ok(frame as u64) {
                return None;
            }
            if base.has(pointer, frame) {
                return Some(Rest {
                    from,
                    to: place,
                    is_whole: true,
                });
            }
        }
        self.is_root.then_some(Rest {
            from,
            to: self.len,
            is_whole: base.is_unknown(),
        })
    }

    /// Adds to a walk what it takes over, and remembers it for the next one.
    pub(super) fn take_over(&mut self, walked: &mut Walked<'_>, rest: &Rest) {
        let inner = walked.found.len;
        let frames = self.frames[rest.from..rest.to].iter();
        for (frame, pointer) in frames.zip(&self.pointers[rest.from..rest.to]) {
            if !walked.found.push(*frame, *pointer) {
                return self.forget();
            }
        }
        walked.found.is_whole = rest.is_whole;
        let outer = self.len - rest.from;
        if inner + outer > MOST {
            return self.forget();
        }
        self.frames.copy_within(rest.from..self.len, inner);
        self.pointers.copy_within(rest.from..self.len, inner);
        self.are_fixed.copy_within(rest.from..self.len, inner);
        self.len = inner + outer;
        self.put(walked, inner);
    }

    /// Remembers a walk that ended at the thread's first function, or at this frame.
    pub(super) fn remember(&mut self, walked: &Walked<'_>, end: Option<(usize, usize, bool)>) {
        let len = walked.found.len;
        self.put(walked, len);
        self.len = len;
        self.is_root = end.is_none();
        if let Some((frame, pointer, is_fixed)) = end {
            self.frames[len] = frame;
            self.pointers[len] = pointer;
            self.are_fixed[len] = is_fixed;
            self.len += 1;
        }
    }

    fn put(&mut self, walked: &Walked<'_>, len: usize) {
        self.frames[..len].copy_from_slice(&walked.found.frames[..len]);
        self.pointers[..len].copy_from_slice(&walked.found.pointers[..len]);
        self.are_fixed[..len].copy_from_slice(&walked.are_fixed[..len]);
    }

    pub(super) fn forget(&mut self) {
        self.len = 0;
    }
}

/// A walk in progress.
pub(super) struct Walked<'a> {
    pub(super) found: &'a mut Stack,
    pub(super) are_fixed: [bool; MOST_FRAMES],
}

/// Returns where a function's return address is, by the stack pointer of its caller, on x86-64. The processor puts
/// it there: <https://gitlab.com/x86-psABIs/x86-64-ABI>, 3.2.2.
fn slot(pointer: usize) -> u64 {
    (pointer as u64).wrapping_sub(8)
}

/// Returns whether the stack pointer of a function's caller follows from its own. `frame_pointer` is the register in
/// the function: if its table says so, the other one is 16 bytes above it.
///
/// On other processors than x86-64 this is not known.
pub(super) fn is_fixed(
    (pointer, caller): (usize, usize),
    frame_pointer: u64,
    mut read: impl FnMut(u64) -> Result<u64, ()>,
) -> bool {
    cfg!(target_arch = "x86_64")
        && pointer as u64 != frame_pointer.wrapping_add(16)
        && read(slot(pointer)) == Ok(caller as u64)
}
