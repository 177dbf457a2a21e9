//! Figures in few characters.

use std::time::Duration;

use super::digits;
use super::duration::nanoseconds;

/// Returns a number as `1,234,567`.
pub fn count(number: u64) -> String {
    made(|text| push_count(number, text))
}

/// Appends a number as `1,234,567`.
pub(crate) fn push_count(number: u64, text: &mut String) {
    digits::push_grouped(number, ",", text);
}

fn made(push: impl FnOnce(&mut String)) -> String {
    // Enough for most figures.
    let mut text = String::with_capacity(16);
    push(&mut text);
    text
}

/// Returns a number with a noun: `1 call`, `1,234 calls`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    made(|text| {
        push_count(number, text);
        text.extend([" ", thing, ending]);
    })
}

/// Returns a figure, or `n/a` if it is not known.
#[cfg(feature = "web")]
pub(crate) fn or_unknown<T>(figure: Option<T>, show: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| "n/a".to_owned(), show)
}

/// Returns a time with at least three digits and the unit: `0 ns`, `12.3 ms`, `1,234 s`.
pub fn time(duration: Duration) -> String {
    made(|text| push_time(duration, text))
}

/// Appends a time as [`time`] returns it.
pub(crate) fn push_time(duration: Duration, text: &mut String) {
    let units = &["ns", "µs", "ms", "s"];
    push_scaled(nanoseconds(duration), 1000, units, text);
}

/// Returns a size with at least three digits and the unit: `0 B`, `12.3 KiB`.
pub fn bytes(bytes: u64) -> String {
    let units = &["B", "KiB", "MiB", "GiB", "TiB"];
    made(|text| push_scaled(bytes, 1024, units, text))
}

/// Appends a figure in the largest unit that it reaches, rounded half up.
fn push_scaled(number: u64, base: u64, units: &[&str], text: &mut String) {
    let (mut unit, mut divisor) = (0, 1);
    while unit + 1 < units.len() && rounded(number, 1, divisor) >= base {
        divisor *= base;
        unit += 1;
    }
    let hundredths = rounded(number, 100, divisor);
    if unit == 0 {
        push_count(number, text);
    } else if hundredths < 1000 {
        digits::push(hundredths / 100, text);
        text.push('.');
        digits::push_two(hundredths % 100, text);
    } else {
        let tenths = rounded(number, 10, divisor);
        if tenths < 1000 {
            digits::push(tenths / 10, text);
            text.push('.');
            digits::push(tenths % 10, text);
        } else {
            push_count(rounded(number, 1, divisor), text);
        }
    }
    text.push(' ');
    text.push_str(units[unit]);
}

/// Returns a part of a number, of which there are `places` in `divisor`, rounded half up.
fn rounded(number: u64, places: u64, divisor: u64) -> u64 {
    let scaled = number.checked_mul(places);
    if let Some(scaled) = scaled.and_then(|it| it.checked_add(divisor / 2)) {
        return scaled / divisor;
    }
    let scaled = u128::from(number) * u128::from(places) + u128::from(divisor / 2);
    u64::try_from(scaled / u128::from(divisor)).unwrap_or(u64::MAX)
}

/// Returns a share as `12.3%`, rounded half up; `0.0%` of a whole of 0.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let (part, whole) = (u128::from(part), u128::from(whole));
    let tenths = (part * 1000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(all(test, feature = "tables"))]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let ns = [
            0,
            7,
            999,
            1_000,
            1_234,
            12_345,
            123_456,
            999_499,
            999_999,
            1_000_000,
            59_994_999_999,
            4_321_000_000_000,
        ];
        assert_eq!(
            ns.map(|ns| time(Duration::from_nanos(ns))),
            [
                "0 ns", "7 ns", "999 ns", "1.00 µs", "1.23 µs", "12.3 µs", "123 µs", "999 µs",
                "1.00 ms", "1.00 ms", "60.0 s", "4,321 s"
            ]
        );
        let sizes = [
            0,
            1023,
            1024,
            1536,
            10 * 1024,
            1024 * 1024 - 1,
            1 << 20,
            5 << 40,
        ];
        assert_eq!(
            sizes.map(bytes),
            [
                "0 B", "1,023 B", "1.00 KiB", "1.50 KiB", "10.0 KiB", "1.00 MiB", "1.00 MiB",
                "5.00 TiB"
            ]
        );
        let most = u64::MAX;
        assert_eq!(count(most), "18,446,744,073,709,551,615");
        assert_eq!(
            (bytes(most), time(Duration::MAX)),
            ("16,777,216 TiB".into(), "18,446,744,074 s".into())
        );
    }
}
