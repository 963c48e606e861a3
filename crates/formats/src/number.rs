//! Numbers from decimal text, exactly: what a column cannot hold without loss is refused, never rounded in silence.

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The value of `text` times ten to the `scale`, if that is a whole number of 128 bits. `text` is a number with optional
/// sign, fraction and exponent; anything else is `None`.
pub(crate) fn scaled(text: &str, scale: i64) -> Option<i128> {
    let (negative, unsigned) = sign(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || (fraction.is_empty() && whole.len() != mantissa.len()) {
        return None;
    }
    let mut value: u128 = 0;
    // Zeros count only when a digit follows, so that `1.000…0` fits however long it is.
    let mut zeros: u32 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        match byte {
            b'0' if value == 0 => {}
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                value = value.checked_mul(10_u128.checked_pow(zeros + 1)?)?.checked_add(u128::from(byte - b'0'))?;
                zeros = 0;
            }
            _ => return None,
        }
    }
    if value == 0 {
        return Some(0);
    }
    let shift = exponent.saturating_add(i64::from(zeros)).saturating_add(scale).checked_sub(fraction.len() as i64)?;
    let factor = 10_u128.checked_pow(u32::try_from(shift).ok()?)?;
    let value = i128::try_from(value.checked_mul(factor)?).ok()?;
    Some(if negative { -value } else { value })
}

/// The whole number that `text` is, `1e3` and `1.0` included.
pub(crate) fn integer(text: &str) -> Option<i64> {
    scaled(text, 0).and_then(|value| i64::try_from(value).ok())
}

/// The decimal of `precision` digits, `scale` of them behind the point, that `text` is exactly.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let value = scaled(text, i64::from(scale))?;
    (value.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?).then_some(value)
}

/// The double nearest to `text`; `None` where there is no finite one.
pub(crate) fn double(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// The float nearest to `text`; `None` where there is no finite one.
pub(crate) fn float(text: &str) -> Option<f32> {
    text.parse::<f32>().ok().filter(|value| value.is_finite())
}

/// The double nearest to ± `mantissa` / 10^`places`, where one exact division finds it.
#[inline]
pub(crate) fn exact_double(negative: bool, mantissa: u64, places: usize) -> Option<f64> {
    if mantissa > 1 << 53 {
        return None;
    }
    let value = mantissa as f64 / EXACT_POWERS.get(places)?;
    Some(if negative { -value } else { value })
}

/// Whether `text` is a number with optional sign, fraction and exponent; unlike JSON's, it may begin with `+` or zeros.
pub(crate) fn is_number(text: &str) -> bool {
    let (_, unsigned) = sign(text);
    let (mantissa, exponent_fits) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..]).is_some()),
        None => (unsigned, true),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    exponent_fits
        && match mantissa.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(mantissa),
        }
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// An exponent, held at the ends of its range; `None` if it is not one.
fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0_i64, |value, b| (value * 10 + i64::from(b - b'0')).min(1 << 40));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_any_spelling() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.0", Some(1)),
            ("1.50e1", Some(15)),
            ("1.5", None),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e19", None),
            ("0e999999999999999999999", Some(0)),
            ("1e999999999999999999999", None),
            ("100e-2", Some(1)),
            ("1e-1", None),
            ("10.000000000000000000000000000000000000000000000000000000", Some(10)),
            ("", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("abc", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("12.34", 10, 2), Some(1234));
        assert_eq!(decimal("12.340", 10, 2), Some(1234));
        assert_eq!(decimal("12.345", 10, 2), None);
        assert_eq!(decimal("99999999.99", 10, 2), Some(9_999_999_999));
        assert_eq!(decimal("100000000", 10, 2), None);
        assert_eq!(decimal("-1e-2", 10, 2), Some(-1));
        let widest = "99999999999999999999999999999999999999";
        assert_eq!(decimal(widest, 38, 0), widest.parse().ok());
    }

    #[test]
    fn the_quick_double_is_the_nearest_double() {
        for (mantissa, places, text) in [(908, 3, "0.908"), (9_007_199_254_740_992, 22, "9007199254740992e-22")] {
            assert_eq!(exact_double(false, mantissa, places), double(text), "{text}");
        }
        assert_eq!(exact_double(true, 0, 1).map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!(double("1e999"), None);
    }
}
