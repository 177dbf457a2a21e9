//! The wrapper of a subscriber forwards every method, counts what it allocates, and survives its panics.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Mutex;

use alloc_counter::subscriber::{Account, Excluded};
use alloc_counter::{Counting, Counts, measure};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, with_default};
use tracing::{Dispatch, Event, Metadata, Subscriber, info, info_span};
use tracing_core::span::Current;
use tracing_subscriber::filter::LevelFilter;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// The methods of the trait `Subscriber` in tracing-core 0.1.36, all of them.
const METHODS: [&str; 16] = [
    "on_register_dispatch",
    "register_callsite",
    "enabled",
    "max_level_hint",
    "new_span",
    "record",
    "record_follows_from",
    "event_enabled",
    "event",
    "enter",
    "exit",
    "clone_span",
    "drop_span",
    "try_close",
    "current_span",
    "downcast_raw",
];

/// Notes each method that is called, allocates as many bytes as its place in [`METHODS`] and one, and
/// returns values that no default method returns.
#[derive(Default)]
struct Mock {
    called: Mutex<Vec<&'static str>>,
}

/// A part of the mock that can be asked for.
struct Part;

static PART: Part = Part;

impl Mock {
    fn note(&self, method: &'static str) {
        let place = METHODS.iter().position(|it| *it == method).unwrap();
        drop(black_box(vec![0_u8; place + 1]));
        alloc_counter::exclude(|| self.called.lock().unwrap().push(method));
    }
}

impl Subscriber for Mock {
    fn on_register_dispatch(&self, _: &Dispatch) {
        self.note("on_register_dispatch");
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        self.note("register_callsite");
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.note("enabled");
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.note("max_level_hint");
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.note("new_span");
        Id::from_u64(7)
    }

    fn record(&self, id: &Id, _: &Record<'_>) {
        assert_eq!(id.into_u64(), 7);
        self.note("record");
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        assert_eq!((id.into_u64(), follows.into_u64()), (7, 8));
        self.note("record_follows_from");
    }

    fn event_enabled(&self, _: &Event<'_>) -> bool {
        self.note("event_enabled");
        false
    }

    fn event(&self, _: &Event<'_>) {
        self.note("event");
    }

    fn enter(&self, id: &Id) {
        assert_eq!(id.into_u64(), 7);
        self.note("enter");
    }

    fn exit(&self, id: &Id) {
        assert_eq!(id.into_u64(), 7);
        self.note("exit");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.note("clone_span");
        Id::from_u64(id.into_u64() + 1)
    }

    fn drop_span(&self, id: Id) {
        assert_eq!(id.into_u64(), 7);
        self.note("drop_span");
    }

    fn try_close(&self, id: Id) -> bool {
        assert_eq!(id.into_u64(), 7);
        self.note("try_close");
        true
    }

    fn current_span(&self) -> Current {
        self.note("current_span");
        Current::none()
    }

    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        self.note("downcast_raw");
        if id == TypeId::of::<Self>() {
            return Some(ptr::from_ref(self).cast());
        }
        (id == TypeId::of::<Part>()).then_some(ptr::from_ref(&PART).cast())
    }
}

thread_local! {
    static TOLD: RefCell<Vec<Counts>> = const { RefCell::new(Vec::new()) };
    static CLONED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Keeps what it is told, for each thread.
struct Told;

impl Account for Told {
    type Before = Vec<u8>;

    fn before(&self) -> Vec<u8> {
        black_box(vec![0; 1000])
    }

    fn after(&self, before: Vec<u8>, counts: Counts) {
        assert_eq!(before.len(), 1000);
        TOLD.with_borrow_mut(|told| told.push(counts));
    }

    fn cloned(&self, span: &Id) {
        CLONED.set(Some(span.into_u64()));
    }
}

fn told() -> Vec<Counts> {
    TOLD.take()
}

/// One block of this size, which is freed.
fn block(bytes: u64) -> Counts {
    Counts {
        allocations: 1,
        deallocations: 1,
        bytes_allocated: bytes,
        bytes_deallocated: bytes,
        ..Counts::ZERO
    }
}

/// Hears of each event.
struct Hears<F>(F);

impl<F: Fn(&Event<'_>) + 'static> Subscriber for Hears<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        (self.0)(event);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Does something with an event, which another subscriber hears of.
fn with_event(work: impl Fn(&Event<'_>) + Send + Sync + 'static) {
    with_default(Hears(work), || info!("an event"));
}

#[test]
fn every_method_is_forwarded_and_its_memory_is_told() {
    let (told, called) = {
        let (tx, rx) = std::sync::mpsc::channel();
        with_event(move |event| {
            // Of other threads' subscribers, which this thread has told of the event's callsite.
            told();
            let mock = Excluded::new(Mock::default(), Told);
            let measured = measure(|| call_all(&mock, event));
            assert_eq!(
                measured.counts,
                Some(block(16)),
                "downcasts are not run apart"
            );
            assert_eq!(measured.peak_bytes, Some(16));
            let called = std::mem::take(&mut *mock.inner().called.lock().unwrap());
            tx.send((told(), called)).unwrap();
        });
        rx.recv().unwrap()
    };
    assert_eq!(called, METHODS);
    let expected: Vec<_> = (1..16).map(block).collect();
    assert_eq!(told, expected);
}

/// Calls the methods of the trait in the order of [`METHODS`].
#[allow(deprecated, reason = "all methods")]
fn call_all(mock: &Excluded<Mock, Told>, event: &Event<'_>) {
    let metadata = event.metadata();
    let values = metadata.fields().value_set(&[]);
    let (id, other) = (Id::from_u64(7), Id::from_u64(8));
    mock.on_register_dispatch(&Dispatch::none());
    assert!(mock.register_callsite(metadata).is_sometimes());
    assert!(mock.enabled(metadata));
    assert_eq!(mock.max_level_hint(), Some(LevelFilter::DEBUG));
    assert_eq!(mock.new_span(&Attributes::new(metadata, &values)), id);
    mock.record(&id, &Record::new(&values));
    mock.record_follows_from(&id, &other);
    assert!(!mock.event_enabled(event));
    mock.event(event);
    mock.enter(&id);
    mock.exit(&id);
    assert_eq!(mock.clone_span(&id), other);
    assert_eq!(CLONED.take(), Some(7));
    mock.drop_span(id.clone());
    assert!(mock.try_close(id));
    assert!(mock.current_span().is_known());
    assert!((mock as &dyn Subscriber).is::<Part>());
}

#[test]
fn downcasts_find_the_wrapper_and_what_is_inside() {
    let wrapped = Excluded::new(Mock::default(), Told);
    let address = ptr::from_ref(wrapped.inner());
    let subscriber = &wrapped as &dyn Subscriber;
    let found = subscriber.downcast_ref::<Excluded<Mock, Told>>().unwrap();
    assert!(ptr::eq(found, &raw const wrapped));
    assert!(ptr::eq(subscriber.downcast_ref::<Mock>().unwrap(), address));
    assert!(ptr::eq(
        subscriber.downcast_ref::<Part>().unwrap(),
        &raw const PART
    ));
    assert!(!subscriber.is::<String>());
}

/// Panics, after it has allocated.
fn panic_at(_: &Event<'_>) {
    let _freed_by_the_panic = black_box(vec![0_u8; 500]);
    std::panic::resume_unwind(Box::new(()));
}

#[test]
fn a_panic_goes_through_and_is_counted() {
    with_default(Excluded::new(Hears(panic_at), Told), || {
        // What is made once for the callsite and the thread.
        let panics = || catch_unwind(AssertUnwindSafe(|| info!("an event"))).is_err();
        assert!(panics());
        told();
        let measured = measure(panics);
        let bytes: u64 = told().iter().map(|counts| counts.bytes_allocated).sum();
        assert!(measured.value && bytes >= 500, "{bytes}");
        // The program catches the panic, and frees it.
        assert_eq!(measured.counts.unwrap().allocates(), 0);
        let measured = measure(|| drop(black_box(vec![0_u8; 100])));
        assert_eq!(measured.counts, Some(block(100)));
        assert_eq!(measured.peak_bytes, Some(100));
    });
}

/// Opens a span of the same subscriber for each event.
struct Nests;

impl Subscriber for Nests {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        drop(black_box(vec![0_u8; 30]));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        drop(black_box(vec![0_u8; 500]));
        let metadata = event.metadata();
        let values = metadata.fields().value_set(&[]);
        Excluded::new(Nests, Told).new_span(&Attributes::new(metadata, &values));
        drop(black_box(vec![0_u8; 7]));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn what_is_told_inside_is_not_told_again_outside() {
    with_event(|event| {
        told();
        Excluded::new(Nests, Told).event(event);
        let told = told().into_iter().map(|counts| counts.bytes_allocated);
        assert_eq!(told.collect::<Vec<_>>(), [30, 507]);
    });
}

#[test]
fn the_memory_of_a_dropped_subscriber_is_in_no_figure() {
    told();
    let block = vec![0_u8; 4096];
    let owns_memory = move |_: &Event<'_>| assert_eq!(block.len(), 4096);
    let wrapped = Excluded::new(Hears(owns_memory), Told);
    assert_eq!(measure(|| drop(wrapped)).counts, Some(Counts::ZERO));
    assert!(told().is_empty());
}

#[test]
fn a_span_of_a_registry_is_in_no_figure() {
    let registry = Excluded::new(tracing_subscriber::registry(), Told);
    with_default(registry, || {
        let span = || drop(black_box(info_span!("span", size = 3).entered()));
        span();
        let first: Counts = told().into_iter().sum();
        assert!(first.allocations > 0, "a page of spans");
        let measured = measure(span);
        assert_eq!(measured.counts, Some(Counts::ZERO));
        // Of new_span, enter, exit and try_close.
        assert!(told().len() >= 4);
    });
}
