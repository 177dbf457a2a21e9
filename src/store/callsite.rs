//! A callsite: the static place in the code that opens a call.

use std::fmt::Display;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Acquire;

use crate::primitives::pool::{AtomicNumber, Directory, Number};
use crate::primitives::sync::{const_fn, shared_static};
use crate::primitives::text::{Text, Texts};

shared_static! {
    static CALLSITES: Directory<Callsite> = Directory::new();
}

/// Place in the code that opens calls: function, module, file and line, and the names of its labels.
///
/// [`call!`](crate::call!) and [`#[traced]`](crate::traced) make a static of it. An integration that
/// opens calls by itself makes its own, once for each place, and opens calls with [`Call::open`]:
///
/// - [`Callsite::new`], if all of it is known at compile time, as a static in a macro of its own;
/// - [`NewCallsite`](crate::NewCallsite), if it is known at run time only.
///
/// A callsite lives as long as the process, and gets its number when it is first used.
///
/// ```
/// use tracer::{Call, Callsite, Trace};
///
/// static QUERY: Callsite = Callsite::new("query", "shop::db", file!(), line!())
///     .with_id()
///     .with_labels(&["table", "rows"]);
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// Call::open_with(&QUERY, Some(&42), &[Some(&"orders"), None]).stop();
/// drop(scope);
/// let call = &trace.report().calls[0];
/// assert_eq!((&*call.name, &*call.module, call.id.as_deref()), ("query", "shop::db", Some("42")));
/// assert_eq!(call.labels, [("table".into(), "orders".to_owned())]);
/// ```
///
/// [`Call::open`]: crate::Call::open
#[doc(alias = "Metadata")]
#[derive(Debug)]
pub struct Callsite {
    function: Function,
    module: &'static str,
    file: &'static str,
    line: u32,
    has_id: bool,
    labels: &'static [&'static str],
    /// Whether a call may lack its id and any of its labels.
    is_optional: bool,
    number: AtomicNumber,
    name: OnceLock<&'static str>,
}

/// Which of the texts of a callsite's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextPlace {
    Id,
    /// The label at this place among the names of the labels.
    Label(usize),
}

impl TextPlace {
    pub(crate) fn to_bits(self) -> u32 {
        match self {
            Self::Id => 0,
            Self::Label(place) => u32::try_from(place + 1).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        match bits {
            0 => Self::Id,
            bits => Self::Label(bits as usize - 1),
        }
    }
}

#[derive(Debug)]
enum Function {
    Named(&'static str),
    /// The type name of a function item inside it; type names are not known to constants.
    Around(fn() -> &'static str),
}

impl Callsite {
    const_fn! {
        /// Returns a callsite with this name, in this module, file and line; without an id and labels.
        pub const fn new(
            name: &'static str,
            module: &'static str,
            file: &'static str,
            line: u32,
        ) -> Self {
            let mut callsite = Self::made(Function::Named(name), (module, file, line), false, &[]);
            callsite.is_optional = true;
            callsite
        }
    }

    /// Lets its calls have ids.
    #[must_use]
    pub const fn with_id(mut self) -> Self {
        self.has_id = true;
        self
    }

    /// Lets its calls have labels, of these names in this order.
    #[must_use]
    pub const fn with_labels(mut self, names: &'static [&'static str]) -> Self {
        self.labels = names;
        self
    }

    const_fn! {
        /// For the macros: returns a place in the function with this name.
        #[doc(hidden)]
        pub const fn named(
            name: &'static str,
            place: (&'static str, &'static str, u32),
            has_id: bool,
            labels: &'static [&'static str],
        ) -> Self {
            Self::made(Function::Named(name), place, has_id, labels)
        }
    }

    const_fn! {
        /// For the macros: returns a place in the function around the item with this type name.
        #[doc(hidden)]
        pub const fn around(
            item: fn() -> &'static str,
            place: (&'static str, &'static str, u32),
            has_id: bool,
            labels: &'static [&'static str],
        ) -> Self {
            Self::made(Function::Around(item), place, has_id, labels)
        }
    }

    const_fn! {
        const fn made(
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
                is_optional: false,
                number: AtomicNumber::none(),
                name: std::sync::OnceLock::new(),
            }
        }
    }

    /// Returns the function's name, without its path.
    pub fn name(&self) -> &'static str {
        match self.function {
            Function::Named(name) => name,
            Function::Around(item) => self.name.get_or_init(|| enclosing(item())),
        }
    }

    /// Returns the module's path.
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// Returns the source file, as the compiler knows it.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// Returns the line in the file.
    pub fn line(&self) -> u32 {
        self.line
    }

    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    /// Returns whether its calls have texts: an id, labels, or both.
    pub(crate) fn has_texts(&self) -> bool {
        self.has_id || !self.labels.is_empty()
    }

    /// Formats the texts of a call that may lack some. The labels are those of the names at their
    /// places.
    pub(crate) fn write_texts(
        &self,
        id: Option<&dyn Display>,
        labels: &[Option<&dyn Display>],
    ) -> Text {
        if id.is_none() && labels.iter().all(Option::is_none) {
            return Text::default();
        }
        let id = self.has_id.then_some(id);
        let labels = (0..self.labels.len()).map(|place| labels.get(place).copied().flatten());
        Text::of_several(id.into_iter().chain(labels))
    }

    /// Returns the id and the labels that were written.
    pub(crate) fn read_texts(&self, bytes: &[u8]) -> Texts {
        if self.is_optional {
            Text::read_optional(bytes, self.has_id, self.labels.len())
        } else {
            Text::read_call(bytes, self.has_id, self.labels.len())
        }
    }

    /// Sets one of a call's texts, if its calls have it.
    pub(crate) fn set_text(&self, (id, labels): &mut Texts, place: TextPlace, text: String) {
        match place {
            TextPlace::Id => *id = Some(text),
            TextPlace::Label(place) => {
                if labels.len() <= place && place < self.labels.len() {
                    labels.resize(place + 1, None);
                }
                if let Some(label) = labels.get_mut(place) {
                    *label = Some(text);
                }
            }
        }
    }

    pub(crate) fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    #[inline]
    pub(crate) fn number(&'static self) -> Number {
        self.known_number().unwrap_or_else(|| self.register())
    }

    /// Returns the number, unless the callsite is yet to be registered.
    #[inline]
    pub(crate) fn known_number(&'static self) -> Option<Number> {
        let number = self.number.load(Acquire);
        (number != Number::NONE).then_some(number)
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
        // Two threads may be here at once: both numbers lead here, and the first is kept.
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
