//! A recorder's callbacks, and its end.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tracer::recorder::{Policy, Recorder};

const PATIENCE: Duration = Duration::from_secs(20);

fn recorder(callback: impl FnMut() + Send + 'static) -> Recorder {
    let mut callback = callback;
    Recorder::builder()
        .policy(Policy::none().failed())
        .callback("test", move |_| callback())
        .start()
        .unwrap()
}

fn fail(recorder: &Recorder) {
    recorder.begin("job").fail("always");
}

fn until(is_there: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < end, "it did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_slow_callback_keeps_nobody_waiting_and_a_panicking_one_is_counted() {
    let (go_on, wait) = mpsc::channel::<()>();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .callback("slow", move |_| {
            wait.recv().unwrap();
            counted.fetch_add(1, Relaxed);
        })
        .callback("panics", |_| {
            std::panic::resume_unwind(Box::new("not today"))
        })
        .start()
        .unwrap();
    for _ in 0..2000 {
        recorder.begin("job").fail("always");
        while recorder.statistics().waiting > 100 {
            std::thread::yield_now();
        }
    }
    loop {
        let statistics = recorder.statistics();
        let [slow, panics] = &statistics.sinks[..] else {
            panic!()
        };
        let done = panics.failed + panics.dropped == statistics.kept;
        if statistics.waiting == 0
            && done
            && slow.waiting as u64 + slow.dropped + 1 >= statistics.kept
        {
            break;
        }
        std::thread::yield_now();
    }
    let statistics = recorder.statistics();
    assert_eq!(statistics.kept + statistics.dropped, 2000);
    assert_eq!(
        statistics.sinks[1].last_error.as_deref(),
        Some("panicked: not today")
    );
    let slow = &statistics.sinks[0];
    assert_eq!((&*slow.name, slow.taken, slow.failed), ("slow", 0, 0));
    assert!(slow.dropped > 0 && slow.waiting <= 1024);
    assert!(!recorder.flush(Duration::from_millis(1)));
    let taken = statistics.kept - slow.dropped;
    for _ in 0..taken {
        go_on.send(()).unwrap();
    }
    assert!(recorder.flush(PATIENCE));
    assert_eq!(seen.load(Relaxed), taken);
}

#[test]
fn requests_that_end_after_shutting_down_are_counted_and_dropped() {
    let recorder = recorder(|| ());
    recorder.begin("job").fail("before");
    let mut late = recorder.begin("job");
    assert!(recorder.shut_down(PATIENCE));
    late.fail("after");
    drop(late);
    let statistics = recorder.statistics();
    assert_eq!(
        (statistics.ended, statistics.kept, statistics.dropped),
        (2, 1, 1)
    );
    assert_eq!(recorder.kept().len(), 1);
}

#[test]
fn shutting_down_may_time_out_and_the_threads_end_later() {
    let (go_on, wait) = mpsc::channel::<()>();
    let alive = Arc::new(());
    let mine = Arc::clone(&alive);
    let recorder = recorder(move || {
        black_box(&mine);
        wait.recv().unwrap();
    });
    fail(&recorder);
    fail(&recorder);
    assert!(!recorder.shut_down(Duration::from_millis(1)));
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    // The callback's captures are dropped when its thread ends.
    until(|| Arc::strong_count(&alive) == 1);
    assert!(recorder.shut_down(PATIENCE));
    assert_eq!(recorder.statistics().sinks[0].taken, 2);
}

#[test]
fn the_last_handle_may_go_in_a_callback() {
    let last: Arc<Mutex<Option<Recorder>>> = Arc::default();
    let alive = Arc::new(());
    let (mine, slot) = (Arc::clone(&alive), Arc::clone(&last));
    let recorder = recorder(move || {
        black_box(&mine);
        until(|| slot.lock().unwrap().is_some());
        let last = slot.lock().unwrap().take();
        drop(last);
    });
    fail(&recorder);
    *last.lock().unwrap() = Some(recorder);
    until(|| Arc::strong_count(&alive) == 1);
}

#[test]
fn a_callback_does_not_wait_for_itself() {
    let slot: Arc<Mutex<Option<Recorder>>> = Arc::default();
    let (mine, (tell, told)) = (Arc::clone(&slot), mpsc::channel());
    let recorder = recorder(move || {
        until(|| mine.lock().unwrap().is_some());
        let recorder = mine.lock().unwrap().take().unwrap();
        tell.send(recorder.flush(Duration::MAX)).unwrap();
        tell.send(recorder.shut_down(Duration::MAX)).unwrap();
    });
    fail(&recorder);
    *slot.lock().unwrap() = Some(recorder.clone());
    let told = || told.recv_timeout(PATIENCE);
    assert_eq!((told(), told()), (Ok(false), Ok(false)));
    assert!(recorder.shut_down(PATIENCE));
}

#[test]
fn captures_of_a_callback_may_be_slow_to_drop() {
    struct Slow(mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().unwrap();
        }
    }
    let (go_on, wait) = mpsc::channel();
    let slow = Slow(wait);
    let recorder = recorder(move || {
        black_box(&slow);
    });
    fail(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert!(!recorder.shut_down(Duration::from_millis(1)));
    go_on.send(()).unwrap();
    assert!(recorder.shut_down(PATIENCE));
}
