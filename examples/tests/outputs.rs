//! The output of the small examples.

use crate::http::ask;
use crate::process::{Running, printed};
#[cfg(feature = "sites")]
use crate::process::{run, stderr, stdout};
use crate::text::{without_numbers, without_times};

#[test]
fn minimal() {
    assert_eq!(
        without_times(&printed("minimal", &[])),
        "\
trace 1: TIME, allocates 3 (52 bytes)
wall busy allocates self-allocs bytes self-bytes peak call
TIME TIME 3 0 52 0 52 handle [ca7a87c4] @ main #1
TIME TIME 2 2 32 32 32 ├─ parse
TIME 2 32 ├─ · parsed
TIME TIME 1 1 20 20 20 └─ store rows=5
calls recorded: 3, memory: 4,096 bytes
"
    );
}

#[test]
#[cfg(feature = "otlp")]
fn otlp() {
    let mut command = crate::process::example("otlp");
    // At this port nobody listens.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let output = command.output().expect("the example runs");
    assert_eq!(
        (stdout(&output), stderr(&output)),
        ("OTLP http://127.0.0.1:1/v1/traces: 0 taken, 1 lost\n", "")
    );
}

/// The threads start in any order, and the standard library's allocations may differ.
#[test]
fn threads() {
    let printed = printed("threads", &[]);
    let names = printed.lines().filter_map(|line| line.split_once(" @ "));
    let names = names.map(|(before, _)| {
        let name = before.rfind("  ").map_or(before, |end| &before[end + 2..]);
        name.replace('└', "├")
    });
    let mut names: Vec<_> = names.collect();
    names[1..].sort();
    assert_eq!(
        names,
        [
            "handle",
            "├─ join [first]",
            "├─ join [rest]",
            "├─ load",
            "├─ shout [dead]",
            "├─ shout [simple]",
            "├─ shout [tracing]",
        ],
        "{printed}"
    );
}

#[test]
#[cfg(feature = "sites")]
fn budget() {
    let output = run("budget", &[]);
    let told = "\
allocation budget exceeded at examples/budget.rs:32:43
  allocations   any number, and 1
  bytes         at most 79, but 80
  peak bytes    any number, and 80
  by 1 allocation, 0 reallocations, 0 deallocations, 80 bytes allocated, 0 bytes freed
allocated at 1 site, 80 bytes
bytes  allocates  site
";
    // Lines of a release are those that its profile leaves.
    assert!(stdout(&output).starts_with(told), "{output:?}");
    if cfg!(debug_assertions) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let lines = &stdout(&output)[told.len()..];
        assert_eq!(
            lines.replace(folder, ""),
            "   \
80          1  budget::double at budget.rs:15
                    in budget::main::{{closure}} at budget.rs:32
"
        );
        assert_eq!(output.status.code(), Some(101), "{output:?}");
        let (_, panic) = stderr(&output).split_once(":\n").expect("a panic");
        assert_eq!(
            without_times(&panic.replace(folder, "")),
            "\
evens: allocation budget exceeded at examples/budget.rs:19:1
allocations at most 1, but 3
bytes any number, and 64
peak bytes any number, and 64
by 1 allocation, 2 reallocations, 0 deallocations, 64 bytes allocated, 0 bytes freed
allocated at 2 sites, 64 bytes
bytes allocates site
48 2 budget::select at budget.rs:27
in budget::evens at budget.rs:21
16 1 budget::select at budget.rs:27
in budget::evens at budget.rs:21
what ran inside: trace 2: TIME, allocates 3 (64 bytes), keeps 64 bytes
wall busy allocates self-allocs bytes self-bytes peak keeps call
TIME TIME 3 3 64 64 64 64 select @ main #1
calls recorded: 1, memory: 4,096 bytes
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"
        );
    } else {
        assert!(output.status.success(), "{output:?}");
        let end = "\n\n10 even numbers\n";
        assert!(stdout(&output).ends_with(end), "{output:?}");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn axum_service() {
    let mut service = Running::start("axum_service", &["127.0.0.1:0"]);
    let orders = service.read_line();
    let orders = orders
        .trim_end()
        .strip_prefix("orders: ")
        .expect("an address");
    let traces = service.read_line();
    let traces = traces
        .trim_end()
        .strip_prefix("traces: ")
        .expect("an address");

    let answer = ask("GET", orders, "", "");
    assert_eq!(
        (answer.status, &*answer.body),
        (200, "item 1, item 2, item 3")
    );
    let failing = orders.replace("/3", "/0");
    let answer = ask("GET", &failing, "X-Request-Id: zero\r\n", "");
    assert_eq!(
        (answer.status, &*answer.body),
        (500, "the list of items is missing")
    );
    let (page, token) = traces.split_once("?token=").expect("a token");
    let page = ask(
        "GET",
        page,
        &format!("Authorization: Bearer {token}\r\n"),
        "",
    );
    assert_eq!(page.status, 200);
    assert!(page.body.contains("GET /orders/{id}"), "{}", page.body);

    assert_eq!(
        shape(&service.stop()),
        "
GET /orders/{id} [zero] path=/orders/0 status=500 sent=28 frames=1: TIME · \
failed: 500 Internal Server Error: the list of items is missing · kept: failed
trace N ID: TIME, allocates N (N bytes)
wall busy allocates self-allocs bytes self-bytes peak call
TIME TIME N N N N N order [N] @ tokio-rt-worker #N
TIME TIME N N N N N └─ items, failed: the list of items is missing
calls recorded: N memory: N bytes

"
    );
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_service() {
    assert_eq!(
        shape(&printed("tracing_service", &[])),
        "\
GET request: TIME · failed: Status code: 500 Internal Server Error · kept: failed
trace N ID: TIME, allocates N (N bytes), subscriber: N allocations (N bytes)
wall busy allocates self-allocs bytes self-bytes peak call
TIME TIME N N N N N request method=GET uri=/orders/N version=HTTP/N.N @ tokio-rt-worker #N \
failed: Status code: N Internal Server Error
TIME TIME N N N N N ├─ order [N]
TIME TIME N N N N N │ ├─ warehouse
TIME TIME N N N N N │ │ └─ stock
TIME TIME N N N N N │ └─ items count=N failed: N items ordered, N in stock
TIME N N │ ├─ · packing stock=N
TIME N N │ └─ · error=N items ordered, N in stock
TIME N N └─ · response failed classification=Status code: N Internal Server Error latency=N ms
calls recorded: N memory: N bytes
"
    );
}

#[cfg(feature = "grpc")]
#[test]
fn grpc() {
    assert_eq!(
        shape(&printed("grpc", &[])),
        "\
one lamp
code: 'The system is not in a state required for the operation's execution', \
message: \"an order needs an item\"

POST /shop.Orders/Place [second] path=/shop.Orders/Place status=200 sent=0 frames=0: TIME · \
failed: grpc-status 9: an order needs an item · kept: everything
trace N ID: TIME, allocates N (N bytes), keeps N bytes
wall busy allocates self-allocs bytes self-bytes peak call
TIME TIME N N N N N place @ tokio-rt-worker #N
calls recorded: N memory: N bytes

POST /shop.Orders/Place [first] path=/shop.Orders/Place status=200 sent=15 frames=1: TIME · \
kept: everything
trace N ID: TIME, allocates N (N bytes), keeps N bytes
wall busy allocates self-allocs bytes self-bytes peak call
TIME TIME N N N N N place @ tokio-rt-worker #N
calls recorded: N memory: N bytes

"
    );
}

/// Returns the text without times, and without numbers in the trees: those depend on the runtime's threads
/// and on the libraries' versions.
fn shape(printed: &str) -> String {
    let shape = printed.split_inclusive('\n').map(|line| {
        let line = without_times(line);
        let is_heading = line.contains(" · kept: ");
        if is_heading {
            line
        } else {
            without_numbers(&line)
        }
    });
    shape.collect()
}
