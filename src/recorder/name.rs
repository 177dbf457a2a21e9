//! The name of a request as it begins: in parts, which are put together only if its route is not found by them.

use arrayvec::ArrayString;

use crate::primitives::text::character_boundary;

use super::bounded::{Bounded, bounded};

/// A name in one part, or in several that follow each other.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a>([&'a str; 3]);

impl<'a> Name<'a> {
    pub(crate) const fn of(name: &'a str) -> Self {
        Self([name, "", ""])
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn of_parts(parts: [&'a str; 3]) -> Self {
        Self(parts)
    }

    /// Returns whether this text is the name.
    #[inline]
    pub(super) fn is(self, name: &str) -> bool {
        let length: usize = self.0.iter().map(|part| part.len()).sum();
        // The last part tells most, if there are several.
        let rest = { self.0.iter().rev() }.try_fold(name, |rest, part| rest.strip_suffix(part));
        length == name.len() && rest.is_some()
    }

    /// Returns a number, below `count`, that is mostly another one for another name: by where the texts are, since those
    /// of a route are always at one place.
    #[inline]
    pub(super) fn place(self, count: usize) -> usize {
        let [first, _, last] = self.0.map(|part| part.as_ptr().addr() as u64);
        let mixed = (first ^ last.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The upper bits are well mixed.
        (mixed >> 40) as usize % count
    }

    /// Returns as much of the name as is kept.
    pub(super) fn text(self) -> Bounded<'a> {
        if let [name, "", ""] = self.0 {
            return bounded(name);
        }
        let mut joined = ArrayString::new();
        for part in self.0 {
            let end = character_boundary(part.as_bytes(), joined.remaining_capacity());
            joined.push_str(&part[..end]);
        }
        Bounded::Cut(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_compared_as_they_are_put_together() {
        for parts in [
            ["GET", " ", "/a"],
            ["GET", "", ""],
            ["", "", ""],
            ["a", "", "b"],
        ] {
            let (name, whole) = (Name(parts), parts.concat());
            assert_eq!(&*name.text(), whole);
            assert!(name.is(&whole) && !name.is(&format!("{whole}x")));
            assert!(whole.is_empty() || !name.is(&whole[1..]));
        }
        let long = "é".repeat(200);
        assert_eq!(
            &*Name(["GET", " ", &long]).text(),
            format!("GET {}", "é".repeat(126))
        );
    }
}
