//! The command `tracer` as a process: its output, its files, its exit status.

#[path = "command/find.rs"]
mod find;
#[cfg(all(feature = "serve", target_os = "linux"))]
#[path = "command/grown.rs"]
mod grown;
#[path = "command/locks.rs"]
mod locks;
#[cfg(feature = "serve")]
#[path = "command/serve.rs"]
mod serve;
#[cfg(target_os = "linux")]
#[path = "command/symbolize.rs"]
mod symbolize;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The result of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    errors: String,
}

/// A folder for the files of one test. The command runs in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (name, text) in files {
            fs::write(folder.path(name), text).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the names of all files, including any that were left behind.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = command(self.0.path(), arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The command may end before it has read everything.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Returns a report of `handle`, which calls `store` with this number of allocations of 100 bytes.
fn line(trace: u64, allocations: u64, wall_ns: u64, outcome: &str) -> String {
    let counts = |count: u64| {
        format!(
            r#"{{"allocations":{count},"reallocations":0,"deallocations":{count},"bytes_allocated":{0},"bytes_deallocated":{0}}}"#,
            100 * count
        )
    };
    let call = |name: &str,
                parent: &str,
                line: u64,
                own: u64,
                total: u64,
                wall: u64,
                outcome: &str| {
        format!(
            r#"{{"name":"{name}","module":"service","file":"src/{name}.rs","line":{line},{parent}"strand":0,"thread":{{"number":1,"name":"main"}},"start_ns":0,"wall_ns":{wall},"busy_ns":{wall},"self_busy_ns":{wall},"total":{},"self":{},"peak_bytes":100,"outcome":{outcome}}}"#,
            counts(total),
            counts(own),
        )
    };
    format!(
        r#"{{"tracer_report":1,"trace":{trace},"started_unix_ns":1763942400000000000,"elapsed_ns":{wall_ns},"memory_bytes":4096,"total":{},"calls":[{},{}]}}"#,
        counts(allocations + 1),
        call("handle", "", 3, 1, allocations + 1, wall_ns, "\"ok\""),
        call(
            "store",
            r#""parent":0,"#,
            7,
            allocations,
            allocations,
            wall_ns / 2,
            outcome
        ),
    ) + "\n"
}

const FAILED: &str = r#""failed","message":"write: broken pipe""#;

fn three() -> String {
    line(1, 10, 3_000_000, "\"ok\"")
        + &line(2, 30, 1_000_000, FAILED)
        + &line(3, 20, 2_000_000, "\"ok\"")
}

fn plain(lines: [&str; 3]) -> String {
    let [handle, store, outcome] = lines;
    format!(
        "allocates at call stack: 0, detailed call stack:\n\tcall handle: {handle}\n\tcall store: {store}{outcome}"
    )
}

#[test]
fn show_folds_what_repeats() {
    // Eight calls of `store` in one of `handle`.
    let one = line(1, 10, 3_000_000, "\"ok\"");
    let store = one.rfind(r#",{"name":"store""#).unwrap();
    let end = one.rfind("]}").unwrap();
    let report = format!(
        "{}{}{}",
        &one[..store],
        one[store..end].repeat(8),
        &one[end..]
    );
    let folder = Folder::with(&[("traces.jsonl", &report)]);
    let lines = |arguments: &[&str]| {
        let out = folder
            .run(&[&["show", "traces.jsonl"], arguments].concat())
            .out;
        let stores = out.lines().filter(|line| line.contains("store"));
        stores.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = "12.0 ms  12.0 ms         80           80  8,000       8,000   100  \
               └─ store ×8 · 1.50 ms each (p50), 1.50 ms (max), up to 8 at once";
    assert_eq!(lines(&[]), [all]);
    assert_eq!(lines(&["--unfolded"]).len(), 8);
    assert_eq!(lines(&["--plain"]).len(), 8);
}

#[test]
fn show_as_lines_and_as_trees() {
    let folder = Folder::with(&[("traces.jsonl", &three())]);
    let [first, second, third] = [
        ["3ms, allocates: 11", "1.5ms, allocates: 10", ""],
        [
            "1ms, allocates: 31",
            "500µs, allocates: 30",
            ", failed: write: broken pipe",
        ],
        ["2ms, allocates: 21", "1ms, allocates: 20", ""],
    ]
    .map(plain);
    for (arguments, reports) in [
        (&["--plain"][..], &[&first, &second, &third][..]),
        (&["--plain", "--slowest", "2"], &[&first, &third]),
        (&["--plain", "--heaviest", "1"], &[&second]),
        (&["--plain", "--heaviest", "9"], &[&second, &third, &first]),
        (&["--plain", "--slowest", "0"], &[]),
    ] {
        let ran = folder.run(&[&["show", "traces.jsonl"], arguments].concat());
        let shown = reports
            .iter()
            .map(|report| report.as_str())
            .collect::<Vec<_>>()
            .join("\n\n");
        let end = if reports.is_empty() { "" } else { "\n" };
        assert_eq!((ran.out, ran.errors), (shown + end, String::new()));
        assert_eq!(ran.code, Some(0));
    }
    let tree = "\
trace 2: 1.00 ms, allocates 31 (3,100 bytes)
   wall     busy  allocates  self-allocs  bytes  self-bytes  peak  call
1.00 ms  1.00 ms         31            1  3,100         100   100  handle @ main #1
 500 µs   500 µs         30           30  3,000       3,000   100  └─ store, failed: write: broken pipe
calls recorded: 2, memory: 4,096 bytes
";
    let heaviest = ["show", "traces.jsonl", "--heaviest", "1"];
    assert_eq!(folder.run(&heaviest).out, tree);
    assert_eq!(
        folder
            .run_with(&["show", "--heaviest", "1", "--tree"], &three())
            .out,
        tree
    );
}

/// Returns the report of a kept request with this outcome, and another outcome of its call `store`.
fn kept(trace: u64, outcome: &str, of_call: &str) -> String {
    let request = format!(
        r#""request":{{"name":"GET /","id":"{trace}","wall_ns":1000,"outcome":{outcome},"reasons":[]}},"trace""#
    );
    line(trace, 1, 1000, of_call).replacen(r#""trace""#, &request, 1)
}

/// Returns the report of a request that began some seconds after 2025-11-24T00:00:00Z.
fn kept_at(trace: u64, seconds: u64, outcome: &str) -> String {
    let started = format!("\"started_unix_ns\":{}000000000", 1_763_942_400 + seconds);
    kept(trace, outcome, "\"ok\"").replace("\"started_unix_ns\":1763942400000000000", &started)
}

#[test]
fn a_request_is_listed_by_its_own_outcome() {
    let lines = [
        // Its calls are ok, but its body failed.
        kept(1, FAILED, "\"ok\""),
        kept(2, "\"ok\"", FAILED),
        // `store` was a dropped branch of a `select!`.
        kept(3, "\"ok\"", "\"cancelled\""),
        kept(4, "\"panicked\"", "\"ok\""),
        kept(5, "\"cancelled\"", "\"ok\""),
        // Without a recorder: `store` failed, but `handle` around it did not.
        line(6, 1, 1000, FAILED),
        line(7, 1, 1000, FAILED).replacen("\"ok\"", FAILED, 1),
        line(8, 1, 1000, "\"ok\"").replacen("\"ok\"", "\"cancelled\"", 1),
    ];
    let folder = Folder::with(&[("traces.jsonl", &lines.concat())]);
    let traces = |arguments: &[&str]| {
        let ran = folder.run(&[&["show", "traces.jsonl"], arguments].concat());
        assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
        let lines = ran
            .out
            .lines()
            .filter_map(|line| line.strip_prefix("trace "));
        lines
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(traces(&[]), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(traces(&["--failed"]), ["1", "4", "7"]);
    assert_eq!(traces(&["--cancelled"]), ["5", "8"]);
    let ran = folder.run(&["hotspots", "traces.jsonl", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let store = { value["functions"].as_array().unwrap().iter() }.find(|it| it["name"] == "store");
    let store = store.unwrap();
    assert_eq!(
        (&store["calls"], &store["failures"], &store["cancelled"]),
        (&8.into(), &3.into(), &1.into())
    );
    assert_eq!(value["paths"][1]["cancelled"], 1);
}

#[test]
fn marks_in_a_tree_are_explained_below_it() {
    let compared = |calls: u64, wall_ns: u64| {
        let usual = |figure: u64| {
            format!(r#"{{"p50":{figure},"p95":{figure},"p99":{figure},"max":{figure}}}"#)
        };
        format!(
            r#""compared":{{"calls":{calls},"wall_ns":{wall_ns},"of":100,"requests":100,"usual_calls":{},"usual_wall_ns":{}}},"outcome""#,
            usual(1),
            usual(1000)
        )
    };
    let shown = |calls: u64, wall_ns: u64| {
        let line = kept(1, "\"ok\"", "\"ok\"");
        let end = line.rfind("\"outcome\"").unwrap();
        let line = format!(
            "{}{}{}",
            &line[..end],
            compared(calls, wall_ns),
            &line[end + 9..]
        );
        let ran = Folder::new().run_with(&["show"], &line);
        assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
        let tree = ran.out.lines().skip(4).map(str::to_owned);
        tree.collect::<Vec<_>>()
    };
    let store = |rest: &str| {
        format!(
            " 500 ns   500 ns          1            1    100         100   100  └─ store · {rest}"
        )
    };
    let facts = "calls recorded: 2, memory: 4,096 bytes";
    let outstanding =
        "▲: a figure above that of 95 in 100 recent requests, and at least twice the usual one";
    let all = "all: the calls of this path together, of which this is the first";
    assert_eq!(shown(1, 1000), [&*store("1.00 µs (usual 1.00 µs)"), facts]);
    assert_eq!(
        shown(1, 2000),
        [&*store("▲ 2.00 µs (usual 1.00 µs)"), facts, outstanding]
    );
    assert_eq!(
        shown(3, 1000),
        [
            &*store("▲ all: 1.00 µs (usual 1.00 µs) · 3 calls (usual 1)"),
            facts,
            outstanding,
            all
        ]
    );
}

#[test]
fn hotspots_in_all_forms() {
    let folder = Folder::with(&[
        ("a.jsonl", &three()),
        ("b.jsonl", &line(4, 40, 4_000, "\"ok\"")),
    ]);
    let ran = folder.run(&["hotspots", "a.jsonl", "b.jsonl"]);
    let table = "\
4 reports, 8 calls, 104 allocations (10.2 KiB)

function  self-bytes ▼  share  calls  failures     time  self-time  allocations  self-allocations  at
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
store         9.77 KiB  96.2%      4         1  3.00 ms    3.00 ms          100               100  src/store.rs:7
handle           400 B   3.8%      4         0  6.00 ms    3.00 ms          104                 4  src/handle.rs:3
";
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        (table, "", Some(0))
    );
    let ran = folder.run(&[
        "hotspots", "a.jsonl", "b.jsonl", "--by", "time", "--top", "1", "--format", "markdown",
    ]);
    let second = ran.out.lines().nth(2).unwrap();
    assert!(
        second.starts_with("| function | time ▼ | share | calls |"),
        "{second}"
    );
    assert!(
        ran.out
            .ends_with("| `src/handle.rs:3` |\n\n1 more function\n"),
        "{}",
        ran.out
    );
    let ran = folder.run(&["hotspots", "a.jsonl", "--format", "json", "--top", "1"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["tracer_hotspots"], 1);
    assert_eq!(value["functions"].as_array().unwrap().len(), 1);
    assert_eq!(value["functions"][0]["name"], "store");
    assert_eq!(value["functions"][0]["self"]["bytes_allocated"], 6000);
    assert_eq!(value["functions"][0]["allocates_percentiles"]["max"], 30);
    assert_eq!(
        value["functions"][0]["wall_percentiles_ns"]["max"],
        1_500_000
    );
    assert_eq!(
        (&value["paths"][1]["parent"], &value["paths"][1]["name"]),
        (&0.into(), &"store".into())
    );
    assert_eq!(value["outside_calls"]["allocations"], 0);
}

/// Returns a report of `handle`, whose call `store` has the lines on which it allocated this number of times.
fn with_sites(allocations: u64) -> String {
    let function = |name: &str, line: u64| {
        format!(
            r#"{{"function":"service::{name}","file":"src/store.rs","line":{line},"offset":{line}}}"#
        )
    };
    let place = |store: usize, allocations: u64| {
        format!(
            r#"{{"frames":[0,{store}],"allocations":{allocations},"bytes_allocated":{}}}"#,
            100 * allocations
        )
    };
    let sites = format!(
        r#""outcome":"ok","sites":{{"frames":[{},{},{}],"places":[{},{}]}}"#,
        function("row", 20),
        function("store", 9),
        function("store", 8),
        place(1, allocations - 1),
        place(2, 1)
    );
    let report = line(1, allocations, 2_000, "\"kept\"");
    report.replace(r#""outcome":"kept""#, &sites)
}

#[test]
fn lines_that_allocate_on_request() {
    let folder = Folder::with(&[
        ("before.jsonl", &with_sites(10)),
        ("after.jsonl", &with_sites(15)),
    ]);
    let ran = folder.run(&["hotspots", "--sites", "before.jsonl"]);
    let table = "\
1 report, 2 calls, 11 allocations (1.07 KiB)

function  self-bytes ▼  share  calls     time  self-time  allocations  self-allocations     bytes  at
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
▸ row          1,000 B  90.9%                                      10                10   1,000 B  src/store.rs:20
handle           100 B   9.1%      1  2.00 µs    1.00 µs           11                 1  1.07 KiB  src/handle.rs:3
store              0 B   0.0%      1  1.00 µs    1.00 µs           10                 0   1,000 B  src/store.rs:7
";
    assert_eq!((ran.out.as_str(), ran.errors.as_str()), (table, ""));
    let ran = folder.run(&["hotspots", "before.jsonl", "--format", "json"]);
    assert!(!ran.out.contains("is_site"), "{}", ran.out);
    let ran = folder.run(&["hotspots", "before.jsonl", "--format", "json", "--sites"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["functions"][0]["is_site"], true);
    assert_eq!(value["paths"][3]["name"], "row");
    assert_eq!(value["paths"][3]["parent"], 2);

    let ran = folder.run(&["flamegraph", "--sites", "before.jsonl"]);
    let bar = "<title>service::store:9 (900 bytes, 81.82%)</title>";
    assert!(ran.out.contains(bar), "{}", ran.out);
    let ran = folder.run(&["export", "--to", "folded", "before.jsonl"]);
    let stacks = "\
service::handle 100
service::handle;service::store;service::store:8;service::row:20 100
service::handle;service::store;service::store:9;service::row:20 900
";
    assert_eq!((ran.out.as_str(), ran.errors.as_str()), (stacks, ""));

    let rule = ["--fail-on", "self-allocations > +0"];
    let ran = folder.run(
        &[
            &["diff", "--sites", "before.jsonl", "after.jsonl"],
            &rule[..],
        ]
        .concat(),
    );
    let broken = "\
tracer: all together: self-allocations 11 -> 16 (+5, +45.5%), allowed +0
tracer: ▸ row (src/store.rs:20): self-allocations 10 -> 15 (+5, +50.0%), allowed +0
";
    assert_eq!((ran.errors.as_str(), ran.code), (broken, Some(1)));
}

#[test]
fn a_flame_graph_to_a_file_or_to_standard_output() {
    let folder = Folder::with(&[("traces.jsonl", &three())]);
    let ran = folder.run(&[
        "flamegraph",
        "traces.jsonl",
        "--by",
        "bytes",
        "-o",
        "out.svg",
    ]);
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        ("", "", Some(0))
    );
    let svg = fs::read_to_string(folder.path("out.svg")).unwrap();
    assert!(svg.contains(">6.15 KiB in 3 reports, calls inside in the bars above<"));
    assert!(svg.contains("<title>service::store (6,000 bytes, 95.24%)</title>"));
    assert_eq!(
        folder
            .run(&["flamegraph", "traces.jsonl", "--by", "bytes"])
            .out,
        svg
    );
    // The file has the default mode, not that of a private temporary file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |name| {
            fs::metadata(folder.path(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("out.svg"), mode("traces.jsonl"));
    }
    let before = line(1, 5, 1000, "\"ok\"");
    fs::write(folder.path("before.jsonl"), before).unwrap();
    let ran = folder.run(&["flamegraph", "traces.jsonl", "--since", "before.jsonl"]);
    // One report before, three now.
    assert!(
        ran.out
            .contains("<title>service::store (6,000 bytes, 95.24%; +71.43%)</title>"),
        "{}",
        ran.out
    );
    let ran = folder.run(&["flamegraph", "before.jsonl", "--by", "failures"]);
    let error = "tracer: nothing to draw: expected calls with failures above 0\n";
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        ("", error, Some(2))
    );
}

#[test]
fn exports() {
    let folder = Folder::with(&[("traces.jsonl", &three())]);
    let ran = folder.run(&[
        "export",
        "traces.jsonl",
        "--to",
        "folded",
        "--by",
        "allocations",
    ]);
    assert_eq!(
        ran.out,
        "service::handle 63\nservice::handle;service::store 60\n"
    );
    let ran = folder.run(&[
        "export",
        "traces.jsonl",
        "--to",
        "chrome",
        "-o",
        "trace.json",
    ]);
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    let trace: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let starts = events.iter().filter(|event| event["ph"] == "B");
    assert_eq!(starts.count(), 6);
    let ran = folder.run(&[
        "export",
        "traces.jsonl",
        "--to",
        "pprof",
        "-o",
        "profile.pb.gz",
    ]);
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    // The magic number of gzip.
    assert_eq!(
        fs::read(folder.path("profile.pb.gz")).unwrap()[..2],
        [0x1f, 0x8b]
    );
    let ran = folder.run(&["export", "traces.jsonl", "--to", "otlp-json"]);
    let lines: Vec<serde_json::Value> = { ran.out.lines() }
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let spans = &lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!((&spans[1]["name"], lines.len()), (&"handle".into(), 3));
    assert_eq!(
        folder.names(),
        ["profile.pb.gz", "trace.json", "traces.jsonl"]
    );
}

/// Returns a report of a program without `Counting`.
fn uncounted() -> String {
    let mut report: serde_json::Value = serde_json::from_str(&line(1, 0, 1000, "\"ok\"")).unwrap();
    report.as_object_mut().unwrap().remove("total");
    for call in report["calls"].as_array_mut().unwrap() {
        let call = call.as_object_mut().unwrap();
        call.retain(|name, _| !["total", "self", "peak_bytes"].contains(&name.as_str()));
    }
    report.to_string() + "\n"
}

#[test]
fn nothing_to_export_is_reported_as_nothing_to_draw_is() {
    let folder = Folder::with(&[
        ("counted.jsonl", &three()),
        ("uncounted.jsonl", &uncounted()),
    ]);
    for (file, by, error) in [
        (
            "uncounted.jsonl",
            "self-bytes",
            "self-bytes were not counted: expected another figure, such as time",
        ),
        (
            "uncounted.jsonl",
            "self-allocations",
            "self-allocations were not counted: expected another figure, such as time",
        ),
        (
            "counted.jsonl",
            "cancelled",
            "expected calls with cancelled above 0",
        ),
    ] {
        for (command, doing) in [
            (&["export", "--to", "folded"][..], "export"),
            (&["flamegraph"], "draw"),
        ] {
            let ran = folder.run(&[command, &[file, "--by", by, "-o", "out"]].concat());
            let error = format!("tracer: nothing to {doing}: {error}\n");
            assert_eq!((ran.errors, ran.code), (error, Some(2)));
        }
    }
    assert_eq!(folder.names(), ["counted.jsonl", "uncounted.jsonl"]);
    let ran = folder.run(&[
        "export",
        "uncounted.jsonl",
        "--to",
        "folded",
        "--by",
        "time",
    ]);
    assert_eq!(
        ran.out,
        "service::handle 1000\nservice::handle;service::store 500\n"
    );
}

#[test]
fn diff_fails_if_a_rule_is_broken() {
    let (before, after) = (
        three(),
        three().replace("\"allocations\":20,", "\"allocations\":21,"),
    );
    let folder = Folder::with(&[("before.jsonl", &before), ("after.jsonl", &after)]);
    let ran = folder.run(&[
        "diff",
        "before.jsonl",
        "before.jsonl",
        "--fail-on",
        "allocations > +0",
        "--fail-on",
        "bytes > +0%",
    ]);
    let same = "3 reports before, 3 after\n\n2 functions with the same allocations as before\n";
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        (same, "", Some(0))
    );
    let ran = folder.run(&[
        "diff",
        "before.jsonl",
        "after.jsonl",
        "--fail-on",
        "self-allocations > +0",
        "--fail-on",
        "bytes > +0",
    ]);
    assert_eq!(
        ran.out,
        "\
3 reports before, 3 after

function  allocations ▼  growth  before  after  at
──────────────────────────────────────────────────────────────
store                +1   +1.7%      60     61  src/store.rs:7

1 function with the same allocations as before

path            allocations ▼  growth  before  after  at
────────────────────────────────────────────────────────────────────
handle > store             +1   +1.7%      60     61  src/store.rs:7

1 path with the same allocations as before
"
    );
    assert_eq!(
        (ran.errors.as_str(), ran.code),
        (
            "tracer: store (src/store.rs:7): self-allocations 60 -> 61 (+1, +1.7%), allowed +0\n",
            Some(1)
        )
    );
    // In the other direction the figures shrink.
    let ran = folder.run(&[
        "diff",
        "after.jsonl",
        "before.jsonl",
        "--fail-on",
        "self-allocations > +0",
        "--markdown",
    ]);
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    assert!(
        ran.out.contains("| `store` | -1 | -1.6% | 61 | 60 |"),
        "{}",
        ran.out
    );
    // One of them may be standard input.
    let ran = folder.run_with(
        &[
            "diff",
            "-",
            "after.jsonl",
            "--fail-on",
            "self-allocations > +1",
        ],
        &before,
    );
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    let ran = folder.run(&["diff", "-", "-"]);
    let error = "tracer: standard input can't be both: expected a file before or after\n";
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        ("", error, Some(2))
    );
}

/// Every command reports the same bad input, and writes nothing.
#[test]
fn bad_input_is_named_and_nothing_is_half_written() {
    let good = three();
    let cut = &good[..good.len() - 100];
    let length = cut.lines().last().unwrap().len();
    let other = good.clone()
        + &good
            .lines()
            .next()
            .unwrap()
            .replace("_report\":1", "_report\":9");
    let folder = Folder::with(&[
        ("cut.jsonl", cut),
        ("other.jsonl", &other),
        ("text.jsonl", "hello\n"),
        ("empty.jsonl", ""),
        ("blank.jsonl", "\n \n"),
        ("good.jsonl", &good),
    ]);
    fs::write(folder.path("bytes.jsonl"), b"{\"tracer_report\":1,\"\xff").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let names = folder.names();
    for (file, expected) in [
        ("cut.jsonl", format!("cut.jsonl: line 3 breaks off after {length} bytes: expected the rest of a report")),
        (
            "other.jsonl",
            "other.jsonl: line 4, column 18: not a report of version 1: invalid value: integer `9`, expected version 1 of the schema".into(),
        ),
        ("text.jsonl", "text.jsonl: line 1, column 1: not JSON: expected value".into()),
        ("bytes.jsonl", "bytes.jsonl: line 1, byte 21: expected UTF-8".into()),
        ("empty.jsonl", "empty.jsonl: no reports: expected a line of JSON for each".into()),
        ("blank.jsonl", "blank.jsonl: no reports: expected a line of JSON for each".into()),
        ("missing.jsonl", "missing.jsonl: No such file or directory (os error 2)".into()),
        ("folder", "folder: expected a file, and it is a directory".into()),
    ] {
        for arguments in [
            &["hotspots", "good.jsonl", file][..],
            &["flamegraph", file, "-o", "out.svg"],
            &["flamegraph", "good.jsonl", "--since", file, "-o", "out.svg"],
            &["export", "--to", "chrome", "good.jsonl", file, "-o", "out.json"],
            &["export", "--to", "chrome", file],
            &["export", "--to", "pprof", file],
            &["diff", "good.jsonl", file, "--fail-on", "calls > +0"],
            &["diff", file, "good.jsonl"],
            &["show", "--slowest", "3", file],
        ] {
            let ran = folder.run(arguments);
            assert_eq!((ran.out.as_str(), ran.code), ("", Some(2)), "{arguments:?}");
            assert_eq!(ran.errors, format!("tracer: {expected}\n"), "{arguments:?}");
            assert_eq!(folder.names(), names);
        }
    }
    let ran = folder.run_with(&["hotspots"], cut);
    assert!(
        ran.errors
            .starts_with("tracer: standard input: line 3 breaks off"),
        "{}",
        ran.errors
    );
}

#[test]
fn bad_lines_are_skipped_on_request() {
    let good = three();
    let bad = format!("oops\n{good}\n{{}}\n{}", &good[..50]);
    let folder = Folder::with(&[
        ("bad.jsonl", &bad),
        ("good.jsonl", &good),
        ("worse.jsonl", "oops\n"),
    ]);
    let ran = folder.run(&["hotspots", "--skip-bad", "bad.jsonl"]);
    assert_eq!(
        (ran.errors.as_str(), ran.code),
        ("tracer: passed over 3 lines\n", Some(0))
    );
    assert_eq!(ran.out, folder.run(&["hotspots", "good.jsonl"]).out);
    let ran = folder.run(&["show", "--skip-bad", "good.jsonl"]);
    assert_eq!(
        (ran.errors.as_str(), ran.code),
        ("tracer: passed over 0 lines\n", Some(0))
    );
    let ran = folder.run(&["hotspots", "--skip-bad", "worse.jsonl"]);
    let error = "tracer: passed over 1 line\ntracer: worse.jsonl: no reports: expected a line of JSON for each\n";
    assert_eq!(
        (ran.out.as_str(), ran.errors.as_str(), ran.code),
        ("", error, Some(2))
    );
}

#[test]
fn existing_files_are_not_replaced() {
    let folder = Folder::with(&[("traces.jsonl", &three()), ("out.svg", "mine")]);
    let ran = folder.run(&["flamegraph", "traces.jsonl", "-o", "out.svg"]);
    let error = "tracer: out.svg: it exists: expected a new file, or --force to replace it\n";
    assert_eq!((ran.errors.as_str(), ran.code), (error, Some(2)));
    assert_eq!(fs::read_to_string(folder.path("out.svg")).unwrap(), "mine");
    let ran = folder.run(&["flamegraph", "traces.jsonl", "-o", "out.svg", "--force"]);
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    assert!(
        fs::read_to_string(folder.path("out.svg"))
            .unwrap()
            .starts_with("<?xml")
    );
    // Bad input doesn't replace a file either.
    fs::write(folder.path("out.svg"), "mine").unwrap();
    folder.run(&["flamegraph", "missing", "-o", "out.svg", "--force"]);
    assert_eq!(fs::read_to_string(folder.path("out.svg")).unwrap(), "mine");
    let ran = folder.run(&["flamegraph", "traces.jsonl", "-o", "nowhere/out.svg"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.errors.starts_with("tracer: nowhere/out.svg: "),
        "{}",
        ran.errors
    );
    assert_eq!(folder.names(), ["out.svg", "traces.jsonl"]);
}

#[test]
fn a_reader_that_goes_away() {
    let many = three().repeat(500);
    let folder = Folder::with(&[("traces.jsonl", &many)]);
    for arguments in [
        &["show", "traces.jsonl"][..],
        &["export", "--to", "chrome", "traces.jsonl"],
    ] {
        let mut child = command(folder.0.path(), arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((errors.as_str(), output.status.code()), ("", Some(141)));
    }
    // A broken rule is still reported to standard error.
    let after = many.replace("\"allocations\":20,", "\"allocations\":21,");
    fs::write(folder.path("after.jsonl"), after).unwrap();
    let rule = "self-allocations > +0";
    let diff = ["diff", "traces.jsonl", "after.jsonl", "--fail-on", rule];
    let mut child = command(folder.0.path(), &diff).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.starts_with("tracer: store (src/store.rs:7): self-allocations 30,000 -> "),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
    let mut child = command(folder.0.path(), &diff).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// Outputs on Unix other than a new file.
#[cfg(unix)]
mod outputs {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::{Folder, command, three};

    const STACKS: [&str; 6] = [
        "export",
        "traces.jsonl",
        "--to",
        "folded",
        "--by",
        "allocations",
    ];
    const FOLDED: &str = "service::handle 63\nservice::handle;service::store 60\n";

    fn folder() -> Folder {
        Folder::with(&[("traces.jsonl", &three())])
    }

    /// Returns the output and the exit status of `tracer export`.
    fn export(folder: &Folder, to: &[&str]) -> (String, Option<i32>) {
        let ran = folder.run(&[&STACKS, to].concat());
        assert_eq!(ran.out, "");
        (ran.errors, ran.code)
    }

    fn fine() -> (String, Option<i32>) {
        (String::new(), Some(0))
    }

    fn make(program: &str, arguments: &[&str], folder: &Folder) -> bool {
        let mut command = Command::new(program);
        let command = command.args(arguments).current_dir(folder.0.path());
        command.stderr(Stdio::null()).status().unwrap().success()
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode_and_its_owner() {
        let folder = folder();
        let out = folder.path("out.txt");
        for mode in [0o600, 0o664, 0o4755] {
            fs::write(&out, "mine").unwrap();
            // Only root may change the owner; for others this fails.
            let _ = std::os::unix::fs::chown(&out, Some(1234), Some(4321));
            fs::set_permissions(&out, fs::Permissions::from_mode(mode)).unwrap();
            let before = fs::metadata(&out).unwrap();
            assert_eq!(export(&folder, &["-o", "out.txt", "--force"]), fine());
            let after = fs::metadata(&out).unwrap();
            assert_eq!(text(&out), FOLDED);
            let of = |it: &fs::Metadata| (it.mode(), it.uid(), it.gid());
            assert_eq!(of(&after), of(&before));
        }
        assert_eq!(folder.names(), ["out.txt", "traces.jsonl"]);
    }

    #[test]
    fn links_are_followed() {
        let folder = folder();
        fs::create_dir(folder.path("there")).unwrap();
        fs::write(folder.path("there/old.txt"), "mine").unwrap();
        for (link, to) in [
            ("link", "there/link"),
            ("there/link", "old.txt"),
            ("dangling", "there/new.txt"),
        ] {
            symlink(to, folder.path(link)).unwrap();
        }
        let exists = |name: &str| {
            let error = format!(
                "tracer: {name}: it exists: expected a new file, or --force to replace it\n"
            );
            (error, Some(2))
        };
        for link in ["link", "dangling"] {
            assert_eq!(export(&folder, &["-o", link]), exists(link));
            assert_eq!(export(&folder, &["-o", link, "--force"]), fine());
            assert!(
                fs::symlink_metadata(folder.path(link))
                    .unwrap()
                    .is_symlink()
            );
        }
        assert_eq!(text(&folder.path("there/old.txt")), FOLDED);
        assert_eq!(text(&folder.path("there/new.txt")), FOLDED);
        let names = fs::read_dir(folder.path("there")).unwrap();
        assert_eq!(names.count(), 3);
    }

    #[test]
    fn pipes_and_devices_are_written_through() {
        let folder = folder();
        assert!(make("mkfifo", &["pipe"], &folder));
        for arguments in [&["-o", "pipe", "--force"][..], &["-o", "pipe"]] {
            let pipe = folder.path("pipe");
            let reader = std::thread::spawn(move || text(&pipe));
            assert_eq!(export(&folder, arguments), fine());
            assert_eq!(reader.join().unwrap(), FOLDED);
        }
        // A reader that opens the pipe doesn't wait for ever if the command writes nothing.
        let pipe = folder.path("pipe");
        let reader = std::thread::spawn(move || text(&pipe));
        let ran = folder.run(&["export", "nothing", "--to", "folded", "-o", "pipe"]);
        assert_eq!((reader.join().unwrap().as_str(), ran.code), ("", Some(2)));
        assert!(
            fs::metadata(folder.path("pipe"))
                .unwrap()
                .file_type()
                .is_fifo()
        );
        let ran = folder.run(&[&STACKS[..], &["-o", "/dev/stdout"]].concat());
        assert_eq!(
            (ran.out.as_str(), ran.errors.as_str(), ran.code),
            (FOLDED, "", Some(0))
        );
        // Only root can make a device, or replace one.
        if make("mknod", &["null", "c", "1", "3"], &folder) {
            assert_eq!(export(&folder, &["-o", "null", "--force"]), fine());
            let null = fs::metadata(folder.path("null")).unwrap();
            assert!(null.file_type().is_char_device());
        }
    }

    /// Returns whether this process ignores a signal, as the commands that it starts then do: under
    /// `nohup`, say.
    pub(super) fn is_ignored(signal: u32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }

    #[test]
    fn a_signal_leaves_nothing_behind() {
        for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("KILL", 9)] {
            if is_ignored(number) {
                continue;
            }
            for arguments in [&["-o", "new.svg"][..], &["-o", "old.svg", "--force"]] {
                let folder = Folder::with(&[("old.svg", "mine")]);
                let mut child = command(folder.0.path(), &[&["flamegraph"], arguments].concat())
                    .stdin(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut stdin = child.stdin.take().unwrap();
                // More than fits into a pipe, so the command is reading it.
                stdin.write_all(three().repeat(1000).as_bytes()).unwrap();
                let id = child.id().to_string();
                assert!(make("kill", &["-s", signal, &id], &folder));
                let status = child.wait().unwrap();
                assert_eq!(status.signal(), Some(number.cast_signed()));
                drop(stdin);
                assert_eq!(folder.names(), ["old.svg"]);
                assert_eq!(text(&folder.path("old.svg")), "mine");
            }
        }
    }

    #[test]
    fn an_output_that_can_not_be_written_is_named() {
        let folder = folder();
        fs::create_dir(folder.path("folder")).unwrap();
        for force in [&["--force"][..], &[]] {
            let error = "tracer: folder: Is a directory (os error 21)\n".to_owned();
            assert_eq!(
                export(&folder, &[&["-o", "folder"], force].concat()),
                (error, Some(2))
            );
        }
        assert_eq!(folder.names(), ["folder", "traces.jsonl"]);
        // A pipe without a reader is handled as a closed standard output.
        assert!(make("mkfifo", &["pipe"], &folder));
        let mut child = command(
            folder.0.path(),
            &["export", "-", "--to", "chrome", "-o", "pipe"],
        )
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
        let mut pipe = fs::File::open(folder.path("pipe")).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(three().repeat(500).as_bytes()).unwrap();
        drop(stdin);
        pipe.read_exact(&mut [0; 10]).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.stderr, output.status.code()),
            (Vec::new(), Some(141))
        );
    }
}

#[test]
fn bad_arguments() {
    let folder = Folder::with(&[("traces.jsonl", &three())]);
    for (arguments, expected) in [
        (
            &[
                "diff",
                "traces.jsonl",
                "traces.jsonl",
                "--fail-on",
                "bytes >= 3",
            ][..],
            "error: invalid value 'bytes >= 3' for '--fail-on <RULE>': rule `bytes >= 3`, column 8: expected `+` and how much it may grow\n",
        ),
        (
            &["hotspots", "--by", "size"],
            "error: invalid value 'size' for '--by <FIGURE>'\n",
        ),
        (
            &["export", "traces.jsonl"],
            "error: the following required arguments were not provided:\n  --to <FORMAT>\n",
        ),
        (
            &["show", "--slowest", "1", "--heaviest", "1"],
            "error: the argument '--slowest <N>' cannot be used with '--heaviest <N>'\n",
        ),
        (
            &["show", "--failed", "--cancelled"],
            "error: the argument '--failed' cannot be used with '--cancelled'\n",
        ),
        (
            &["show", "--tree", "--plain"],
            "error: the argument '--tree' cannot be used with '--plain'\n",
        ),
    ] {
        let ran = folder.run(arguments);
        assert_eq!((ran.out.as_str(), ran.code), ("", Some(2)));
        assert!(ran.errors.starts_with(expected), "{}", ran.errors);
    }
}
