//! Lower-case hexadecimal digits, many at a time.

const ONES: u64 = u64::MAX / 0xff;

/// Returns the value of each digit; `None` if one is no lower-case digit.
///
/// The loop has no branches, so that the compiler makes vector instructions of it.
#[inline]
pub(crate) fn decode<const DIGITS: usize>(digits: &[u8; DIGITS]) -> Option<[u8; DIGITS]> {
    let mut values = [0; DIGITS];
    let mut are_digits = true;
    for (value, digit) in values.iter_mut().zip(digits) {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        *value = if number < 10 {
            number
        } else {
            letter.wrapping_add(10)
        };
        are_digits &= (number < 10) | (letter < 6);
    }
    are_digits.then_some(values)
}

/// Returns the number with these sixteen digits, given by their values.
#[inline]
pub(crate) fn number(values: &[u8; 16]) -> u64 {
    let [upper, lower] = [&values[..8], &values[8..]].map(|half| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(half);
        let values = u64::from_be_bytes(bytes);
        let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
        let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
        (quads | quads >> 16) & 0xffff_ffff
    });
    upper << u32::BITS | lower
}

/// Returns the number as eight digits.
#[inline]
pub(crate) const fn encode(number: u32) -> [u8; 8] {
    let number = number as u64;
    let quads = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | quads << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (ONES * 0x0f);
    // 1 in each byte whose value is written by a letter.
    let letters = ((values + ONES * 6) >> 4) & ONES;
    let digits = values + ONES * b'0' as u64 + letters * (b'a' - 10 - b'0') as u64;
    digits.to_be_bytes()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_are_read() {
        let valid = *b"0123456789abcdef";
        for byte in 0..=u8::MAX {
            let value = char::from(byte).to_digit(16);
            let value = value.filter(|_| !byte.is_ascii_uppercase());
            for place in 0..16 {
                let mut digits = valid;
                digits[place] = byte;
                let expected = value.map(|value| {
                    let shift = 60 - 4 * place;
                    (0x0123_4567_89ab_cdef & !(0xf << shift)) | u64::from(value) << shift
                });
                let read = decode(&digits).map(|values| number(&values));
                assert_eq!(read, expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 1, 0x9abc_def0, 0xffff_ffff, 0x0f1e_2d3c, 0xa000_0009] {
            assert_eq!(encode(number), *format!("{number:08x}").as_bytes());
        }
    }
}
