//! Dates and times from ISO 8601 text. A time without a zone is in UTC.

use arrow::datatypes::TimeUnit;
use millstream_engine::text::per_second;

/// The days since 1970-01-01 of `YYYY-MM-DD`.
pub(crate) fn date(text: &str) -> Option<i32> {
    let (days, rest) = date_part(text.as_bytes())?;
    rest.is_empty().then_some(days).and_then(|days| i32::try_from(days).ok())
}

/// The time of `YYYY-MM-DD[T| ]HH:MM[:SS[.fraction]][Z|±HH[:]MM]` or of a date alone (its midnight), in `unit` since the
/// epoch. Digits of a second beyond the unit are cut off.
pub(crate) fn timestamp(text: &str, unit: TimeUnit) -> Option<i64> {
    let (days, rest) = date_part(text.as_bytes())?;
    let (seconds, nanos) = match rest {
        [] => (0, 0),
        [b'T' | b't' | b' ', time @ ..] => time_part(time)?,
        _ => return None,
    };
    let scale = per_second(unit);
    let seconds = i128::from(days) * 86_400 + i128::from(seconds);
    let fraction = i64::from(nanos) / (1_000_000_000 / scale);
    i64::try_from(seconds * i128::from(scale) + i128::from(fraction)).ok()
}

fn date_part(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1], rest) = text.split_first_chunk::<10>()? else { return None };
    let year = pair(y0, y1)? * 100 + pair(y2, y3)?;
    let (month, day) = (pair(m0, m1)?, pair(d0, d1)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    Some((days_from_civil(year, month, day), rest))
}

/// Seconds since midnight in UTC (beyond a day's ends where the zone says so) and nanoseconds of the second.
fn time_part(text: &[u8]) -> Option<(i64, u32)> {
    let (&[h0, h1, b':', m0, m1], mut rest) = text.split_first_chunk::<5>()? else { return None };
    let (hour, minute) = (pair(h0, h1)?, pair(m0, m1)?);
    let mut second = 0;
    let mut nanos = 0;
    if let [b':', s0, s1, after @ ..] = rest {
        second = pair(*s0, *s1)?;
        rest = after;
        if let [b'.' | b',', after @ ..] = rest {
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            nanos = (0..9)
                .fold(0, |nanos, place| nanos * 10 + if place < digits { u32::from(after[place] - b'0') } else { 0 });
            rest = &after[digits..];
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3_600 + minute * 60 + second - zone(rest)?, nanos))
}

/// Seconds that a zone is ahead of UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h0, h1, b':', m0, m1] | [sign, h0, h1, m0, m1] => (sign, pair(h0, h1)?, pair(m0, m1)?),
        [sign, h0, h1] => (sign, pair(h0, h1)?, 0),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 3_600 + minutes * 60),
        b'-' => Some(-(hours * 3_600 + minutes * 60)),
        _ => None,
    }
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's days-from-civil: years begin in March, eras of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use millstream_engine::text::{write_date, write_timestamp};

    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_reads_back() {
        let mut text = Vec::new();
        for days in -719_528..=2_932_896 {
            text.clear();
            write_date(days, &mut text);
            assert_eq!(date(std::str::from_utf8(&text).unwrap()).map(i64::from), Some(days));
        }
    }

    #[test]
    fn times_in_many_spellings() {
        let cases = [
            ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
            ("2026-01-01T00:00:00", Some(1_767_225_600_000)),
            ("2026-01-01 00:00", Some(1_767_225_600_000)),
            ("2026-01-01", Some(1_767_225_600_000)),
            ("2026-01-01T00:00:00.5z", Some(1_767_225_600_500)),
            ("2026-01-01T00:00:00.123456789Z", Some(1_767_225_600_123)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            ("2026-01-01T01:00:00+01:00", Some(1_767_225_600_000)),
            ("2025-12-31T19:00:00-0500", Some(1_767_225_600_000)),
            ("2026-01-01T02:00:00+02", Some(1_767_225_600_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00Zz", None),
            ("2026-01-01T00:00:00+1", None),
            ("2026-1-1", None),
            ("", None),
            ("20260101", None),
        ];
        for (text, expected) in cases {
            assert_eq!(timestamp(text, TimeUnit::Millisecond), expected, "{text}");
        }
    }

    #[test]
    fn written_times_read_back_in_every_unit() {
        let mut text = Vec::new();
        for (value, unit) in [
            (-62_167_219_200_000, TimeUnit::Millisecond),
            (253_402_300_799_999, TimeUnit::Millisecond),
            (253_402_300_799_999_999, TimeUnit::Microsecond),
            (-1, TimeUnit::Microsecond),
            (i64::MAX, TimeUnit::Nanosecond),
            (i64::MIN, TimeUnit::Nanosecond),
            (-5, TimeUnit::Second),
        ] {
            text.clear();
            write_timestamp(value, unit, &mut text);
            assert_eq!(timestamp(std::str::from_utf8(&text).unwrap(), unit), Some(value));
        }
    }
}
