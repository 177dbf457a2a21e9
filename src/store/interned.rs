//! Callsites that are known only at run time: made once, found again without a lock.
//!
//! They are in a table from which nothing is ever removed. A place in it is empty, or leads to a
//! callsite for ever. So a search goes from its first place on until the callsite is found or a place is
//! empty, and an addition exchanges an empty place for the callsite. No place is ever waited for, so a
//! forked process can go on using the table.

use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::{AtomicCell, array, shared_static};
use crate::primitives::text::{CUT, character_boundary};
use crate::store::callsite::Callsite;

/// Description of a callsite that is made at run time, by code that opens calls on behalf of other code:
/// once for each place of that code.
///
/// [`intern`](Self::intern) finds it by its fields, and [`intern_for`](Self::intern_for) by a static
/// that stands for it, which is quicker. A process keeps at most 4,096 callsites of this kind and 1 MiB
/// of their texts, and never frees them. Beyond that, or if memory runs out, all others are one callsite
/// named `(other)`. Texts longer than 256 bytes are cut, and labels after the first 64 are left out.
///
/// ```
/// use tracer::{Call, Callsite, NewCallsite, Trace};
///
/// /// What some framework knows of a handler.
/// struct Handler { name: String, file: &'static str, line: u32 }
///
/// fn callsite(handler: &'static Handler) -> &'static Callsite {
///     Callsite::interned_for(handler).unwrap_or_else(|| {
///         let new = NewCallsite {
///             name: &handler.name,
///             module: "handlers",
///             file: handler.file,
///             line: handler.line,
///             labels: &["user"],
///             ..NewCallsite::default()
///         };
///         new.intern_for(handler)
///     })
/// }
///
/// let handler = Box::leak(Box::new(Handler { name: "buy".to_owned(), file: "buy.rs", line: 7 }));
/// let trace = Trace::new();
/// let scope = trace.inject();
/// Call::open_with(callsite(handler), None, &[Some(&"ada")]).stop();
/// Call::open(callsite(handler)).stop();
/// drop(scope);
/// assert_eq!(trace.report().calls[0].labels, [("user".into(), "ada".to_owned())]);
/// assert_eq!((&*trace.report().calls[1].name, trace.report().calls[1].line), ("buy", 7));
/// ```
#[doc(alias = "Metadata")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewCallsite<'a> {
    /// The function's name, or a text in its place.
    pub name: &'a str,
    /// The module's path.
    pub module: &'a str,
    /// The source file; empty if it is not known.
    pub file: &'a str,
    /// The line in the file; 0 if it is not known.
    pub line: u32,
    /// Whether calls may have ids.
    pub has_id: bool,
    /// The names of the labels that calls may have.
    pub labels: &'a [&'a str],
}

/// A callsite in the table, with its key.
struct Interned {
    /// A static's address and type; `None` if the fields are the key.
    stands_for: Option<(usize, TypeId)>,
    callsite: Callsite,
}

/// A place in the table. Two are equal when they lead to the same one.
#[derive(Clone, Copy)]
struct Link(&'static Interned);

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Link {}

// So that a place is never waited for.
#[cfg(not(loom))]
const _: () = assert!(AtomicCell::<Option<Link>>::is_lock_free());

const MOST: usize = 4096;
const MOST_BYTES: usize = 1 << 20;
const MOST_TEXT_BYTES: usize = 256;
const MOST_LABELS: usize = 64;

/// Half of the places stay empty, so that a search soon ends. Not for loom, which has no model of it.
const PLACES: usize = if cfg!(loom) { 2 } else { 2 * MOST };

struct Table {
    places: [AtomicCell<Option<Link>>; PLACES],
    count: AtomicUsize,
    bytes: AtomicUsize,
}

shared_static! {
    static TABLE: Table = Table {
        places: array![AtomicCell::new(None); PLACES],
        count: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
    };
}

shared_static! {
    static OTHER: Callsite = Callsite::new("(other)", "", "", 0);
}

impl Table {
    /// Returns the places from this one on, up to the first that is empty.
    fn from(&self, first: usize) -> impl Iterator<Item = (usize, Option<&'static Interned>)> {
        (0..PLACES).map(move |offset| {
            let place = (first + offset) % PLACES;
            (place, self.places[place].load().map(|link| link.0))
        })
    }

    fn find(&self, first: usize, is_it: impl Fn(&Interned) -> bool) -> Option<&'static Callsite> {
        self.from(first)
            .map_while(|(_, interned)| interned)
            .find(|interned| is_it(interned))
            .map(|interned| &interned.callsite)
    }

    #[cold]
    fn find_or_add(
        &self,
        first: usize,
        is_it: impl Fn(&Interned) -> bool,
        new: &NewCallsite<'_>,
        stands_for: Option<(usize, TypeId)>,
    ) -> &'static Callsite {
        if let Some(found) = self.find(first, &is_it) {
            return found;
        }
        let added = alloc_counter::exclude(|| {
            let interned = Link(new.leak(self, stands_for)?);
            for (place, there) in self.from(first) {
                let there = there.or_else(|| {
                    let exchanged = self.places[place].compare_exchange(None, Some(interned));
                    exchanged.err().flatten().map(|link| link.0)
                });
                match there {
                    None => return Some(&interned.0.callsite),
                    // Another thread was first. The memory that this one has leaked is counted, so that
                    // it, too, is bounded.
                    Some(there) if is_it(there) => return Some(&there.callsite),
                    Some(_) => {}
                }
            }
            None
        });
        added.unwrap_or(&OTHER)
    }

    /// Reserves room for one more callsite, with texts of this length. Returns whether there is any.
    fn reserve(&self, bytes: usize) -> bool {
        let take = |used: &AtomicUsize, more, most| {
            let sum = |used: usize| Some(used + more).filter(|sum| *sum <= most);
            used.fetch_update(Relaxed, Relaxed, sum).is_ok()
        };
        take(&self.bytes, bytes, MOST_BYTES) && take(&self.count, 1, MOST)
    }
}

impl NewCallsite<'_> {
    /// Returns the callsite with these fields, which is made the first time.
    ///
    /// Cost: hashes all texts, and compares them. Keep the reference for the next call, or use
    /// [`intern_for`](Self::intern_for).
    pub fn intern(&self) -> &'static Callsite {
        let mut hasher = DefaultHasher::new();
        let strings = [self.name, self.module, self.file].into_iter();
        for text in strings.chain(self.labels()) {
            cut(text).hash(&mut hasher);
        }
        (self.line, self.has_id).hash(&mut hasher);
        // The remainder is less than the number of places.
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is one")]
        let first = hasher.finish() as usize % PLACES;
        let is_it = |it: &Interned| it.stands_for.is_none() && self.describes(&it.callsite);
        TABLE.find_or_add(first, is_it, self, None)
    }

    /// Returns the callsite for `key`, which is made from these fields the first time.
    ///
    /// The key is any static value that stands for the place, such as the `Metadata` of a `tracing`
    /// span. It is identified by its address and type, so a zero-sized type does not compile. Call
    /// [`Callsite::interned_for`] first, which takes only a few loads.
    pub fn intern_for<K: 'static>(&self, key: &'static K) -> &'static Callsite {
        let (first, key) = of_key(key);
        TABLE.find_or_add(first, |it| it.stands_for == Some(key), self, Some(key))
    }

    fn labels(&self) -> impl Iterator<Item = &str> + Clone {
        self.labels.iter().take(MOST_LABELS).copied()
    }

    fn describes(&self, callsite: &Callsite) -> bool {
        let is = |text: &str, known: &str| {
            let (start, mark) = cut(text);
            known.strip_prefix(start) == Some(mark)
        };
        is(self.name, callsite.name())
            && is(self.module, callsite.module())
            && is(self.file, callsite.file())
            && self.line == callsite.line()
            && self.has_id == callsite.has_id()
            && self.labels().count() == callsite.labels().len()
            && { self.labels().zip(callsite.labels()) }.all(|(label, known)| is(label, known))
    }

    /// Makes a callsite that is never freed; `None` if there is no room or no memory for it.
    fn leak(
        &self,
        table: &Table,
        stands_for: Option<(usize, TypeId)>,
    ) -> Option<&'static Interned> {
        let texts = [self.name, self.module, self.file];
        let all = texts.into_iter().chain(self.labels());
        if !table.reserve(all.map(str::len).map(|it| it.min(MOST_TEXT_BYTES)).sum()) {
            return None;
        }
        let mut labels = Vec::new();
        labels.try_reserve_exact(self.labels().count()).ok()?;
        for label in self.labels() {
            labels.push(leaked(label)?);
        }
        let [name, module, file] = texts.map(leaked);
        let mut callsite = Callsite::new(name?, module?, file?, self.line);
        if self.has_id {
            callsite = callsite.with_id();
        }
        let interned = Interned {
            stands_for,
            callsite: callsite.with_labels(labels.leak()),
        };
        let mut one = Vec::new();
        one.try_reserve_exact(1).ok()?;
        one.push(interned);
        one.leak().first()
    }
}

fn leaked(text: &str) -> Option<&'static str> {
    let (start, mark) = cut(text);
    let mut copy = String::new();
    copy.try_reserve_exact(start.len() + mark.len()).ok()?;
    copy.push_str(start);
    copy.push_str(mark);
    Some(copy.leak())
}

/// Returns the kept part of a text, and the mark that follows it.
fn cut(text: &str) -> (&str, &'static str) {
    if text.len() <= MOST_TEXT_BYTES {
        return (text, "");
    }
    let end = character_boundary(text.as_bytes(), MOST_TEXT_BYTES - CUT.len());
    (&text[..end], CUT)
}

/// Returns where the search for a static's callsite begins, and its key.
#[inline]
fn of_key<K: 'static>(key: &'static K) -> (usize, (usize, TypeId)) {
    const {
        assert!(
            size_of::<K>() > 0,
            "a zero-sized static may share its address"
        );
    };
    let address = std::ptr::from_ref(key).addr();
    // Spreads the addresses, of which neighbours are some multiple of 8 apart, by the golden ratio.
    let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below the number of places"
    )]
    let first = (spread >> (u64::BITS - PLACES.ilog2())) as usize;
    (first, (address, TypeId::of::<K>()))
}

impl Callsite {
    /// Returns the callsite that was made [for](NewCallsite::intern_for) this static; `None` if there
    /// is none, or too many were made.
    ///
    /// Cost: a multiplication and some loads and comparisons; no lock, and nothing is hashed.
    #[inline]
    pub fn interned_for<K: 'static>(key: &'static K) -> Option<&'static Self> {
        let (first, key) = of_key(key);
        TABLE.find(first, |it| it.stands_for == Some(key))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_is_one_callsite() {
        let new = NewCallsite {
            name: "one",
            module: "m",
            file: "f",
            line: 1,
            ..NewCallsite::default()
        };
        let one = new.intern();
        assert!(std::ptr::eq(one, new.intern()));
        let others = [
            NewCallsite { name: "two", ..new },
            NewCallsite { module: "", ..new },
            NewCallsite { file: "g", ..new },
            NewCallsite { line: 2, ..new },
            NewCallsite {
                has_id: true,
                ..new
            },
            NewCallsite {
                labels: &["a"],
                ..new
            },
        ];
        for other in others {
            let interned = other.intern();
            assert!(!std::ptr::eq(one, interned) && std::ptr::eq(interned, other.intern()));
        }
    }
}
