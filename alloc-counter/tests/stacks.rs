//! Allocation sites, beside the crate `backtrace`, which walks by other code and knows the functions' names.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::panic::catch_unwind;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::thread;

use alloc_counter::{Counting, Counts, Site, SiteLog, Sites, exclude, measure, modules, sites};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Returns the names of this file's functions among those at a site, the innermost first, without tests and
/// closures, which may be compiled into others.
fn functions(site: &Site) -> Vec<String> {
    let mut names = Vec::new();
    for &frame in &site.frames {
        backtrace::resolve((frame - 1) as *mut c_void, |symbol| {
            let name = symbol.name().map(|name| format!("{name:#}"));
            let name = name.unwrap_or_default();
            if let Some(name) = name.strip_prefix("stacks::")
                && ["block", "both", "twice"].contains(&name)
            {
                names.push(name.to_owned());
            }
        });
    }
    names
}

fn sums(sites: &[Site]) -> Counts {
    sites.iter().fold(Counts::ZERO, |mut sum, site| {
        sum.allocations += site.allocations;
        sum.reallocations += site.reallocations;
        sum.bytes_allocated += site.bytes_allocated;
        sum
    })
}

/// The counts of which sites tell.
fn without_frees(counts: Counts) -> Counts {
    Counts {
        deallocations: 0,
        bytes_deallocated: 0,
        ..counts
    }
}

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[inline(never)]
fn twice(bytes: usize) -> Vec<Vec<u8>> {
    let mut blocks = black_box(Vec::with_capacity(2));
    for _ in 0..black_box(2) {
        blocks.push(block(bytes));
    }
    blocks
}

#[inline(never)]
fn both() -> (Vec<Vec<u8>>, Vec<u8>) {
    black_box((twice(1000), block(10)))
}

#[test]
fn each_site_has_its_callers_and_its_exact_figures() {
    let recorded = sites(both);
    let sites = recorded.sites.unwrap();
    let shown: Vec<_> = { sites.iter() }
        .map(|site| (functions(site), site.allocations, site.bytes_allocated))
        .collect();
    let names = |names: &[&str]| {
        { names.iter() }
            .map(|it| (*it).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown,
        [
            (names(&["block", "twice", "both"]), 2, 2000),
            (names(&["twice", "both"]), 1, 48),
            (names(&["block", "both"]), 1, 10),
        ]
    );
    let is_exact = |site: &Site| site.is_whole && site.error_bytes == 0;
    assert!(sites.iter().all(is_exact));
    assert_eq!(recorded.not_recorded, Counts::ZERO);
}

/// The other crate walks by the unwinder of the C compiler.
#[test]
fn frames_are_those_of_another_unwinder() {
    thread_local! {
        static OTHERS: Cell<Vec<usize>> = const { Cell::new(Vec::new()) };
    }
    #[inline(never)]
    fn down(depth: usize) -> Vec<u8> {
        if depth > 0 {
            return black_box(down(depth - 1));
        }
        exclude(|| {
            let mut frames = Vec::new();
            backtrace::trace(|frame| {
                frames.push(frame.ip().addr());
                true
            });
            OTHERS.set(frames);
        });
        block(1)
    }
    let recorded = sites(|| down(20));
    let [site] = &recorded.sites.unwrap()[..] else {
        panic!("one site");
    };
    let others = OTHERS.take();
    // In `down` itself, the two stand at different places.
    let outwards = site
        .frames
        .iter()
        .rposition(|frame| !others.contains(frame));
    let ours = &site.frames[outwards.unwrap() + 1..];
    assert!(ours.len() > 20, "{}", ours.len());
    let start = others.iter().position(|frame| frame == &ours[0]).unwrap();
    assert_eq!(ours, &others[start..start + ours.len()]);
}

#[test]
fn sites_sum_to_what_was_counted() {
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let measured = measure(|| {
        sites(|| {
            let mut blocks: Vec<Vec<u8>> = Vec::new();
            for _ in 0..10_000 {
                match random(4) {
                    0 => blocks.push(block(random(100))),
                    1 => drop(blocks.pop()),
                    2 if !blocks.is_empty() => {
                        let place = random(blocks.len());
                        blocks[place].reserve(random(1000));
                    }
                    _ => drop(black_box(String::from("text"))),
                }
                if let Some(last) = blocks.last_mut() {
                    last.shrink_to_fit();
                }
            }
        })
    });
    let sites = measured.value.sites.unwrap();
    assert!(sites.len() < 30);
    assert_eq!(sums(&sites), without_frees(measured.counts.unwrap()));
}

#[test]
fn a_recording_inside_belongs_to_both() {
    let outer = sites(|| {
        drop(block(10));
        let inner = sites(both);
        drop(block(20));
        inner
    });
    let inner = outer.value.sites.unwrap();
    let outer = outer.sites.unwrap();
    assert_eq!(outer.len(), 5);
    for site in &inner {
        let is_it = |it: &&Site| it.frames.starts_with(&site.frames);
        let same = outer.iter().find(is_it).unwrap();
        assert!(same.frames.len() > site.frames.len());
        assert_eq!(functions(same), functions(site));
        assert_eq!(same.bytes_allocated, site.bytes_allocated);
    }
    assert_eq!(sums(&outer).bytes_allocated, 10 + 20 + 2058);
    assert!(outer.iter().all(|site| site.is_whole));
}

#[test]
fn only_this_thread_is_recorded_and_nothing_after_a_panic() {
    let recorded = sites(|| {
        thread::spawn(|| drop(block(5000))).join().unwrap();
        exclude(|| drop(block(5001)));
        let panicked = catch_unwind(|| {
            sites(|| {
                let _block = block(5002);
                std::panic::resume_unwind(Box::new(0_u8));
            })
        });
        assert!(panicked.is_err());
        drop(block(5003));
    });
    let sites = recorded.sites.unwrap();
    let bytes: Vec<_> = sites.iter().map(|site| site.bytes_allocated).collect();
    assert!(bytes.starts_with(&[5003, 5002]), "{bytes:?}");
    assert!(!bytes.contains(&5000));
    let counts = measure(|| drop(block(1))).counts.unwrap();
    assert_eq!(counts.allocations, 1);
}

#[test]
fn deep_stacks_are_cut() {
    #[inline(never)]
    fn down(depth: usize) -> usize {
        if depth == 0 {
            return block(1).len();
        }
        black_box(down(depth - 1) + 1)
    }
    let work = || {
        let site = &sites(|| down(10_000)).sites.unwrap()[0];
        (site.frames.len(), site.is_whole)
    };
    let deep = thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(work)
        .unwrap();
    assert_eq!(deep.join().unwrap(), (64, false));
}

/// Without optimisation there is not enough space to walk it.
#[test]
fn a_small_stack_is_enough() {
    let work = || sites(|| twice(1)).sites.unwrap();
    let small = thread::Builder::new().stack_size(64 << 10).spawn(work);
    let sites = small.unwrap().join().unwrap();
    assert_eq!(sums(&sites).allocations, 3);
    let is_walked = !cfg!(debug_assertions);
    assert_eq!(sites[0].is_whole, is_walked);
    assert_eq!(sites[0].frames.is_empty(), !is_walked);
}

/// Nothing overflows a stack that the program itself does not overflow.
#[test]
fn the_end_of_a_stack() {
    #[inline(never)]
    fn down(end: usize) -> usize {
        let room = black_box([0_u8; 256]);
        if room.as_ptr().addr() > end {
            return black_box(down(end) + room.len());
        }
        block(1).len()
    }
    let work = || {
        let end = lowest_address() + (20 << 10);
        let site = sites(|| down(end)).sites.unwrap().remove(0);
        (site.frames.len(), site.is_whole)
    };
    let thread = thread::Builder::new().stack_size(256 << 10).spawn(work);
    assert_eq!(thread.unwrap().join().unwrap(), (0, false));
}

/// Returns the end of this thread's stack, which may be larger than was asked for.
fn lowest_address() -> usize {
    let mut attributes = std::mem::MaybeUninit::uninit();
    let (mut start, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the thread is running. The attributes are initialised by the first call, and then read and
    // destroyed once.
    unsafe {
        let result = libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr());
        assert_eq!(result, 0);
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut len);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    start.addr()
}

/// Also while the thread's thread-locals are destroyed, in either order.
#[test]
fn in_the_destructors_of_thread_locals() {
    struct AtEnd(&'static str);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let sites = sites(|| drop(block(10))).sites;
            assert!(sites.is_none_or(|sites| sites.len() <= 1), "{}", self.0);
        }
    }
    thread_local! {
        static BEFORE: AtEnd = const { AtEnd("before") };
        static AFTER: AtEnd = const { AtEnd("after") };
    }
    let work = || {
        BEFORE.with(|_| ());
        drop(sites(|| drop(block(10))));
        AFTER.with(|_| ());
    };
    thread::spawn(work).join().unwrap();
}

/// The loader's lock is taken and released all the time.
#[test]
fn nobody_waits_for_a_thread_that_loads_libraries() {
    static LOADED: AtomicU32 = AtomicU32::new(0);
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    let loads = thread::spawn(|| {
        while !IS_DONE.load(Relaxed) {
            // SAFETY: libm has no code that runs when it is loaded.
            let library = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) };
            assert!(!library.is_null());
            // SAFETY: it was loaded above, and nothing of it is used.
            unsafe { libc::dlclose(library) };
            LOADED.fetch_add(1, Relaxed);
        }
    });
    while LOADED.load(Relaxed) < 1000 {
        let sites = sites(|| drop(twice(10))).sites.unwrap();
        assert_eq!(sums(&sites).allocations, 3);
    }
    IS_DONE.store(true, Relaxed);
    loads.join().unwrap();
}

#[test]
fn samples_are_estimates() {
    let work = || {
        for _ in 0..1000 {
            drop(block(1000));
        }
    };
    let recorded = Sites::sampled(10_000).record(work);
    let sites = recorded.sites.unwrap();
    let [site] = &sites[..] else {
        panic!("{sites:?}");
    };
    // A standard error of 9.5 per cent; six of them.
    assert!((400_000..1_600_000).contains(&site.bytes_allocated));
    assert!((50_000..200_000).contains(&site.error_bytes));
    // Each is rounded.
    assert!(site.allocations.abs_diff(site.bytes_allocated / 1000) <= 1);
    // Means that are defined all the same.
    for (mean, most) in [(0, 1000), (1, 1000), (u64::MAX, 0), (1 << 63, 0)] {
        let recorded = Sites::sampled(mean).record(work);
        let allocations = sums(&recorded.sites.unwrap()).allocations;
        assert_eq!(allocations, most, "{mean}");
    }
}

/// What lines of execution there are on this thread, as a tracer would know it.
mod lines {
    use std::cell::{Cell, RefCell};

    use alloc_counter::{Owner, Sampled, SiteLog, SiteRoom, Sites};

    thread_local! {
        static ENTERED: RefCell<Vec<(u64, Sites)>> = const { RefCell::new(Vec::new()) };
        pub(super) static MADE: Cell<u32> = const { Cell::new(0) };
        pub(super) static LOST: Cell<u32> = const { Cell::new(0) };
        pub(super) static HAS_ROOM: Cell<bool> = const { Cell::new(true) };
    }

    fn all() -> Vec<(u64, Sites)> {
        ENTERED.with_borrow(Vec::clone)
    }

    pub(super) fn enter(key: u64, sites: Sites) {
        alloc_counter::exclude(|| ENTERED.with_borrow_mut(|all| all.push((key, sites))));
        SiteLog::sample(sites, |pass| {
            for (key, sites) in all() {
                pass(Sampled {
                    key,
                    sites,
                    make,
                    lose: |_| LOST.set(LOST.get() + 1),
                });
            }
        });
    }

    fn make(key: u64) -> Option<SiteLog> {
        MADE.set(MADE.get() + 1);
        let (_, sites) = all().into_iter().find(|(it, _)| *it == key)?;
        let log = || SiteLog::new(sites, SiteRoom::new(10), |_| Owner::Is(7));
        HAS_ROOM.get().then(log)
    }

    /// Returns the bytes and the allocations at all sites, if a log was made.
    pub(super) fn leave(key: u64) -> Option<(u64, u64)> {
        alloc_counter::exclude(|| {
            ENTERED.with_borrow_mut(|all| all.retain(|(it, _)| *it != key));
            let log = SiteLog::leave(key)?;
            let sites = log.sites().map(|(owner, site)| {
                assert_eq!(owner, 7);
                (site.bytes_allocated, site.allocations)
            });
            Some(sites.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1)))
        })
    }
}

#[test]
fn a_log_of_a_sample_is_made_at_its_first_site() {
    use lines::{LOST, MADE, enter, leave};
    const OFTEN: Sites = Sites::sampled(1);
    const NEVER: Sites = Sites::sampled(u64::MAX / 2);

    enter(1, OFTEN);
    assert_eq!((leave(1), MADE.get()), (None, 0));
    enter(1, OFTEN);
    assert!(!SiteLog::is_any_entered());
    drop(block(100));
    assert!(SiteLog::is_any_entered());
    assert_eq!((leave(2), leave(1), MADE.get()), (None, Some((100, 1)), 1));
    assert!(!SiteLog::is_any_entered());
    // Nobody wants what comes now, and the next one is a sample again.
    drop(block(100));
    enter(1, OFTEN);
    drop(block(200));
    assert_eq!(leave(1), Some((200, 1)));
    // Beside an exact recording, and beside one that has samples.
    enter(2, NEVER);
    let exact = sites(|| drop(block(200))).sites.unwrap();
    assert_eq!(sums(&exact).bytes_allocated, 200);
    assert_eq!(leave(2).unwrap_or_default(), (0, 0));
    enter(2, NEVER);
    enter(1, OFTEN);
    let counted = measure(|| drop(block(300))).counts.unwrap();
    assert_eq!(leave(1), Some((300, 1)));
    drop(block(400));
    assert_eq!(leave(2).unwrap_or_default(), (0, 0));
    assert_eq!((counted.allocations, counted.bytes_allocated), (1, 300));
    // Within an exact recording.
    let exact = sites(|| {
        enter(1, OFTEN);
        drop(block(500));
        let sampled = leave(1);
        drop(block(600));
        sampled
    });
    assert_eq!(exact.value, Some((500, 1)));
    assert_eq!(sums(&exact.sites.unwrap()).bytes_allocated, 1100);
    // Sites that are no sample are not entered.
    enter(1, Sites::exact());
    drop(block(500));
    assert_eq!(leave(1), None);
    // A log that can't be made.
    lines::HAS_ROOM.set(false);
    enter(1, OFTEN);
    drop(block(100));
    assert_eq!((leave(1), LOST.get()), (None, 1));
}

/// The recording has prepared the thread for samples, but not told it which lines there are.
#[test]
fn a_line_has_samples_on_a_thread_that_has_recorded_samples_before() {
    use lines::{enter, leave};
    const OFTEN: Sites = Sites::sampled(1000);
    OFTEN.record(|| ());
    enter(1, OFTEN);
    drop(block(1 << 20));
    assert_eq!(leave(1), Some((1 << 20, 1)));
}

/// Nothing is chosen by chance and then forgotten: what the thread does between the lines, how often it comes to them,
/// and which others it enters meanwhile, leaves the estimates right on average and their spread as it is.
#[test]
#[expect(clippy::cast_precision_loss, reason = "statistics")]
fn samples_over_many_visits_are_right_on_average() {
    use lines::{enter, leave};
    const MEAN: u64 = 10_000;
    const RUNS: u64 = 2_000;
    const BLOCKS: u64 = 40;
    let one_run = || {
        let (mut bytes, mut inner) = (0, 0);
        for visit in 0..10 {
            enter(1, Sites::sampled(MEAN));
            drop(block(1000));
            // A line inside of it has more samples, which are thinned for this one.
            enter(2, Sites::sampled(MEAN / 5));
            drop(block(1000));
            inner += leave(2).unwrap_or_default().0;
            drop(block(1000));
            exclude(|| drop(block(7000)));
            if visit % 2 == 0 {
                drop(sites(|| drop(block(1000))));
            } else {
                drop(block(1000));
            }
            bytes += leave(1).unwrap_or_default().0;
            drop(block(1500 * visit));
        }
        (bytes as f64, inner as f64)
    };
    let runs: Vec<_> = (0..RUNS).map(|_| one_run()).collect();
    let assert_right = |of: fn(&(f64, f64)) -> f64, blocks: u64, mean: u64| {
        let p = -(-1000.0 / mean as f64).exp_m1();
        let sum = blocks as f64 * 1000.0;
        let variance = blocks as f64 * 1e6 * (1.0 - p) / p;
        let found = runs.iter().map(of).sum::<f64>() / RUNS as f64;
        let spread = runs.iter().map(|it| (of(it) - sum).powi(2)).sum::<f64>() / RUNS as f64;
        // Six standard errors.
        let error = 6.0 * (variance / RUNS as f64).sqrt();
        assert!((found - sum).abs() < error, "{found} {sum} {error}");
        assert!(
            (spread / variance - 1.0).abs() < 0.25,
            "{spread} {variance}"
        );
    };
    assert_right(|it| it.0, BLOCKS, MEAN);
    assert_right(|it| it.1, BLOCKS / 4, MEAN / 5);
}

/// Between two samples nothing is looked at, so that the thread's figures are those of the hot path.
#[test]
fn totals_and_peaks_are_exact_while_samples_are_taken() {
    let work = || {
        let kept: Vec<_> = (1..500).map(block).collect();
        (kept.len(), block(10_000).len())
    };
    let plain = measure(work);
    let sampled = Sites::sampled(700).record(|| measure(work)).value;
    assert_eq!(plain.value, sampled.value);
    assert_eq!(plain.counts, sampled.counts);
    assert_eq!(plain.peak_bytes, sampled.peak_bytes);
}

/// It is in no figures that sites were recorded, also when they are dropped or cloned.
#[test]
fn the_list_of_sites_is_overhead() {
    let measured = measure(|| {
        let recorded = sites(|| drop(twice(10)));
        assert_eq!(recorded.sites.as_ref().unwrap().len(), 2);
        drop(recorded.clone());
    });
    let counts = measured.counts.unwrap();
    assert_eq!((counts.allocations, counts.deallocations), (3, 3));
    assert_eq!(counts.net_bytes(), 0);
}

#[test]
fn extreme_means() {
    let work = || {
        for _ in 0..1000 {
            drop(block(1000));
        }
    };
    // The probability of a sample is below one in a million millions.
    for mean in [1 << 63, u64::MAX] {
        assert!(Sites::sampled(mean).record(work).sites.unwrap().is_empty());
    }
    for mean in [0, 1] {
        let sites = Sites::sampled(mean).record(work).sites.unwrap();
        let site = &sites[0];
        assert_eq!((sites.len(), site.allocations), (1, 1000));
        assert_eq!((site.bytes_allocated, site.error_bytes), (1_000_000, 0));
    }
}

/// The kernel calls the handler, from wherever the program is.
#[test]
fn in_a_signal_handler() {
    extern "C" fn handler(_: libc::c_int) {
        drop(block(77));
    }
    let recorded = sites(|| {
        // SAFETY: the handler allocates, which it may, as this thread is not in the allocator when it raises
        // the signal for itself. No other test uses this signal.
        unsafe {
            libc::signal(libc::SIGUSR1, handler as *const () as usize);
            libc::raise(libc::SIGUSR1);
        }
    });
    let sites = recorded.sites.unwrap();
    assert_eq!((sites.len(), sites[0].bytes_allocated), (1, 77));
    assert_eq!(functions(&sites[0]), ["block"]);
}

/// There are no tables for code that was made at run time, so nothing further out is known.
#[test]
#[cfg(target_arch = "x86_64")]
fn called_by_code_that_was_made_at_run_time() {
    #[rustfmt::skip]
    const CODE: &[u8] = &[
        0x48, 0x83, 0xec, 0x08, // sub rsp, 8
        0xff, 0xd7,             // call rdi
        0x48, 0x83, 0xc4, 0x08, // add rsp, 8
        0xc3,                   // ret
    ];
    extern "C" fn called() {
        drop(block(88));
    }
    // SAFETY: it asks for memory of its own.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: the page is writable, larger than the code, and nobody else knows it.
    let calls: extern "C" fn(extern "C" fn()) = unsafe {
        std::ptr::copy_nonoverlapping(CODE.as_ptr(), page.cast(), CODE.len());
        std::mem::transmute(page)
    };
    let sites = sites(|| calls(called)).sites.unwrap();
    assert_eq!((sites.len(), sites[0].bytes_allocated), (1, 88));
    assert_eq!(functions(&sites[0]), ["block"]);
    assert!(!sites[0].is_whole);
    let last = *sites[0].frames.last().unwrap();
    assert_eq!(last, page.addr() + 6);
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl call_with_frame_pointer",
    ".type call_with_frame_pointer, @function",
    "call_with_frame_pointer:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    // As a fault of the program would leave it.
    "test edx, edx",
    "cmovnz rbp, rsi",
    "call rdi",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size call_with_frame_pointer, . - call_with_frame_pointer",
);

/// A walk by the tables needs the frame pointer of some functions. If it is wrong, nothing further out is known.
#[test]
#[cfg(target_arch = "x86_64")]
fn called_with_a_frame_pointer_that_is_wrong() {
    static ELSEWHERE: [u64; 4] = [0; 4];

    unsafe extern "C" {
        fn call_with_frame_pointer(called: extern "C" fn(), frame_pointer: usize, is_wrong: bool);
    }
    extern "C" fn called() {
        drop(block(88));
    }
    let call = |frame_pointer, is_wrong| {
        // SAFETY: it is the function above, which gives the register back as it was; `called` neither unwinds
        // nor uses its caller's frame pointer.
        let work = || unsafe { call_with_frame_pointer(called, frame_pointer, is_wrong) };
        let sites = sites(work).sites.unwrap();
        assert_eq!((sites.len(), sites[0].bytes_allocated), (1, 88));
        assert_eq!(functions(&sites[0]), ["block"]);
        let asked = call_with_frame_pointer as *const () as usize;
        let is_of_it = |frame: &usize| (asked..asked + 32).contains(frame);
        let place = sites[0].frames.iter().position(is_of_it).unwrap();
        (sites[0].is_whole, sites[0].frames.len() - 1 - place)
    };
    let (is_whole, further_out) = call(0, false);
    assert!(is_whole && further_out > 0);
    let zeros = [0_u64; 4];
    let on_heap = Box::new([0_u64; 4]);
    for wrong in [
        0,
        1,
        8,
        usize::MAX,
        usize::MAX - 15,
        1 << 47,
        ELSEWHERE.as_ptr().addr(),
        on_heap.as_ptr().addr(),
        black_box(&zeros).as_ptr().addr(),
        black_box(&zeros).as_ptr().addr() + 1,
        black_box(&zeros).as_ptr().addr() - (1 << 20),
    ] {
        assert_eq!(call(wrong, true), (false, 0), "{wrong:#x}");
    }
    // Nothing of it is taken over by a walk that is right.
    assert_eq!(call(0, false), (true, further_out));
}

#[test]
fn the_program_and_its_libraries_are_modules() {
    let modules = modules();
    let here = std::env::current_exe().unwrap();
    assert_eq!(modules[0].path, here);
    let me = the_program_and_its_libraries_are_modules as fn();
    assert!(modules[0].range.contains(&(me as usize)));
    let libc = modules.iter().find(|it| it.path.ends_with("libc.so.6"));
    assert_eq!(libc.unwrap().build_id.len(), 20);
}
