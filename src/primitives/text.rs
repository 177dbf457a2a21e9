//! Text from outside, formatted once and bounded: ids, labels, error messages.

use std::any::Any;
use std::fmt::{self, Display, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrayvec::ArrayVec;

/// The most bytes that the texts of one call, one checkpoint or one message may have together.
pub(crate) const MAX_BYTES: usize = 1024;

/// Marks the place at which a text was cut.
pub(crate) const CUT: &str = "…";
const BROKEN: &str = "(formatting failed)";
const PANICKED: &str = "(formatting panicked)";

/// One text, or several with the length of each before it, on the stack.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: ArrayVec<u8, MAX_BYTES>,
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// The id and the labels of a call; it may lack each of them.
pub(crate) type Texts = (Option<String>, Vec<Option<String>>);

/// The bytes of a length.
const HEAD: usize = size_of::<u16>();
/// Stands for a text that a call does not have. It is longer than any length.
const LACKING: [u8; HEAD] = u16::MAX.to_le_bytes();

impl Text {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the text, if it is a single one.
    pub(crate) fn as_str(&self) -> &str {
        // Cuts are at a character's boundary.
        std::str::from_utf8(&self.bytes).unwrap_or(BROKEN)
    }

    /// Formats a single text.
    pub(crate) fn of(value: &dyn Display) -> Self {
        let mut text = Self::default();
        text.append(value, MAX_BYTES);
        text
    }

    /// Formats a call's texts, as [`read_call`](Self::read_call) reads them: its id alone, or the id, if
    /// it has one, and the labels.
    pub(crate) fn of_call(id: Option<&dyn Display>, labels: &[&dyn Display]) -> Self {
        match (id, labels) {
            (Some(id), []) => Self::of(id),
            _ => Self::of_several(id.iter().chain(labels).copied().map(Some)),
        }
    }

    /// Returns the id and the labels. Texts that found no room are empty.
    pub(crate) fn read_call(bytes: &[u8], has_id: bool, labels: usize) -> Texts {
        if labels == 0 {
            let id = has_id.then(|| owned(bytes));
            return (id, Vec::new());
        }
        Self::read_optional(bytes, has_id, labels)
    }

    /// Returns the id and the labels of a call that may lack any of them, as
    /// [`of_several`](Self::of_several) formats them.
    pub(crate) fn read_optional(bytes: &[u8], has_id: bool, labels: usize) -> Texts {
        let mut texts = Self::several(bytes, usize::from(has_id) + labels);
        let id = if has_id { texts.next().flatten() } else { None };
        (id, texts.collect())
    }

    /// Formats several texts, each with its share of the room. `None` stands for a text that the call
    /// lacks.
    pub(crate) fn of_several<'a>(
        values: impl Iterator<Item = Option<&'a dyn Display>> + Clone,
    ) -> Self {
        let mut several = Several::new(values.clone().count());
        for value in values {
            several.push(value);
        }
        several.into_text()
    }

    fn several(bytes: &[u8], count: usize) -> impl Iterator<Item = Option<String>> {
        let mut rest = bytes;
        (0..count).map(move |_| {
            if bytes.is_empty() {
                return None;
            }
            let Some((head, tail)) = rest.split_first_chunk::<HEAD>() else {
                return Some(String::new());
            };
            if *head == LACKING {
                rest = tail;
                return None;
            }
            let length = usize::from(u16::from_le_bytes(*head));
            let (text, tail) = tail.split_at(length.min(tail.len()));
            rest = tail;
            Some(owned(text))
        })
    }

    /// Appends at most `room` bytes. Formatting is foreign code. If it fails or panics, the text that it
    /// wrote until then is kept, with a mark.
    fn append(&mut self, value: &dyn Display, room: usize) {
        let start = self.bytes.len();
        let end = start + room;
        let mut limited = Limited {
            bytes: &mut self.bytes,
            end,
            cut: false,
        };
        let written = catch_unwind(AssertUnwindSafe(|| write!(limited, "{value}")));
        let mark = match (limited.cut, written) {
            (true, _) => CUT,
            (false, Ok(Ok(()))) => return,
            (false, Ok(Err(fmt::Error))) => BROKEN,
            (false, Err(payload)) => {
                drop_quietly(payload);
                PANICKED
            }
        };
        if room < mark.len() {
            return;
        }
        let keep = character_boundary(&self.bytes, end - mark.len());
        self.bytes.truncate(keep);
        self.bytes.extend(mark.bytes());
    }
}

/// Several texts that are appended one by one.
pub(crate) struct Several {
    text: Text,
    /// How many texts are still to come.
    missing: usize,
}

impl Several {
    pub(crate) fn into_text(self) -> Text {
        self.text
    }

    pub(crate) fn new(count: usize) -> Self {
        Self {
            text: Text::default(),
            missing: count,
        }
    }

    /// Appends the next text, or that the call lacks it.
    pub(crate) fn push(&mut self, value: Option<&dyn Display>) {
        let Self { text, missing } = self;
        if *missing == 0 {
            return;
        }
        let share = text.bytes.remaining_capacity() / *missing;
        *missing -= 1;
        if share <= HEAD {
            // The texts without room read as empty.
            *missing = 0;
            return;
        }
        let Some(value) = value else {
            text.bytes.extend(LACKING);
            return;
        };
        let head = text.bytes.len();
        text.bytes.extend([0; HEAD]);
        text.append(value, share - HEAD);
        let length = text.bytes.len() - head - HEAD;
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        text.bytes[head..head + HEAD].copy_from_slice(&length.to_le_bytes());
    }
}

/// Returns the last place, at most `at_most`, at which a UTF-8 text can be cut.
#[inline]
pub(crate) fn character_boundary(text: &[u8], at_most: usize) -> usize {
    let mut place = text.len().min(at_most);
    while text.get(place).is_some_and(|byte| byte & 0xC0 == 0x80) {
        place -= 1;
    }
    place
}

/// Runs foreign code; `None` if it panics.
#[cfg(feature = "recorder")]
pub(crate) fn unless_it_panics<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(drop_quietly)
        .ok()
}

/// Drops a panic's payload. Its drop may panic, and the payload of that panic is leaked.
pub(crate) fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
}

/// Writes as much as fits and refuses the rest.
struct Limited<'a> {
    bytes: &'a mut ArrayVec<u8, MAX_BYTES>,
    end: usize,
    cut: bool,
}

impl fmt::Write for Limited<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let fits = character_boundary(part.as_bytes(), self.end - self.bytes.len());
        // The part fits.
        let _ = self.bytes.try_extend_from_slice(&part.as_bytes()[..fits]);
        if fits < part.len() {
            self.cut = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// Copies a text that was recorded, which is UTF-8 unless it is a part of one.
pub(crate) fn owned(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Copies a text; `None` if there is no memory.
pub(crate) fn copied(text: &str) -> Option<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &Text) -> &str {
        std::str::from_utf8(text.as_bytes()).unwrap()
    }

    struct Breaks(bool);

    impl Display for Breaks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            assert!(!self.0, "a panic in formatting");
            Err(fmt::Error)
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(shown(&Text::of(&"short")), "short");
        let full = "é".repeat(MAX_BYTES / 2);
        assert_eq!(shown(&Text::of(&full)), full);
        let over = "é".repeat(MAX_BYTES);
        let kept = MAX_BYTES - CUT.len();
        assert_eq!(shown(&Text::of(&over)), "é".repeat(kept / 2) + CUT);
        let wide = "a".to_owned() + &"😀".repeat(MAX_BYTES);
        assert_eq!(
            shown(&Text::of(&wide)),
            "a".to_owned() + &"😀".repeat(kept / 4) + CUT
        );
    }

    #[test]
    fn formatting_that_fails_or_panics_is_told() {
        assert_eq!(shown(&Text::of(&Breaks(false))), "half(formatting failed)");
        assert_eq!(shown(&Text::of(&Breaks(true))), "half(formatting panicked)");
    }

    #[test]
    fn an_id_alone_is_its_own_text() {
        let text = Text::of_call(Some(&"id"), &[]);
        assert_eq!(shown(&text), "id");
        assert_eq!(
            Text::read_call(text.as_bytes(), true, 0),
            (Some("id".to_owned()), vec![])
        );
        assert_eq!(Text::read_call(b"", false, 0), (None, vec![]));
    }

    #[test]
    fn any_text_may_be_lacking() {
        let some = |text: &str| Some(text.to_owned());
        let text = Text::of_several([None, Some(&"a" as &dyn Display), None].into_iter());
        let read = Text::read_optional(text.as_bytes(), true, 2);
        assert_eq!(read, (None, vec![some("a"), None]));
        let text = Text::of_several([Some(&"" as &dyn Display), None].into_iter());
        let read = Text::read_optional(text.as_bytes(), true, 1);
        assert_eq!(read, (some(""), vec![None]));
        assert_eq!(Text::read_optional(b"", true, 1), (None, vec![None]));
    }

    #[test]
    fn several_texts_share_the_room() {
        let long = "x".repeat(2 * MAX_BYTES);
        let text = Text::of_call(Some(&"id"), &[&long, &"", &"last"]);
        let (id, labels) = Text::read_call(text.as_bytes(), true, 3);
        assert_eq!(id.as_deref(), Some("id"));
        let labels: Vec<String> = labels.into_iter().flatten().collect();
        assert_eq!((&*labels[1], &*labels[2]), ("", "last"));
        assert!(labels[0].ends_with("x…") && labels[0].len() > 300);

        let many = vec![&long as &dyn Display; 2 * MAX_BYTES];
        let text = Text::of_call(None, &many);
        assert!(text.as_bytes().len() <= MAX_BYTES);
        let (id, labels) = Text::read_call(text.as_bytes(), false, many.len());
        assert_eq!((id, labels.len()), (None, many.len()));
    }
}
