//! The recorder's lock beside the reports, which a pattern of a shell also finds.

use crate::{FAILED, Folder, kept_at};

#[test]
fn an_empty_lock_among_files_is_passed_over() {
    let folder = Folder::with(&[
        ("traces.jsonl", &kept_at(1, 0, FAILED)),
        ("traces.jsonl.1", &kept_at(2, 1, "\"ok\"")),
        ("traces.jsonl.lock", ""),
    ]);
    // As a shell expands `traces.jsonl*` and `traces.jsonl.*`.
    let all = ["traces.jsonl", "traces.jsonl.1", "traces.jsonl.lock"];
    for (files, reports) in [(&all[..], 2), (&all[1..], 1)] {
        for command in [&["show"][..], &["hotspots"], &["export", "--to", "chrome"]] {
            let ran = folder.run(&[command, files].concat());
            assert_eq!((&*ran.errors, ran.code), ("", Some(0)), "{command:?}");
        }
        let shown = folder.run(&[&["show"], files].concat()).out;
        assert_eq!(shown.matches("handle").count(), reports, "{shown}");
    }
}

#[test]
fn a_file_that_is_broken_is_named_whatever_its_name() {
    let folder = Folder::with(&[
        ("traces.jsonl", &kept_at(1, 0, FAILED)),
        ("traces.jsonl.1", ""),
        ("alone.lock", ""),
        ("text.lock", "hello\n"),
    ]);
    std::fs::create_dir(folder.path("folder.lock")).unwrap();
    let empty = |name: &str| format!("{name}: no reports: expected a line of JSON for each");
    for (files, told) in [
        (
            &["traces.jsonl", "traces.jsonl.1", "alone.lock"][..],
            empty("traces.jsonl.1"),
        ),
        (&["alone.lock"], empty("alone.lock")),
        (
            &["traces.jsonl", "text.lock"],
            "text.lock: line 1, column 1: not JSON: expected value".to_owned(),
        ),
        (
            &["traces.jsonl", "folder.lock"],
            "folder.lock: expected a file, and it is a directory".to_owned(),
        ),
        (
            &["traces.jsonl", "none.lock"],
            "none.lock: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        if cfg!(not(target_os = "linux")) && told.contains("os error") {
            continue;
        }
        let ran = folder.run(&[&["show"], files].concat());
        assert_eq!(ran.errors, format!("tracer: {told}\n"));
        assert_eq!(ran.code, Some(2));
    }
}
