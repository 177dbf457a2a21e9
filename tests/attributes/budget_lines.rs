//! The lines in the message of a breach, and exact limits.

use std::hint::black_box;
use std::panic::{catch_unwind, resume_unwind};
use std::pin::pin;

use tracer::alloc::{Budget, Sites, measure, sites};
use tracer::budget::{OnExceeded, exceeded};
use tracer::{Trace, budget, call, traced};

use crate::budgets::{in_trace, panic_of, policy};
use crate::by_hand::{poll, run};
use crate::pause::pause;

/// Returns the part of a message from the figures to the calls, with paths from the package on.
fn lines_of(text: &str) -> String {
    let end = ["\nwhat ran inside: ", "\nno calls inside"];
    let end = end.iter().filter_map(|it| text.find(it)).min();
    let text = &text[..end.unwrap_or(text.len())];
    let (_, text) = text.split_once("\n  by ").unwrap();
    let (_, text) = text.split_once('\n').unwrap();
    text.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "")
}

/// Returns them from a message that has no other line between.
#[track_caller]
fn allocated_at(text: &str) -> String {
    let lines = lines_of(text);
    let table = lines
        .strip_prefix("allocated at ")
        .unwrap_or_else(|| panic!("{text}"));
    table.to_owned()
}

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[traced]
#[inline(never)]
fn many_small() {
    for _ in 0..3 {
        drop(block(2));
    }
}

#[budget(allocations <= 3)]
#[inline(never)]
fn two_lines() {
    drop(block(100));
    many_small();
}

const TWO_LINES: &str = "\
2 sites, 106 bytes
bytes  allocates  site
    6          3  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    in attributes::budget_lines::many_small at tests/attributes/budget_lines.rs:44
                    in attributes::budget_lines::two_lines at tests/attributes/budget_lines.rs:52
  100          1  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    in attributes::budget_lines::two_lines at tests/attributes/budget_lines.rs:51";

/// The run that broke the budget is the one that is shown, as far as the function, whatever is current.
#[test]
fn a_breach_names_its_lines() {
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(two_lines).unwrap();
    assert_eq!(allocated_at(&text), TWO_LINES);
    assert!(text.contains("\nwhat ran inside: trace "), "{text}");
    let (text, report) = in_trace(|| {
        drop(block(1));
        panic_of(two_lines)
    });
    assert_eq!(allocated_at(&text.unwrap()), TWO_LINES);
    assert!(report.calls.iter().all(|call| call.sites.is_none()));
    let traced = Trace::builder().sites(Sites::sampled(1 << 30)).build();
    let scope = traced.inject();
    let text = panic_of(two_lines).unwrap();
    drop(scope);
    assert_eq!(allocated_at(&text), TWO_LINES);
}

#[test]
fn the_lines_are_in_the_order_of_the_figure_that_broke() {
    #[budget(bytes <= 105)]
    fn by_bytes() {
        drop(block(100));
        many_small();
    }
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(by_bytes).unwrap();
    let lines = allocated_at(&text);
    let figures: Vec<_> = lines
        .lines()
        .filter(|it| it.contains("::block at "))
        .collect();
    assert!(figures[0].starts_with("  100          1  "), "{text}");
    assert!(figures[1].starts_with("    6          3  "), "{text}");
}

#[test]
fn the_ten_heaviest_lines_are_named() {
    #[inline(never)]
    fn down(depth: usize) {
        if depth > 0 {
            drop(block(depth));
            down(black_box(depth - 1));
        }
    }
    #[budget(allocations <= 11)]
    fn deep() {
        down(12);
    }
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(deep).unwrap();
    let lines = allocated_at(&text);
    assert!(lines.starts_with("12 sites, 78 bytes\n"), "{text}");
    assert_eq!(lines.matches("::block at ").count(), 10, "{text}");
    assert!(lines.ends_with("\nand 2 more sites"), "{text}");
}

/// What it takes to record lines is in no budget, whether it holds or not.
#[test]
fn the_lines_change_no_figure() {
    #[budget(allocations == 4, bytes == 106, peak == 100)]
    fn exact() {
        drop(block(100));
        many_small();
    }
    #[budget(allocations == 4, bytes == 106, peak == 106)]
    async fn exact_later() {
        let kept = block(100);
        pause(1).await;
        let more = [block(2), block(2)];
        pause(1).await;
        drop(block(2));
        drop((kept, more));
    }
    #[budget(allocations == 16, bytes == 424, peak == 106)]
    async fn around() {
        exact();
        exact_later().await;
        drop(sites(exact).sites);
        exact_later().await;
    }
    let _one = policy(OnExceeded::Panic);
    let measured = measure(|| {
        exact();
        run(exact_later());
    });
    let counts = measured.counts.unwrap();
    assert_eq!((counts.allocations, counts.bytes_allocated), (8, 212));
    assert_eq!((counts.deallocations, counts.bytes_deallocated), (8, 212));
    assert_eq!(measured.peak_bytes, Some(106));
    in_trace(|| {
        exact();
        run(exact_later());
    });
    // Of a breach, only the panic's own text and payload are the program's. The usual hook keeps what it prints.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let measured = measure(|| panic_of(two_lines).unwrap().len());
    std::panic::set_hook(before);
    let counts = measured.counts.unwrap();
    assert_eq!(counts.net_bytes(), 0);
    let own = counts.bytes_allocated - 106 - measured.value as u64;
    assert!(own < 100, "{own}");
    run(around());
}

#[test]
fn the_first_ten_thousand_allocations_have_lines() {
    #[budget(allocations <= 10_000)]
    fn many() {
        for _ in 0..10_002 {
            drop(block(1));
        }
    }
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(many).unwrap();
    let lines = allocated_at(&text);
    assert!(lines.starts_with("1 site, 10,000 bytes\n"), "{text}");
    let rest = "2 allocations, 0 reallocations, 0 deallocations, 2 bytes allocated, 0 bytes freed";
    let end = format!("\nand at lines that were not recorded: {rest}");
    assert!(lines.ends_with(&end), "{text}");
}

#[test]
fn an_async_function_names_the_lines_of_all_its_polls() {
    const LINE: u32 = line!() + 4;
    #[budget(allocations <= 2)]
    async fn over_polls(polls: u32) {
        for _ in 0..polls {
            drop(block(5));
            pause(1).await;
        }
    }
    let expected = format!(
        "\
1 site, 15 bytes
bytes  allocates  site
   15          3  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    in attributes::budget_lines::an_async_function_names_the_lines_of_all_its_polls::\
         over_polls::{{{{closure}}}}::{{{{closure}}}} at tests/attributes/budget_lines.rs:{LINE}"
    );
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(|| run(over_polls(3))).unwrap();
    assert_eq!(allocated_at(&text), expected);
    // On several threads, between which it moves, and beside other work.
    let mut future = Box::pin(over_polls(4));
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let polled = scope.spawn(|| {
                drop(block(9));
                poll(future.as_mut()).is_pending()
            });
            assert!(polled.join().unwrap());
        });
        drop(block(9));
    }
    // Dropped half way.
    let text = panic_of(|| drop(future)).unwrap();
    assert_eq!(allocated_at(&text), expected);
}

#[test]
fn in_recursion_each_run_has_its_own_lines() {
    const LINE: u32 = line!() + 4;
    #[budget(allocations <= 3)]
    #[inline(never)]
    fn recursive(depth: u64) {
        drop(block(1));
        if depth > 1 {
            recursive(depth - 1);
        }
    }
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(|| recursive(4)).unwrap();
    assert_eq!(
        allocated_at(&text),
        format!(
            "\
1 site, 4 bytes
bytes  allocates  site
    4          4  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    in attributes::budget_lines::in_recursion_each_run_has_its_own_lines::recursive at \
             tests/attributes/budget_lines.rs:{LINE}"
        )
    );
}

#[test]
fn runs_deeper_than_a_thread_records_say_so() {
    #[budget(allocations <= 99)]
    fn deep(depth: u64) {
        if depth > 1 {
            deep(depth - 1);
        } else {
            innermost();
        }
    }
    #[budget(allocations <= 0)]
    fn innermost() {
        drop(block(1));
    }
    #[budget(allocations <= 99)]
    fn with_sites(depth: u64) -> Option<usize> {
        if depth > 1 {
            with_sites(depth - 1)
        } else {
            sites(|| drop(block(1))).sites.map(|sites| sites.len())
        }
    }
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(|| deep(31)).unwrap();
    assert!(allocated_at(&text).starts_with("1 site, 1 byte"), "{text}");
    for _ in 0..2 {
        let text = panic_of(|| deep(32)).unwrap();
        assert_eq!(
            lines_of(&text),
            "lines were not recorded: this thread records too many stretches of code inside one another"
        );
    }
    // There is room for other recordings, and for runs that come after.
    assert_eq!(with_sites(64), Some(1));
    let text = panic_of(innermost).unwrap();
    assert!(allocated_at(&text).starts_with("1 site, 1 byte"), "{text}");
}

const EXACTLY_FOUR: u32 = line!() + 1;
#[budget(allocations == 4, peak <= 1 KiB)]
fn exactly_four(count: u64) {
    for _ in 0..count {
        drop(block(1));
    }
}

#[test]
fn an_exact_budget_has_the_line_to_paste() {
    let _one = policy(OnExceeded::Panic);
    exactly_four(4);
    let text = panic_of(|| exactly_four(3)).unwrap();
    let expected = format!(
        "\
exactly_four: allocation budget not reached at tests/attributes/budget_lines.rs:{EXACTLY_FOUR}:1
  allocations   exactly 4, but 3
  bytes         any number, and 3
  peak bytes    at most 1024, and 1
  by 3 allocations, 0 reallocations, 3 deallocations, 3 bytes allocated, 3 bytes freed
  if that is intended: #[budget(allocations == 3, peak <= 1024)]
allocated at 1 site, 3 bytes
bytes  allocates  site
    3          3  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    in attributes::budget_lines::exactly_four at tests/attributes/budget_lines.rs:{}
no calls inside",
        EXACTLY_FOUR + 3,
    );
    assert_eq!(
        text.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), ""),
        expected
    );
    let text = panic_of(|| exactly_four(5)).unwrap();
    assert!(
        text.starts_with("exactly_four: allocation budget exceeded at "),
        "{text}"
    );
    assert!(
        text.contains("\n  if that is intended: #[budget(allocations == 5, peak <= 1024)]\n"),
        "{text}"
    );
    // Nothing was allocated, so there are no lines.
    let text = panic_of(|| exactly_four(0)).unwrap();
    let pasted = "  if that is intended: #[budget(allocations == 0, peak <= 1024)]";
    assert_eq!(lines_of(&text), pasted);
}

#[test]
fn in_production_a_run_below_an_exact_limit_is_marked() {
    let _one = policy(OnExceeded::Mark);
    let before = exceeded();
    let ((), report) = in_trace(|| {
        exactly_four(3);
        exactly_four(4);
        exactly_four(5);
    });
    let marks = report.calls.iter().map(|call| {
        let names = call.checkpoints.iter().map(|it| &*it.name);
        names.collect::<Vec<_>>()
    });
    assert_eq!(
        marks.collect::<Vec<_>>(),
        [
            vec!["under budget: allocations 3, exactly 4"],
            vec![],
            vec!["over budget: allocations 5, exactly 4"]
        ]
    );
    assert_eq!(exceeded() - before, 2);
}

#[test]
fn a_run_that_is_cut_short_may_allocate_less() {
    #[budget(bytes == 100_000)]
    fn panics() {
        drop(block(1));
        resume_unwind(Box::new("own"));
    }
    #[budget(allocations == 2)]
    async fn dropped(count: usize) {
        for _ in 0..count {
            drop(block(1));
        }
        pause(1).await;
        drop(block(1));
    }
    let _one = policy(OnExceeded::Panic);
    let before = exceeded();
    let caught = catch_unwind(panics).unwrap_err();
    assert_eq!(*caught.downcast::<&str>().unwrap(), "own");
    assert!(poll(pin!(dropped(1))).is_pending());
    assert_eq!(exceeded() - before, 0);
    // More than the limit is too much in any case.
    let text = panic_of(|| assert!(poll(pin!(dropped(3))).is_pending())).unwrap();
    assert!(
        text.contains("\n  allocations   exactly 2, but 3\n"),
        "{text}"
    );
    assert_eq!(exceeded() - before, 1);
}

#[test]
fn an_assertion_names_its_lines() {
    let exact = Budget::exactly(2).bytes(10);
    let failure = exact.check(|| {
        drop(block(2));
        for _ in 0..2 {
            drop(block(1));
        }
    });
    let failure = failure.unwrap_err();
    let line = line!() - 7;
    let closure = "in attributes::budget_lines::an_assertion_names_its_lines::{{closure}}";
    let expected = format!(
        "\
allocation budget exceeded at tests/attributes/budget_lines.rs:{line}:25
  allocations   exactly 2, but 3
  bytes         at most 10, and 4
  peak bytes    any number, and 2
  by 3 allocations, 0 reallocations, 3 deallocations, 4 bytes allocated, 4 bytes freed
  if that is intended: Budget::exactly(3).bytes(10)
allocated at 2 sites, 4 bytes
bytes  allocates  site
    2          2  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    {closure} at tests/attributes/budget_lines.rs:{}
    2          1  attributes::budget_lines::block at tests/attributes/budget_lines.rs:37
                    {closure} at tests/attributes/budget_lines.rs:{}",
        line + 3,
        line + 1,
    );
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    assert_eq!(failure.to_string().replace(here, ""), expected);
    let panicked = panic_of(|| Budget::none().assert(|| drop(block(7)))).unwrap();
    let lines = allocated_at(&panicked);
    assert!(lines.starts_with("1 site, 7 bytes\n"), "{panicked}");
    // Assertions inside one another have lines of their own.
    let within = Budget::none().check(|| {
        drop(block(1));
        Budget::none()
            .check(|| drop(block(2)))
            .unwrap_err()
            .to_string()
    });
    let within = within.unwrap_err().to_string();
    assert!(within.contains("\nallocated at "), "{within}");
}

#[test]
fn an_assertion_changes_no_figure() {
    let exact = Budget::exactly(4).exact_bytes(106).exact_peak_bytes(100);
    let work = || {
        drop(block(100));
        many_small();
    };
    let measured = measure(|| {
        exact.assert(work);
        let _call = call!();
        exact.check(work).is_ok()
    });
    let counts = measured.counts.unwrap();
    assert_eq!((counts.allocations, counts.deallocations), (8, 8));
    assert_eq!(
        (counts.bytes_allocated, measured.peak_bytes),
        (212, Some(100))
    );
    // The error and its sites are the program's.
    let measured = measure(|| drop(Budget::none().check(work)));
    assert_eq!(measured.counts.unwrap().net_bytes(), 0);
}
