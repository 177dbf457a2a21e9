//! Locals and arguments are dropped in the order in which they are without the attribute.

use std::cell::RefCell;

use tracer::traced;

use crate::{Refused, block_on, record};

thread_local!(static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

struct Noisy(&'static str);

impl Noisy {
    fn touch(&self) {}
}

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

fn dropped(work: impl FnOnce()) -> Vec<&'static str> {
    work();
    DROPPED.take()
}

/// The same functions twice, so that what differs is the attribute alone. Their bodies mention
/// the arguments in another order than they are declared in.
macro_rules! functions {
    ($module:ident, $(#[$traced:meta])? $(#[err $traced_err:meta])?) => {
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

            pub(super) struct Owner(pub(super) Noisy, pub(super) Noisy);

            impl Owner {
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

functions!(plain,);
functions!(decorated, #[traced] #[err traced(err)]);

macro_rules! assert_same {
    ($module:ident => $work:expr) => {{
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
        expected
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
    let expected = assert_same!(it => assert!(it::sync_err(
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
    let expected = assert_same!(it => block_on(it::asynchronous(
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
    let expected = assert_same!(it => {
        let owner = it::Owner(Noisy("self.0"), Noisy("self.1"));
        block_on(owner.method(Noisy("argument"))).unwrap();
    });
    assert_eq!(expected, ["argument", "self.0", "self.1"]);
}
