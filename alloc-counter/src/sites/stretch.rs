//! A recorded stretch of code, and the sites in it.

use std::cell::Cell;

use crate::counts::Counts;
use crate::overhead::{Overhead, exclude};
use crate::thread;

use super::linux::Base;
use super::log::{Owner, SiteLog};
use super::room::SiteRoom;
use super::site::Site;
use super::{Sites, enter, prepare};

thread_local! {
    /// The key of the last stretch of code. Those of other logs are below. Without a destructor, so that it can be read
    /// at any time of a thread's life.
    static LAST_STRETCH: Cell<u64> = const { Cell::new(FIRST_STRETCH) };
}

const FIRST_STRETCH: u64 = 1 << 63;

/// The most sites of a stretch of code.
const MOST_SITES: usize = 65_536;

impl Sites {
    /// Runs `work`, and returns the places in it that allocated on this thread.
    ///
    /// Inside of another recording, the places belong to both. What runs inside of [`exclude`] has no sites.
    ///
    /// Cost: with exact sites about a quarter of a microsecond for each allocation, if the stack has 20 frames inside
    /// of `work`; twenty times as much if this crate and `framehop` are compiled without optimisation.
    /// The first recording of a thread reads the tables of all loaded modules, and takes 80 KiB for
    /// the thread. All of this is overhead, and in no figure of the program.
    #[inline(never)]
    pub fn record<T>(self, work: impl FnOnce() -> T) -> Sited<T> {
        let stretch = Stretch::begin(self);
        let value = work();
        let (sites, not_recorded) = stretch.end().unzip();
        Sited {
            value,
            sites: sites.map(Overhead::new),
            not_recorded: not_recorded.unwrap_or(Counts::ZERO),
        }
    }
}

/// Runs `work`, and returns the places in it that allocated on this thread, with exact figures.
///
/// The same as [`Sites::exact`]`().`[`record`](Sites::record)`(work)`.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let sited = alloc_counter::sites(|| {
///     let text = std::hint::black_box("a".repeat(100));
///     text.into_bytes().into_boxed_slice()
/// });
/// let sites = sited.sites.expect("Counting is installed above");
/// assert_eq!((sites.len(), sites[0].allocations, sites[0].bytes_allocated), (1, 1, 100));
/// ```
pub fn sites<T>(work: impl FnOnce() -> T) -> Sited<T> {
    Sites::exact().record(work)
}

/// Result of [`sites`]. The list of sites is overhead, also when it is dropped.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sited<T> {
    /// What the work returned.
    pub value: T,
    /// The places that allocated, in the order of their bytes, the heaviest first; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub sites: Option<Overhead<Vec<Site>>>,
    /// What was allocated at places for which there was no memory left, or that came after the first 65,536, or
    /// after the [first](Sites::first) allocations.
    pub not_recorded: Counts,
}

/// A recorded stretch of code, until it is ended or dropped.
struct Stretch {
    /// `None` if the thread can't record.
    key: Option<u64>,
}

impl Stretch {
    fn begin(sites: Sites) -> Self {
        if !thread::is_installed() {
            return Self { key: None };
        }
        let key = LAST_STRETCH.get() + 1;
        LAST_STRETCH.set(key);
        let room = exclude(|| SiteRoom::new(MOST_SITES));
        let log = SiteLog::new(sites, room, |_| Owner::Is(0));
        let is_refused = exclude(|| {
            // The others were prepared for with the log.
            if sites.mean_bytes().is_some() {
                prepare();
            }
            enter(log, key, Base::here()).is_some()
        });
        Self {
            key: (!is_refused).then_some(key),
        }
    }

    fn end(mut self) -> Option<(Vec<Site>, Counts)> {
        let log = SiteLog::leave(self.key.take()?)?;
        Some(exclude(|| {
            let mut sites: Vec<_> = log.sites().map(|(_, site)| site).collect();
            sites.sort_unstable_by(Site::by_weight);
            let not_recorded = log.not_recorded();
            drop(log);
            (sites, not_recorded)
        }))
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let left = SiteLog::leave(key);
            exclude(|| drop(left));
        }
    }
}
