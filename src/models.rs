//! Models of what threads share: loom runs each with every order of its threads' steps, and answers
//! relaxed loads with every value that the orderings allow.

mod callsite;
mod meter;
mod pool;
mod reader;
mod records;
mod strand;
mod sum;
mod trace;
mod visit;

/// Runs a model in the orders that have so many preemptions at most.
///
/// Loom leaves out orders that it takes for equal to others. It remembers one access to each
/// atomic, so where a thread loads and then stores, it does not see that another has loaded before;
/// with a bound it is more careful, and it sees loads after stores. So there is always a bound, and
/// what is written is written by the model's first thread, which loom runs first, and read by
/// another.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{executions:?} executions");
}

/// One that lives for ever.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
