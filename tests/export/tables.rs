//! Whole tables of hotspots, with fixed times.

use std::hint::black_box;
use std::time::Duration;

use tracer::hotspots::{By, Hotspots};
use tracer::{Report, Trace, call};

fn allocate(count: u64, bytes: usize) {
    for _ in 0..count {
        drop(black_box(vec![1_u8; black_box(bytes)]));
    }
}

fn handle() -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    allocate(7, 100);
    let handle = call!();
    for round in 0..20 {
        let fetch = call!();
        allocate(round, 50);
        fetch.stop();
    }
    let store = call!();
    allocate(3, 1 << 20);
    store.fail("write: broken pipe");
    store.stop();
    handle.stop();
    drop(scope);
    fixed(trace.report())
}

/// Returns the report with times and places that are the same in every run.
fn fixed(mut report: Report) -> Report {
    for (place, call) in report.calls.iter_mut().enumerate() {
        let number = u32::try_from(place).unwrap();
        call.name = match place {
            0 => "handle_request",
            21 => "store\n\u{1b}[2J|<b>`x`</b>",
            _ => "fetch_data_from_the_remote_service_and_decode_it",
        }
        .into();
        call.file = "services/gateway/src/handlers/requests/mod.rs".into();
        call.line = 10 + u32::from(place > 0) + u32::from(place > 20);
        call.start = Duration::from_micros(100) * number;
        call.wall = if place == 0 {
            Duration::from_millis(20)
        } else {
            Duration::from_nanos(12_345) * number
        };
        (call.busy, call.self_busy, call.self_wall) = (call.wall, call.wall, call.wall);
    }
    report.calls[0].self_busy = Duration::from_millis(1);
    report
}

fn hotspots() -> Hotspots {
    let mut hotspots = Hotspots::new();
    for _ in 0..3 {
        hotspots.add(&handle());
    }
    hotspots
}

#[test]
fn a_table() {
    assert_eq!(
        hotspots().to_string(),
        "\
3 reports, 66 calls, 600 allocations (9.03 MiB), of which outside calls 21 (3.5%)

function                                self-bytes ▼  share  calls     time  allocations  at
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
store\\n\\u{1b}[2J|<b>`x`</b>                 9.00 MiB  99.7%      3   778 µs            9  …c/handlers/requests/mod.rs:12
fetch_data_from_the…vice_and_decode_it      27.8 KiB   0.3%     60  7.78 ms          570  …c/handlers/requests/mod.rs:11
handle_request                                   0 B   0.0%      3  60.0 ms          579  …c/handlers/requests/mod.rs:10
"
    );
}

/// Returns a report in which `load` keeps what it has loaded, `cache` a part of it, and `evict` frees more.
fn keeping() -> Report {
    fn load() -> Vec<u8> {
        let _call = call!();
        black_box(vec![1_u8; 3000])
    }
    fn cache(block: &mut Vec<u8>) {
        let _call = call!();
        *block = black_box(vec![1_u8; 1000]);
    }
    fn evict(block: Vec<u8>) {
        let _call = call!();
        drop(black_box(block));
    }
    let before = black_box(vec![1_u8; 5000]);
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!("handle");
    let mut block = load();
    cache(&mut block);
    evict(before);
    handle.stop();
    drop((scope, block));
    let mut report = trace.report();
    for call in &mut report.calls {
        call.file = "src/main.rs".into();
        call.line = 7;
        call.wall = Duration::from_micros(3);
    }
    report
}

#[test]
fn a_table_by_what_is_kept() {
    let mut hotspots = Hotspots::new();
    hotspots.add(&keeping());
    hotspots.add(&keeping());
    let functions = hotspots.functions(By::NetBytes);
    let kept: Vec<_> = { functions.iter() }
        .map(|it| {
            (
                it.frame.name,
                it.totals.net_bytes,
                By::NetBytes.of(it.totals),
            )
        })
        .collect();
    assert_eq!(
        kept,
        [
            ("load", Some(6000), 6000),
            // What is freed beyond what is allocated is nothing that is kept.
            ("cache", Some(-4000), 0),
            ("evict", Some(-10_000), 0),
            ("keeping", Some(-8000), 0),
        ]
    );
    let table = hotspots.table().by(By::NetBytes).width(60).to_string();
    assert_eq!(
        table,
        "\
2 reports, 8 calls, 4 allocations (7.81 KiB)

function  net-bytes ▼  calls     time  at
────────────────────────────────────────────────────
load         5.86 KiB      2  6.00 µs  src/main.rs:7
cache       -3.91 KiB      2  6.00 µs  src/main.rs:7
evict       -9.77 KiB      2  6.00 µs  src/main.rs:7
keeping     -7.81 KiB      2  6.00 µs  src/main.rs:7
"
    );
    let mut twice = Hotspots::new();
    (0..2).for_each(|_| twice.merge(&hotspots));
    assert_eq!(
        twice.functions(By::NetBytes)[0].totals.net_bytes,
        Some(12_000)
    );
    let json = serde_json::to_value(hotspots.table().by(By::NetBytes)).unwrap();
    assert_eq!(json["functions"][1]["net_bytes"], -4000);
}

#[test]
fn the_rest_of_a_line_goes_to_names_and_places() {
    let table = |width| hotspots().table().top(2).width(width).to_string();
    let ends = |width: usize| {
        let table = table(width);
        let line = table.lines().nth(5).unwrap();
        let parts: Vec<_> = line.split("  ").filter(|it| !it.is_empty()).collect();
        [parts[0].to_owned(), parts[parts.len() - 1].to_owned()]
    };
    let place = "…c/handlers/requests/mod.rs:11";
    assert_eq!(ends(114), ["fetch_data_from_…e_and_decode_it", place]);
    assert_eq!(ends(120), ["fetch_data_from_the…vice_and_decode_it", place]);
    // All columns fit, with their whole texts.
    assert_eq!(
        ends(400),
        [
            "fetch_data_from_the_remote_service_and_decode_it",
            "services/gateway/src/handlers/requests/mod.rs:11"
        ]
    );
    let longest = |width| table(width).lines().map(|it| it.chars().count()).max();
    assert_eq!([114, 120].map(longest), [114, 120].map(Some));
}

#[test]
fn functions_of_one_name_are_told_apart_by_their_modules() {
    let mut report = handle();
    report.calls.truncate(5);
    let modules = [
        "shop::api",
        "shop::users",
        "shop::orders",
        "shop::v1::cart",
        "shop::v2::cart",
    ];
    for (call, module) in report.calls.iter_mut().zip(modules) {
        call.module = module.into();
        call.name = if module == "shop::api" {
            "serve"
        } else {
            "get"
        }
        .into();
        call.file = "src/main.rs".into();
    }
    let mut hotspots = Hotspots::new();
    hotspots.add(&report);
    let table = hotspots.table().by(By::Calls).width(40).to_string();
    let names: Vec<_> = table
        .lines()
        .skip(4)
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "orders::get",
            "users::get",
            "v1::cart::get",
            "v2::cart::get",
            "serve"
        ]
    );
    // The module is also shown if the table has only one of them.
    let one = hotspots.table().by(By::Calls).top(1).markdown().to_string();
    assert!(one.contains("| `orders::get` |"), "{one}");
}

#[test]
fn a_narrow_table_has_the_first_columns_and_a_wide_one_all() {
    assert_eq!(
        hotspots()
            .table()
            .by(By::Failures)
            .top(1)
            .width(60)
            .to_string(),
        "\
3 reports, 66 calls, 600 allocations (9.03 MiB), of which outside calls 21 (3.5%)

function                     failures ▼   share  calls
──────────────────────────────────────────────────────
store\\n\\u{1b}[2J|<b>`x`</b>           3  100.0%      3

2 more functions
"
    );
    let wide = hotspots().table().by(By::Time).width(300).to_string();
    let titles: Vec<_> = wide
        .lines()
        .nth(2)
        .unwrap()
        .split("  ")
        .filter(|it| !it.is_empty())
        .collect();
    assert_eq!(
        titles.join("|").replace("| ", "|"),
        "function|time ▼|share|calls|failures|self-time|busy|self-busy|allocations|self-allocations\
         |bytes|self-bytes|peak|time p50|time p95|time p99|time max|allocs p50|allocs p95|allocs p99\
         |allocs max|at"
    );
}

/// Returns the cells of the table, as a Markdown parser reads them.
fn cells(markdown: &str) -> Vec<String> {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let mut cells = Vec::new();
    let mut is_in_cell = false;
    for event in Parser::new_ext(markdown, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        match event {
            Event::Start(Tag::TableCell) => {
                is_in_cell = true;
                cells.push(String::new());
            }
            Event::End(TagEnd::TableCell) => is_in_cell = false,
            Event::Text(text) | Event::Code(text) if is_in_cell => {
                cells.last_mut().unwrap().push_str(&text);
            }
            Event::InlineHtml(tag) if ["<code>", "</code>"].contains(&&*tag) => {}
            event if is_in_cell => panic!("more than text in a cell: {event:?}"),
            _ => {}
        }
    }
    cells
}

#[test]
fn a_table_in_markdown() {
    let hotspots = hotspots();
    assert_eq!(
        hotspots.table().top(2).markdown().to_string(),
        "\
3 reports, 66 calls, 600 allocations (9.03 MiB), of which outside calls 21 (3.5%)

| function | self-bytes ▼ | share | calls | time | allocations | at |
|---|--:|--:|--:|--:|--:|---|
| <code>store&#92;n&#92;u&#123;1b&#125;&#91;2J&#124;&#60;b&#62;&#96;x&#96;&#60;/b&#62;</code> | 9.00 MiB | 99.7% | 3 | 778 µs | 9 | `services/gateway/src/handlers/requests/mod.rs:12` |
| `fetch_data_from_the_remote_service_and_decode_it` | 27.8 KiB | 0.3% | 60 | 7.78 ms | 570 | `services/gateway/src/handlers/requests/mod.rs:11` |

1 more function
",
    );
    let markdown = hotspots
        .table()
        .by(By::Peak)
        .width(1000)
        .markdown()
        .to_string();
    let cells = cells(&markdown);
    let columns = 21;
    assert_eq!(cells.len(), 4 * columns);
    assert_eq!(cells[..4], ["function", "peak ▼", "calls", "failures"]);
    let names: Vec<_> = cells.iter().step_by(columns).skip(1).collect();
    assert_eq!(
        names,
        [
            "handle_request",
            "store\\n\\u{1b}[2J|<b>`x`</b>",
            "fetch_data_from_the_remote_service_and_decode_it"
        ]
    );
    assert_eq!(
        cells[2 * columns - 1],
        "services/gateway/src/handlers/requests/mod.rs:10"
    );
}

/// A cell shows exactly the function's name, whatever it contains.
#[test]
fn hostile_names_in_markdown() {
    for name in [
        "a|b",
        "\\|",
        "`code` **bold** _it_ ~~x~~ ^a^ $x$",
        "<script>alert(1)</script>",
        "&lt;&#65;",
        "[link](http://example.com)",
        "https://example.com/x_y",
        "www.example.com",
        "a@example.com",
        "@user #1",
        "![x](y)",
        "[^1]",
        "# h",
        "- item",
        "1. x",
        "> q",
        "---",
        "tab",
        "  spaces",
        ":smile:",
        "==x==",
        "{x}",
        "\\",
    ] {
        let mut report = handle();
        report.calls.truncate(1);
        report.calls[0].name = name.to_owned().into();
        let mut hotspots = Hotspots::new();
        hotspots.add(&report);
        let markdown = hotspots.table().markdown().to_string();
        let cells = cells(&markdown);
        assert_eq!(cells[cells.len() / 2], name, "{markdown}");
    }
}

#[test]
fn figures_that_were_not_counted_are_not_zero() {
    let mut report = handle();
    report.total = None;
    for call in &mut report.calls {
        (call.total, call.self_counts, call.peak_bytes) = (None, None, None);
    }
    let mut hotspots = Hotspots::new();
    hotspots.add(&report);
    assert_eq!(
        hotspots.table().top(1).width(100).to_string(),
        "\
1 report, 22 calls, allocations not counted

function                          self-bytes ▼  calls     time  peak  at
────────────────────────────────────────────────────────────────────────────────────────────────────
fetch_data_from_…e_and_decode_it           n/a     20  2.59 ms   n/a  …c/handlers/requests/mod.rs:11

2 more functions
"
    );
}
