//! Decimal digits, three at a time: a division and a copy instead of a loop.

/// The numbers from 000 to 999.
const ALL: &str = match std::str::from_utf8(&BYTES) {
    Ok(all) => all,
    Err(_) => "",
};

const BYTES: [u8; 3 * 1000] = {
    let mut bytes = [0; 3 * 1000];
    let [mut hundreds, mut tens, mut ones] = [b'0'; 3];
    let mut place = 0;
    while place < bytes.len() {
        (bytes[place], bytes[place + 1], bytes[place + 2]) = (hundreds, tens, ones);
        ones += 1;
        if ones > b'9' {
            (tens, ones) = (tens + 1, b'0');
        }
        if tens > b'9' {
            (hundreds, tens) = (hundreds + 1, b'0');
        }
        place += 3;
    }
    bytes
};

/// Appends a number as `1234567`.
pub(crate) fn push(number: u64, text: &mut String) {
    push_grouped(number, "", text);
}

/// Appends a number with a separator between groups of three digits, as `1,234,567`.
#[inline]
pub(crate) fn push_grouped(number: u64, separator: &str, text: &mut String) {
    if number < 1000 {
        push_group(number, text);
    } else {
        push_groups(number, separator, text);
    }
}

fn push_groups(number: u64, separator: &str, text: &mut String) {
    push_grouped(number / 1000, separator, text);
    text.push_str(separator);
    push_three(number % 1000, text);
}

/// Appends a number below 1000, without leading zeros.
fn push_group(number: u64, text: &mut String) {
    let start = start(number);
    // Lengths that the compiler knows: then it copies without a call.
    match number {
        0..10 => text.push_str(&ALL[start + 2..start + 3]),
        10..100 => text.push_str(&ALL[start + 1..start + 3]),
        _ => text.push_str(&ALL[start..start + 3]),
    }
}

/// Appends a number below 1000 as three digits.
pub(crate) fn push_three(number: u64, text: &mut String) {
    let start = start(number);
    text.push_str(&ALL[start..start + 3]);
}

/// Appends a number below 100 as two digits.
pub(crate) fn push_two(number: u64, text: &mut String) {
    let start = start(number);
    text.push_str(&ALL[start + 1..start + 3]);
}

/// Returns where a number below 1000 begins.
fn start(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_rust_shows() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power / 7]);
        for number in near.chain(0..2_000).chain([u64::MAX]) {
            let mut text = String::new();
            push(number, &mut text);
            assert_eq!(text, number.to_string());
            let below = number % 1000;
            text.clear();
            push_three(below, &mut text);
            push_two(below % 100, &mut text);
            assert_eq!(text, format!("{below:03}{:02}", below % 100));
        }
    }

    #[test]
    fn groups_are_of_three_digits() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_003_040, "12,003,040"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            let mut text = String::new();
            push_grouped(number, ",", &mut text);
            assert_eq!(text, shown);
        }
    }
}
