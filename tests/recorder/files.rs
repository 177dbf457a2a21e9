//! Files of kept reports: rotated, continued, locked, moved away, not writable.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracer::Report;
use tracer::recorder::{Policy, Recorder, Rotation, StartError};
use tracer::report::json;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(path: &Path, rotation: Rotation) -> Result<Recorder, StartError> {
    let builder = Recorder::builder().policy(Policy::none().failed());
    builder.file(path, rotation).start()
}

fn fail(recorder: &Recorder, id: u64) {
    let mut recording = recorder.begin("job");
    recording.id(id);
    recording.fail("why");
}

fn id(report: &Report) -> String {
    let request = report.request.as_deref().expect("a recorder kept it");
    request.id.clone().unwrap()
}

fn ids(path: &Path) -> Vec<String> {
    read(path).iter().map(id).collect()
}

fn read(path: &Path) -> Vec<Report> {
    let file = std::fs::File::open(path).unwrap();
    let lines = json::Lines::new(std::io::BufReader::new(file));
    lines.map(|it| it.unwrap()).collect()
}

/// Returns the path of the file that was rotated away `number` rotations ago.
fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("jsonl.{number}"))
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    (directory, path)
}

/// Writes a file with one report, and returns its length.
fn with_one(path: &Path) -> u64 {
    let recorder = start(path, Rotation::default()).unwrap();
    fail(&recorder, 0);
    drop(recorder);
    assert_eq!(ids(path), ["0"]);
    std::fs::metadata(path).unwrap().len()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_file_is_continued_and_rotated() {
    let (_directory, path) = directory();
    let line = with_one(&path);
    // As if a process was killed in the middle of a line.
    append(&path, b"{\"tracer_report\":1,\"tra");
    let rotation = Rotation::default().max_bytes(line * 5 / 2).files(3);
    let recorder = start(&path, rotation).unwrap();
    (1..8).for_each(|id| fail(&recorder, id));
    assert!(recorder.flush(PATIENCE));
    let sink = &recorder.statistics().sinks[0];
    assert_eq!(
        (sink.taken, sink.failed, &*sink.name),
        (7, 0, path.to_str().unwrap())
    );
    assert_eq!(ids(&numbered(&path, 2)), ["2", "3"]);
    assert_eq!(ids(&numbered(&path, 1)), ["4", "5"]);
    assert_eq!(ids(&path), ["6", "7"]);
    assert!(!numbered(&path, 3).exists());
}

#[test]
fn a_file_that_was_deleted_is_begun_again() {
    let (_directory, path) = directory();
    let recorder = start(&path, Rotation::default()).unwrap();
    let fail_flushed = |id| {
        fail(&recorder, id);
        assert!(recorder.flush(PATIENCE));
    };
    fail_flushed(0);
    std::fs::remove_file(&path).unwrap();
    fail_flushed(1);
    assert_eq!(ids(&path), ["1"]);
    // The directory is deleted too, and then made again.
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    fail_flushed(2);
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    fail_flushed(3);
    assert_eq!(ids(&path), ["3"]);
    let sink = &recorder.statistics().sinks[0];
    assert_eq!((sink.taken, sink.failed, sink.reopened), (3, 1, 2));
}

#[test]
fn a_file_that_was_moved_is_begun_again() {
    let (_directory, path) = directory();
    let recorder = start(&path, Rotation::default()).unwrap();
    let fail_flushed = |id| {
        fail(&recorder, id);
        assert!(recorder.flush(PATIENCE));
    };
    fail_flushed(0);
    // As logrotate does with `create`.
    let moved = numbered(&path, 1);
    std::fs::rename(&path, &moved).unwrap();
    std::fs::write(&path, "").unwrap();
    fail_flushed(1);
    fail_flushed(2);
    assert_eq!(
        (ids(&moved), ids(&path)),
        (vec!["0".to_owned()], vec!["1".to_owned(), "2".to_owned()])
    );
    let sink = &recorder.statistics().sinks[0];
    assert_eq!((sink.taken, sink.failed, sink.reopened), (3, 0, 1));
    // A file of something else in its place is not written to.
    std::fs::rename(&path, &moved).unwrap();
    std::fs::write(&path, "Dear diary\n").unwrap();
    fail_flushed(3);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear diary\n");
    assert_eq!(recorder.statistics().sinks[0].failed, 1);
}

#[test]
fn the_length_of_a_file_that_was_cut_is_read() {
    let (_directory, path) = directory();
    let line = with_one(&path);
    let recorder = start(&path, Rotation::default().max_bytes(line * 5 / 2)).unwrap();
    let fail_flushed = |id| {
        fail(&recorder, id);
        assert!(recorder.flush(PATIENCE));
    };
    fail_flushed(1);
    // As logrotate does with `copytruncate`.
    let truncate = |length| {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
    };
    truncate(0);
    fail_flushed(2);
    fail_flushed(3);
    // Two lines are below the limit, so nothing was rotated away.
    assert_eq!(ids(&path), ["2", "3"]);
    assert!(!numbered(&path, 1).exists());
    // Cut in the middle of a line.
    truncate(line + 10);
    fail_flushed(4);
    assert_eq!(ids(&path), ["2", "4"]);
    let sink = &recorder.statistics().sinks[0];
    assert_eq!((sink.taken, sink.failed, sink.reopened), (4, 0, 0));
}

#[test]
fn all_files_may_be_kept() {
    let (_directory, path) = directory();
    let rotation = Rotation::default().max_bytes(1).files(u32::MAX);
    let recorder = start(&path, rotation).unwrap();
    (0..4).for_each(|id| fail(&recorder, id));
    drop(recorder);
    let found = [3, 2, 1].map(|number| ids(&numbered(&path, number)).remove(0));
    assert_eq!(
        (found, ids(&path)),
        (["0", "1", "2"].map(String::from), vec!["3".to_owned()])
    );
}

#[test]
fn zeros_of_a_lost_write_are_cut_off() {
    let (_directory, path) = directory();
    with_one(&path);
    append(&path, &vec![0; 100_000]);
    let recorder = start(&path, Rotation::default()).unwrap();
    fail(&recorder, 1);
    drop(recorder);
    assert_eq!(ids(&path), ["0", "1"]);
    append(&path, &[0, 0, b'x']);
    assert!(
        start(&path, Rotation::default()).is_err(),
        "it has something else"
    );
}

#[test]
fn two_recorders_do_not_write_to_one_file() {
    let (_directory, path) = directory();
    let one = start(&path, Rotation::default().max_bytes(1)).unwrap();
    let told = format!(
        "the file for kept reports: cannot open {}: another recorder writes to it",
        path.display()
    );
    let refused = || start(&path, Rotation::default()).unwrap_err().to_string();
    assert_eq!(refused(), told);
    // Still refused after a rotation.
    (0..2).for_each(|id| fail(&one, id));
    assert!(one.flush(PATIENCE));
    assert_eq!(refused(), told);
    // Still refused after all files were deleted, including that of the lock.
    for entry in path.parent().unwrap().read_dir().unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fail(&one, 2);
    assert!(one.flush(PATIENCE));
    assert_eq!(refused(), told);
    assert_eq!(ids(&path), ["2"]);
    // Refused by another name, too.
    #[cfg(unix)]
    {
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(start(&link, Rotation::default()).is_err());
    }
    drop(one);
    assert!(start(&path, Rotation::default()).is_ok());
}

#[test]
fn nothing_is_left_beside_the_files() {
    let (directory, path) = directory();
    with_one(&path);
    let left = directory.path().read_dir().unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["kept.jsonl"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_is_written_to_by_several() {
    let start = || start(Path::new("/dev/null"), Rotation::default()).unwrap();
    let both = [start(), start()];
    for recorder in &both {
        fail(recorder, 0);
        assert!(recorder.flush(PATIENCE));
        assert_eq!(recorder.statistics().sinks[0].taken, 1);
    }
}

#[test]
#[cfg(unix)]
fn behind_a_link_the_files_are_beside_each_other() {
    let (directory, path) = directory();
    let real = directory.path().join("large-disk");
    std::fs::create_dir(&real).unwrap();
    let real = real.join("kept.jsonl");
    // The link exists before its target does.
    std::os::unix::fs::symlink(&real, &path).unwrap();
    let recorder = start(&path, Rotation::default().max_bytes(1)).unwrap();
    (0..2).for_each(|id| fail(&recorder, id));
    drop(recorder);
    assert_eq!(
        (ids(&path), ids(&numbered(&real, 1))),
        (vec!["1".to_owned()], vec!["0".to_owned()])
    );
    assert!(path.is_symlink() && !numbered(&path, 1).exists());
}

#[test]
#[cfg(unix)]
fn a_pipe_is_never_full() {
    use std::os::unix::fs::FileTypeExt as _;
    let (_directory, path) = directory();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let recorder = start(&path, Rotation::default().max_bytes(1)).unwrap();
    (0..3).for_each(|id| fail(&recorder, id));
    assert!(recorder.flush(PATIENCE));
    assert_eq!(recorder.statistics().sinks[0].taken, 3);
    assert!(path.metadata().unwrap().file_type().is_fifo());
    assert!(!numbered(&path, 1).exists());
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let (directory, _) = directory();
    let path = directory.path().join("no/such/directory.jsonl");
    let error = start(&path, Rotation::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the file for kept reports: cannot open {}: No such file or directory (os error 2)",
            path.display()
        )
    );
}

#[test]
fn a_chain_of_errors_names_the_cause_once() {
    let (directory, _) = directory();
    let path = directory.path().join("no/such/directory.jsonl");
    let error = start(&path, Rotation::default()).unwrap_err();
    let errors = std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
    let chain: Vec<_> = errors.map(ToString::to_string).collect();
    let told = format!(
        "the file for kept reports: cannot open {}: No such file or directory (os error 2)",
        path.display()
    );
    assert_eq!(chain, [told]);
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let (_directory, path) = directory();
    for (something, place) in [
        ("Dear diary", 0),
        ("Dear diary\n", 0),
        ("\0\0\n", 0),
        ("{\n", 0),
    ] {
        std::fs::write(&path, something).unwrap();
        let error = start(&path, Rotation::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the file for kept reports: cannot read {}: \
                 expected reports, but byte {place} begins a line of something else",
                path.display()
            )
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), something);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_nothing_but_the_report() {
    let recorder = start(Path::new("/dev/full"), Rotation::default()).unwrap();
    (0..2).for_each(|id| fail(&recorder, id));
    assert!(recorder.flush(PATIENCE));
    assert_eq!(recorder.kept().len(), 2);
    let sink = &recorder.statistics().sinks[0];
    assert_eq!((sink.taken, sink.failed), (0, 2));
    assert_eq!(
        sink.last_error.as_deref(),
        Some("cannot write to /dev/full: No space left on device (os error 28)")
    );
}
