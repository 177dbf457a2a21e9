//! `tracer top`: a view in the terminal, of a running service or of a file.
//!
//! Data goes one way: a [source](model::Source) is asked by a thread ([fetch]), its answers and the [keys]
//! ([apply]) change the [state], and the [view] draws that.

mod address;
mod apply;
mod fetch;
mod file;
mod keys;
mod model;
mod page;
mod rows;
mod schema;
mod state;
mod terminal;
mod text;
mod trace;
mod view;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ratatui::crossterm::event::Event;
use tracer::__command::unix_ns;

use crate::failure::Failure;

use address::Address;
use fetch::{Fetcher, Wanted};
use file::Reports;
use model::Source;
use page::Page;
use state::State;
use terminal::{Events, Screen, Signals};
use view::{Colours, Now};

pub(crate) use address::VARIABLE as TOKEN_VARIABLE;

/// How long an answer or a signal may wait.
const TICK: Duration = Duration::from_millis(100);
/// Ages are shown in seconds.
const REDRAWN: Duration = Duration::from_secs(1);

/// What is watched.
pub(crate) struct Watched {
    source: Box<dyn Source>,
    name: String,
    is_live: bool,
}

impl Watched {
    /// The page at an address.
    pub(crate) fn page(
        address: &str,
        token: Option<&str>,
        of_environment: Option<&str>,
    ) -> Result<Self, Failure> {
        let address = Address::of(address, token, of_environment);
        let address = address.map_err(|why| Failure::Impossible(why.to_string()))?;
        Ok(Self {
            name: address.to_string(),
            source: Box::new(Page::new(address)),
            is_live: true,
        })
    }

    pub(crate) fn file(path: &Path) -> Result<Self, Failure> {
        let name = text::escaped(&path.display().to_string());
        let reports = Reports::open(path);
        let reports = reports.map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::NotFound => io::Error::other(format!(
                    "{error}: expected a file, or an address with http:// at its beginning"
                )),
                _ => error,
            };
            Failure::Input(name.clone(), error)
        })?;
        Ok(Self {
            name,
            source: Box::new(reports),
            is_live: false,
        })
    }
}

/// Shows the view until it is quit.
pub(crate) fn run(watched: Watched, every: Duration) -> Result<(), Failure> {
    let signals = Signals::hold();
    let screen = Screen::enter()?;
    let shown = show(screen, watched, every, &signals);
    signals.end();
    shown
}

fn show(
    mut screen: Screen,
    watched: Watched,
    every: Duration,
    signals: &Signals,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Output("the terminal".to_owned(), error);
    let mut state = State::new(watched.name, watched.is_live, every);
    let fetcher = Fetcher::start(watched.source, every).map_err(failed)?;
    let events = Events::read().map_err(failed)?;
    let colours = Colours::of_environment();
    let mut wanted = Wanted::default();
    let mut drawn: Option<Instant> = None;
    while !state.is_over && !signals.has_come() {
        loop {
            match fetcher.next() {
                Ok(Some(answer)) => {
                    state.take(answer, Instant::now());
                    drawn = None;
                }
                Ok(None) => break,
                Err(fetch::Ended) => {
                    let why = "the thread that asks for data has ended: expected it to go on";
                    return Err(Failure::Impossible(why.to_owned()));
                }
            }
        }
        if state.wanted() != wanted {
            wanted = state.wanted();
            fetcher.want(wanted.clone());
        }
        if drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAWN) {
            draw(&mut screen, &mut state, colours).map_err(failed)?;
            drawn = Some(Instant::now());
        }
        let mut within = TICK;
        while !state.is_over
            && let Some(event) = events.next(within).map_err(failed)?
        {
            if let Event::Key(key) = event
                && let Some(action) = keys::action(key, state.mode())
            {
                state.apply(action, now().unix_ns);
            }
            drawn = None;
            within = Duration::ZERO;
        }
    }
    Ok(())
}

fn draw(screen: &mut Screen, state: &mut State, colours: Colours) -> io::Result<()> {
    let now = now();
    screen.terminal.draw(|frame| {
        let area = frame.area();
        state.page = view::page(state, now, area);
        if let Some(trace) = &mut state.trace {
            trace.lay_out(area.width.into());
        }
        view::draw(frame, state, now, colours);
    })?;
    Ok(())
}

fn now() -> Now {
    Now {
        at: Instant::now(),
        unix_ns: unix_ns(SystemTime::now()),
    }
}
