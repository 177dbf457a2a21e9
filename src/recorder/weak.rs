//! A handle for those that live as long as the process.

use std::sync::{Arc, Weak};

use crate::primitives::excluded::Own;

use super::Recorder;
use super::shared::Shared;

/// A handle that does not keep its recorder from ending. It finds requests as long as the recorder has a handle or a
/// request.
pub(crate) struct WeakRecorder {
    /// Of what the requests share, not of the threads: whoever upgrades this never becomes the last owner of the
    /// threads, so it never waits for their end, as it would in a panic's hook.
    shared: Own<Weak<Shared>>,
}

impl Recorder {
    pub(crate) fn downgrade(&self) -> WeakRecorder {
        WeakRecorder {
            shared: Own::new(Arc::downgrade(&self.inner.shared)),
        }
    }
}

impl WeakRecorder {
    /// Returns the name and the id of the request in flight with this trace. A caller that must not wait does not
    /// find a request behind a lock that is taken. To be called inside of [`alloc_counter::exclude`].
    pub(crate) fn find_in_flight(
        &self,
        trace: u64,
        may_wait: bool,
    ) -> Option<(String, Option<String>)> {
        let shared = self.shared.upgrade()?;
        let active = shared.stripes.find(trace, may_wait)?;
        let name = shared.routes.at(active.route).name.clone();
        Some((name, active.id()))
    }
}
