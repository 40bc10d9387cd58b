//! Base 62 of fixed width, the alphabet of tokens: a token is one word for a double click, a
//! shell and a URL, which base 64 with its `-`, `_`, `+` and `/` is not.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `bytes` as a big-endian number in exactly `width` digits; higher digits are dropped, so
/// `width` must be large enough: 22 for 16 bytes, 43 for 32, 6 for 4.
pub(crate) fn encode(bytes: &[u8], width: usize) -> String {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        let digit = usize::try_from(remainder).ok().and_then(|at| ALPHABET.get(at));
        digits.push(char::from(*digit.unwrap_or(&b'0')));
    }
    digits.iter().rev().collect()
}

/// The 16 bytes that `text` encodes, if it is a number below 2^128 in this alphabet.
pub(crate) fn decode_u128(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        number.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
    })
}

/// Whether every character is a digit of this alphabet.
pub(crate) fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_the_round_trip() {
        for number in [0_u128, 1, 61, 62, 0x0198_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0000, u128::MAX] {
            let text = encode(&number.to_be_bytes(), 22);
            assert_eq!(text.len(), 22);
            assert_eq!(decode_u128(&text), Some(number));
        }
    }

    #[test]
    fn too_large_numbers_and_foreign_characters_are_refused() {
        assert_eq!(decode_u128("zzzzzzzzzzzzzzzzzzzzzz"), None);
        assert_eq!(decode_u128("00000000000000000000-0"), None);
        assert_eq!(decode_u128("0000000000000000000é0"), None);
    }

    #[test]
    fn widths_hold_the_largest_values() {
        assert_eq!(encode(&[0xff; 32], 43).len(), 43);
        // One digit less would drop something: the highest digit is not zero.
        assert_ne!(encode(&[0xff; 32], 43).chars().next(), Some('0'));
        assert_ne!(encode(&[0xff; 4], 6).chars().next(), Some('0'));
    }
}
