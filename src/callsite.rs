//! The static place in the code that opens a call.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Acquire;

use crate::pool::{AtomicNumber, Directory, Number};
use crate::sync::{const_fn, shared_static};

shared_static! {
    static CALLSITES: Directory<Callsite> = Directory::new();
}

/// Where a call is opened: function, module, file and line, and the names of its labels.
///
/// Made by [`call!`](crate::call!) and [`#[traced]`](crate::traced) as a static; gets its number
/// when it is first used.
#[derive(Debug)]
pub struct Callsite {
    function: Function,
    module: &'static str,
    file: &'static str,
    line: u32,
    has_id: bool,
    labels: &'static [&'static str],
    number: AtomicNumber,
    name: OnceLock<&'static str>,
}

#[derive(Debug)]
enum Function {
    Named(&'static str),
    /// The type name of a function item inside it; type names are not known to constants.
    Around(fn() -> &'static str),
}

impl Callsite {
    const_fn! {
        /// For the macros: a place in the function with this name.
        #[doc(hidden)]
        pub const fn named(
            name: &'static str,
            place: (&'static str, &'static str, u32),
            has_id: bool,
            labels: &'static [&'static str],
        ) -> Self {
            Self::new(Function::Named(name), place, has_id, labels)
        }
    }

    const_fn! {
        /// For the macros: a place in the function in which the item stands whose type name this is.
        #[doc(hidden)]
        pub const fn around(
            item: fn() -> &'static str,
            place: (&'static str, &'static str, u32),
            has_id: bool,
            labels: &'static [&'static str],
        ) -> Self {
            Self::new(Function::Around(item), place, has_id, labels)
        }
    }

    const_fn! {
        const fn new(
            function: Function,
            (module, file, line): (&'static str, &'static str, u32),
            has_id: bool,
            labels: &'static [&'static str],
        ) -> Self {
            Self {
                function,
                module,
                file,
                line,
                has_id,
                labels,
                number: AtomicNumber::none(),
                name: std::sync::OnceLock::new(),
            }
        }
    }

    /// The function's name, without its path.
    pub fn name(&self) -> &'static str {
        match self.function {
            Function::Named(name) => name,
            Function::Around(item) => self.name.get_or_init(|| enclosing(item())),
        }
    }

    /// The module's path.
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// The source file, as the compiler knows it.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The line in the file.
    pub fn line(&self) -> u32 {
        self.line
    }

    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    pub(crate) fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    #[inline]
    pub(crate) fn number(&'static self) -> Number {
        let number = self.number.load(Acquire);
        if number == Number::NONE {
            self.register()
        } else {
            number
        }
    }

    #[cold]
    #[inline(never)]
    fn register(&'static self) -> Number {
        let mut number = Number::NONE;
        let nothing = || Some(());
        CALLSITES.add(nothing, |(), new| {
            number = new;
            self
        });
        // Two threads may come here at once: both numbers lead here, and the first is kept.
        self.number
            .compare_exchange(Number::NONE, number)
            .map_or_else(|first| first, |()| number)
    }

    pub(crate) fn get(number: Number) -> Option<&'static Self> {
        CALLSITES.get(number)
    }
}

/// `my_crate::handle::{{closure}}::here` is in `handle`.
fn enclosing(item: &'static str) -> &'static str {
    let mut path = item.rsplit_once("::").map_or("", |(path, _)| path);
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    path.rsplit_once("::").map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_enclosing_functions() {
        assert_eq!(enclosing("my_crate::handle::here"), "handle");
        assert_eq!(
            enclosing("my_crate::handle::{{closure}}::{{closure}}::here"),
            "handle"
        );
        assert_eq!(
            enclosing("<my_crate::Store as my_crate::Get>::get::here"),
            "get"
        );
        assert_eq!(enclosing("here"), "");
    }
}
