//! The thread that asks the source, so that keys never wait for an answer.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use tracer::Report;

use super::model::{InFlight, Kept, Key, Overview, Problem, Source};

/// What the screen needs besides the overview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) in_flight: bool,
    pub(crate) route: Option<String>,
    /// Until it is there: it doesn't change.
    pub(crate) trace: Option<Key>,
}

/// What the source has answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Overview(Result<Overview, Problem>),
    InFlight(Result<InFlight, Problem>),
    Route(String, Result<Vec<Kept>, Problem>),
    Trace(Key, Result<Box<Report>, Problem>),
}

/// The screen's end of the thread. The thread ends after its current question if this is dropped.
pub(crate) struct Fetcher {
    wanted: Sender<Wanted>,
    answers: Receiver<Answer>,
}

/// Error that the thread has ended, by a panic.
#[derive(Debug)]
pub(crate) struct Ended;

/// More answers than these wait for the screen; then the thread does.
const MOST_WAITING: usize = 16;

impl Fetcher {
    pub(crate) fn start(source: Box<dyn Source>, every: Duration) -> io::Result<Self> {
        let (wanted, asked) = mpsc::channel();
        let (answer, answers) = mpsc::sync_channel(MOST_WAITING);
        let fetch = Fetch {
            source,
            every,
            answers: answer,
        };
        let thread = std::thread::Builder::new().name("fetch".to_owned());
        // Not joined: a question may take seconds, and the command ends at once.
        thread.spawn(move || fetch.run(&asked))?;
        Ok(Self { wanted, answers })
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        // If the thread has ended, `next` tells.
        let _ = self.wanted.send(wanted);
    }

    /// Returns the next answer, if there is one.
    pub(crate) fn next(&self) -> Result<Option<Answer>, Ended> {
        match self.answers.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Ended),
        }
    }
}

struct Fetch {
    source: Box<dyn Source>,
    every: Duration,
    answers: SyncSender<Answer>,
}

/// Error that nobody wants answers any more.
struct Unwanted;

impl Fetch {
    fn run(mut self, asked: &Receiver<Wanted>) {
        let mut wanted = Wanted::default();
        // A request that takes longer than the interval must not make the next one due at once.
        let mut due = Instant::now();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let done = match asked.recv_timeout(left) {
                Ok(first) => {
                    let last = asked.try_iter().last().unwrap_or(first);
                    let before = std::mem::replace(&mut wanted, last);
                    self.details(&wanted, &before)
                }
                Err(RecvTimeoutError::Timeout) => self.overview().and_then(|has_more| {
                    let every = if has_more { Duration::ZERO } else { self.every };
                    let done = self.details(&wanted, &Wanted::default());
                    due = Instant::now() + every;
                    done
                }),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn tell(&self, answer: Answer) -> Result<(), Unwanted> {
        self.answers.send(answer).map_err(|_| Unwanted)
    }

    /// Returns whether there is more.
    fn overview(&mut self) -> Result<bool, Unwanted> {
        let overview = self.source.overview();
        let has_more = overview.as_ref().is_ok_and(|it| it.has_more);
        self.tell(Answer::Overview(overview))?;
        Ok(has_more)
    }

    /// Fetches what was not wanted before.
    fn details(&mut self, wanted: &Wanted, before: &Wanted) -> Result<(), Unwanted> {
        if let Some(key) = wanted.trace
            && wanted.trace != before.trace
        {
            let report = self.source.trace(key).map(Box::new);
            self.tell(Answer::Trace(key, report))?;
        }
        if let Some(name) = &wanted.route
            && wanted.route != before.route
        {
            let requests = self.source.route(name);
            self.tell(Answer::Route(name.clone(), requests))?;
        }
        if wanted.in_flight && !before.in_flight {
            let in_flight = self.source.in_flight();
            self.tell(Answer::InFlight(in_flight))?;
        }
        Ok(())
    }
}
