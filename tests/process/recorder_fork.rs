//! A fork while other threads end requests: the child, in which the recorder's threads don't exist, is
//! not blocked.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fork::Fork;
use tracer::call;
use tracer::recorder::{Policy, Recorder};

use super::fork::await_child;

const FORKS: u64 = 100;
/// A child that takes longer is blocked: its work takes a millisecond, and it waits for a lock or two.
const BOUND: Duration = Duration::from_secs(30);

fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("job {}", number % 300));
    recording.id(number);
    let _scope = recording.inject();
    let call = call!();
    if number.is_multiple_of(3) {
        call.fail("each third");
    }
}

fn in_child(recorder: Recorder) {
    (0..4).for_each(|number| request(&recorder, number));
    drop((
        recorder.statistics(),
        recorder.routes(),
        recorder.hotspots(None),
        recorder.minutes("job 1"),
        recorder.typical("job 1"),
    ));
    assert!(!recorder.shut_down(Duration::from_secs(60)));
    // The child may start a recorder of its own.
    let own = Recorder::builder().policy(Policy::none().failed()).start();
    let own = own.unwrap();
    own.begin("child").fail("why");
    assert!(own.flush(BOUND));
    assert_eq!((own.kept().len(), own.statistics().kept), (1, 1));
    drop(recorder);
}

pub(crate) fn others_end_requests() {
    let recorder = Recorder::builder().start().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                // Behind the thread that forks and the child, which else would mostly wait for a processor.
                let _ = rustix::process::nice(10);
                for number in (0..).take_while(|_| !done.load(Relaxed)) {
                    request(&recorder, number);
                }
            });
        }
        for round in 0..FORKS {
            let (here, mut there) = UnixStream::pair().unwrap();
            here.set_read_timeout(Some(BOUND)).unwrap();
            let mine = recorder.clone();
            match fork::fork().unwrap() {
                Fork::Child => {
                    let child = AssertUnwindSafe(|| in_child(mine));
                    let is_ok = catch_unwind(child).is_ok();
                    let _ = there.write_all(b"done");
                    exit(i32::from(!is_ok));
                }
                Fork::Parent(child) => {
                    drop(there);
                    await_child(child, here, round);
                }
            }
        }
        done.store(true, Relaxed);
    });
    assert!(recorder.shut_down(Duration::from_secs(60)));
    let it = recorder.statistics();
    assert_eq!(
        (it.ended, it.in_flight),
        (it.kept + it.not_kept + it.dropped, 0)
    );
}
