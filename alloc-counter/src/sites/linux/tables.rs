//! The tables for unwinding, of all modules that are loaded.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder as _,
    UnwinderNative,
};

use super::modules::{self, Bytes, Loaded};

type Unwinder = UnwinderNative<Bytes, MustNotAllocateDuringUnwind>;
/// What a thread remembers of the tables.
pub(super) type Cache = CacheNative<MustNotAllocateDuringUnwind>;

/// The tables of the modules, as they were read last.
static TABLES: Mutex<Option<Tables>> = Mutex::new(None);

/// How often modules had been loaded and unloaded when the tables were read last.
static LAST_READ: AtomicU64 = AtomicU64::new(NEVER);
const NEVER: u64 = u64::MAX;

#[derive(Clone)]
pub(super) struct Tables {
    pub(super) unwinder: Unwinder,
    /// The addresses of the modules that have tables, in order.
    known: Vec<Range<usize>>,
    /// How often modules had been loaded and unloaded by then.
    pub(super) changes: u64,
}

/// Returns how often modules had been loaded and unloaded when the tables were read last; `None` if never.
pub(super) fn last_read() -> Option<u64> {
    let changes = LAST_READ.load(Relaxed);
    (changes != NEVER).then_some(changes)
}

impl Tables {
    /// Returns the tables of the modules after these changes, or later ones; `None` if another thread reads them,
    /// or did when the process was forked.
    pub(super) fn after(changes: u64) -> Option<Self> {
        let mut attempts = 0..100;
        let mut known = loop {
            match TABLES.try_lock() {
                Ok(known) => break known,
                Err(TryLockError::Poisoned(known)) => break known.into_inner(),
                Err(TryLockError::WouldBlock) => attempts.next()?,
            };
            thread::sleep(Duration::from_millis(1));
        };
        if known.as_ref().is_none_or(|known| known.changes < changes) {
            *known = Some(Self::read(changes)?);
            LAST_READ.store(changes, Relaxed);
        }
        known.clone()
    }

    /// Returns `None` if the modules can't be read now.
    fn read(changes: u64) -> Option<Self> {
        let mut unwinder = Unwinder::new();
        let mut known = Vec::new();
        for Loaded { module, tables } in modules::loaded()? {
            let Some(tables) = tables else { continue };
            known.push(module.range.clone());
            let base = module.range.start as u64;
            let (header, frames) = (tables.header, tables.frames);
            unwinder.add_module(Module::new(
                String::new(),
                base..module.range.end as u64,
                base,
                ExplicitModuleSectionInfo {
                    base_svma: base.wrapping_sub(module.bias as u64),
                    eh_frame_hdr_svma: Some(header.0),
                    eh_frame_hdr: Some(header.1),
                    eh_frame_svma: Some(frames.0),
                    eh_frame: Some(frames.1),
                    ..Default::default()
                },
            ));
        }
        known.sort_unstable_by_key(|range| range.start);
        Some(Self {
            unwinder,
            known,
            changes,
        })
    }

    /// Returns whether there are tables for this address. Otherwise framehop would take the frame pointer for what
    /// it need not be.
    pub(super) fn has(&self, address: usize) -> bool {
        let place = self.known.partition_point(|range| range.end <= address);
        let range = self.known.get(place);
        range.is_some_and(|range| range.contains(&address))
    }
}
