//! A second thread. The first one waits whenever it works, so programs are deterministic.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};

use tracer::alloc::exclude;

type Job = Box<dyn FnMut() + Send>;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// Returns 0, or 1 on the worker.
pub fn thread() -> usize {
    NUMBER.get()
}

struct Worker {
    jobs: Sender<Job>,
    done: Receiver<()>,
}

/// Runs the job on the worker, and waits for it.
pub fn on_worker(job: impl FnMut() + Send + 'static) {
    static WORKER: OnceLock<Mutex<Worker>> = OnceLock::new();
    exclude(|| {
        let worker = WORKER.get_or_init(|| Mutex::new(start())).lock().unwrap();
        worker.jobs.send(Box::new(job)).unwrap();
        worker.done.recv().unwrap();
    });
}

fn start() -> Worker {
    let (jobs, to_do) = channel::<Job>();
    let (is_done, done) = channel();
    std::thread::spawn(move || {
        NUMBER.set(1);
        while let Ok(mut job) = exclude(|| to_do.recv()) {
            job();
            exclude(|| {
                drop(job);
                is_done.send(()).unwrap();
            });
        }
    });
    Worker { jobs, done }
}
