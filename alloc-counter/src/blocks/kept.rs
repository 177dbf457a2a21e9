//! What was kept: how many blocks, and the largest of them.

use std::fmt;

/// The most sizes that are told apart.
const SIZES: usize = 5;

/// Blocks that were allocated and not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// How many blocks.
    pub blocks: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// The five largest sizes and how many blocks have each, the largest size first.
    sizes: [(usize, u64); SIZES],
}

impl Kept {
    /// Returns the largest sizes, at most five, and how many blocks have each; the largest size first. Empty if the
    /// blocks were being moved when they were looked at.
    pub fn sizes(&self) -> &[(usize, u64)] {
        let len = self.sizes.iter().take_while(|(_, blocks)| *blocks > 0);
        &self.sizes[..len.count()]
    }

    /// Adds a block. A size that is pushed out is smaller than the others, and so never comes back.
    pub(super) fn add(&mut self, size: usize) {
        self.blocks += 1;
        self.bytes += size as u64;
        let larger = self.sizes().iter().take_while(|(other, _)| *other > size);
        let at = larger.count();
        match self.sizes.get_mut(at) {
            Some((other, blocks)) if *other == size && *blocks > 0 => *blocks += 1,
            Some(_) => {
                self.sizes[at..].rotate_right(1);
                self.sizes[at] = (size, 1);
            }
            None => {}
        }
    }
}

/// Writes `3 blocks, 2080 bytes: 1 of 1056, 2 of 512`.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, bytes, .. } = self;
        let s = if *blocks == 1 { "" } else { "s" };
        write!(f, "{blocks} block{s}, {bytes} bytes")?;
        let mut between = ": ";
        let mut rest = *blocks;
        for (size, number) in self.sizes() {
            write!(f, "{between}{number} of {size}")?;
            between = ", ";
            rest -= number;
        }
        if rest > 0 && rest < *blocks {
            write!(f, ", {rest} smaller")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sizes: &[usize]) -> Kept {
        let mut kept = Kept::default();
        for size in sizes {
            kept.add(*size);
        }
        kept
    }

    #[test]
    fn the_largest_sizes_are_told_with_their_numbers() {
        assert_eq!(of(&[]).to_string(), "0 blocks, 0 bytes");
        assert_eq!(of(&[8]).to_string(), "1 block, 8 bytes: 1 of 8");
        let text = of(&[8, 9, 8, 100, 9, 8]).to_string();
        assert_eq!(text, "6 blocks, 142 bytes: 1 of 100, 2 of 9, 3 of 8");
        let text = of(&[1, 2, 3, 1, 4, 5, 2, 6, 1, 7, 7, 3]).to_string();
        assert_eq!(
            text,
            "12 blocks, 42 bytes: 2 of 7, 1 of 6, 1 of 5, 1 of 4, 2 of 3, 5 smaller"
        );
    }

    #[test]
    fn sizes_are_those_of_a_sorted_list() {
        let mut state = 1_u32;
        let sizes: Vec<usize> = (0..1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 28) as usize + 1
            })
            .collect();
        let kept = of(&sizes);
        let number = |size| sizes.iter().filter(|it| **it == size).count() as u64;
        let expected: Vec<_> = (12..=16).rev().map(|size| (size, number(size))).collect();
        assert_eq!(kept.sizes(), expected);
    }
}
