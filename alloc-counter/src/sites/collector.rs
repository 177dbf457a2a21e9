//! The sites of a recording, with their figures.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::counts::Counts;
use crate::overhead::{Overhead, exclude};

use super::Site;
use super::room::SiteRoom;

#[derive(Debug)]
pub(super) struct Collector {
    /// By the owner and the frames.
    sites: HashMap<Box<[usize]>, Figures, BuildHasherDefault<AddressHasher>>,
    not_recorded: Counts,
    room: SiteRoom,
}

/// The figures of a site. As floating-point numbers they are exact up to 2⁵³.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    is_whole: bool,
    allocations: f64,
    reallocations: f64,
    bytes: f64,
    /// The estimated variance of the bytes.
    variance: f64,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.reallocations += other.reallocations;
        self.bytes += other.bytes;
        self.variance += other.variance;
    }

    fn counts(&self) -> Counts {
        Counts {
            allocations: rounded(self.allocations),
            reallocations: rounded(self.reallocations),
            bytes_allocated: rounded(self.bytes),
            ..Counts::ZERO
        }
    }
}

impl Collector {
    pub(super) fn new(room: SiteRoom) -> Self {
        Self {
            sites: HashMap::default(),
            not_recorded: Counts::ZERO,
            room,
        }
    }

    /// Records an allocation, which stands for `weight` ones. Its key is the owner, followed by the frames.
    pub(super) fn record(
        &mut self,
        (key, is_whole): (&[usize], bool),
        counts: Counts,
        weight: f64,
    ) {
        let bytes = float(counts.bytes_allocated);
        let figures = Figures {
            is_whole,
            allocations: float(counts.allocations) * weight,
            reallocations: float(counts.reallocations) * weight,
            bytes: bytes * weight,
            // Of the estimator of Horvitz and Thompson, where the weight is 1 / p: s² (1 − p) / p².
            variance: bytes * bytes * weight * (weight - 1.0),
        };
        if !self.add(key, &figures) {
            self.lose(figures.counts());
        }
    }

    /// Notes an allocation that is at no site.
    pub(super) fn lose(&mut self, counts: Counts) {
        self.not_recorded += counts;
    }

    /// Returns `false` if there is no room for another site.
    fn add(&mut self, key: &[usize], figures: &Figures) -> bool {
        if let Some(known) = self.sites.get_mut(key) {
            known.add(figures);
            return true;
        }
        if !self.room.take() {
            return false;
        }
        let mut kept = Vec::new();
        let has_memory =
            self.sites.try_reserve(1).is_ok() && kept.try_reserve_exact(key.len()).is_ok();
        if has_memory {
            kept.extend_from_slice(key);
            self.sites.insert(kept.into_boxed_slice(), *figures);
        } else {
            self.room.give_back();
        }
        has_memory
    }

    /// Adds the sites of another one that shares its room with this one.
    pub(super) fn merge(&mut self, other: Self) {
        self.not_recorded += other.not_recorded;
        for (key, figures) in other.sites {
            if let Some(known) = self.sites.get_mut(&key) {
                known.add(&figures);
                self.room.give_back();
            } else if self.sites.try_reserve(1).is_ok() {
                self.sites.insert(key, figures);
            } else {
                self.room.give_back();
                self.lose(figures.counts());
            }
        }
    }

    /// Returns the sites and their owners, in no order.
    pub(super) fn sites(&self) -> impl Iterator<Item = (u32, Site)> {
        self.sites.iter().map(|(key, figures)| {
            let site = Site {
                frames: exclude(|| Overhead::new(key[1..].to_vec())),
                is_whole: figures.is_whole,
                allocations: rounded(figures.allocations),
                reallocations: rounded(figures.reallocations),
                bytes_allocated: rounded(figures.bytes),
                error_bytes: rounded(figures.variance.sqrt()),
            };
            #[expect(clippy::cast_possible_truncation, reason = "it was made of 32 bits")]
            let owner = key[0] as u32;
            (owner, site)
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let of_keys: usize = self.sites.keys().map(|key| size_of_val(&**key)).sum();
        self.sites.capacity() * size_of::<(Box<[usize]>, Figures)>() + of_keys
    }

    pub(super) fn not_recorded(&self) -> Counts {
        self.not_recorded
    }

    pub(super) fn take_not_recorded(&mut self) -> Counts {
        std::mem::replace(&mut self.not_recorded, Counts::ZERO)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³")]
fn float(figure: u64) -> f64 {
    figure as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and saturating"
)]
fn rounded(figure: f64) -> u64 {
    figure.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample stands for more than itself, also if there is no room for it.
    #[test]
    fn what_is_not_recorded_is_estimated_as_what_is() {
        let mut collector = Collector::new(SiteRoom::new(1));
        let counts = Counts {
            allocations: 1,
            bytes_allocated: 100,
            ..Counts::ZERO
        };
        for key in [&[7, 1][..], &[7, 2]] {
            collector.record((key, true), counts, 50.0);
        }
        let lost = collector.not_recorded();
        assert_eq!((lost.allocations, lost.bytes_allocated), (50, 5000));
        let (_, site) = collector.sites().next().unwrap();
        assert_eq!((site.allocations, site.bytes_allocated), (50, 5000));
    }

    #[test]
    fn it_takes_the_bytes_of_its_frames_and_places() {
        let mut collector = Collector::new(SiteRoom::new(2));
        assert_eq!(collector.bytes(), 0);
        for key in [&[7, 1, 2, 3][..], &[7, 1, 2, 3], &[7, 4], &[7, 5]] {
            collector.record((key, true), Counts::ZERO, 1.0);
        }
        let places = collector.sites.capacity() * size_of::<(Box<[usize]>, Figures)>();
        // Of two sites, each with its owner.
        assert_eq!(collector.bytes(), places + (4 + 2) * size_of::<usize>());
    }
}

/// Hashes addresses of code, which nobody chooses to collide, faster than the standard library's hasher.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let [one, other] = [&pair[..8], &pair[8..]].map(word);
            self.mix(one, other);
        }
        if !rest.is_empty() {
            let (one, other) = rest.split_at(rest.len().min(8));
            self.mix(word(one), word(other));
        }
    }

    fn write_usize(&mut self, len: usize) {
        self.0 ^= len as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl AddressHasher {
    /// Multiplies to 128 bits, all of which depend on all bits of the words, as wyhash does:
    /// <https://github.com/wangyi-fudan/wyhash>.
    #[inline]
    fn mix(&mut self, one: u64, other: u64) {
        let one = self.0 ^ one ^ 0xa076_1d64_78bd_642f;
        let product = u128::from(one) * u128::from(other ^ 0xe703_7ed1_a0b4_28db);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let lower = product as u64;
        self.0 = lower ^ (product >> 64) as u64;
    }
}

/// Returns up to eight bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}
