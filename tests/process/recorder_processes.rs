//! Recorders of several processes with one file, and a process that may not write large files.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use fork::Fork;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracer::recorder::{Policy, Recorder, Rotation, StartError};
use tracer::report::json;

use super::{alone, alone_within, argument};

const PATIENCE: Duration = Duration::from_secs(30);

fn start(path: &Path, rotation: Rotation) -> Result<Recorder, StartError> {
    let builder = Recorder::builder().policy(Policy::none().failed());
    builder.file(path, rotation).start()
}

/// Rotates after a few reports.
fn small() -> Rotation {
    Rotation::default().max_bytes(2_000).files(3)
}

/// A process that runs a part of this program.
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(what: &str, path: &Path) -> Self {
        Self::of(alone(what).arg(path))
    }

    fn of(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets the process end, and returns its last line.
    fn end(&mut self) -> String {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest.trim_end().to_owned()
    }
}

/// Writes reports until the standard input ends.
pub(crate) fn write() {
    let path = &argument();
    let path = Path::new(path);
    let recorder = match start(path, small()) {
        Ok(recorder) => recorder,
        Err(error) => return println!("{error}"),
    };
    println!("started");
    let ended = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let mut written = 0;
    while !ended.is_finished() {
        recorder.begin("job").fail("why");
        assert!(recorder.flush(PATIENCE));
        written += 1;
    }
    let sink = &recorder.statistics().sinks[0];
    assert_eq!(
        (sink.taken, sink.reopened),
        (written, 0),
        "{:?}",
        sink.last_error
    );
    println!("ended");
}

fn refused(path: &Path) -> String {
    let path = path.display();
    format!("the file for kept reports: cannot open {path}: another recorder writes to it")
}

pub(crate) fn the_running_one_keeps_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    let mut one = Process::start("recorder_processes::write", &path);
    assert_eq!(one.line(), "started");
    for _ in 0..3_000 {
        match start(&path, small()) {
            Ok(_) => panic!("two write to one file"),
            Err(error) => assert_eq!(error.to_string(), refused(&path)),
        }
    }
    assert_eq!(one.end(), "ended");
    assert!(start(&path, small()).is_ok());
}

pub(crate) fn of_two_that_start_at_once_one_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    for round in 0..10 {
        let mut both = [(); 2].map(|()| Process::start("recorder_processes::write", &path));
        let mut said = both.each_mut().map(Process::line);
        std::thread::sleep(Duration::from_millis(20));
        let last = both.each_mut().map(Process::end);
        said.sort();
        assert_eq!(
            said,
            ["started".to_owned(), refused(&path)],
            "round {round}"
        );
        assert!(last.contains(&"ended".to_owned()));
    }
}

/// Leaves a child behind that inherits all open files of this process.
pub(crate) fn fork_and_wait() {
    let path = &argument();
    let path = Path::new(path);
    let _recorder = start(path, small()).unwrap();
    match fork::fork().unwrap() {
        Fork::Parent(_) => {
            println!("forked");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            // Ends as if it was killed.
            std::process::abort();
        }
        Fork::Child => {
            // Runs until the reader of the standard output has closed it.
            while writeln!(std::io::stdout(), "alive").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::process::exit(0);
        }
    }
}

pub(crate) fn a_forked_child_keeps_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    let mut parent = Process::start("recorder_processes::fork_and_wait", &path);
    while parent.line() != "forked" {}
    assert_eq!(
        start(&path, small()).unwrap_err().to_string(),
        refused(&path)
    );
    drop(parent.stdin.take());
    assert!(!parent.child.wait().unwrap().success());
    // The child is still running.
    (0..100).for_each(|_| assert_eq!(parent.line(), "alive"));
    let recorder = start(&path, small()).unwrap();
    recorder.begin("job").fail("why");
    assert!(recorder.flush(PATIENCE));
    assert_eq!(recorder.statistics().sinks[0].taken, 1);
}

/// Runs with a limit of 8 KiB for files, and then without.
pub(crate) fn limited() {
    let path = &argument();
    let path = Path::new(path);
    let recorder = start(path, Rotation::default()).unwrap();
    let fail = || {
        recorder.begin("job").fail("why");
        assert!(recorder.flush(PATIENCE));
    };
    (0..100).for_each(|_| fail());
    let sink = recorder.statistics().sinks.remove(0);
    assert!(sink.taken > 0 && sink.failed > 0, "{sink:?}");
    assert_eq!(sink.taken + sink.failed, 100);
    let told = format!(
        "cannot write to {}: File too large (os error 27)",
        path.display()
    );
    assert_eq!(sink.last_error.as_deref(), Some(&*told));
    // As an administrator may do.
    let limit = Rlimit {
        current: None,
        ..getrlimit(Resource::Fsize)
    };
    setrlimit(Resource::Fsize, limit).unwrap();
    (0..100).for_each(|_| fail());
    let after = recorder.statistics().sinks.remove(0);
    assert_eq!((after.taken, after.failed), (sink.taken + 100, sink.failed));
    println!("{}", after.taken);
}

pub(crate) fn a_limit_on_file_sizes_costs_nothing_but_reports() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    // The unit is a block of 512 bytes.
    let mut limited = alone_within("-S -f 16", "recorder_processes::limited");
    let mut limited = Process::of(limited.arg(&path));
    let taken = limited.end();
    let file = std::fs::File::open(&path).unwrap();
    let lines = json::Lines::new(BufReader::new(file));
    assert_eq!(lines.map(Result::unwrap).count().to_string(), taken);
}
