//! `tracer serve` over files that grow: only what was added is read.

use std::fs::{self, File};
use std::io::Write as _;

use crate::serve::{Served, ids};
use crate::{FAILED, Folder, kept_at};

/// Returns how many bytes the process has read so far.
fn bytes_read(served: &Served) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/io", served.child.id())).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn shown(served: &Served) -> (String, u64) {
    let route = served.json("/route?name=GET%20%2F");
    let files = &served.json("/")["files"];
    assert_eq!(files["unreadable_lines"], 0);
    let newest: Vec<_> = ids(&route["requests"]).into_iter().take(3).collect();
    (newest.join(" "), files["reports"].as_u64().unwrap())
}

#[test]
fn only_what_was_added_is_read() {
    let text: String = (0..2000).map(|it| kept_at(it, it, FAILED)).collect();
    let folder = Folder::with(&[("a.jsonl", &text), ("a.jsonl.1", "")]);
    let served = Served::start(&folder, &["a.jsonl", "a.jsonl.1"]);
    assert_eq!(shown(&served), ("1999 1998 1997".to_owned(), 2000));
    let append = |text: &str| {
        let file = File::options().append(true).open(folder.path("a.jsonl"));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let read = |what: &str, expected: (&str, u64)| {
        let before = bytes_read(&served);
        assert_eq!(
            shown(&served),
            (expected.0.to_owned(), expected.1),
            "{what}"
        );
        bytes_read(&served) - before
    };
    let least = u64::try_from(text.len()).unwrap();
    // A line, and the page's requests.
    let most = least / 20;
    append(&kept_at(2000, 2000, FAILED));
    assert!(read("a line", ("2000 1999 1998", 2001)) < most);
    let next = kept_at(2001, 2001, FAILED);
    let (begin, end) = next.split_at(300);
    append(begin);
    assert!(read("half a line", ("2000 1999 1998", 2001)) < most);
    append(end.trim_end());
    assert!(read("without an end", ("2001 2000 1999", 2002)) < most);
    append("\n");
    assert!(read("with an end", ("2001 2000 1999", 2002)) < most);
    // Older than all others.
    append(&kept_at(3000, 0, FAILED));
    assert!(read("an old one", ("2001 2000 1999", 2003)) < most);

    // The file gets another name, and a new one its name.
    fs::remove_file(folder.path("a.jsonl.1")).unwrap();
    fs::rename(folder.path("a.jsonl"), folder.path("a.jsonl.1")).unwrap();
    fs::write(folder.path("a.jsonl"), kept_at(2002, 2002, FAILED)).unwrap();
    // An empty file is gone: that is not an addition.
    assert!(read("gone", ("2002 2001 2000", 2004)) > least);
    assert!(read("as it is", ("2002 2001 2000", 2004)) < most);
    let other = folder.path("other");
    fs::rename(folder.path("a.jsonl.1"), &other).unwrap();
    assert!(read("rotated away", ("2002", 1)) < most);
    fs::rename(folder.path("a.jsonl"), folder.path("a.jsonl.1")).unwrap();
    fs::rename(&other, folder.path("a.jsonl")).unwrap();
    assert!(read("back", ("2002 2001 2000", 2004)) > least);
    // Both names change, and nothing is read.
    fs::rename(folder.path("a.jsonl"), &other).unwrap();
    fs::rename(folder.path("a.jsonl.1"), folder.path("a.jsonl")).unwrap();
    fs::rename(&other, folder.path("a.jsonl.1")).unwrap();
    assert!(read("exchanged", ("2002 2001 2000", 2004)) < most);

    // Cut and written again, longer than it was.
    let again: String = (0..3000).map(|it| kept_at(it, 9000 + it, FAILED)).collect();
    fs::write(folder.path("a.jsonl.1"), again).unwrap();
    assert!(read("written again", ("2999 2998 2997", 3001)) > least);
    fs::write(folder.path("a.jsonl.1"), kept_at(1, 1, FAILED)).unwrap();
    assert!(read("cut", ("2002 1", 2)) < most);
}

#[test]
fn what_was_left_out_for_want_of_memory_stays_out_when_a_file_grows() {
    let text: String = (0..2000).map(|it| kept_at(it, it, FAILED)).collect();
    let folder = Folder::with(&[("a.jsonl", &text)]);
    let served = Served::start(&folder, &["a.jsonl", "--memory-mib", "1"]);
    let in_memory = |served: &Served| {
        let overview = served.json("/");
        let in_memory = overview["files"]["in_memory"].as_u64().unwrap();
        (in_memory, overview["files"]["reports"].as_u64().unwrap())
    };
    let (before, _) = in_memory(&served);
    let more: String = (2000..2100).map(|it| kept_at(it, it, FAILED)).collect();
    let old = kept_at(5000, 3, FAILED);
    let bad = kept_at(5001, 4000, FAILED).replace("\"strand\":0", "\"strand\":-1");
    fs::write(folder.path("a.jsonl"), text.clone() + &more + &old + &bad).unwrap();
    let overview = served.json("/");
    let expected = serde_json::json!({"files": 1, "reports": 2101, "in_memory": before, "unreadable_lines": 1});
    assert_eq!(overview["files"], expected);
    let (_, _, body) = served.get("/");
    assert!(
        body.contains("1 line could not be read, the first: line 2,102 of a.jsonl"),
        "{body}"
    );
    // As if all were read anew.
    let anew = Served::start(&folder, &["a.jsonl", "--memory-mib", "1"]);
    assert_eq!(in_memory(&anew), (before, 2101));
    for served in [&served, &anew] {
        let oldest = served.json("/route?name=GET%20%2F")["in_memory"].as_u64();
        assert_eq!(oldest, Some(before));
    }
}
