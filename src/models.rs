//! Models of what threads share: loom runs each with every order of its threads' steps, and answers
//! relaxed loads with every value that the orderings allow.

mod callsite;
mod meter;
mod pool;
mod reader;
mod records;
mod strand;
mod trace;

/// Runs a model in every order, or in every one with so many preemptions at most.
fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
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
