//! A thousand kept requests of twenty calls a second, sent to a collector in this process that takes all. None
//! may be lost.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tracer::call;
use tracer::otlp::Exporter;
use tracer::recorder::{Policy, Recorder};
use tracer_benches::http::receive;

const A_SECOND: u32 = 1000;
const CALLS: u32 = 20;

/// Returns whether all were taken.
pub(crate) fn run(time: Duration) -> bool {
    println!("export:");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = connection.and_then(take_all);
        }
    });
    let exporter = Exporter::builder().endpoint(&format!("http://{address}"));
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .otlp(exporter.build().expect("an exporter"))
        .start()
        .expect("a recorder");
    let start = Instant::now();
    let mut begun = 0;
    while start.elapsed() < time {
        request(&recorder);
        begun += 1;
        let next = Duration::from_secs(1) / A_SECOND * begun;
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    let took = start.elapsed();
    let is_flushed = recorder.flush(Duration::from_secs(30));
    let it = recorder.statistics();
    let sink = &it.sinks[0];
    println!(
        "{begun} requests in {took:.1?}: {} taken, {} failed, {} dropped",
        sink.taken, sink.failed, sink.dropped
    );
    for (thread, work) in [
        ("tracer-recorder", "reports"),
        ("tracer-sink", "spans"),
        ("tracer-otlp", "sending"),
    ] {
        if let Some(busy) = busy(thread) {
            let of_call = busy / begun / (CALLS + 1);
            println!("{work}: {busy:.1?} on {thread}, {of_call:?} for each span");
        }
    }
    println!();
    is_flushed && it.kept == u64::from(begun) && sink.taken == it.kept
}

fn request(recorder: &Recorder) {
    let mut request = recorder.begin("GET /orders/{id}");
    request.id("ca7a87c4");
    let scope = request.inject();
    let handle = call!("handle");
    for number in 1..CALLS {
        let _call = call!("{number}");
        std::hint::black_box(vec![0_u8; 100]);
    }
    handle.stop();
    drop(scope);
    request.fail("no row");
}

fn take_all(stream: TcpStream) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while receive(&mut input)? {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Returns how long a thread of this process has run on a processor, if the system tells.
fn busy(thread: &str) -> Option<Duration> {
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let task = task.ok()?.path();
        // A thread may end meanwhile.
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        // The system cuts it at 15 bytes.
        if name.trim_end() == &thread[..thread.len().min(15)] {
            let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
            let ns = times.split(' ').next()?.parse().ok()?;
            return Some(Duration::from_nanos(ns));
        }
    }
    None
}
