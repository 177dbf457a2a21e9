//! Walks the stack of the thread by the tables that the compiler writes for unwinding.
//!
//! framehop reads them, and remembers for each return address what to do. It needs neither memory, nor a
//! lock, nor the C library. Beside the other ways, for 22 frames: `backtrace::trace_unsynchronized` takes
//! 3.6 to 7.6 µs, framehop 0.3 to 2.4 µs, following frame pointers 0.04 µs, which most binaries do not have. The
//! [rules](super::rules) that were found take 0.1 µs.

use std::cell::RefCell;
use std::ops::Range;
use std::thread;

use framehop::FrameAddress;

use crate::overhead::{Overhead, exclude};

use super::modules;
use super::registers::Start;
use super::rules::Rules;
use super::stack::{Base, Stack};
use super::tables::{self, Cache, Tables};

thread_local! {
    /// Made before it is needed, since that takes memory.
    static WALKER: RefCell<Overhead<Option<Walker>>> = const { RefCell::new(Overhead::new(None)) };
}

/// The space on the stack that a walk must find, so that it does not overflow where the program would not.
/// Measured: from 8 to 12 KiB, from 32 to 48 KiB without optimisation.
const SPACE: usize = if cfg!(debug_assertions) {
    64 << 10
} else {
    24 << 10
};

/// What a thread needs to walk its stack.
struct Walker {
    tables: Tables,
    rules: Rules,
    stack: Range<usize>,
}

/// Makes what this thread needs to walk its stack, with the tables of the modules that are loaded now.
pub(in crate::sites) fn prepare() {
    if let Some(changes) = modules::changes() {
        prepare_after(changes);
    }
}

/// Makes what this thread needs to walk its stack, with the tables that were read last. If there are any, it
/// does not wait for a thread that loads a module.
pub(in crate::sites) fn prepare_first() {
    match tables::last_read() {
        Some(changes) => prepare_after(changes),
        None => prepare(),
    }
}

fn prepare_after(changes: u64) {
    // It fails while the thread is ending: then nothing is walked.
    let _ = WALKER.try_with(|walker| {
        let Ok(mut walker) = walker.try_borrow_mut() else {
            return;
        };
        let known = walker.as_ref().map(|it| it.tables.changes);
        if known.is_none_or(|known| known < changes) {
            **walker = Tables::after(changes).and_then(Walker::new);
        }
    });
}

/// Makes a cache, which is put together on the stack: on that of another thread if this one's is small.
fn new_cache(stack: &Range<usize>) -> Option<Cache> {
    const SPACE: usize = 256 << 10;
    let here = 0_u8;
    if (&raw const here).addr().saturating_sub(stack.start) > SPACE {
        return Some(Cache::new_in());
    }
    let made = thread::Builder::new()
        .stack_size(2 * SPACE)
        .spawn(|| exclude(Cache::new_in));
    made.ok()?.join().ok()
}

/// Returns the addresses of this thread's stack.
fn stack_of_thread() -> Option<Range<usize>> {
    let mut attributes = std::mem::MaybeUninit::uninit();
    // SAFETY: the thread is running, and the attributes are initialised if it succeeds.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut start, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: they were initialised above, and are destroyed once, after their only use.
    let result = unsafe {
        let result = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut len);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        result
    };
    let start = start.addr();
    (result == 0).then(|| start..start.saturating_add(len))
}

impl Stack {
    /// Walks from a function that has not returned as far as the innermost one that was already running when `base`
    /// was walked, or 64 frames. There are none if this thread has not [prepared](prepare) it, or is on a stack that
    /// is not its own.
    pub(in crate::sites) fn walk(&mut self, start: &Start, base: &Base) {
        let walk = |walker: &RefCell<Overhead<Option<Walker>>>| {
            if let Ok(mut walker) = walker.try_borrow_mut()
                && let Some(walker) = walker.as_mut()
            {
                walker.walk(self, start, base);
            }
        };
        // It fails while the thread is ending: then nothing is walked.
        let _ = WALKER.try_with(walk);
    }
}

impl Walker {
    fn new(tables: Tables) -> Option<Self> {
        let stack = stack_of_thread()?;
        let rules = Rules::new(new_cache(&stack)?)?;
        Some(Self {
            tables,
            rules,
            stack,
        })
    }

    #[inline(never)]
    fn walk(&mut self, found: &mut Stack, start: &Start, base: &Base) {
        let mut registers = start.registers;
        let stack = self.stack.clone();
        let lowest = registers.stack_pointer;
        let left = to_usize(lowest).saturating_sub(stack.start);
        if !stack.contains(&to_usize(lowest)) || left < SPACE {
            return;
        }
        let mut read = |address: u64| {
            let end = address.checked_add(8).ok_or(())?;
            if address < lowest || end > stack.end as u64 || !address.is_multiple_of(8) {
                return Err(());
            }
            // SAFETY: it lies between the stack pointer of a function that has not returned and the end of the
            // thread's stack, as the C library tells it, so it is mapped and belongs to frames that have not
            // returned. They may write to it, but not while this function runs, on the same thread.
            Ok(unsafe { (to_usize(address) as *const u64).read_volatile() })
        };
        let mut met = base.met();
        let mut frame = FrameAddress::from_instruction_pointer(start.address);
        loop {
            let caller = self
                .rules
                .step(frame, &mut registers, &self.tables, &mut read);
            let Ok(caller) = caller else {
                return;
            };
            let next = caller.and_then(FrameAddress::from_return_address);
            let (Some(caller), Some(next)) = (caller, next) else {
                // A walk that misses a base has lost its way.
                found.is_whole = base.is_unknown();
                return;
            };
            // The registers are now the caller's: the frame ended below its stack pointer.
            let (caller, pointer) = (to_usize(caller), to_usize(registers.stack_pointer));
            if met.at(pointer, caller) {
                found.is_whole = true;
                return;
            }
            if !found.push(caller, pointer) {
                return;
            }
            frame = next;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the same size")]
fn to_usize(address: u64) -> usize {
    address as usize
}
