//! Locals and arguments are dropped in the same order with and without the attribute.

use std::cell::RefCell;

use tracer::{call, traced};

use super::{Refused, block_on, lines, record};

thread_local!(static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

struct Noisy(&'static str);

impl Noisy {
    fn touch(&self) {}
}

impl Drop for Noisy {
    fn drop(&mut self) {
        let _call = call!("{}", self.0);
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

fn dropped(work: impl FnOnce()) -> Vec<&'static str> {
    work();
    DROPPED.take()
}

/// Defines the same functions with and without the attribute. Their bodies don't mention the
/// arguments in the order of their declaration.
macro_rules! functions {
    (
        $module:ident, $id:ident,
        $(#[$traced:meta])? $(#[err $traced_err:meta])?
        $(#[id $traced_id:meta])? $(#[id_err $traced_id_err:meta])?
    ) => {
        mod $module {
            use super::*;

            $(#[$traced])?
            pub(super) fn sync(first: Noisy, _second: Noisy, (third, _): (Noisy, ()), _: Noisy) {
                let _local = Noisy("local");
                third.touch();
                first.touch();
            }

            $(#[$traced_err])?
            pub(super) fn sync_err(
                first: Noisy,
                _second: Noisy,
                (third, mut fourth): (Noisy, Noisy),
                last: Noisy,
            ) -> Result<(), Refused> {
                let _local = Noisy("local");
                third.touch();
                drop(last);
                first.touch();
                fourth.touch();
                fourth = Noisy("replaced");
                fourth.touch();
                Err(Refused(0))
            }

            $(#[$traced])?
            pub(super) async fn asynchronous(
                first: Noisy,
                _second: Noisy,
                (third, fourth): (Noisy, Noisy),
                moved: Noisy,
            ) {
                let _local = Noisy("local");
                tokio::task::yield_now().await;
                third.touch();
                drop(moved);
                fourth.touch();
                first.touch();
            }

            $(#[$traced_id_err])?
            #[allow(unused_variables)]
            pub(super) fn id_err(first: Noisy, $id: Noisy, last: Noisy) -> Result<(), Refused> {
                last.touch();
                first.touch();
                Ok(())
            }

            $(#[$traced_id])?
            #[allow(unused_variables)]
            pub(super) async fn id_async(first: Noisy, $id: Noisy, last: Noisy) {
                last.touch();
                first.touch();
            }

            $(#[$traced_err])?
            #[allow(unused_variables)]
            pub(super) fn unused_err(
                first: Noisy,
                unused: Noisy,
                (left, right): (Noisy, Noisy),
            ) -> Result<(), Refused> {
                let _local = Noisy("local");
                first.touch();
                Ok(())
            }

            $(#[$traced])?
            #[allow(unused_variables)]
            pub(super) async fn unused_async(unused: Noisy, first: Noisy, other: Noisy) {
                let _local = Noisy("local");
                first.touch();
            }

            pub(super) struct Owner(pub(super) Noisy, pub(super) Noisy);

            impl Owner {
                $(#[$traced_err])?
                pub(super) fn unused_self(self, argument: Noisy) -> Result<(), Refused> {
                    argument.touch();
                    Ok(())
                }

                $(#[$traced_err])?
                pub(super) async fn method(self, argument: Noisy) -> Result<(), Refused> {
                    tokio::task::yield_now().await;
                    self.1.touch();
                    self.0.touch();
                    argument.touch();
                    Ok(())
                }
            }
        }
    };
}

functions!(plain, id,);
functions!(
    decorated, id,
    #[traced] #[err traced(err)]
    #[id traced("{}", id.0)] #[id_err traced(err, label = id.0)]
);

/// Checks the order and, if asked to, that everything is dropped inside the function's call.
macro_rules! assert_same {
    ($module:ident, all inside => $work:expr) => {{
        let (expected, report) = assert_same!(@both $module => $work);
        let parents: Vec<_> = report.calls.iter().map(|call| call.parent).collect();
        let mut inside = vec![Some(0); expected.len() + 1];
        inside[0] = None;
        assert_eq!(parents, inside, "{:?}", lines(&report));
        expected
    }};
    ($module:ident => $work:expr) => {
        assert_same!(@both $module => $work).0
    };
    (@both $module:ident => $work:expr) => {{
        let expected = dropped(|| {
            use plain as $module;
            $work
        });
        let found = record(|| {
            dropped(|| {
                use decorated as $module;
                $work
            })
        });
        assert_eq!(found.0, expected);
        (expected, found.1)
    }};
}

#[test]
fn sync() {
    let expected = assert_same!(it => it::sync(
        Noisy("first"),
        Noisy("second"),
        (Noisy("third"), ()),
        Noisy("unnamed"),
    ));
    assert_eq!(expected, ["local", "unnamed", "third", "second", "first"]);
}

#[test]
fn sync_err() {
    let expected = assert_same!(it, all inside => assert!(it::sync_err(
        Noisy("first"),
        Noisy("second"),
        (Noisy("third"), Noisy("fourth")),
        Noisy("last"),
    )
    .is_err()));
    let order = [
        "last", "fourth", "local", "replaced", "third", "second", "first",
    ];
    assert_eq!(expected, order);
}

#[test]
fn asynchronous() {
    let expected = assert_same!(it, all inside => block_on(it::asynchronous(
        Noisy("first"),
        Noisy("second"),
        (Noisy("third"), Noisy("fourth")),
        Noisy("moved"),
    )));
    let order = ["moved", "local", "fourth", "third", "second", "first"];
    assert_eq!(expected, order);
}

#[test]
fn method() {
    let expected = assert_same!(it, all inside => {
        let owner = it::Owner(Noisy("self.0"), Noisy("self.1"));
        block_on(owner.method(Noisy("argument"))).unwrap();
    });
    assert_eq!(expected, ["argument", "self.0", "self.1"]);
}

fn three() -> (Noisy, Noisy, Noisy) {
    (Noisy("first"), Noisy("second"), Noisy("third"))
}

#[test]
fn an_argument_that_only_the_attribute_uses() {
    let expected = assert_same!(it, all inside => {
        let (first, second, third) = three();
        it::id_err(first, second, third).unwrap();
    });
    assert_eq!(expected, ["third", "second", "first"]);
    let expected = assert_same!(it, all inside => {
        let (first, second, third) = three();
        block_on(it::id_async(first, second, third));
    });
    assert_eq!(expected, ["third", "second", "first"]);
}

#[test]
fn an_argument_that_nobody_uses() {
    let expected = assert_same!(it, all inside => {
        let (first, second, third) = three();
        it::unused_err(first, second, (third, Noisy("fourth"))).unwrap();
    });
    assert_eq!(expected, ["local", "fourth", "third", "second", "first"]);
    let expected = assert_same!(it, all inside => {
        let (first, second, third) = three();
        block_on(it::unused_async(first, second, third));
    });
    assert_eq!(expected, ["local", "third", "second", "first"]);
    let expected = assert_same!(it, all inside => {
        let owner = it::Owner(Noisy("self.0"), Noisy("self.1"));
        owner.unused_self(Noisy("argument")).unwrap();
    });
    assert_eq!(expected, ["argument", "self.0", "self.1"]);
}
