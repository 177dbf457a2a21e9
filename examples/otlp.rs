//! Sends a kept request to a collector of OpenTelemetry, at `http://localhost:4318` or where the variables
//! `OTEL_EXPORTER_OTLP_…` say; and to a file, if one is named.

use std::error::Error;
use std::time::Duration;

use tracer::otlp::Exporter;
use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::{Counting, Limits, call, in_current_trace, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn order(id: u32) {
    let call = call!("{id}");
    let prices = std::thread::scope(|threads| {
        let price = threads.spawn(in_current_trace(price)); // its parent is this call
        price.join().unwrap_or_default()
    });
    call.checkpoint("priced");
    // More calls than are recorded one by one here: the others become one event.
    let lines: usize = (0..20).map(line).sum();
    call.fail(&format_args!("payment of {} declined", prices + lines));
}

#[traced]
fn price() -> usize {
    std::hint::black_box(vec![1, 2, 3]).len()
}

#[traced]
fn line(number: usize) -> usize {
    std::hint::black_box(vec![number]).len()
}

fn main() -> Result<(), Box<dyn Error>> {
    let exporter = Exporter::builder().service_name("orders").build()?;
    let limits = Limits::default().calls(10);
    let mut recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .trace(10, limits)
        .otlp(exporter);
    if let Some(file) = std::env::args_os().nth(1) {
        recorder = recorder.file(file, Rotation::default());
    }
    let recorder = recorder.start()?;

    let mut request = recorder.begin("GET /orders/{id}");
    request.id("ca7a87c4");
    request.label("tenant", "Zoë \"7\"");
    let scope = request.inject();
    order(7);
    drop(scope);
    request.fail("500: payment declined");
    drop(request); // here it ends

    recorder.shut_down(Duration::from_secs(1));
    for sink in recorder.statistics().sinks {
        println!(
            "{}: {} taken, {} lost",
            sink.name,
            sink.taken,
            sink.failed + sink.dropped
        );
    }
    Ok(())
}
