//! The tasks of a connection, which end with it.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// Tasks of the sender's runtime, which runs only while something is sent: one that is left to end by itself would
/// hold its connection until the next batch.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(super) fn spawn<T>(&self, task: impl Future<Output = T> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended leave the set.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async { _ = task.await });
    }

    /// Ends all, and waits for that. None of them is running: the runtime has one thread.
    pub(super) async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl<T: Future<Output = ()> + Send + 'static> Executor<T> for Tasks {
    fn execute(&self, task: T) {
        self.spawn(task);
    }
}
