//! A fork while a batch of spans waits and another one is being sent: the parent's are sent once, by the parent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::time::Duration;

use fork::Fork;
use tracer::otlp::{Exporter, Protocol};
use tracer::recorder::{Policy, Recorder};

use super::fork::await_child;

/// A child that takes longer is blocked.
const BOUND: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(60 * 60);

fn recorder(listener: &TcpListener, delay: Duration) -> Recorder {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let exporter = Exporter::builder()
        .endpoint(&url)
        .protocol(Protocol::HttpJson);
    let exporter = exporter.delay(delay).build().unwrap();
    let recorder = Recorder::builder().policy(Policy::none().failed());
    recorder.otlp(exporter).start().unwrap()
}

/// Reads one request, answers it if it is to, and returns the names of its requests.
fn receive(listener: &TcpListener, answers: bool) -> (TcpStream, Vec<String>) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let is_whole = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split_once("content-length: ")?.1;
        let length: usize = length.lines().next()?.parse().ok()?;
        (body.len() == length).then_some(())
    };
    while is_whole(&text).is_none() {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    if answers {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    }
    let names = text.split("\"name\":\"").skip(1);
    let names = names
        .filter_map(|it| it.split('"').next())
        .map(str::to_owned);
    (stream, names.filter(|it| it.starts_with("job")).collect())
}

/// Returns what was taken, failed, dropped, and waits.
fn counts(recorder: &Recorder) -> (u64, u64, u64, usize) {
    let it = recorder.statistics().sinks.remove(0);
    (it.taken, it.failed, it.dropped, it.waiting)
}

fn in_child(recorders: &[Recorder], own: &TcpListener) {
    for recorder in recorders {
        recorder.begin("job of the child").fail("why");
        assert!(!recorder.flush(Duration::from_millis(100)));
        assert!(!recorder.shut_down(Duration::from_millis(100)));
    }
    // The child may start one of its own.
    let recorder = recorder(own, Duration::ZERO);
    recorder.begin("job of the child's recorder").fail("why");
    let (_stream, names) = receive(own, true);
    assert_eq!(names, ["job of the child's recorder"]);
    assert!(recorder.shut_down(BOUND));
    assert_eq!(counts(&recorder), (1, 0, 0, 0));
}

pub(crate) fn the_child_neither_sends_the_parents_batch_nor_hangs() {
    let [waits, sends, own] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    // One recorder's batch waits; that of the other has been sent, and there is no answer yet.
    let waiting = recorder(&waits, LONG);
    waiting.begin("job that waits").fail("why");
    while counts(&waiting).3 == 0 {
        std::thread::yield_now();
    }
    let sending = recorder(&sends, Duration::ZERO);
    sending.begin("job that is sent").fail("why");
    let (mut stream, names) = receive(&sends, false);
    assert_eq!(names, ["job that is sent"]);
    let recorders = [waiting, sending];

    for round in 0..10 {
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_read_timeout(Some(BOUND)).unwrap();
        match fork::fork().unwrap() {
            Fork::Child => {
                let child = AssertUnwindSafe(|| in_child(&recorders, &own));
                let is_ok = catch_unwind(child).is_ok();
                // Dropping them must not hang, either.
                drop(recorders);
                let _ = there.write_all(b"done");
                exit(i32::from(!is_ok));
            }
            Fork::Parent(child) => {
                drop(there);
                await_child(child, here, round);
            }
        }
    }

    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let [waiting, sending] = recorders;
    assert!(sending.shut_down(BOUND));
    assert_eq!(counts(&sending), (1, 0, 0, 0));
    let asked = std::thread::spawn(move || receive(&waits, true).1);
    assert!(waiting.shut_down(BOUND));
    assert_eq!(asked.join().unwrap(), ["job that waits"]);
    assert_eq!(counts(&waiting), (1, 0, 0, 0));
    // Nobody else has connected.
    sends.set_nonblocking(true).unwrap();
    assert!(sends.accept().is_err());
}
