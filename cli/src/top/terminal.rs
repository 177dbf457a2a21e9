//! The terminal while the view has it: what was there before comes back, however the view ends.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use crate::failure::Failure;

/// Restores the terminal when it is dropped. A panic restores it before its message is shown.
pub(crate) struct Screen {
    pub(crate) terminal: DefaultTerminal,
}

impl Screen {
    pub(crate) fn enter() -> Result<Self, Failure> {
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        if !is_terminal || is_dumb {
            let why = "`tracer top` expected a terminal for input and output, other than TERM=dumb: \
                `tracer show FILE` writes reports to anything";
            return Err(Failure::Impossible(why.to_owned()));
        }
        let failed = |error| Failure::Output("the terminal".to_owned(), error);
        let terminal = ratatui::try_init().map_err(failed)?;
        Ok(Self { terminal })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, nothing is to be restored.
        let _ = ratatui::try_restore();
        let _ = self.terminal.show_cursor();
    }
}

/// What is typed. A thread of its own reads it: crossterm's reading does not return once the terminal is gone, and would
/// keep the command from ending.
pub(crate) struct Events(Receiver<io::Result<Event>>);

impl Events {
    /// The most that wait to be taken.
    const MOST: usize = 64;

    pub(crate) fn read() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(Self::MOST);
        let read = move || {
            loop {
                let event = event::read();
                let has_failed = event.is_err();
                if sender.send(event).is_err() || has_failed {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(read)?;
        Ok(Self(receiver))
    }

    /// Returns the next one, if it comes within this time.
    pub(crate) fn next(&self, within: Duration) -> io::Result<Option<Event>> {
        match self.0.recv_timeout(within) {
            Ok(event) => event.map(Some),
            Err(RecvTimeoutError::Timeout) if io::stdin().is_terminal() => Ok(None),
            Err(_) => Err(io::Error::other("it is gone")),
        }
    }
}

/// Signals that ask the command to end.
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    pub(crate) fn hold() -> Self {
        let signal = Arc::new(AtomicUsize::new(0));
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
            for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
                let value = usize::try_from(number).unwrap_or(0);
                // If this fails, the signal still ends the command.
                let _ = signal_hook::flag::register_usize(number, Arc::clone(&signal), value);
            }
        }
        Self(signal)
    }

    /// Returns whether there was one.
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Ends the process as the signal would have, if there was one. The terminal must be restored before.
    pub(crate) fn end(&self) {
        #[cfg(unix)]
        if let Ok(number @ 1..) = i32::try_from(self.0.load(Relaxed)) {
            let _ = signal_hook::low_level::emulate_default_handler(number);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;

    /// Runs in a pseudo-terminal, by the test below.
    #[test]
    #[ignore = "needs a terminal"]
    fn panics() {
        let _screen = Screen::enter().unwrap();
        panic!("the view has panicked");
    }

    #[test]
    fn a_panic_restores_the_terminal_and_shows_its_message() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let modes = || format!("{:?}", pair.master.get_termios().unwrap());
        let before = modes();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        let name = "top::terminal::tests::panics";
        command.args(["--exact", name, "--ignored", "--nocapture"]);
        command.env("TERM", "xterm-256color");
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut child = pair.slave.spawn_command(command).unwrap();
        let output = std::thread::spawn(move || {
            let (mut output, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                output.extend_from_slice(&buffer[..length]);
            }
            String::from_utf8_lossy(&output).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        assert_eq!(modes(), before);
        drop(pair);
        let output = output.join().unwrap();
        let (enter, leave) = ("\x1b[?1049h", "\x1b[?1049l");
        let entered = output.find(enter).unwrap();
        let left = output.find(leave).unwrap();
        let told = output.find("the view has panicked").unwrap();
        assert!(entered < left && left < told, "{output}");
    }
}
