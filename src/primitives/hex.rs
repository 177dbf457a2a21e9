//! Lower-case hexadecimal digits, eight in a word.

const ONES: u64 = u64::MAX / 0xff;

/// Returns the number that digits write, and what is wrong with them: 0 if all of them are lower-case digits. So the
/// caller compares once for many numbers.
#[inline]
pub(crate) fn decode(digits: [u8; 16]) -> (u64, u64) {
    let digits = u128::from_be_bytes(digits);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let [upper, lower] = [(digits >> u64::BITS) as u64, digits as u64].map(|digits| {
        // Letters have the bit 6 and begin at 0x61.
        let values = (digits & (ONES * 0x0f)) + ((digits >> 6) & ONES) * 9;
        let wrong = (values & (ONES * 0xf0)) | (written(values) ^ digits);
        let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
        let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
        ((quads | quads >> 16) & 0xffff_ffff, wrong)
    });
    (upper.0 << u32::BITS | lower.0, upper.1 | lower.1)
}

/// Returns the number as eight digits.
#[inline]
pub(crate) const fn encode(number: u32) -> [u8; 8] {
    let number = number as u64;
    let quads = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | quads << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (ONES * 0x0f);
    written(values).to_be_bytes()
}

/// Returns the digits of values up to 15, one in each byte.
#[inline]
const fn written(values: u64) -> u64 {
    // 1 in each byte whose value is written by a letter.
    let letters = ((values + ONES * 6) >> 4) & ONES;
    values + ONES * b'0' as u64 + letters * (b'a' - 10 - b'0') as u64
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
                let (read, wrong) = decode(digits);
                assert_eq!(
                    (wrong == 0).then_some(read),
                    expected,
                    "{byte:#x} at {place}"
                );
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
