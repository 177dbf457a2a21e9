//! The frames of addresses that were looked up before, the oldest of them dropped at a limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Frame;

/// The most addresses in the cache.
const MAX_ADDRESSES: usize = 4096;
/// The most bytes of names and paths in the cache.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Frames by address.
#[derive(Debug, Default)]
pub(super) struct Cache {
    frames: HashMap<u64, Arc<[Frame]>>,
    /// The addresses, the oldest first.
    order: VecDeque<u64>,
    text_bytes: usize,
}

impl Cache {
    pub(super) fn get(&self, address: u64) -> Option<&Arc<[Frame]>> {
        self.frames.get(&address)
    }

    /// Adds an address that is not in the cache.
    pub(super) fn insert(&mut self, address: u64, frames: &Arc<[Frame]>) {
        let added = text_bytes(frames);
        if added > MAX_TEXT_BYTES {
            return;
        }
        while self.order.len() == MAX_ADDRESSES || self.text_bytes + added > MAX_TEXT_BYTES {
            self.drop_oldest();
        }
        self.text_bytes += added;
        self.order.push_back(address);
        self.frames.insert(address, Arc::clone(frames));
    }

    fn drop_oldest(&mut self) {
        let oldest = self.order.pop_front();
        if let Some(frames) = oldest.and_then(|oldest| self.frames.remove(&oldest)) {
            self.text_bytes -= text_bytes(&frames);
        }
    }
}

fn text_bytes(frames: &[Frame]) -> usize {
    let texts = frames
        .iter()
        .flat_map(|frame| [&frame.function, &frame.file]);
    texts.flatten().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(function: String) -> Arc<[Frame]> {
        Arc::new([Frame {
            function: Some(function),
            ..Frame::unknown(0)
        }])
    }

    #[test]
    fn the_oldest_addresses_are_dropped_at_the_limit_of_addresses() {
        let mut cache = Cache::default();
        for address in 0..MAX_ADDRESSES as u64 + 2 {
            cache.insert(address, &frames(address.to_string()));
        }
        assert_eq!(cache.frames.len(), MAX_ADDRESSES);
        assert_eq!((cache.get(0), cache.get(1)), (None, None));
        assert_eq!(cache.get(2), Some(&frames("2".to_owned())));
    }

    #[test]
    fn the_oldest_addresses_are_dropped_at_the_limit_of_text() {
        let mut cache = Cache::default();
        cache.insert(1, &frames("a".repeat(MAX_TEXT_BYTES - 10)));
        cache.insert(2, &frames("b".repeat(10)));
        assert!(cache.get(1).is_some());
        cache.insert(3, &frames("c".to_owned()));
        assert_eq!((cache.get(1), cache.text_bytes), (None, 11));
        cache.insert(4, &frames("d".repeat(MAX_TEXT_BYTES + 1)));
        assert_eq!((cache.get(4), cache.text_bytes), (None, 11));
    }
}
