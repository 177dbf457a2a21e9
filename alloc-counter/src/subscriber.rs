//! A subscriber of `tracing` whose memory is in no figures of the program.

use std::any::TypeId;
use std::fmt;
use std::mem::ManuallyDrop;

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::filter::FilterId;
use tracing_subscriber::registry::LookupSpan;

use crate::counts::Counts;
use crate::overhead::{Excluding, exclude, has_counted, take_counted};

/// Is told what an [`Excluded`] subscriber allocates.
///
/// What the methods allocate themselves is overhead and in no counts. They must not panic: they also run
/// while a panic of the subscriber unwinds.
pub trait Account: 'static {
    /// What [`after`](Self::after) needs to know of the time before.
    type Before;

    /// Runs before the subscriber is told of something.
    fn before(&self) -> Self::Before;

    /// Runs after that, also if the subscriber panicked, with what it allocated and freed meanwhile.
    fn after(&self, before: Self::Before, counts: Counts);

    /// Runs when a handle of a span was cloned, of which layers are not told. Does nothing by default.
    fn cloned(&self, span: &Id) {
        let _ = span;
    }

    /// Runs when a handle of a span was dropped and others remain, of which layers are not told. Does nothing by
    /// default.
    fn dropped(&self, span: &Id) {
        let _ = span;
    }
}

/// Runs a subscriber of `tracing` inside of [`exclude_counted`](crate::exclude_counted), and tells an
/// [`Account`] what it allocated.
///
/// Wrap the whole subscriber, with all its layers. All methods are forwarded, so its layers are found by
/// [`downcast_ref`](Dispatch::downcast_ref), and filters, level hints and `reload` handles work as they do
/// without the wrapper. What the subscriber does outside of these methods counts as the program's.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::subscriber::{Account, Excluded};
/// use alloc_counter::{Counts, measure};
/// use std::sync::Mutex;
///
/// static COUNTS: Mutex<Counts> = Mutex::new(Counts::ZERO);
///
/// struct Sum;
///
/// impl Account for Sum {
///     type Before = ();
///     fn before(&self) {}
///     fn after(&self, (): (), counts: Counts) {
///         if let Ok(mut sum) = COUNTS.lock() {
///             *sum += counts;
///         }
///     }
/// }
///
/// let registry = tracing_subscriber::Registry::default();
/// tracing::subscriber::with_default(Excluded::new(registry, Sum), || {
///     let measured = measure(|| drop(tracing::info_span!("request").entered()));
///     assert_eq!(measured.counts, Some(Counts::ZERO));
/// });
/// // The first span of a thread makes a page of spans.
/// assert!(COUNTS.lock().unwrap().allocations > 0);
/// ```
pub struct Excluded<S, A> {
    /// Dropped by `drop`, and used by nobody after that.
    inner: ManuallyDrop<S>,
    account: A,
}

impl<S, A> Excluded<S, A> {
    /// Wraps a subscriber.
    pub const fn new(inner: S, account: A) -> Self {
        Self {
            inner: ManuallyDrop::new(inner),
            account,
        }
    }

    /// Returns the subscriber inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, A: Account> Excluded<S, A> {
    #[inline]
    fn run<T>(&self, work: impl FnOnce(&S) -> T) -> T {
        let _excluding = Excluding::start();
        let before = self.account.before();
        take_counted();
        let untold = Untold {
            account: &self.account,
            before: Some(before),
        };
        let value = work(&self.inner);
        untold.tell();
        value
    }
}

/// Tells the account if a panic unwinds.
struct Untold<'a, A: Account> {
    account: &'a A,
    before: Option<A::Before>,
}

impl<A: Account> Untold<'_, A> {
    /// Not in the drop, which is out of line.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "several times for each span")]
    fn tell(mut self) {
        let (account, before) = (self.account, self.before.take());
        std::mem::forget(self);
        if let Some(before) = before {
            if has_counted() {
                account.after(before, take_counted());
            } else {
                account.after(before, Counts::ZERO);
            }
        }
    }
}

impl<A: Account> Drop for Untold<'_, A> {
    #[cold]
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.account.after(before, take_counted());
        }
    }
}

impl<S, A> Drop for Excluded<S, A> {
    /// Most of its memory was requested inside of the exclusion.
    fn drop(&mut self) {
        exclude(|| {
            // SAFETY: this is the only place that drops `inner`, and it runs once, as the wrapper's own
            // drop; nothing can use the wrapper after it.
            unsafe { ManuallyDrop::drop(&mut self.inner) }
        });
    }
}

impl<S: fmt::Debug, A> fmt::Debug for Excluded<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Excluded").field(&*self.inner).finish()
    }
}

impl<S: Subscriber, A: Account> Subscriber for Excluded<S, A> {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.run(|inner| inner.on_register_dispatch(dispatch));
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.run(|inner| inner.register_callsite(metadata))
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.run(|inner| inner.enabled(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.run(S::max_level_hint)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.run(|inner| inner.new_span(attributes))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.run(|inner| inner.record(id, values));
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.run(|inner| inner.record_follows_from(id, follows));
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.run(|inner| inner.event_enabled(event))
    }

    fn event(&self, event: &Event<'_>) {
        self.run(|inner| inner.event(event));
    }

    fn enter(&self, id: &Id) {
        self.run(|inner| inner.enter(id));
    }

    fn exit(&self, id: &Id) {
        self.run(|inner| inner.exit(id));
    }

    fn clone_span(&self, id: &Id) -> Id {
        let cloned = self.run(|inner| inner.clone_span(id));
        exclude(|| self.account.cloned(id));
        cloned
    }

    #[allow(
        deprecated,
        reason = "a caller of the old method reaches the old method"
    )]
    fn drop_span(&self, id: Id) {
        self.run(|inner| inner.drop_span(id));
    }

    fn try_close(&self, id: Id) -> bool {
        let is_closed = self.run(|inner| inner.try_close(id.clone()));
        if !is_closed {
            exclude(|| self.account.dropped(&id));
        }
        is_closed
    }

    fn current_span(&self) -> Current {
        self.run(S::current_span)
    }

    /// Finds the wrapper itself, and whatever the subscriber inside finds.
    // SAFETY: a pointer that is returned is valid, as the trait demands, for a `T` of the given id while
    // `self` is borrowed: it points to `self`, whose type has this id, or the subscriber inside upholds it
    // for itself. That one lives as long as `self`, which owns it and does not move it while borrowed.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: the caller upholds for `self` what the one inside demands, and borrows it with `self`.
        unsafe { self.inner.downcast_raw(id) }
    }
}

/// Lets layers stand above the wrapper. Their own memory is the program's.
impl<'a, S: LookupSpan<'a>, A> LookupSpan<'a> for Excluded<S, A> {
    type Data = S::Data;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        self.inner.span_data(id)
    }

    fn register_filter(&mut self) -> FilterId {
        self.inner.register_filter()
    }
}
