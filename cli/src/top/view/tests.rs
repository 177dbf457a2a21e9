//! One golden literal for each screen.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tracer::Outcome;

use super::*;
use crate::top::fetch::Answer;
use crate::top::keys::{Action, Motion};
use crate::top::model::{InFlight, Kept, Key, Overview, Problem, Route, Totals};
use crate::top::schema;

const NOW_NS: i64 = 1_763_942_405_250_000_000;

fn route(name: &str, ended: u64, failed: u64, p99_us: u64) -> Route {
    Route {
        name: name.to_owned(),
        ended,
        failed,
        p50: Some(Duration::from_micros(p99_us / 10)),
        p99: Some(Duration::from_micros(p99_us)),
        allocates: Some(41),
        in_flight: 1,
        kept: failed + 3,
    }
}

fn kept(trace: u64, outcome: Outcome) -> Kept {
    let ago = i64::try_from(trace).unwrap() * 1_500_000_000;
    Kept {
        key: Key {
            started_unix_ns: NOW_NS - ago,
            trace,
        },
        route: "POST /orders".to_owned(),
        id: Some(format!("id-{trace}")),
        wall: Duration::from_micros(1250 * trace),
        allocates: Some(3412),
        bytes: Some(70_000 * trace),
        outcome,
        reasons: vec!["slowest".to_owned(), "heaviest".to_owned()],
    }
}

fn overview(ended: u64) -> Overview {
    let failure = kept(2, Outcome::Failed("500: no \u{1b}[2Jspace".to_owned()));
    Overview {
        is_counted: true,
        totals: Totals {
            ended: ended + 33,
            in_flight: 3,
            kept: 45,
            dropped: 2,
            in_memory_bytes: 1_300_000,
        },
        routes: vec![
            route("GET /orders/{id}", ended, 0, 2300),
            route("POST /orders", 30, 2, 141_000),
            route("GET /漢字", 3, 0, 90),
        ],
        newest: vec![
            kept(1, Outcome::Ok),
            failure.clone(),
            kept(80, Outcome::Cancelled),
        ],
        failures: vec![failure],
        note: None,
        has_more: false,
    }
}

struct Shown {
    state: State,
    now: Now,
}

impl Shown {
    /// After two answers, two seconds apart.
    fn new() -> Self {
        let address = "http://127.0.0.1:3000/debug/traces".to_owned();
        let mut state = State::new(address, true, Duration::from_secs(2));
        let at = Instant::now();
        state.take(Answer::Overview(Ok(overview(1200))), at);
        let at = at + Duration::from_secs(2);
        state.take(Answer::Overview(Ok(overview(1234))), at);
        let now = Now {
            at: at + Duration::from_secs(5),
            unix_ns: NOW_NS,
        };
        Self { state, now }
    }

    fn press(&mut self, actions: &[Action]) {
        for action in actions {
            self.state.apply(*action, NOW_NS);
        }
    }

    fn take(&mut self, answer: Answer) {
        self.state.take(answer, self.now.at);
    }

    fn draw(&mut self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                self.state.page = page(&self.state, self.now, frame.area());
                if let Some(trace) = &mut self.state.trace {
                    trace.lay_out(width.into());
                }
                draw(frame, &self.state, self.now, Colours::No);
            })
            .unwrap();
        if width == 0 {
            return String::new();
        }
        let buffer = terminal.backend().to_string();
        // The backend also tells which cells are behind wide characters.
        let lines = buffer
            .lines()
            .map(|line| line.split("\" Hidden").next().unwrap_or(line));
        let lines = lines.map(|line| line.trim_matches('"').trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Compares without the line end after the opening quote.
#[track_caller]
fn assert_screen(shown: &str, expected: &str) {
    assert_eq!(
        shown.trim_end(),
        expected.trim_start_matches('\n').trim_end(),
        "\n{shown}"
    );
}

#[test]
fn routes() {
    let shown = Shown::new().draw(80, 10);
    assert_screen(
        &shown,
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures
REQUESTS▼  REQ/S  FAILED      P50      P99  ALLOCS  ROUTE
    1,234   17.0       0   230 µs  2.30 ms      41  GET /orders/{id}
       30    0.0       2  14.1 ms   141 ms      41  POST /orders
        3    0.0       0  9.00 µs  90.0 µs      41  GET /漢字


F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter F6Sort IInvert
",
    );
}

#[test]
fn requests_in_flight() {
    let mut shown = Shown::new();
    shown.press(&[Action::Tab(1)]);
    let json = br#"{"tracer_page":1,"page":"in-flight","in_flight":1,"requests":[{"name":"GET /wait","id":"a","trace":7,
        "started_unix_ns":5,"age_ns":1000000,"open":[{"name":"wait","module":"m","file":"f","line":1,"strand":0,
        "thread":{"number":1},"start_ns":0,"wall_ns":9,"busy_ns":9,"self_wall_ns":9,"self_busy_ns":9,"outcome":"running",
        "checkpoints":[{"name":"asked","at_ns":1,"wall_ns":1}]}]}]}"#;
    let in_flight: InFlight = schema::in_flight(json).unwrap();
    shown.take(Answer::InFlight(Ok(in_flight)));
    assert_screen(
        &shown.draw(80, 8),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures
   AGE▼  ALLOCS  BYTES  REQUEST › WHERE IT IS
1.00 ms     n/a    n/a  GET /wait [a] › wait · asked


F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter F6Sort IInvert
",
    );
    shown.press(&[Action::Open]);
    assert_screen(
        &shown.draw(80, 10),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures  › trace 7
GET /wait [a]: in flight, as it was when it was opened
trace 7: 1.00 ms, allocates n/a (n/a bytes)
wall  allocates  bytes  peak  call
9 ns        n/a    n/a   n/a  wait @ thread #1, running
1 ns        n/a    n/a        └─ · asked
calls recorded: 1
EscBack F10Quit F1Help F3Search ←→Sideways
",
    );
}

#[test]
fn kept_requests() {
    let mut shown = Shown::new();
    shown.press(&[Action::Tab(2), Action::Move(Motion::Down)]);
    assert_screen(
        &shown.draw(100, 9),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures
 AGO▲           UTC     TIME  ALLOCS     BYTES  REQUEST
  1 s  00:00:03.750  1.25 ms   3,412  68.4 KiB  POST /orders [id-1] · kept: slowest, heaviest
  3 s  00:00:02.250  2.50 ms   3,412   137 KiB  POST /orders [id-2] · failed: 500: no \u{1b}[2Jspace
2 min  23:58:05.250   100 ms   3,412  5.34 MiB  POST /orders [id-80] · cancelled · kept: slowest, h…

F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter F6Sort IInvert
",
    );
}

#[test]
fn a_route_and_what_is_typed() {
    let mut shown = Shown::new();
    shown.press(&[Action::Open]);
    let requests = vec![kept(1, Outcome::Ok), kept(3, Outcome::Panicked)];
    shown.take(Answer::Route("GET /orders/{id}".to_owned(), Ok(requests)));
    shown.press(&[Action::Filter, Action::Type('P'), Action::Type('A')]);
    assert_screen(
        &shown.draw(80, 9),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures  › GET /orders/{id}
AGO▲     TIME  ALLOCS    BYTES  REQUEST
 4 s  3.75 ms   3,412  205 KiB  POST /orders [id-3] · panicked


Filter: PA_
EnterDone EscCancel F3Next
",
    );
}

#[test]
fn the_menu_of_columns_and_the_help() {
    let mut shown = Shown::new();
    shown.press(&[Action::Sort, Action::Move(Motion::Down)]);
    assert_screen(
        &shown.draw(60, 14),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s ┌Sort by──┐ht · 45 kept (1.24 MiB in
 1 Routes  2 In flight  │REQUESTS │ailures
REQUESTS▼  FAILED      P│REQ/S    │ ROUTE
    1,234       0  2.30 │FAILED   │ GET /orders/{id}
       30       2   141 │P50      │ POST /orders
        3       0  90.0 │P99      │ GET /漢字
                        │ALLOCS   │
                        │IN FLIGHT│
                        │KEPT     │
                        │ROUTE    │
                        └─────────┘

F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter
",
    );
    shown.press(&[Action::Back, Action::Help]);
    assert_screen(
        &shown.draw(60, 15),
        r"
t┌Keys────────────────────────────────────────────────────┐
1│Up Down PgUp PgDn Home End  move                        │n
 │Left Right                  scroll a trace sideways     │
R│+ -                         unfold, fold equal calls    │
 │Tab, Shift-Tab, 1 to 4      next, previous, this list   │
 │Enter                       open: a route, a request    │
 │Esc                         back; take the filter away  │
 │F3 /                        search; F3 again: next      │
 │F4 \                        filter: lines with this text│
 │F6 >                        sort by a column            │
 │I                           sort the other way round    │
 │F1 ? h                      this help                   │
 │F10 q Ctrl-C                quit                        │
 └────────────────────────────────────────────────────────┘
F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter
",
    );
}

#[test]
fn what_is_old_is_said_to_be() {
    let mut shown = Shown::new();
    let why = "Connection refused (os error 111): expected a service that listens there";
    shown.take(Answer::Overview(Err(Problem(why.to_owned()))));
    assert_screen(
        &shown.draw(80, 9),
        r"
tracer top  http://127.0.0.1:3000/debug/traces
1,267 requests · 17.0/s · 3 in flight · 45 kept (1.24 MiB in memory) · 2 dropped
 1 Routes  2 In flight  3 Kept  4 Failures
REQUESTS▼  REQ/S  FAILED      P50      P99  ALLOCS  ROUTE
    1,234   17.0       0   230 µs  2.30 ms      41  GET /orders/{id}
       30    0.0       2  14.1 ms   141 ms      41  POST /orders
        3    0.0       0  9.00 µs  90.0 µs      41  GET /漢字
! 5 s old: Connection refused (os error 111): expected a service that listens t…
F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter F6Sort IInvert
",
    );
}

#[test]
fn an_answer_that_is_late_is_missed() {
    let mut shown = Shown::new();
    assert!(!shown.draw(80, 9).contains('!'));
    shown.now.at += Duration::from_millis(1);
    let status = "! 5 s old: expected an answer by now";
    assert!(shown.draw(80, 9).contains(status));
}

#[test]
fn small_screens() {
    let mut shown = Shown::new();
    assert_screen(
        &shown.draw(20, 5),
        r"
 1 Routes
    P99  ROUTE
2.30 ms  GET /order…
 141 ms  POST /orde…
F1Help F10Quit
",
    );
    for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (20, 1), (0, 0), (300, 2)] {
        for popup in [
            Action::Back,
            Action::Help,
            Action::Back,
            Action::Sort,
            Action::Back,
        ] {
            shown.press(&[popup]);
            shown.draw(width, height);
        }
    }
}

#[test]
fn of_a_file() {
    let mut state = State::new("traces.jsonl".to_owned(), false, Duration::from_secs(2));
    let mut of_file = overview(100);
    of_file.note =
        Some("lines that are no reports: 1; line 2, column 5: expected value".to_owned());
    state.take(Answer::Overview(Ok(of_file)), Instant::now());
    let now = Now {
        at: Instant::now(),
        unix_ns: NOW_NS,
    };
    let mut shown = Shown { state, now };
    assert_screen(
        &shown.draw(80, 9),
        r"
tracer top  traces.jsonl
133 kept requests, 2 failed · sums over this file, not over all requests
 1 Routes  2 Kept  3 Failures
KEPT▼  FAILED      P50      P99  ALLOCS  ROUTE
    5       2  14.1 ms   141 ms      41  POST /orders
    3       0   230 µs  2.30 ms      41  GET /orders/{id}
    3       0  9.00 µs  90.0 µs      41  GET /漢字
! lines that are no reports: 1; line 2, column 5: expected value
F1Help F10Quit EnterOpen EscBack TabNext F3Search F4Filter F6Sort IInvert
",
    );
}
