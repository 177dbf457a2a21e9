//! Walks the stack of the thread by the tables that the compiler writes for unwinding.
//!
//! framehop reads them, and remembers for each return address what to do. It needs neither memory, nor a
//! lock, nor the C library. Beside the other ways, for 22 frames: `backtrace::trace_unsynchronized` takes
//! 3.6 to 7.6 µs, this 0.3 to 0.4 µs, following frame pointers 0.04 µs, which most binaries do not have. framehop
//! remembers 509 addresses, each in a place of its own, so those of a larger program push each other out: then
//! this takes 2.4 µs, and less with what it [takes over](super::last) from the last walk.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind,
    UnwindRegsNative, Unwinder as _, UnwinderNative,
};

use super::MOST_FRAMES;
use super::last::{self, Last, Walked};
use super::modules::{self, Bytes, Loaded};

type Cache = CacheNative<MustNotAllocateDuringUnwind>;
type Unwinder = UnwinderNative<Bytes, MustNotAllocateDuringUnwind>;

/// The tables of the modules, as they were read last.
static TABLES: Mutex<Option<Tables>> = Mutex::new(None);

/// How often modules had been loaded and unloaded when the tables were read last.
static LAST_READ: AtomicU64 = AtomicU64::new(NEVER);
const NEVER: u64 = u64::MAX;

#[derive(Clone)]
struct Tables {
    unwinder: Unwinder,
    /// The addresses of the modules that have tables, in order.
    known: Vec<Range<usize>>,
    /// How often modules had been loaded and unloaded by then.
    changes: u64,
}

thread_local! {
    /// Made before it is needed, since that takes memory.
    static WALKER: RefCell<Option<Walker>> = const { RefCell::new(None) };
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
    cache: Cache,
    stack: Range<usize>,
    last: Last,
}

/// Makes what this thread needs to walk its stack, with the tables of the modules that are loaded now.
pub(super) fn prepare() {
    if let Some(changes) = modules::changes() {
        prepare_after(changes);
    }
}

/// Makes what this thread needs to walk its stack, with the tables that were read last. If there are any, it
/// does not wait for a thread that loads a module.
pub(super) fn prepare_first() {
    match LAST_READ.load(Relaxed) {
        NEVER => prepare(),
        changes => prepare_after(changes),
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
            *walker = tables(changes).and_then(Walker::new);
        }
    });
}

/// Returns the tables of the modules after these changes, or later ones; `None` if another thread reads them,
/// or did when the process was forked.
fn tables(changes: u64) -> Option<Tables> {
    let mut attempts = 0..100;
    let mut known = loop {
        match TABLES.try_lock() {
            Ok(known) => break known,
            Err(TryLockError::Poisoned(known)) => break known.into_inner(),
            Err(TryLockError::WouldBlock) => attempts.next()?,
        };
        thread::sleep(Duration::from_millis(1));
    };
    if known.as_ref().is_none_or(|known| known.changes < changes) {
        *known = Some(Tables::read(changes)?);
        LAST_READ.store(changes, Relaxed);
    }
    known.clone()
}

impl Tables {
    /// Returns `None` if the modules can't be read now.
    fn read(changes: u64) -> Option<Self> {
        let mut unwinder = Unwinder::new();
        let mut known = Vec::new();
        for Loaded { module, tables } in modules::loaded()? {
            let Some(tables) = tables else { continue };
            known.push(module.range.clone());
            let base = module.range.start as u64;
            let (header, frames) = (tables.header, tables.frames);
            unwinder.add_module(Module::new(
                String::new(),
                base..module.range.end as u64,
                base,
                ExplicitModuleSectionInfo {
                    base_svma: base.wrapping_sub(module.bias as u64),
                    eh_frame_hdr_svma: Some(header.0),
                    eh_frame_hdr: Some(header.1),
                    eh_frame_svma: Some(frames.0),
                    eh_frame: Some(frames.1),
                    ..Default::default()
                },
            ));
        }
        known.sort_unstable_by_key(|range| range.start);
        Some(Self {
            unwinder,
            known,
            changes,
        })
    }

    /// Returns whether there are tables for this address. Otherwise framehop would take the frame pointer for what
    /// it need not be.
    fn has(&self, address: usize) -> bool {
        let place = self.known.partition_point(|range| range.end <= address);
        let range = self.known.get(place);
        range.is_some_and(|range| range.contains(&address))
    }
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
        .spawn(Cache::new_in);
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

/// The addresses at which the functions of this thread called each other, from the allocator outwards. They
/// are return addresses: they follow the call.
pub(super) struct Stack {
    pub(super) frames: [usize; MOST_FRAMES],
    /// The stack pointer of each frame's function, which grow outwards.
    pub(super) pointers: [usize; MOST_FRAMES],
    pub(super) len: usize,
    /// The walk came to the end that was asked for, or to that of the stack.
    pub(super) is_whole: bool,
}

impl Stack {
    /// A stack of which nothing is known.
    pub(super) const UNKNOWN: Self = Self {
        frames: [0; MOST_FRAMES],
        pointers: [0; MOST_FRAMES],
        len: 0,
        is_whole: false,
    };

    /// Walks the stack from the function that calls this.
    #[inline(never)]
    pub(super) fn base() -> Self {
        let (_, registers) = registers();
        let here = to_usize(registers.sp());
        let mut stack = Self::walk(&Self::UNKNOWN);
        // Without the functions of the walk itself: another walk from here has them in the same place.
        let inside = stack.pointers[..stack.len].partition_point(|pointer| *pointer <= here);
        stack.frames.copy_within(inside..stack.len, 0);
        stack.pointers.copy_within(inside..stack.len, 0);
        stack.len -= inside;
        stack
    }

    /// Walks as far as the innermost function that was already running when `base` was walked, or 64 frames.
    /// There are none if this thread has not [prepared](prepare) it, or is on a stack that is not its own.
    #[inline(never)]
    pub(super) fn walk(base: &Self) -> Self {
        let mut stack = Self::UNKNOWN;
        let walk = |walker: &RefCell<Option<Walker>>| {
            if let Ok(mut walker) = walker.try_borrow_mut()
                && let Some(walker) = walker.as_mut()
            {
                walker.walk(&mut stack, base);
            }
        };
        // It fails while the thread is ending: then nothing is walked.
        let _ = WALKER.try_with(walk);
        stack
    }

    /// Returns the frames, and whether they go as far as was asked for.
    pub(super) fn frames(&self) -> (&[usize], bool) {
        (&self.frames[..self.len], self.is_whole)
    }

    /// Returns the frames as far as the innermost function that was already running when `base` was walked, and
    /// whether they go as far.
    pub(super) fn up_to(&self, base: &Self) -> (&[usize], bool) {
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

impl Walker {
    fn new(tables: Tables) -> Option<Self> {
        let stack = stack_of_thread()?;
        let cache = new_cache(&stack)?;
        Some(Self {
            tables,
            cache,
            stack,
            last: Last::new(),
        })
    }

    #[inline(never)]
    fn walk(&mut self, found: &mut Stack, base: &Stack) {
        let (address, mut registers) = registers();
        let stack = self.stack.clone();
        let lowest = registers.sp();
        let left = to_usize(lowest).saturating_sub(stack.start);
        if !stack.contains(&to_usize(lowest)) || left < SPACE {
            return;
        }
        let mut read = |address: u64| {
            let end = address.checked_add(8).ok_or(())?;
            if address < lowest || end > stack.end as u64 || !address.is_multiple_of(8) {
                return Err(());
            }
            // SAFETY: it lies between this function's stack pointer and the end of the thread's stack, as the
            // C library tells it, so it is mapped and belongs to frames that have not returned. They may
            // write to it, but not while this function runs, on the same thread.
            Ok(unsafe { (to_usize(address) as *const u64).read_volatile() })
        };
        let mut walked = Walked {
            found,
            are_fixed: [false; MOST_FRAMES],
        };
        let mut frame = FrameAddress::from_instruction_pointer(address);
        loop {
            let frame_pointer = frame_pointer(&registers);
            let caller = self.tables.unwinder.unwind_frame(
                frame,
                &mut registers,
                &mut self.cache,
                &mut read,
            );
            let Ok(caller) = caller else {
                return self.last.forget();
            };
            let next = caller.and_then(FrameAddress::from_return_address);
            let (Some(caller), Some(next)) = (caller, next) else {
                walked.found.is_whole = true;
                return self.last.remember(&walked, None);
            };
            // The registers are now the caller's: the frame ended below its stack pointer.
            let (caller, pointer) = (to_usize(caller), to_usize(registers.sp()));
            let is_fixed = last::is_fixed((pointer, caller), frame_pointer, &mut read);
            if base.has(pointer, caller) {
                walked.found.is_whole = true;
                return self
                    .last
                    .remember(&walked, Some((caller, pointer, is_fixed)));
            }
            if !walked.found.push(caller, pointer) {
                return self.last.forget();
            }
            walked.are_fixed[walked.found.len - 1] = is_fixed;
            if !self.tables.has(caller) {
                // Code that was made at run time.
                return self.last.forget();
            }
            if let Some(rest) = self.last.further_out((pointer, caller), base, &mut read) {
                return self.last.take_over(&mut walked, &rest);
            }
            frame = next;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the same size")]
fn to_usize(address: u64) -> usize {
    address as usize
}

#[cfg(target_arch = "x86_64")]
fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.bp()
}

#[cfg(target_arch = "aarch64")]
fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.fp()
}

/// Returns an address in the function that calls this, and its registers there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the registers are the caller's")]
fn registers() -> (u64, UnwindRegsNative) {
    let (address, stack, frame): (u64, u64, u64);
    // SAFETY: it reads registers, and writes only those that it is given for its results.
    unsafe {
        std::arch::asm!(
            "lea {}, [rip]", "mov {}, rsp", "mov {}, rbp",
            out(reg) address, out(reg) stack, out(reg) frame,
            options(nomem, nostack, preserves_flags),
        );
    }
    (address, UnwindRegsNative::new(address, stack, frame))
}

/// Returns an address in the function that calls this, and its registers there.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the registers are the caller's")]
fn registers() -> (u64, UnwindRegsNative) {
    let (address, stack, frame, link): (u64, u64, u64, u64);
    // SAFETY: it reads registers, and writes only those that it is given for its results.
    unsafe {
        std::arch::asm!(
            // First, as the register may be one of those that are written.
            "mov {}, x30", "adr {}, .", "mov {}, sp", "mov {}, x29",
            out(reg) link, out(reg) address, out(reg) stack, out(reg) frame,
            options(nomem, nostack, preserves_flags),
        );
    }
    (address, UnwindRegsNative::new(link, stack, frame))
}
