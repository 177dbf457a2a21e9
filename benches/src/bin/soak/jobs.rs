//! Jobs one after the other, on one thread per processor, under changing names and with calls on a
//! thousand paths. One in a hundred fails.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tracer::call;
use tracer::recorder::Recorder;

use crate::watch::Watch;

pub(crate) fn run(recorder: &Recorder, watch: &Watch) -> u64 {
    let begun = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            threads.spawn(|| {
                while !watch.is_over() {
                    request(recorder, begun.fetch_add(1, Relaxed));
                }
            });
        }
        watch.run(recorder);
    });
    begun.into_inner()
}

/// A thousand paths: three levels of ten.
fn work(number: u64) {
    macro_rules! level {
        ($digit:expr, $inside:expr) => {
            match $digit % 10 {
                0 => level!(@ $inside), 1 => level!(@ $inside), 2 => level!(@ $inside),
                3 => level!(@ $inside), 4 => level!(@ $inside), 5 => level!(@ $inside),
                6 => level!(@ $inside), 7 => level!(@ $inside), 8 => level!(@ $inside),
                _ => level!(@ $inside),
            }
        };
        (@ $inside:expr) => {{
            let _call = call!();
            $inside;
        }};
    }
    fn outer(number: u64) {
        level!(number, middle(number / 10));
    }
    fn middle(number: u64) {
        level!(number, inner(number / 10));
    }
    fn inner(number: u64) {
        level!(number, drop(black_box(Box::new(number))));
    }
    outer(number);
    let limit = number % 7;
    (0..limit).for_each(|_| inner(number));
}

fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("job {}", number % 400));
    recording.id(number);
    let _scope = recording.inject();
    let call = call!("{number}");
    work(number);
    if number.is_multiple_of(100) {
        call.fail("each hundredth");
    }
}
