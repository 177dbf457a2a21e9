//! Makes the outputs of two runs comparable.

/// Returns the text with `TIME` for each duration, and `ID:` for the id of a trace. Runs of spaces and of `─` become single ones, because
/// their lengths depend on the durations.
pub(crate) fn without_times(text: &str) -> String {
    replaced(text, |before, word, after| {
        if is_number(word) && UNITS.contains(&after) {
            // As in `1.20 ms`.
            Some("")
        } else if is_number(before) && UNITS.contains(&word) || is_time(word) {
            Some("TIME")
        } else if word.strip_suffix(':').is_some_and(is_trace_id) {
            Some("ID:")
        } else if word.chars().all(|character| character == '─') {
            Some(if word.is_empty() { "" } else { "─" })
        } else {
            None
        }
    })
}

/// Returns the text with `N` for each number of allocations of a call.
pub(crate) fn without_counts(text: &str) -> String {
    replaced(text, |before, word, _| {
        (before == "allocates:" && is_number(word)).then_some("N")
    })
}

/// Returns the text with `N` for each run of digits, also within words.
pub(crate) fn without_numbers(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_digit() || character == ',';
    let mut changed = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        changed += &rest[..start];
        changed += "N";
        rest = rest[start..].trim_start_matches(is_part);
    }
    changed + rest
}

const UNITS: [&str; 4] = ["ns", "µs", "ms", "s"];

fn is_time(word: &str) -> bool {
    UNITS
        .iter()
        .any(|unit| word.strip_suffix(unit).is_some_and(is_number))
}

fn is_trace_id(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|it| it.is_ascii_hexdigit())
}

fn is_number(word: &str) -> bool {
    word.replace(',', "").parse::<f64>().is_ok()
}

/// Replaces words, by the previous word, the word and the next one. Spaces, line ends and commas after a
/// word are not part of it. A word that becomes empty is removed with its space.
fn replaced(text: &str, new: impl Fn(&str, &str, &str) -> Option<&'static str>) -> String {
    let words: Vec<_> = text
        .split_inclusive([' ', '\n'])
        .map(|word| {
            let end = word.trim_end_matches([' ', '\n', ',']).len();
            word.split_at(end)
        })
        .collect();
    let at = |index: usize| words.get(index).map_or("", |(word, _)| *word);
    let replaced = words.iter().enumerate().map(|(index, (word, end))| {
        match new(at(index.wrapping_sub(1)), word, at(index + 1)) {
            Some("") if !end.ends_with('\n') => String::new(),
            Some(new) => format!("{new}{end}"),
            None => format!("{word}{end}"),
        }
    });
    replaced.collect()
}
