//! The level of a wrapped subscriber is the process's level, also once it is reloaded.

use std::hint::black_box;

use tracer::Trace;
use tracing::level_filters::LevelFilter;
use tracing::{debug_span, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Registry, reload};

pub(crate) fn of_a_wrapped_subscriber() {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
    let subscriber = Registry::default().with(filter);
    let subscriber = subscriber.with(tracer::tracing::layer());
    let wrapped = tracer::tracing::subscriber(subscriber);
    assert_eq!(LevelFilter::current(), LevelFilter::OFF);
    tracing::subscriber::set_global_default(wrapped).unwrap();
    assert_eq!(LevelFilter::current(), LevelFilter::INFO);

    let trace = Trace::new();
    let scope = trace.inject();
    let spans = || {
        drop(black_box(info_span!("info").entered()));
        drop(black_box(debug_span!("debug").entered()));
    };
    spans();
    handle.reload(EnvFilter::new("debug")).unwrap();
    assert_eq!(LevelFilter::current(), LevelFilter::DEBUG);
    spans();
    handle.reload(EnvFilter::new("off")).unwrap();
    assert_eq!(LevelFilter::current(), LevelFilter::OFF);
    spans();
    drop(scope);
    let report = trace.report();
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["info", "info", "debug"]);
}
