//! The members of the header `tracestate`: <https://www.w3.org/TR/trace-context-2/#tracestate-header>.

use arrayvec::ArrayVec;

use crate::store::tracestate::MAX_BYTES;

use super::traceparent::without_space;

/// What is sent on of others' members.
pub(super) type Others = ArrayVec<u8, MAX_BYTES>;

/// The key of this crate.
pub(super) const KEY: &[u8] = b"tracer";
/// The most members of a list.
const MOST: usize = 32;
/// The most bytes of a key, and of a value.
const LONGEST: usize = 256;
/// Longer members are dropped before others.
const LONG: usize = 128;

/// Returns what is sent on of a `tracestate` in one or several headers: the members of others, in their order.
/// Nothing is left of a malformed one.
///
/// There is room for a member of our own. If it is too long, long members are left out first, then others, the
/// last ones first.
pub(super) fn combined<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Others {
    let mut members = ArrayVec::<&[u8], MOST>::new();
    let mut count = 0;
    // With the commas between them, and one more.
    let mut bytes = 0;
    for member in headers.flat_map(|header| header.split(|byte| *byte == b',')) {
        let member = without_space(member);
        if member.is_empty() {
            continue;
        }
        count += 1;
        let Some(key) = key(member).filter(|_| count <= MOST) else {
            return Others::new();
        };
        if key != KEY {
            members.push(member);
            bytes += member.len() + 1;
        }
    }
    while members.len() == MOST || bytes > MAX_BYTES + 1 {
        let long = members.iter().rposition(|member| member.len() > LONG);
        let last = match long {
            Some(long) if bytes > MAX_BYTES + 1 => long,
            _ => members.len() - 1,
        };
        bytes -= members.remove(last).len() + 1;
    }
    let mut combined = Others::new();
    for (place, member) in members.iter().enumerate() {
        combined.extend((place > 0).then_some(b','));
        combined.extend(member.iter().copied());
    }
    combined
}

/// Returns the key of a well-formed member.
fn key(member: &[u8]) -> Option<&[u8]> {
    let equals = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let is_start = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let is_key = |it: &u8| is_start(it) || matches!(it, b'_' | b'-' | b'*' | b'/' | b'@');
    let is_value = |it: &u8| matches!(it, b' '..=b'~') && *it != b'=';
    let is_well_formed = key.first().is_some_and(is_start)
        && key.len() <= LONGEST
        && key.iter().all(is_key)
        && (1..=LONGEST).contains(&value.len())
        && value.iter().all(is_value);
    is_well_formed.then_some(key)
}
