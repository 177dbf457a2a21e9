//! The requests in flight, with the calls that each is in now.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::report::escape::Escaped;
use crate::report::in_flight::InFlight;
use crate::report::units::{plural, time};

use super::Recorder;
use super::shared::Shared;
use super::stripe::Active;

/// A request in flight: begun and not over.
///
/// `Display` writes a line for the request and one for each open call, with its checkpoints: the last
/// one shows how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInFlight {
    /// Its name: its route.
    pub name: String,
    /// Its id.
    pub id: Option<String>,
    /// Its trace, with the calls that are open now.
    pub now: InFlight,
}

impl RequestInFlight {
    fn of(active: &Active, shared: &Shared) -> Self {
        let report = active.trace.report();
        Self {
            name: shared.routes.at(active.route).name.clone(),
            id: active.id(),
            now: InFlight::of(active.trace.age(), report),
        }
    }
}

impl Display for RequestInFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.name))?;
        if let Some(id) = &self.id {
            write!(f, " [{}]", Escaped(id))?;
        }
        write!(f, ": {}, {}", time(self.now.age), self.now)
    }
}

impl Recorder {
    /// Returns the requests in flight, the oldest first, with the calls that each is in now.
    ///
    /// No thread is stopped. It costs one report for each request.
    pub fn in_flight(&self) -> Vec<RequestInFlight> {
        self.inner.shared.in_flight(true, usize::MAX).0
    }

    /// Returns the `most` oldest requests in flight, and how many there are in all.
    #[cfg(feature = "web")]
    pub(crate) fn oldest_in_flight(&self, most: usize) -> (Vec<RequestInFlight>, usize) {
        self.inner.shared.in_flight(true, most)
    }

    /// Writes all requests in flight, with their number, without signals and from any thread. For a
    /// watchdog, or an administrator's command.
    ///
    /// # Errors
    ///
    /// Returns the errors of `out`.
    pub fn dump(&self, mut out: impl Write) -> io::Result<()> {
        let text = alloc_counter::exclude(|| {
            let requests = self.in_flight();
            let panicking = 0;
            Dump {
                requests,
                panicking,
            }
            .to_string()
        });
        out.write_all(text.as_bytes())
    }

    /// Dumps the requests in flight to standard error at a panic of any thread, after the panic's own
    /// message, at most once a second, since a program may panic often and go on.
    ///
    /// The hook that was set before is called first. The new one lasts as long as the recorder; several
    /// recorders each dump their own requests. Requests behind a lock that is taken are left out, since
    /// the panicking thread may hold it. A second call, or a call while the thread is panicking, does
    /// nothing.
    pub fn dump_on_panic(&self) {
        let shared = &self.inner.shared;
        if std::thread::panicking() || shared.dumps_on_panic.swap(true, Relaxed) {
            return;
        }
        let shared = Arc::downgrade(shared);
        let last = Mutex::new(None::<Instant>);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            let Some(shared) = shared.upgrade() else {
                return;
            };
            // Another panic at this moment is already dumping.
            let Ok(mut last) = last.try_lock() else {
                return;
            };
            if last.is_none_or(|last| last.elapsed() >= BETWEEN_DUMPS) {
                *last = Some(Instant::now());
                alloc_counter::exclude(|| {
                    let panicking = crate::write::current::fetch().id();
                    let requests = shared.in_flight(false, usize::MAX).0;
                    let dump = Dump {
                        requests,
                        panicking,
                    };
                    let text = dump.to_string();
                    // An error has nowhere to go.
                    let _ = io::stderr().write_all(text.as_bytes());
                });
            }
        }));
    }
}

const BETWEEN_DUMPS: Duration = Duration::from_secs(1);

impl Shared {
    /// Returns the `most` oldest, and how many there are in all.
    fn in_flight(&self, may_wait: bool, most: usize) -> (Vec<RequestInFlight>, usize) {
        let mut active = self.stripes.in_flight(may_wait);
        active.sort_by_key(|it| (it.trace.started(), it.trace.id()));
        let oldest = { active.iter().take(most) }.map(|it| RequestInFlight::of(it, self));
        (oldest.collect(), active.len())
    }
}

struct Dump {
    requests: Vec<RequestInFlight>,
    /// The id of the panicking request's trace; 0 if it is not known, since ids begin at 1.
    panicking: u64,
}

impl Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, .. } = self;
        writeln!(f, "{} in flight", plural(requests.len() as u64, "request"))?;
        for request in requests {
            if self.panicking > 0 && request.now.trace == self.panicking {
                f.write_str("panicking: ")?;
            }
            writeln!(f, "{request}")?;
        }
        Ok(())
    }
}
