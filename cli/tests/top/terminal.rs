//! A pseudo-terminal with the command in it.

use std::io::{Read as _, Write};
use std::num::NonZero;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// A test fails if the screen doesn't become as expected within this time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const UP: &str = "\x1b[A";
pub(crate) const DOWN: &str = "\x1b[B";
pub(crate) const ESC: &str = "\x1b";
pub(crate) const ENTER: &str = "\r";
pub(crate) const F1: &str = "\x1bOP";
pub(crate) const F3: &str = "\x1bOR";
pub(crate) const F4: &str = "\x1bOS";
pub(crate) const F6: &str = "\x1b[17~";
pub(crate) const F10: &str = "\x1b[21~";

pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Arc<Mutex<Output>>,
    reader: Option<std::thread::JoinHandle<()>>,
    is_hung_up: Arc<AtomicBool>,
    before: String,
}

struct Output {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

/// What is left when the command has ended.
pub(crate) struct Left {
    pub(crate) status: ExitStatus,
    /// All that was written to the terminal.
    pub(crate) raw: String,
    pub(crate) contents: String,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn of_screen(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

impl Terminal {
    /// Runs `tracer top` with these arguments and environment variables.
    pub(crate) fn run(
        arguments: &[&str],
        environment: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tracer"));
        command.arg("top");
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        command.env_remove("TRACER_TOKEN");
        for (name, value) in environment {
            command.env(name, value);
        }
        let before = modes(&*pair.master);
        let child = pair.slave.spawn_command(command).unwrap();
        // The other end stays open here, so that the terminal's modes can be read when the command has ended.
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let output = Arc::new(Mutex::new(Output {
            screen: vt100::Parser::new(of_screen(rows), of_screen(columns), 0),
            raw: Vec::new(),
        }));
        let taken = Arc::clone(&output);
        let is_hung_up = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_hung_up);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !is_over.load(Relaxed)
                && let Ok(length @ 1..) = reader.read(&mut buffer)
            {
                let mut output = taken.lock().unwrap();
                output.screen.process(&buffer[..length]);
                output.raw.extend_from_slice(&buffer[..length]);
            }
        });
        std::mem::forget(pair.slave);
        Self {
            master: pair.master,
            keys,
            child,
            output,
            reader: Some(reader),
            is_hung_up,
            before,
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub(crate) fn contents(&self) -> String {
        self.output.lock().unwrap().screen.screen().contents()
    }

    /// Waits until the screen has all of these texts, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, texts: &[&str]) -> String {
        self.wait_until(&format!("{texts:?}"), |screen| {
            texts.iter().all(|text| screen.contains(text))
        })
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let contents = self.contents();
            if is_so(&contents) {
                return contents;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "expected {what} on the screen:\n{contents}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut output = self.output.lock().unwrap();
        output
            .screen
            .screen_mut()
            .set_size(of_screen(rows), of_screen(columns));
        self.master.resize(size(columns, rows)).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.process_id().unwrap().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", name, &process])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Closes the terminal, as a connection that is lost does, and waits for the command's end.
    pub(crate) fn hang_up(self) -> ExitStatus {
        self.is_hung_up.store(true, Relaxed);
        // The command draws anew, so that the reader returns.
        self.resize(70, 20);
        let Self {
            master,
            keys,
            mut child,
            reader,
            ..
        } = self;
        reader.unwrap().join().unwrap();
        drop((master, keys));
        child.wait().unwrap()
    }

    /// Waits for the command's end, and checks that the terminal is as it was before.
    pub(crate) fn left(mut self) -> Left {
        let status = self.child.wait().unwrap();
        assert_eq!(modes(&*self.master), self.before, "the terminal's modes");
        // What was written last is read when the screen is back.
        self.wait_until("the cursor and the screen of before", |_| {
            let output = self.output.lock().unwrap();
            let screen = output.screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        drop(self.reader.take());
        let output = self.output.lock().unwrap();
        Left {
            status,
            raw: String::from_utf8_lossy(&output.raw).into_owned(),
            contents: output.screen.screen().contents(),
        }
    }
}

/// Echo, line editing and so on.
fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap())
}
