//! Requests in flight: tasks that wait inside a call.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tracer::recorder::Recorder;
use tracer::{memory, traced};

use super::{Pages, beside, each, is_short, median, request};

const SIZES: [u32; 5] = [1, 1_000, 10_000, 50_000, 100_000];
/// Requests are one after the other, so a page is read beside some thousands.
const BESIDE: Duration = Duration::from_millis(1500);

/// Bytes of a request in flight.
const MOST_EACH: f64 = 6144.0;
/// Bytes of the recorder without requests.
const MOST_BESIDES: f64 = 2_097_152.0;

#[traced("{number}")]
async fn wait(number: u32) {
    std::future::pending::<()>().await;
    black_box(number);
}

fn waiting(recorder: &Recorder, number: u32) -> Pin<Box<dyn Future<Output = ()>>> {
    let mut recording = recorder.begin("GET /wait");
    recording.id(format_args!("waits-{number:08}"));
    let mut request = Box::pin(recording.instrument(wait(number)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(request.as_mut().poll(&mut context).is_pending());
    request
}

fn own_bytes() -> f64 {
    let own = memory().overhead.map_or(0, |own| own.net_bytes());
    f64::from(u32::try_from(own >> 10).expect("kibibytes")) * 1024.0
}

/// Returns whether the recorder counts what there is.
pub(crate) fn run() -> bool {
    println!(
        "| in flight | begun ns | a request of 10 calls ns | ended ns | own MiB | `in_flight()` ms | page ms | overview ms | statistics µs | p99.9, max µs alone | beside the page | beside `in_flight()` |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut is_well = true;
    for size in SIZES {
        let size = if is_short() { size.div_ceil(100) } else { size };
        let recorder = Recorder::builder().start().expect("a recorder");
        let pages = Pages::of(&recorder);
        let mut open = Vec::new();
        let begun = each(size, |number| open.push(waiting(&recorder, number)));
        // A state, a strand and a page of records each, in pools that earlier sizes have filled.
        let own = own_bytes();
        is_well &= own <= f64::from(size) * MOST_EACH + MOST_BESIDES;
        let own_mib = own / f64::from(1 << 20);
        let request_ns = each(20_000, |number| request(&recorder, u64::from(number)));
        let all = median(|| {
            black_box(tracer::in_flight());
        });
        let (page, overview) = (pages.milliseconds("/in-flight"), pages.milliseconds("/"));
        let statistics = median(|| {
            black_box(recorder.statistics());
        });
        is_well &= recorder.statistics().in_flight == u64::from(size)
            && tracer::in_flight().len() == open.len();
        let time = if is_short() { BESIDE / 10 } else { BESIDE };
        let [alone, beside_page, beside_all] = [
            beside(&recorder, time, || {
                std::thread::sleep(Duration::from_millis(1));
            }),
            beside(&recorder, time, || {
                pages.get("/in-flight");
            }),
            beside(&recorder, time, || {
                black_box(tracer::in_flight());
            }),
        ]
        .map(|(p999, max)| format!("{p999:.0}, {max:.0}"));
        let ended = each(size, |_| drop(open.pop()));
        is_well &= recorder.statistics().in_flight == 0;
        let (all, statistics) = (all * 1e3, statistics * 1e6);
        println!(
            "| {size} | {begun:.0} | {request_ns:.0} | {ended:.0} | {own_mib:.1} | {all:.2} | {page:.2} | {overview:.2} | {statistics:.1} | {alone} | {beside_page} | {beside_all} |"
        );
    }
    println!();
    is_well
}
