//! The macros work whatever the names in scope mean.

#![no_implicit_prelude]
#![expect(
    dead_code,
    non_camel_case_types,
    unused_imports,
    unused_macros,
    reason = "names that stand in the way, used or not"
)]

use ::std::prelude::v1::test;
use ::tracer::{budget, call, traced};

/// A user's own macros, with the names of the standard library's.
macro_rules! shadow {
    ($dollar:tt: $($name:ident)*) => {
        $(
            macro_rules! $name {
                ($dollar($dollar any:tt)*) => {
                    ::core::compile_error!("this is the user's own macro")
                };
            }
        )*
    };
}

shadow! { $:
    assert assert_eq assert_ne cfg column compile_error concat dbg debug_assert debug_assert_eq
    debug_assert_ne env eprint eprintln file format format_args include include_bytes include_str
    is_x86_feature_detected line matches module_path option_env panic print println stringify
    thread_local todo unimplemented unreachable vec write writeln
    addr_of addr_of_mut pin ready
}

/// The variants of an enum that a user may bring into scope.
#[derive(::core::clone::Clone)]
enum Limit {
    None,
    Some,
    Ok,
    Err,
}
use Limit::{Err, None, Ok, Some};

struct Option;
struct Result;
struct Box;
struct String;
struct Vec;
struct Call;
struct Callsite;
struct Budget;
struct Site;
struct bool;
struct str;
struct u8;
struct u32;
struct u64;
struct usize;

trait AsMut {}
trait AsRef {}
trait Clone {}
trait Copy {}
trait Debug {}
trait Default {}
trait Display {}
trait Drop {}
trait Eq {}
trait Extend {}
trait Fn {}
trait FnMut {}
trait FnOnce {}
trait From {}
trait FromIterator {}
trait Future {}
trait Into {}
trait IntoFuture {}
trait IntoIterator {}
trait Iterator {}
trait Ord {}
trait PartialEq {}
trait PartialOrd {}
trait Send {}
trait Sized {}
trait Sync {}
trait ToOwned {}
trait ToString {}
trait TryFrom {}
trait TryInto {}
trait Unpin {}

fn align_of() {}
fn drop() {}
fn size_of() {}
fn traced_err() {}
fn type_name_of_val() {}

mod alloc {}
mod core {}
mod std {}
mod tracer {}

type Checked = ::core::result::Result<i32, super::Refused>;

#[traced]
fn plain() {}

#[traced("{number}", twice = 2 * number)]
fn labelled(number: i32) -> i32 {
    number
}

#[traced(twice = 2 * number)]
fn label_alone(number: i32) -> i32 {
    number
}

#[traced(err, "{number}")]
fn fails(number: i32) -> Checked {
    ::core::result::Result::Err(super::Refused(
        ::core::convert::TryFrom::try_from(number).unwrap(),
    ))
}

#[traced("{number}", err(Debug))]
fn fails_with_debug(number: i32) -> Checked {
    fails(number)
}

#[traced]
async fn asynchronous(number: i32) -> i32 {
    number
}

#[traced(err, twice = 2 * number)]
async fn asynchronous_err(number: i32) -> Checked {
    fails(number)
}

#[traced(err)]
fn boxed(
    number: i32,
) -> ::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = Checked>>> {
    ::std::boxed::Box::pin(async move { fails(number) })
}

const MOST: ::core::primitive::u64 = 10;

#[budget(allocations <= MOST, bytes <= 1 KiB, peak <= 2 * MOST)]
fn limited(number: i32) -> i32 {
    number
}

#[budget(allocations <= MOST)]
#[traced(err)]
async fn limited_async(number: i32) -> Checked {
    fails(number)
}

fn by_hand(number: i32) {
    let _call = call!();
    let _call = call!("{number}");
    let _call = call!("{}", number, twice = 2 * number);
    let call = call!(twice = 2 * number);
    call.checkpoint("done");
}

#[test]
fn names_of_the_user_are_not_in_the_way() {
    let all = || {
        plain();
        labelled(1);
        label_alone(1);
        fails_with_debug(2).unwrap_err();
        super::block_on(async {
            asynchronous(1).await;
            asynchronous_err(3).await.unwrap_err();
            boxed(4).await.unwrap_err();
            limited_async(5).await.unwrap_err();
        });
        limited(1);
        by_hand(1);
    };
    let ((), report) = super::record(all);
    let expected = [
        "plain",
        "labelled [1] twice=2",
        "label_alone twice=2",
        "fails_with_debug [2]: Failed(\"Refused(2)\")",
        "fails [2] < fails_with_debug: Failed(\"refused 2\")",
        "asynchronous",
        "asynchronous_err twice=6: Failed(\"refused 3\")",
        "fails [3] < asynchronous_err: Failed(\"refused 3\")",
        "boxed: Failed(\"refused 4\")",
        "fails [4] < boxed: Failed(\"refused 4\")",
        "limited_async: Failed(\"refused 5\")",
        "fails [5] < limited_async: Failed(\"refused 5\")",
        "limited",
        "by_hand",
        "by_hand [1] < by_hand",
        "by_hand [1] twice=2 < by_hand",
        "by_hand twice=2 < by_hand",
    ];
    ::std::assert_eq!(super::lines(&report), expected);
}
