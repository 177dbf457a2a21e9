//! The name of a request as it begins: in parts, which are put together only if its route is not found by them.

use arrayvec::ArrayString;

use crate::primitives::text::character_boundary;

use super::bounded::{Bounded, bounded};

/// A name in one part, or in two with a space between them.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    first: &'a str,
    second: Option<&'a str>,
}

impl<'a> Name<'a> {
    pub(crate) const fn of(name: &'a str) -> Self {
        Self {
            first: name,
            second: None,
        }
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn spaced(first: &'a str, second: &'a str) -> Self {
        Self {
            first,
            second: Some(second),
        }
    }

    /// Returns whether this text is the name.
    #[inline]
    pub(super) fn is(self, name: &str) -> bool {
        let Some(second) = self.second else {
            return self.first == name;
        };
        // The second part tells most.
        let is_long = name.len() == self.first.len() + 1 + second.len();
        is_long
            && name.ends_with(second)
            && name.as_bytes()[self.first.len()] == b' '
            && name.starts_with(self.first)
    }

    /// Returns a number, below `count`, that is mostly another one for another name: by where the texts are, since those
    /// of a route are always at one place.
    #[inline]
    pub(super) fn place(self, count: usize) -> usize {
        let address = |part: &str| part.as_ptr().addr() as u64;
        let (first, second) = (address(self.first), self.second.map_or(0, address));
        let mixed = (first ^ second.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The upper bits are well mixed.
        (mixed >> 40) as usize % count
    }

    /// Returns as much of the name as is kept.
    pub(super) fn text(self) -> Bounded<'a> {
        let Some(second) = self.second else {
            return bounded(self.first);
        };
        let mut joined = ArrayString::new();
        for part in [self.first, " ", second] {
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
        let name = |first, second| Name { first, second };
        for (name, whole) in [
            (name("GET", Some("/a")), "GET /a"),
            (name("GET", None), "GET"),
            (name("", None), ""),
            (name("", Some("b")), " b"),
            (name("é", Some("")), "é "),
        ] {
            assert_eq!(&*name.text(), whole);
            assert!(name.is(whole) && !name.is(&format!("{whole}x")));
            let shorter = whole.chars().skip(1).collect::<String>();
            assert!(whole.is_empty() || !name.is(&shorter));
        }
        let spaced = name("GET", Some("/a"));
        assert!(!spaced.is("GET_/a") && !spaced.is("PUT /a") && !spaced.is("GET /b"));
        let long = "é".repeat(200);
        assert_eq!(
            &*name("GET", Some(&long)).text(),
            format!("GET {}", "é".repeat(126))
        );
    }
}
