//! Examples as processes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// Returns the example's command. Cargo builds examples before tests, into a folder beside theirs.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let example = profile.join("examples").join(name);
    assert!(
        example.exists(),
        "{} is missing: cargo build -p tracer-examples --example {name}",
        example.display()
    );
    let mut command = Command::new(example);
    command.env("RUST_BACKTRACE", "0");
    command
}

pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    let output = example(name).args(arguments).output();
    output.expect("the example runs")
}

/// Returns the standard output of an example that succeeds.
pub(crate) fn printed(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output), "");
    stdout(&output).to_owned()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// An example that serves until it is stopped or dropped.
pub(crate) struct Running {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = example(name);
        let started = command.args(arguments).stdout(Stdio::piped()).spawn();
        let mut process = started.expect("the example runs");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, stdout }
    }

    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        let bytes = self.stdout.read_line(&mut line).expect("UTF-8");
        assert!(bytes > 0, "the example has ended");
        line
    }

    /// Interrupts it as Ctrl-C does, and returns what it printed since the last line that was read.
    pub(crate) fn stop(mut self) -> String {
        let interrupt = format!("kill -INT {}", self.process.id());
        let interrupted = Command::new("sh").args(["-c", &interrupt]).status();
        assert!(interrupted.expect("a shell").success());
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).expect("UTF-8");
        assert!(self.process.wait().expect("a child process").success());
        printed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Still running if a test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
