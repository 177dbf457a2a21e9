//! Encoded spans that wait until they are sent, bounded in bytes. Adding never waits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::recorder::{ProcessLock, deadline};

use super::batch::{Batch, Encoded};

pub(super) struct Buffer {
    contents: ProcessLock<Contents>,
    /// Something came, or what the sender waits for has changed.
    came: Condvar,
    /// A batch is sent or lost.
    done: Condvar,
    limits: Limits,
}

pub(super) struct Limits {
    pub(super) buffer_bytes: usize,
    pub(super) batch_bytes: usize,
    pub(super) delay: Duration,
    /// What is between two spans of a batch.
    pub(super) separator: &'static [u8],
}

#[derive(Default)]
struct Contents {
    batches: VecDeque<Batch>,
    /// Of all batches, with the one that is being sent.
    bytes: usize,
    /// How many reports ever came, and how many are sent or lost.
    reports: u64,
    done: u64,
    /// How many of them are to be sent without delay.
    hurried: u64,
    is_closed: bool,
    /// When what is not sent is given up.
    end: Option<Instant>,
    /// Of what waits for the end.
    waker: Option<Waker>,
}

/// Why a report is not in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// It does not fit.
    Full,
    /// The end is over, and nothing more is sent.
    Ended,
    NoMemory,
}

impl Buffer {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            contents: ProcessLock::new(Contents::default()),
            came: Condvar::new(),
            done: Condvar::new(),
            limits,
        }
    }

    /// Adds all spans of a report, or none.
    pub(super) fn push(&self, report: &Encoded) -> Result<(), NotAdded> {
        let Some(mut contents) = self.contents.take() else {
            return Err(NotAdded::Full);
        };
        if contents.end.is_some_and(|end| end <= Instant::now()) {
            return Err(NotAdded::Ended);
        }
        let separators = self.limits.separator.len() * report.ends.len();
        let bytes = report.bytes.len() + separators;
        let room = self.limits.buffer_bytes.saturating_sub(contents.bytes);
        if bytes > room {
            return Err(NotAdded::Full);
        }
        if contents.batches.try_reserve(1).is_err() {
            return Err(NotAdded::NoMemory);
        }
        let mut start = 0;
        for end in &report.ends {
            let span = &report.bytes[start..*end];
            start = *end;
            contents.bytes += self.add(&mut contents.batches, span);
        }
        if let Some(batch) = contents.batches.back_mut() {
            batch.ends += 1;
            batch.is_cut = false;
        }
        contents.reports += 1;
        drop(contents);
        self.came.notify_one();
        Ok(())
    }

    /// Adds a span to the last batch, or to a new one. Returns the bytes that it takes.
    fn add(&self, batches: &mut VecDeque<Batch>, span: &[u8]) -> usize {
        let has_room = batches.back().is_some_and(|batch| {
            let bytes = batch.spans.len() + self.limits.separator.len() + span.len();
            bytes <= self.limits.batch_bytes
        });
        let separator = if has_room {
            self.limits.separator
        } else {
            batches.push_back(Batch::new());
            &[]
        };
        let Some(batch) = batches.back_mut() else {
            return 0;
        };
        let bytes = separator.len() + span.len();
        // By a constant number of bytes, and never beyond the batch, so that what is held is what is counted.
        if batch.spans.capacity() - batch.spans.len() < bytes {
            let rest = self.limits.batch_bytes.saturating_sub(batch.spans.len());
            batch.spans.reserve_exact(bytes.max(GROWTH.min(rest)));
        }
        batch.spans.extend_from_slice(separator);
        batch.spans.extend_from_slice(span);
        batch.count += 1;
        batch.is_cut = true;
        batch.bytes += bytes;
        bytes
    }

    /// Waits for the next batch: until it is full, or its delay is over, or somebody waits for it. Returns
    /// `None` if the buffer is closed and empty.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut contents = self.contents.take()?;
        loop {
            let Some(first) = contents.batches.front() else {
                if contents.is_closed {
                    return None;
                }
                contents = self.wait_for_more(contents, None);
                continue;
            };
            let is_full =
                contents.batches.len() > 1 || first.spans.len() >= self.limits.batch_bytes;
            let is_hurried = contents.hurried > contents.done || contents.end.is_some();
            let left = self.limits.delay.saturating_sub(first.since.elapsed());
            if is_full || is_hurried || contents.is_closed || left == Duration::ZERO {
                return contents.batches.pop_front();
            }
            contents = self.wait_for_more(contents, Some(left));
        }
    }

    fn wait_for_more<'a>(
        &self,
        contents: MutexGuard<'a, Contents>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Contents> {
        match at_most {
            None => self
                .came
                .wait(contents)
                .unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let waited = self.came.wait_timeout(contents, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Notes that a batch is sent or lost.
    pub(super) fn finish(&self, batch: &Batch) {
        if let Some(mut contents) = self.contents.take() {
            contents.bytes -= batch.bytes;
            contents.done += batch.ends;
        }
        self.done.notify_all();
    }

    /// Waits for this long before another attempt; if the end is set meanwhile, no longer than that.
    pub(super) fn pause(&self, time: Duration) {
        let until = deadline(time);
        let Some(mut contents) = self.contents.take() else {
            return;
        };
        let had_end = contents.end.is_some();
        while had_end == contents.end.is_some() {
            let until = contents.end.map_or(until, |end| until.min(end));
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            contents = self.wait_for_more(contents, Some(left));
        }
    }

    /// Returns when what is not sent is given up, if that is set.
    pub(super) fn end(&self) -> Option<Instant> {
        self.contents.take()?.end
    }

    /// Waits until what is not sent is given up.
    pub(super) async fn ended(&self) {
        let mut timer = pin!(sleep(Duration::ZERO));
        poll_fn(|context| {
            let Some(mut contents) = self.contents.take() else {
                return Poll::Pending;
            };
            contents.waker = Some(context.waker().clone());
            let Some(end) = contents.end else {
                return Poll::Pending;
            };
            drop(contents);
            timer.as_mut().reset(end.into());
            timer.as_mut().poll(context)
        })
        .await;
    }

    /// Waits until all reports that have come are sent or lost. Returns `false` after the deadline.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let Some(mut contents) = self.contents.take() else {
            return false;
        };
        let until = contents.reports;
        contents.hurried = until;
        self.came.notify_one();
        let left = deadline.saturating_duration_since(Instant::now());
        let is_missing = |contents: &mut Contents| contents.done < until;
        let waited = self.done.wait_timeout_while(contents, left, is_missing);
        let (contents, _) = waited.unwrap_or_else(PoisonError::into_inner);
        contents.done >= until
    }

    /// Sets when what is not sent is given up, unless that is earlier already.
    pub(super) fn end_by(&self, deadline: Instant) {
        if let Some(mut contents) = self.contents.take() {
            contents.end = Some(contents.end.map_or(deadline, |end| end.min(deadline)));
            wake(contents);
        }
        self.came.notify_one();
    }

    /// Lets the sender end when all is sent or given up, which is after this `patience` unless a deadline is
    /// set.
    pub(super) fn close(&self, patience: Duration) {
        if let Some(mut contents) = self.contents.take() {
            contents.is_closed = true;
            contents.end = contents
                .end
                .or_else(|| Instant::now().checked_add(patience));
            wake(contents);
        }
        self.came.notify_one();
    }

    /// Returns how many reports wait.
    pub(super) fn waiting(&self) -> u64 {
        let contents = self.contents.take();
        contents.map_or(0, |contents| contents.reports - contents.done)
    }

    /// Returns how many bytes of spans wait.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.contents.take().map_or(0, |contents| contents.bytes)
    }
}

/// Wakes what waits for the end.
fn wake(mut contents: MutexGuard<'_, Contents>) {
    let waker = contents.waker.take();
    drop(contents);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How much a batch grows.
const GROWTH: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(buffer_bytes: usize, batch_bytes: usize) -> Buffer {
        Buffer::new(Limits {
            buffer_bytes,
            batch_bytes,
            delay: Duration::from_secs(1000),
            separator: b",",
        })
    }

    /// A report with spans of these lengths.
    fn report(lengths: &[usize]) -> Encoded {
        let mut encoded = Encoded::default();
        for length in lengths {
            encoded.bytes.extend(vec![b'x'; *length]);
            encoded.ends.push(encoded.bytes.len());
        }
        encoded
    }

    #[test]
    fn batches_are_filled_and_a_report_may_go_over_several() {
        let buffer = buffer(1000, 10);
        assert_eq!(buffer.push(&report(&[4, 4])), Ok(()));
        assert_eq!(buffer.push(&report(&[4, 20])), Ok(()));
        assert_eq!(buffer.push(&report(&[1])), Ok(()));
        assert_eq!(
            (buffer.waiting(), buffer.bytes()),
            (3, 4 + 1 + 4 + 4 + 20 + 1)
        );
        buffer.close(Duration::ZERO);
        let mut batches = Vec::new();
        while let Some(batch) = buffer.next() {
            let text = String::from_utf8(batch.spans.clone()).unwrap();
            batches.push((text, batch.count, batch.ends));
            buffer.finish(&batch);
        }
        let batch = |text: &str, count, ends| (text.to_owned(), count, ends);
        assert_eq!(
            batches,
            [
                batch("xxxx,xxxx", 2, 1),
                batch("xxxx", 1, 0),
                batch(&"x".repeat(20), 1, 1),
                batch("x", 1, 1),
            ]
        );
        assert_eq!((buffer.waiting(), buffer.bytes()), (0, 0));
        assert!(buffer.wait(Instant::now()));
    }

    #[test]
    fn a_batch_holds_no_more_than_it_may_have() {
        let buffer = buffer(1 << 20, 4096);
        for _ in 0..100 {
            assert_eq!(buffer.push(&report(&[300, 5000, 300])), Ok(()));
        }
        let counted = buffer.bytes();
        buffer.close(Duration::ZERO);
        let mut held = 0;
        while let Some(batch) = buffer.next() {
            let most = batch.spans.len().max(4096);
            assert!(batch.spans.capacity() <= most, "{}", batch.spans.capacity());
            held += batch.spans.capacity();
            buffer.finish(&batch);
        }
        assert!(held < 2 * counted, "{held} for {counted}");
    }

    #[test]
    fn what_does_not_fit_is_told_until_something_is_sent() {
        let buffer = buffer(20, 10);
        assert_eq!(buffer.push(&report(&[20])), Err(NotAdded::Full));
        assert_eq!(buffer.push(&report(&[9])), Ok(()));
        assert_eq!(buffer.push(&report(&[9])), Ok(()));
        assert_eq!(buffer.push(&report(&[2])), Err(NotAdded::Full));
        let batch = buffer.next().unwrap();
        // It is still held.
        assert_eq!(buffer.push(&report(&[2])), Err(NotAdded::Full));
        buffer.finish(&batch);
        assert_eq!(buffer.push(&report(&[1])), Ok(()));
        assert!(!buffer.wait(Instant::now()));
    }

    #[test]
    fn the_end_is_awaited_until_it_is_earliest() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let buffer = buffer(20, 10);
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| runtime.block_on(buffer.ended()));
            let is_awaited = || buffer.contents.take().unwrap().waker.is_some();
            let set = |end| {
                while !is_awaited() {
                    std::thread::yield_now();
                }
                assert!(!ended.is_finished());
                buffer.end_by(end);
            };
            set(Instant::now() + Duration::from_secs(1000));
            set(Instant::now());
            ended.join().unwrap();
        });
    }

    #[test]
    fn the_end_interrupts_a_pause_once() {
        let buffer = buffer(20, 10);
        let start = Instant::now();
        let end = start + Duration::from_millis(200);
        std::thread::scope(|scope| {
            let pause = scope.spawn(|| buffer.pause(Duration::MAX));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!pause.is_finished());
            buffer.end_by(end);
        });
        assert!(start.elapsed() < Duration::from_secs(100));
        // The next one lasts until then.
        buffer.pause(Duration::from_secs(1000));
        assert!(Instant::now() >= end);
        // Whatever comes now is not sent any more.
        assert_eq!(buffer.push(&report(&[1])), Err(NotAdded::Ended));
    }
}
