//! The memory for kept requests, up to 1 GiB.

use std::time::Duration;

use tracer::memory;
use tracer::recorder::{Policy, Recorder};
use tracer_benches::processor::process_time;

use super::{Pages, beside, is_short, request};

/// Mebibytes for kept reports.
const SIZES: [usize; 4] = [1, 16, 128, 1024];
const BESIDE: Duration = Duration::from_millis(1500);
/// The worker keeps up with this many.
const AT_ONCE: u64 = 100;

const PAGES: [&str; 6] = [
    "/",
    "/failures",
    "/search?id=request-00000001",
    "/search?text=nothing+like+that",
    "/search?route=GET+/7",
    "/search?sort=bytes",
];

/// Returns the memory of the tracer, in mebibytes.
fn own_mib() -> f64 {
    let own = memory().overhead.map_or(0, |own| own.net_bytes());
    f64::from(u32::try_from(own >> 10).expect("kibibytes")) / 1024.0
}

/// Returns whether memory was within its bounds.
pub(crate) fn run() -> bool {
    println!(
        "| reports, MiB | given, MiB | own, MiB at most | kept | µs to keep one | overview ms | failures ms | by id ms | by text ms | by route ms | by size ms | p99.9, max µs alone | beside searches | dropped |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut is_well = true;
    for size in SIZES {
        let before = own_mib();
        let ring = if is_short() { size.div_ceil(16) } else { size } << 20;
        // Five sixteenths of all are for kept reports.
        let given = ring * 16 / 5;
        let recorder = Recorder::builder()
            .policy(Policy::none().when("all", |_| true))
            .memory_bytes(given)
            .start()
            .expect("a recorder");
        let mut highest = 0_f64;
        let start = process_time();
        let mut number = 0;
        while recorder.statistics().evicted == 0 {
            (0..AT_ONCE).for_each(|_| {
                request(&recorder, number);
                number += 1;
            });
            recorder.flush(Duration::from_secs(5));
            highest = highest.max(own_mib());
        }
        let took = process_time().saturating_sub(start).as_secs_f64() * 1e6;
        let kept = recorder.kept().len();
        let pages = Pages::of(&recorder);
        let times = PAGES.map(|path| format!("{:.1}", pages.milliseconds(path)));
        let dropped = recorder.statistics().dropped;
        let time = if is_short() { BESIDE / 10 } else { BESIDE };
        let [alone, searched] = [
            beside(&recorder, time, || {
                std::thread::sleep(Duration::from_millis(1));
            }),
            beside(&recorder, time, || {
                pages.get(PAGES[3]);
            }),
        ]
        .map(|(p999, max)| format!("{p999:.0}, {max:.0}"));
        recorder.flush(Duration::from_secs(5));
        highest = highest.max(own_mib());
        let it = recorder.statistics();
        let dropped = it.dropped - dropped;
        is_well &= it.kept + it.not_kept + it.dropped == it.ended;
        #[expect(clippy::cast_precision_loss, reason = "far less")]
        let [size, given, each] = [ring as f64, given as f64, took / number as f64]
            .map(|it| if it > 1e4 { it / 1024.0 / 1024.0 } else { it });
        is_well &= highest - before <= given;
        println!(
            "| {size:.1} | {given:.1} | {:.1} | {kept} | {each:.1} | {} | {alone} | {searched} | {dropped} |",
            highest - before,
            times.join(" | "),
        );
    }
    println!();
    is_well
}
