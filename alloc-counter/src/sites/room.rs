//! The room for sites, which logs share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// How many more sites may be recorded, shared among the logs that belong together.
#[derive(Clone, Debug)]
pub struct SiteRoom(Arc<AtomicUsize>);

impl SiteRoom {
    /// Makes room for so many sites.
    pub fn new(sites: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(sites)))
    }

    /// Makes room for so many sites, for logs that are made later: those that share it already keep what is left of
    /// it.
    pub fn renew(&mut self, sites: usize) {
        match Arc::get_mut(&mut self.0) {
            Some(left) => *left.get_mut() = sites,
            None => *self = Self::new(sites),
        }
    }

    /// Takes the room for one site; `false` if there is none.
    pub(super) fn take(&self) -> bool {
        let one_less = |sites: usize| sites.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, one_less).is_ok()
    }

    pub(super) fn give_back(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}
