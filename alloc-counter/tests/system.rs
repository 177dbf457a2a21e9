//! Over the system's allocator: the figures of each operation, on one thread.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use alloc_counter::{
    Counting, Counts, Local, Region, exclude, exclude_counted, include, is_installed, measure,
    take_counted,
};

mod aligned;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// More than any machine has, but a size that reaches the allocator.
const ABSURD: usize = isize::MAX.cast_unsigned() / 2;

/// Allocates, uses and frees a block.
fn touch(size: usize) {
    drop(black_box(vec![1_u8; size]));
}

/// Returns the resident memory of the process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn it_is_installed() {
    assert!(is_installed());
}

#[test]
fn a_vec_that_grows() {
    let measured = measure(|| {
        let mut bytes = Vec::new();
        for byte in 0..100_u8 {
            bytes.push(black_box(byte));
        }
        drop(black_box(bytes));
    });
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            deallocations: 1,
            reallocations: 4,
            bytes_allocated: 128,
            bytes_deallocated: 128,
        }),
    );
    assert_eq!(measured.peak_bytes, Some(128));
}

#[test]
fn a_vec_that_shrinks() {
    let mut bytes = Vec::with_capacity(100);
    bytes.extend_from_slice(black_box(&[1_u8; 10]));
    let measured = measure(|| black_box(&mut bytes).shrink_to_fit());
    assert_eq!(
        measured.counts,
        Some(Counts {
            reallocations: 1,
            bytes_deallocated: 90,
            ..Counts::ZERO
        }),
    );
    assert_eq!(measured.peak_bytes, Some(0));
}

#[test]
fn a_reallocation_to_the_same_size() {
    let layout = Layout::new::<[u8; 100]>();
    let measured = measure(|| {
        // SAFETY: the size is not zero, and the block keeps this layout.
        unsafe {
            let block = black_box(alloc(layout));
            let block = black_box(realloc(block, layout, layout.size()));
            dealloc(block, layout);
        }
    });
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            deallocations: 1,
            reallocations: 1,
            bytes_allocated: 100,
            bytes_deallocated: 100,
        }),
    );
}

#[test]
fn a_zeroed_vec() {
    let measured = measure(|| black_box(vec![0_u8; 100]));
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            bytes_allocated: 100,
            ..Counts::ZERO
        }),
    );
    assert_eq!(measured.peak_bytes, Some(100));
}

#[test]
fn zeroed_memory_stays_untouched() {
    const SIZE: usize = 1 << 30;
    let before = resident_bytes();
    let measured = measure(|| black_box(vec![0_u8; SIZE]));
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < SIZE / 64, "{grown} bytes of {SIZE} are resident");
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            bytes_allocated: SIZE as u64,
            ..Counts::ZERO
        }),
    );
}

#[test]
fn requests_of_no_size_are_not_counted() {
    let measured = measure(|| {
        black_box(Vec::<u64>::new());
        black_box(String::new());
        black_box(Box::new(()));
        black_box(vec![(); 1000]).push(());
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
    assert_eq!(measured.peak_bytes, Some(0));
}

#[test]
fn an_empty_region() {
    assert_eq!(Region::new().counts(), Some(Counts::ZERO));
    assert_eq!(measure(|| ()).counts, Some(Counts::ZERO));
}

#[test]
fn a_failed_reservation_changes_nothing() {
    let mut bytes = black_box(vec![1_u8, 2, 3]);
    let measured = measure(|| {
        let alloc = black_box(&mut Vec::<u8>::new()).try_reserve_exact(ABSURD);
        let realloc = black_box(&mut bytes).try_reserve_exact(ABSURD);
        (alloc.is_err(), realloc.is_err())
    });
    assert_eq!(measured.value, (true, true));
    assert_eq!(measured.counts, Some(Counts::ZERO));
    assert_eq!(measured.peak_bytes, Some(0));
    assert_eq!(bytes, [1, 2, 3]);
}

#[test]
fn a_failed_reallocation_changes_nothing() {
    let layout = Layout::new::<[u8; 100]>();
    // SAFETY: the size is not zero, and a block keeps its layout if a reallocation fails.
    let measured = unsafe {
        let block = black_box(alloc(layout));
        let measured = measure(|| black_box(realloc(block, layout, ABSURD)));
        dealloc(block, layout);
        measured
    };
    assert!(measured.value.is_null());
    assert_eq!(measured.counts, Some(Counts::ZERO));
    assert_eq!(measured.peak_bytes, Some(0));
}

#[test]
fn more_is_freed_than_allocated() {
    let from_before = black_box(vec![1_u8; 1000]);
    let measured = measure(|| {
        drop(from_before);
        black_box(vec![1_u8; 600])
    });
    let counts = measured.counts.unwrap();
    assert_eq!(
        counts,
        Counts {
            allocations: 1,
            deallocations: 1,
            bytes_allocated: 600,
            bytes_deallocated: 1000,
            ..Counts::ZERO
        },
    );
    assert_eq!(counts.net_bytes(), -400);
    assert_eq!(measured.peak_bytes, Some(0));
}

#[test]
fn a_peak_above_a_level_that_fell() {
    let from_before = black_box(vec![1_u8; 1000]);
    let measured = measure(|| {
        drop(from_before);
        touch(1600);
    });
    assert_eq!(measured.peak_bytes, Some(600));
}

#[test]
fn alignment_does_not_enter() {
    aligned::assert_requested_sizes_are_counted();
}

#[test]
fn regions_overlap() {
    let first = Region::new();
    touch(10);
    let second = Region::new();
    touch(20);
    let first = first.counts().unwrap();
    touch(30);
    let second = second.counts().unwrap();
    assert_eq!((first.allocations, first.bytes_allocated), (2, 30));
    assert_eq!((second.allocations, second.bytes_allocated), (2, 50));
}

#[test]
fn measurements_nest() {
    let outer = measure(|| {
        touch(10);
        let inner = measure(|| touch(20));
        touch(30);
        inner
    });
    let inner = outer.value;
    let (outer, inner) = (outer.counts.unwrap(), inner.counts.unwrap());
    assert_eq!((outer.allocations, outer.bytes_allocated), (3, 60));
    assert_eq!((inner.allocations, inner.bytes_allocated), (1, 20));
}

#[test]
fn peaks_fold_into_those_around_them() {
    let outer = measure(|| {
        touch(700);
        let kept = black_box(vec![1_u8; 500]);
        let first = measure(|| touch(1000)).peak_bytes;
        let second = measure(|| touch(10)).peak_bytes;
        drop(kept);
        let third = measure(|| touch(1200)).peak_bytes;
        [first, second, third]
    });
    assert_eq!(outer.value, [Some(1000), Some(10), Some(1200)]);
    assert_eq!(outer.peak_bytes, Some(1500));
}

#[test]
fn a_peak_before_a_nested_measurement_is_kept() {
    let outer = measure(|| {
        touch(700);
        measure(|| touch(10)).peak_bytes
    });
    assert_eq!(outer.value, Some(10));
    assert_eq!(outer.peak_bytes, Some(700));
}

#[test]
fn boundaries_within_do_not_lower_a_peak() {
    let local = Local::current().unwrap();
    let level = local.counts().net_bytes();
    local.take_peak();
    let measured = measure(|| {
        touch(1000);
        let first = local.take_peak() - level;
        measure(|| touch(10));
        let second = local.take_peak() - level;
        (first, second)
    });
    assert_eq!(measured.value, (1000, 10));
    assert_eq!(measured.peak_bytes, Some(1000));
}

#[test]
fn windows_do_not_change_the_peak_between_two_boundaries() {
    let local = Local::current().unwrap();
    let level = local.counts().net_bytes();
    local.take_peak();
    touch(1000);
    let within = measure(|| local.take_peak() - level).value;
    let after = local.take_peak() - level;
    assert_eq!((within, after), (1000, 0));
}

#[test]
fn a_window_closed_too_late_makes_the_peak_unknown() {
    let local = Local::current().unwrap();
    let outer = measure(|| {
        let inner = measure(|| {
            let window = local.open_window();
            touch(100);
            window
        });
        assert_eq!(inner.peak_bytes, None);
        assert_eq!(inner.counts.unwrap().bytes_allocated, 100);
        assert_eq!(local.close_window(inner.value), None);
    });
    assert_eq!(outer.peak_bytes, None);
    assert_eq!(measure(|| touch(10)).peak_bytes, Some(10));
}

#[test]
fn a_window_that_is_never_closed_spoils_no_later_peak() {
    let local = Local::current().unwrap();
    let around = measure(|| {
        let _never_closed = local.open_window();
        touch(100);
        measure(|| touch(10)).peak_bytes
    });
    assert_eq!(around.value, Some(10));
    assert_eq!(around.peak_bytes, None);
    let later = measure(|| {
        touch(300);
        measure(|| touch(10)).peak_bytes
    });
    assert_eq!((later.value, later.peak_bytes), (Some(10), Some(300)));
}

/// Unwinds with 1,000 bytes live. No message is printed, so the allocations of unwinding are the same
/// each time.
fn unwind() {
    let _alive = black_box(vec![1_u8; 1000]);
    resume_unwind(Box::new(()));
}

#[test]
fn a_panic_leaves_the_measurement_around_it_exact() {
    let around = |work: fn()| {
        let measured = measure(|| {
            assert!(catch_unwind(work).is_err());
            let after = measure(|| touch(10));
            touch(5000);
            after
        });
        assert_eq!(measured.value.counts.unwrap().bytes_allocated, 10);
        assert_eq!(measured.value.peak_bytes, Some(10));
        (measured.counts.unwrap(), measured.peak_bytes)
    };
    let plain = around(unwind);
    let measured = around(|| {
        measure(|| measure(unwind));
    });
    assert_eq!(measured, plain);
    assert_eq!(measured.0.net_bytes(), 0);
    assert_eq!(measured.1, Some(5000));
}

#[test]
fn a_peak_within_a_panic_is_kept() {
    let around = |work: fn()| measure(|| assert!(catch_unwind(work).is_err())).peak_bytes;
    let plain = around(unwind);
    assert!(plain >= Some(1000));
    let measured = around(|| {
        measure(unwind);
    });
    assert_eq!(measured, plain);
}

#[test]
fn excluded_requests_are_in_no_figure() {
    let measured = measure(|| {
        touch(100);
        exclude(|| {
            touch(100_000);
            exclude(|| touch(200_000));
            touch(300_000);
            measure(|| touch(400_000)).counts
        })
    });
    assert_eq!(measured.value, Some(Counts::ZERO));
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            deallocations: 1,
            bytes_allocated: 100,
            bytes_deallocated: 100,
            ..Counts::ZERO
        }),
    );
    assert_eq!(measured.peak_bytes, Some(100));
}

#[test]
fn a_panic_ends_an_exclusion() {
    let excluded = || exclude(|| exclude(unwind));
    assert!(catch_unwind(AssertUnwindSafe(excluded)).is_err());
    let measured = measure(|| touch(100));
    assert_eq!(measured.counts.unwrap().bytes_allocated, 100);
    assert_eq!(measured.peak_bytes, Some(100));
}

#[test]
fn exclusion_goes_on_after_a_panic_within() {
    let measured = measure(|| {
        exclude(|| {
            assert!(catch_unwind(|| exclude(unwind)).is_err());
            touch(100);
        });
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
}

#[test]
fn each_exclusion_returns_its_own_counts() {
    let bytes = |counts: Counts| (counts.allocations, counts.bytes_allocated);
    let measured = measure(|| {
        exclude_counted(|| {
            touch(1);
            exclude(|| touch(1_000));
            let ((), inside) = exclude_counted(|| touch(20));
            include(|| touch(300));
            touch(4);
            let inside_of_plain = exclude(|| exclude_counted(|| touch(50)).1);
            (bytes(inside), bytes(inside_of_plain))
        })
    });
    assert_eq!(measured.value.0, ((1, 20), (1, 50)));
    assert_eq!(bytes(measured.value.1), (2, 5));
    assert_eq!(bytes(measured.counts.unwrap()), (1, 300));
    assert_eq!(measured.peak_bytes, Some(300));
}

#[test]
fn counts_are_taken_before_the_end() {
    let (before, rest) = exclude_counted(|| {
        touch(10);
        let before = take_counted();
        touch(7);
        before
    });
    assert_eq!((before.bytes_allocated, rest.bytes_allocated), (10, 7));
    exclude(|| touch(100));
    assert_eq!(take_counted(), Counts::ZERO);
}

#[test]
fn a_panic_ends_a_counted_exclusion() {
    let ((), counts) = exclude_counted(|| {
        touch(10);
        let inside = AssertUnwindSafe(|| exclude_counted(unwind));
        let payload = catch_unwind(inside).unwrap_err();
        // Where it is freed is where it counts.
        include(|| drop(payload));
        touch(10);
    });
    assert_eq!((counts.allocations, counts.bytes_allocated), (2, 20));
    assert_eq!(take_counted(), Counts::ZERO);
    assert_eq!(measure(|| touch(100)).peak_bytes, Some(100));
}
