//! Reports as lines of JSON: the schema, reading it back, and malformed input.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::Value;
use tracer::alloc::Counts;
use tracer::report::{SiteReport, json};
use tracer::{Limits, Outcome, Report, Trace, call};

/// A report with every field of the schema.
const GOLDEN: &str = concat!(
    r#"{"tracer_report":1,"trace":7,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","parent_span":"b7ad6b7169203331","tracestate":"rojo=1","started_unix_ns":1763942400000000001,"elapsed_ns":14038083,"#,
    r#""grown":1,"dropped":2,"memory_bytes":8192,"#,
    r#""total":{"allocations":12,"reallocations":3,"deallocations":11,"bytes_allocated":4096,"bytes_deallocated":4000},"net_bytes":96,"#,
    r#""calls":[{"name":"handle","module":"service::web","file":"src/web.rs","line":12,"#,
    r#""id":"ca7a87c4","labels":{"rows":"3","\u0000\"\n":"</script>"},"span_id":"b9c7c989f97918e1","strand":0,"#,
    r#""thread":{"number":1,"name":"main"},"start_ns":5,"wall_ns":14038078,"self_wall_ns":14037478,"busy_ns":1000,"self_busy_ns":400,"#,
    r#""total":{"allocations":10,"reallocations":3,"deallocations":11,"bytes_allocated":4000,"bytes_deallocated":4000},"#,
    r#""self":{"allocations":1,"reallocations":0,"deallocations":0,"bytes_allocated":1,"bytes_deallocated":0},"#,
    r#""peak_bytes":2048,"outcome":"failed","message":"write: broken pipe","partial":true,"#,
    r#""checkpoints":[{"name":"serialize","at_ns":3,"wall_ns":3,"#,
    r#""counts":{"allocations":1,"reallocations":0,"deallocations":0,"bytes_allocated":1,"bytes_deallocated":0}},"#,
    r#"{"name":"store","at_ns":9,"wall_ns":6}]},"#,
    r#"{"name":"store","module":"service::db","file":"src/db.rs","line":3,"parent":0,"strand":1,"#,
    r#""thread":{"number":2},"start_ns":8,"wall_ns":600,"self_wall_ns":100,"busy_ns":600,"self_busy_ns":600,"outcome":"cancelled"}],"#,
    r#""folded":[{"name":"row","module":"service::db","file":"src/db.rs","line":40,"parent":1,"calls":1000,"running":1,"#,
    r#""failures":1,"cancelled":2,"wall_ns":500,"self_wall_ns":300,"busy_ns":400,"self_busy_ns":350,"#,
    r#""total":{"allocations":1,"reallocations":0,"deallocations":0,"bytes_allocated":1,"bytes_deallocated":0},"#,
    r#""self":{"allocations":1,"reallocations":0,"deallocations":0,"bytes_allocated":1,"bytes_deallocated":0},"#,
    r#""net_bytes":1,"partial":true},"#,
    r#"{"name":"cell","module":"service::db","file":"src/db.rs","line":50,"parent":1,"within":0,"calls":3,"#,
    r#""wall_ns":200,"self_wall_ns":200,"busy_ns":50,"self_busy_ns":50}]}"#,
    "\n",
);

fn read(input: &[u8]) -> Vec<Result<Report, String>> {
    let lines = json::Lines::new(input);
    lines
        .map(|line| line.map_err(|error| error.to_string()))
        .collect()
}

fn written(report: &Report) -> String {
    let mut line = Vec::new();
    json::write_line(report, &mut line).unwrap();
    String::from_utf8(line).unwrap()
}

fn golden() -> Report {
    read(GOLDEN.as_bytes()).remove(0).unwrap()
}

#[test]
fn folded_sums_of_older_files_have_no_cancelled_calls() {
    let before = GOLDEN.replace(r#""cancelled":2,"#, "");
    assert_eq!(golden().folded[0].cancelled, 2);
    let report = read(before.as_bytes()).remove(0).unwrap();
    assert_eq!(
        (report.folded[0].failures, report.folded[0].cancelled),
        (1, 0)
    );
    assert_eq!(written(&report), before);
}

#[test]
fn what_is_kept_follows_from_the_counts() {
    let before = GOLDEN
        .replace(r#""net_bytes":96,"#, "")
        .replace(r#""net_bytes":1,"#, r#""net_bytes":-7,"#);
    let report = read(before.as_bytes()).remove(0).unwrap();
    assert_eq!(report, golden());
    assert_eq!(report.total.unwrap().net_bytes(), 96);
    assert_eq!(written(&report), GOLDEN);
    let frees = GOLDEN.replace(
        r#""bytes_deallocated":4000},"net_bytes":96"#,
        r#""bytes_deallocated":5000},"net_bytes":-904"#,
    );
    let report = read(frees.as_bytes()).remove(0).unwrap();
    assert_eq!(written(&report), frees);
}

#[test]
fn reports_of_older_files_have_no_ids() {
    let ids = r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","parent_span":"b7ad6b7169203331","tracestate":"rojo=1","#;
    let of_call = r#""span_id":"b9c7c989f97918e1","#;
    let golden = golden();
    assert_eq!(
        golden.trace_id.unwrap().to_string(),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert!(golden.calls[0].span_id.is_some() && golden.calls[1].span_id.is_none());
    let before = GOLDEN.replace(ids, "").replace(of_call, "");
    let report = read(before.as_bytes()).remove(0).unwrap();
    assert_eq!(
        (report.trace_id, report.span_id, report.parent_span),
        (None, None, None)
    );
    assert_eq!(report.calls[0].span_id, None);
    assert_eq!(written(&report), before);
    let zeros = GOLDEN.replace("00f067aa0ba902b7", "0000000000000000");
    let error = error(zeros);
    assert!(error.contains("the span id is all zeros"), "{error}");
}

#[test]
fn a_wrapped_subscriber_has_counts_and_older_files_have_none() {
    assert_eq!(golden().subscriber, None);
    let counts = r#"{"allocations":34,"reallocations":1,"deallocations":30,"bytes_allocated":5100,"bytes_deallocated":5000}"#;
    let calls = r#","calls":[{"name":"handle""#;
    let with = GOLDEN.replace(calls, &format!(r#","subscriber":{counts}{calls}"#));
    let report = read(with.as_bytes()).remove(0).unwrap();
    assert_eq!(
        report.subscriber,
        Some(Counts {
            allocations: 34,
            reallocations: 1,
            deallocations: 30,
            bytes_allocated: 5100,
            bytes_deallocated: 5000,
        })
    );
    assert_eq!(written(&report), with);
}

#[test]
fn the_schema() {
    let report = golden();
    assert_eq!(written(&report), GOLDEN);
    assert_eq!(
        report.started,
        UNIX_EPOCH + Duration::from_nanos(1_763_942_400_000_000_001)
    );
    let [handle, store] = &report.calls[..] else {
        panic!("{report}");
    };
    assert_eq!(handle.outcome, Outcome::Failed("write: broken pipe".into()));
    assert_eq!(handle.labels[1], ("\0\"\n".into(), "</script>".into()));
    assert_eq!(
        (handle.total.unwrap().allocates(), handle.peak_bytes),
        (13, Some(2048))
    );
    assert_eq!(
        (store.parent, store.total, store.peak_bytes),
        (Some(0), None, None)
    );
    assert_eq!(
        (report.folded[0].parent, report.folded[0].calls),
        (Some(1), 1000)
    );
}

/// A trace with calls of every outcome, on two threads, some folded.
fn recorded() -> Report {
    let trace = Trace::with_limits(10, Limits::default().calls(9));
    let scope = trace.inject();
    let around = call!("{}", "id\u{202e}\0", label = "\u{1b}[31m", empty = "");
    around.checkpoint("tab\tand \"quote\"");
    call!("failed").fail("line\nbreak");
    let _ = std::panic::catch_unwind(|| {
        let _call = call!("panicked");
        std::panic::resume_unwind(Box::new(()));
    });
    drop(call!("cancelled").instrument(async {}));
    let here = tracer::fetch();
    let moved = call!("moved");
    let thread = std::thread::Builder::new().name("wörker".into());
    let thread = thread.spawn(move || {
        let _scope = here.inject();
        drop((call!("elsewhere"), moved));
    });
    thread.unwrap().join().unwrap();
    for _ in 0..10 {
        call!().stop();
    }
    let report = trace.report();
    drop((around, scope));
    report
}

#[test]
fn a_report_is_read_back_unchanged() {
    let report = recorded();
    let outcomes: Vec<_> = report.calls.iter().map(|call| &call.outcome).collect();
    assert!(outcomes.contains(&&Outcome::Running) && outcomes.contains(&&Outcome::Cancelled));
    assert!(!report.folded.is_empty());
    let line = written(&report);
    assert_eq!(line.find('\n'), Some(line.len() - 1));
    assert_eq!(read(line.as_bytes()), [Ok(report.clone())]);
    // A reader gives no text that could be borrowed.
    assert_eq!(
        serde_json::from_reader::<_, Report>(line.as_bytes()).unwrap(),
        report
    );
}

#[test]
fn a_trace_that_is_empty_and_one_without_calls() {
    for trace in [tracer::fetch(), Trace::new()] {
        let report = trace.report();
        assert!(report.calls.is_empty());
        assert_eq!(read(written(&report).as_bytes()), [Ok(report)]);
    }
}

#[test]
fn a_byte_order_mark_at_the_beginning_is_ignored() {
    let marked = format!("\u{feff}{GOLDEN}");
    assert_eq!(read(marked.as_bytes()), [Ok(golden())]);
    assert_eq!(read("\u{feff}\n".as_bytes()), []);
    // Elsewhere a byte order mark is not JSON.
    let error = Err("line 2, column 1: not JSON: expected value".to_owned());
    assert_eq!(
        read(format!("{GOLDEN}{marked}").as_bytes()),
        [Ok(golden()), error]
    );
}

#[test]
fn the_output_is_safe_to_show_anywhere() {
    let hostile = "é漢\u{7f}\u{85}\u{9b}2J\u{200b}\u{200d}\u{202e}\u{2028}\u{2029}\u{2066}\u{feff}\u{e0041}😀\u{2764}\u{fe0f}";
    let escaped = "é漢\\u007f\\u0085\\u009b2J\\u200b\\u200d\\u202e\\u2028\\u2029\\u2066\\ufeff\\udb40\\udc41😀\u{2764}\u{fe0f}";
    let mut report = golden();
    let call = &mut report.calls[0];
    call.name = hostile.into();
    call.labels = vec![(hostile.into(), hostile.into())];
    call.outcome = Outcome::Failed(hostile.into());
    call.checkpoints[0].name = hostile.into();
    let line = written(&report);
    assert_eq!(line.matches(escaped).count(), 5, "{line}");
    assert_eq!(read(line.as_bytes()), [Ok(report.clone())]);
    let mut forms = vec![line];
    #[cfg(feature = "chrome")]
    {
        let mut events = Vec::new();
        tracer::export::chrome::write([&report], &mut events).unwrap();
        forms.push(String::from_utf8(events).unwrap());
    }
    #[cfg(feature = "hotspots")]
    {
        let mut hotspots = tracer::hotspots::Hotspots::new();
        hotspots.add(&report);
        let mut json = Vec::new();
        hotspots.table().write_json(&mut json).unwrap();
        forms.push(String::from_utf8(json).unwrap());
    }
    for form in forms {
        assert!(form.contains(escaped), "{form}");
        let raw = |it: char| {
            it != '\n' && it.is_control() || "\u{200b}\u{202e}\u{2028}\u{feff}".contains(it)
        };
        assert_eq!(form.chars().find(|it| raw(*it)), None, "{form}");
        serde_json::from_str::<Value>(&form).unwrap();
    }
}

#[test]
fn times_before_1970_and_of_centuries() {
    let mut report = golden();
    for started in [
        UNIX_EPOCH - Duration::from_nanos(1),
        UNIX_EPOCH - Duration::from_secs(2_500_000 * 60 * 60),
        SystemTime::now(),
    ] {
        report.started = started;
        report.elapsed = Duration::from_nanos(u64::MAX);
        assert_eq!(read(written(&report).as_bytes()), [Ok(report.clone())]);
    }
    report.elapsed = Duration::MAX;
    let read = read(written(&report).as_bytes()).remove(0).unwrap();
    assert_eq!(read.elapsed, Duration::from_nanos(u64::MAX));
}

/// Another JSON parser reads the same texts and figures.
#[test]
fn python_reads_it() {
    let report = recorded();
    let script = "import json,sys; print(json.dumps([[c['name'], c.get('id'), c['outcome'], \
                  c.get('message'), c['wall_ns'], c.get('labels', {})] \
                  for c in json.loads(sys.stdin.readline())['calls']]))";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    // Without Python there is nothing to check.
    let Ok(mut python) = python else { return };
    io::Write::write_all(
        &mut python.stdin.take().unwrap(),
        written(&report).as_bytes(),
    )
    .unwrap();
    let output = python.wait_with_output().unwrap();
    let calls: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calls.len(), report.calls.len());
    for (read, call) in calls.iter().zip(&report.calls) {
        assert_eq!(read[0], *call.name);
        assert_eq!(read[1].as_str(), call.id.as_deref());
        if let Outcome::Failed(message) = &call.outcome {
            assert_eq!(
                (&read[2], &read[3]),
                (&"failed".into(), &message.as_str().into())
            );
        }
        assert_eq!(read[4], u64::try_from(call.wall.as_nanos()).unwrap());
        for (name, value) in &call.labels {
            assert_eq!(read[5][&**name], value.as_str());
        }
    }
}

fn error(input: impl AsRef<[u8]>) -> String {
    read(input.as_ref()).remove(0).unwrap_err()
}

#[test]
fn malformed_reports_are_rejected() {
    let cut = GOLDEN.trim_end();
    let cases = [
        (
            cut[..100].to_owned(),
            "line 1 breaks off after 100 bytes: expected the rest of a report",
        ),
        (
            "{\"tracer_report\":1".into(),
            "line 1 breaks off after 18 bytes: expected the rest of a report",
        ),
        ("hello".into(), "line 1, column 1: not JSON: expected value"),
        (
            "{'tracer_report'".into(),
            "line 1, column 2: not JSON: key must be a string",
        ),
        (
            "[]".into(),
            "line 1, column 2: not a report of version 1: invalid length 0, expected a report",
        ),
        (
            "{}".into(),
            "line 1, column 2: not a report of version 1: missing field `tracer_report`",
        ),
        (
            cut.replace("_report\":1", "_report\":2"),
            "line 1, column 18: not a report of version 1: invalid value: integer `2`, expected version 1 of the schema",
        ),
        (
            cut.replace("\"wall_ns\":600", "\"wall_ns\":\"\\u001b[2J\""),
            "line 1, column 1344: not a report of version 1: invalid type: string \"\\u{1b}[2J\", expected u64",
        ),
        (
            cut.replace("\"parent\":0", "\"parent\":1"),
            "line 1: not a report of version 1: calls[1].parent is 1: expected the index of a call before it",
        ),
        (
            cut.replace("\"parent\":1,\"calls\"", "\"parent\":2,\"calls\""),
            "line 1: not a report of version 1: folded[0].parent is 2: expected the index of one of 2 calls",
        ),
        (
            format!("{cut} {{}}"),
            "line 1, column 2022: not JSON: trailing characters",
        ),
        (
            cut.replace("\"failed\"", "\"broken\""),
            "line 1, column 948: not a report of version 1: unknown variant `broken`, expected one of `ok`, `failed`, `panicked`, `cancelled`, `running`",
        ),
    ];
    for (input, message) in cases {
        assert_eq!(error(&input), message, "{input}");
    }
    assert_eq!(
        error(b"\n{\"tracer_report\":\"\xff"),
        "line 2, byte 19: expected UTF-8"
    );
}

#[test]
fn sites_share_their_frames() {
    const SITES: &str = concat!(
        r#""sites":{"frames":["#,
        r#"{"function":"alloc::grow","module":"service","build_id":"0f","offset":4096},"#,
        r#"{"function":"service::store","file":"src/store.rs","line":8,"module":"service","build_id":"0f","offset":64},"#,
        r#"{"offset":1,"unresolved":"unknown_module"}],"#,
        r#""places":[{"frames":[0,1],"allocations":2,"bytes_allocated":96},"#,
        r#"{"frames":[0,2],"cut":true,"allocations":1,"reallocations":3,"bytes_allocated":64,"error_bytes":32}]}"#,
    );
    let golden = GOLDEN.trim_end().strip_suffix('}').unwrap();
    let line = format!("{golden},{SITES}}}\n");
    let report = read(line.as_bytes()).remove(0).unwrap();
    let [first, second] = &report.sites.as_ref().unwrap()[..] else {
        panic!("{report:#?}");
    };
    assert!(Arc::ptr_eq(&first.frames[0], &second.frames[0]));
    assert_eq!(second.frames[1].offset, 1);
    let figures = |site: &SiteReport| (site.is_whole, site.allocations, site.reallocations);
    assert_eq!(
        (figures(first), figures(second)),
        ((true, 2, 0), (false, 1, 3))
    );
    assert_eq!(written(&report), line);

    assert_eq!(
        error(line.replace("[0,2]", "[0,3]")),
        format!(
            "line 1, column {}: not a report of version 1: sites.places[1].frames has 3: expected the index of one of 3 frames",
            line.len() - 1
        )
    );
}

#[test]
fn malformed_lines_do_not_hide_the_others() {
    let input = format!("\n{GOLDEN}oops\n \r\n{GOLDEN}{}", GOLDEN.trim_end());
    let read = read(input.as_bytes());
    let good: Vec<_> = read.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, true]);
    let errors = json::Lines::new(input.as_bytes()).filter_map(Result::err);
    assert_eq!(errors.map(|error| error.line()).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let input = io::repeat(b'x')
        .take(100 << 20)
        .chain(&b"\n"[..])
        .chain(GOLDEN.as_bytes());
    let measured = tracer::alloc::measure(|| {
        let mut lines = json::Lines::new(BufReader::new(input));
        let error = lines.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1, column 1: not JSON: expected value"
        );
        assert_eq!(lines.next().unwrap().unwrap(), golden());
        assert!(lines.next().is_none());
    });
    let peak = measured.peak_bytes.unwrap();
    assert!(peak < 4 << 20, "{peak}");
}

/// Returns the peak of bytes while the only report is read, and the bytes of the report.
fn taken_by_reading(line: &[u8], report: &Report) -> (u64, u64) {
    let mut read = None;
    let measured = tracer::alloc::measure(|| {
        let mut lines = json::Lines::new(BufReader::new(line));
        read = lines.next();
        assert!(lines.next().is_none());
    });
    assert_eq!(&read.unwrap().unwrap(), report);
    let left = measured.counts.unwrap().net_bytes();
    (measured.peak_bytes.unwrap(), left.cast_unsigned())
}

#[test]
fn a_report_of_more_than_64_mib_comes_back() {
    let mut report = golden();
    let call = report.calls[0].clone();
    report.calls = vec![call; 70];
    for call in &mut report.calls {
        call.parent = None;
        call.id = Some("x".repeat(1 << 20));
    }
    let line = written(&report);
    assert!(line.len() > 64 << 20);
    let (peak, left) = taken_by_reading(line.as_bytes(), &report);
    // The start of the line, and the last text twice.
    assert!(peak < left + (6 << 20), "{peak}, {left}");
}

#[test]
fn reading_a_report_takes_little_more_than_the_report() {
    let mut report = golden();
    let call = report.calls[0].clone();
    report.calls = vec![call; 5_000];
    report.calls.iter_mut().for_each(|call| call.parent = None);
    let line = written(&report);
    let (peak, left) = taken_by_reading(line.as_bytes(), &report);
    // The list of calls grows by doubling.
    let list = report.calls.len() * size_of::<tracer::CallReport>();
    let most = left + 2 * list as u64 + (3 << 20);
    assert!(peak < most, "{peak}, {left}");
    let written = tracer::alloc::measure(|| written(&report));
    // The line grows by doubling as well.
    let peak = written.peak_bytes.unwrap();
    assert!(peak < 3 * line.len() as u64, "{peak}");
}

#[test]
fn an_input_that_fails_ends_there() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let mut lines = json::Lines::new(BufReader::new(GOLDEN.as_bytes().chain(Broken)));
    assert!(lines.next().unwrap().is_ok());
    let error = lines.next().unwrap().unwrap_err();
    assert!(error.is_io());
    assert_eq!(error.to_string(), "line 2: the disk is gone");
    assert!(lines.next().is_none());
}

proptest! {
    #[test]
    fn any_texts_and_figures_come_back(
        texts in prop::collection::vec(any::<String>(), 8),
        numbers in prop::collection::vec(any::<u64>(), 8),
        started in any::<i64>(),
        partial: bool,
    ) {
        let mut report = golden();
        report.trace = numbers[0];
        let distance = Duration::from_nanos(started.unsigned_abs());
        report.started = if started < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
        report.total = None;
        let call = &mut report.calls[0];
        call.name = texts[0].clone().into();
        call.module = texts[1].clone().into();
        call.file = texts[2].clone().into();
        call.id = Some(texts[3].clone());
        call.labels = vec![(texts[4].clone().into(), texts[5].clone()); 2];
        call.outcome = Outcome::Failed(texts[6].clone());
        call.thread.name = Some(texts[7].clone().into());
        call.wall = Duration::from_nanos(numbers[1]);
        call.peak_bytes = Some(numbers[2]);
        call.partial = partial;
        call.total = Some(tracer::alloc::Counts::from_array([numbers[3], numbers[4], numbers[5], numbers[6], numbers[7]]));
        prop_assert_eq!(read(written(&report).as_bytes()), [Ok(report)]);
    }

    #[test]
    fn no_input_is_too_bad(bytes: Vec<u8>, at in 0..GOLDEN.len(), other: Vec<u8>) {
        for report in json::Lines::new(&bytes[..]).flatten() {
            prop_assert!(report.calls.iter().enumerate().all(|(place, call)| call.parent < Some(place)));
        }
        // Input that is almost a report.
        let almost = [&GOLDEN.as_bytes()[..at], &other, &GOLDEN.as_bytes()[at..]].concat();
        for line in read(&almost) {
            if let Err(message) = line {
                prop_assert!(message.starts_with("line ") && !message.contains('\n'));
            }
        }
    }
}
