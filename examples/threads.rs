//! Traces one request that runs on several threads.
//!
//! A new thread has no trace. [`in_current_trace`] takes along the trace of the thread that spawns it, so
//! that calls on the new thread stand below the call that spawned it. [`each_in_current_trace`] wraps a
//! closure that runs more than once, such as those that rayon's iterators take.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tracer::{Counting, Trace, each_in_current_trace, in_current_trace, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[traced]
fn handle() {
    let loading = thread::spawn(in_current_trace(load));
    let words = loading.join().expect("no panic");

    let (first, rest) = words.split_at(1);
    thread::scope(|threads| {
        threads.spawn(in_current_trace(|| join("first", first)));
        threads.spawn(in_current_trace(|| join("rest", rest)));
    });

    on_two_threads(&words, each_in_current_trace(shout));
}

#[traced]
fn load() -> Vec<String> {
    let words = "dead simple tracing".split(' ');
    words.map(str::to_owned).collect()
}

#[traced("{part}")]
fn join(part: &str, words: &[String]) {
    black_box(words.concat());
}

#[traced("{word}")]
fn shout(word: &String) {
    black_box(word.to_uppercase());
}

/// Calls the closure for each item, on whichever thread is free first.
fn on_two_threads<'a, T: Sync>(items: &'a [T], work: impl Fn(&'a T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Relaxed)) {
            work(item);
        }
    };
    thread::scope(|threads| {
        threads.spawn(run);
        threads.spawn(run);
    });
}

fn main() {
    let trace = Trace::new();
    let scope = trace.inject();
    handle();
    drop(scope);
    println!("{trace:#}");
}
