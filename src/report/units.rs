//! Figures in few characters.

use std::time::Duration;

/// Returns a number as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a number with a noun: `1 call`, `1,234 calls`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// Returns a figure, or `n/a` if it is not known.
pub(crate) fn or_unknown<T>(figure: Option<T>, show: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| "n/a".to_owned(), show)
}

/// Returns a time with at least three digits and the unit: `0 ns`, `12.3 ms`, `1,234 s`.
pub fn time(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let ns = u64::try_from(ns).unwrap_or(u64::MAX);
    scaled(ns, 1000, &["ns", "µs", "ms", "s"])
}

/// Returns a size with at least three digits and the unit: `0 B`, `12.3 KiB`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Returns a figure in the largest unit that it reaches, rounded half up.
fn scaled(number: u64, base: u64, units: &[&str]) -> String {
    let [smallest, larger @ ..] = units else {
        return count(number);
    };
    if number < base {
        return format!("{} {smallest}", count(number));
    }
    let mut divisor: u64 = 1;
    let mut shown = String::new();
    for unit in larger {
        divisor *= base;
        let rounded = |places: u64| {
            let rounded = u128::from(number) * u128::from(places) + u128::from(divisor / 2);
            u64::try_from(rounded / u128::from(divisor)).unwrap_or(u64::MAX)
        };
        let (hundredths, tenths, whole) = (rounded(100), rounded(10), rounded(1));
        shown = if hundredths < 1000 {
            format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100)
        } else if tenths < 1000 {
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            format!("{} {unit}", count(whole))
        };
        if whole < base {
            break;
        }
    }
    shown
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
