//! Lower-case hexadecimal digits, eight at a time.

const ONES: u64 = u64::MAX / 0xff;

/// Returns the number that eight digits write; `None` if one is no lower-case digit.
pub(crate) const fn decode(digits: [u8; 8]) -> Option<u32> {
    let written = u64::from_be_bytes(digits);
    // Letters have the bit 6 and begin at 0x61. What is no digit is not written in this way.
    let values = (written & (ONES * 0x0f)) + ((written >> 6) & ONES) * 9;
    if values & (ONES * 0xf0) != 0 || write(values) != written {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    Some((quads | quads >> 16) as u32)
}

/// Returns the number as eight digits.
pub(crate) const fn encode(number: u32) -> [u8; 8] {
    let number = number as u64;
    let quads = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | quads << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (ONES * 0x0f);
    write(values).to_be_bytes()
}

/// Turns values up to 15, one in each byte, into digits.
const fn write(values: u64) -> u64 {
    let are_letters = ((values + ONES * 6) >> 4) & ONES;
    values + ONES * b'0' as u64 + are_letters * (b'a' - 10 - b'0') as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_are_read() {
        for byte in 0..=u8::MAX {
            let value = char::from(byte).to_digit(16);
            let value = value.filter(|_| !byte.is_ascii_uppercase());
            for place in 0..8 {
                let mut digits = *b"01234567";
                digits[place] = byte;
                let expected = value.map(|value| {
                    let shift = 28 - 4 * place;
                    (0x0123_4567 & !(0xf << shift)) | value << shift
                });
                assert_eq!(decode(digits), expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 0x9abc_def0, 0xffff_ffff, 0x0f1e_2d3c, 0xa000_0009] {
            let digits = encode(number);
            assert_eq!(digits, *format!("{number:08x}").as_bytes());
            assert_eq!(decode(digits), Some(number));
        }
    }
}
