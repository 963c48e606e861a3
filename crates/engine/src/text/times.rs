//! Dates and times as text.

use std::cell::Cell;

use arrow::datatypes::TimeUnit;

use super::NotJson;

/// Days of 0000-01-01 and 9999-12-31 since 1970-01-01.
const YEARS_OF_FOUR_DIGITS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

pub(super) fn check_year(days: i64) -> Result<(), NotJson> {
    if YEARS_OF_FOUR_DIGITS.contains(&days) {
        return Ok(());
    }
    let mut what = b"a time outside the years 0 to 9999: ".to_vec();
    write_date(days, &mut what);
    Err(NotJson(String::from_utf8_lossy(&what).into_owned()))
}

/// How many of a unit make a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Writes times of one unit, and remembers the second that it wrote last: rows of a window have the same bounds, and rows
/// of a stream mostly the same second.
#[derive(Debug, Clone)]
pub(super) struct TimestampWriter {
    unit: TimeUnit,
    last: Cell<Second>,
}

/// A second since 1970-01-01 in a year of four digits, and its text up to the point: `2026-01-01T00:00:00.`.
#[derive(Debug, Clone, Copy)]
struct Second {
    seconds: i64,
    text: [u8; 20],
}

impl TimestampWriter {
    pub(super) fn new(unit: TimeUnit) -> TimestampWriter {
        TimestampWriter { unit, last: Cell::new(Second { seconds: 0, text: *b"1970-01-01T00:00:00." }) }
    }

    /// Appends `value` as [`write_timestamp`] does.
    #[inline]
    pub(super) fn write(&self, value: i64, out: &mut Vec<u8>) {
        let (seconds, fraction) = split(value, self.unit);
        let last = self.last.get();
        if last.seconds == seconds {
            out.extend_from_slice(&last.text);
        } else {
            let start = out.len();
            write_seconds(seconds, out);
            self.remember(seconds, &out[start..]);
        }
        write_fraction(fraction, self.unit, out);
    }

    /// Appends `value` as a JSON string.
    ///
    /// # Errors
    /// If its year does not have four digits.
    #[inline]
    pub(super) fn write_json(&self, value: i64, out: &mut Vec<u8>) -> Result<(), NotJson> {
        let (seconds, _) = split(value, self.unit);
        if self.last.get().seconds != seconds {
            check_year(seconds.div_euclid(86_400))?;
        }
        out.push(b'"');
        self.write(value, out);
        out.push(b'"');
        Ok(())
    }

    /// Other years have more digits, and are not remembered.
    fn remember(&self, seconds: i64, text: &[u8]) {
        if let Ok(text) = text.try_into() {
            self.last.set(Second { seconds, text });
        }
    }
}

/// Appends a time as RFC 3339 in UTC, `2026-01-01T00:00:00.000Z`: with three digits of a second, six for microseconds,
/// nine for nanoseconds. Years of more than four digits carry a sign, as in ISO 8601.
pub fn write_timestamp(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (seconds, fraction) = split(value, unit);
    write_seconds(seconds, out);
    write_fraction(fraction, unit, out);
}

/// The whole seconds of a time, and what is left, in its unit.
#[inline]
fn split(value: i64, unit: TimeUnit) -> (i64, u32) {
    // With a divisor that is known here, nothing is divided.
    macro_rules! by {
        ($scale:literal) => {
            (value.div_euclid($scale), value.rem_euclid($scale) as u32)
        };
    }
    match unit {
        TimeUnit::Second => (value, 0),
        TimeUnit::Millisecond => by!(1_000),
        TimeUnit::Microsecond => by!(1_000_000),
        TimeUnit::Nanosecond => by!(1_000_000_000),
    }
}

/// Appends the date and time that is `seconds` after 1970-01-01, up to and with the point.
fn write_seconds(seconds: i64, out: &mut Vec<u8>) {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    write_date(days, out);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let [h, m, s] = [two(hour), two(minute), two(second)];
    out.extend_from_slice(&[b'T', h[0], h[1], b':', m[0], m[1], b':', s[0], s[1], b'.']);
}

/// Appends the digits behind the point, and the zone.
#[inline]
fn write_fraction(fraction: u32, unit: TimeUnit, out: &mut Vec<u8>) {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => out.extend_from_slice(&zoned::<4>(fraction)),
        TimeUnit::Microsecond => out.extend_from_slice(&zoned::<7>(fraction)),
        TimeUnit::Nanosecond => out.extend_from_slice(&zoned::<10>(fraction)),
    }
}

/// The last digits of `fraction` and a `Z` behind them, `N` bytes in all.
#[inline]
fn zoned<const N: usize>(fraction: u32) -> [u8; N] {
    let mut text = [b'Z'; N];
    let mut rest = fraction;
    for place in text[..N - 1].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

/// Appends the date that is `days` after 1970-01-01.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    // Howard Hinnant's days-to-civil: years begin in March, eras of 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9999).contains(&year) {
        let [c, y] = [two(year / 100), two(year % 100)];
        out.extend_from_slice(&[c[0], c[1], y[0], y[1]]);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(year.unsigned_abs()).as_bytes();
        out.extend(std::iter::repeat_n(b'0', 4_usize.saturating_sub(digits.len())));
        out.extend_from_slice(digits);
    }
    let [m, d] = [two(month), two(day)];
    out.extend_from_slice(&[b'-', m[0], m[1], b'-', d[0], d[1]]);
}

fn two(value: i64) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_changes_nothing() {
        let day = 86_400_000;
        let times = [
            0,
            999,
            1_767_225_600_000,
            1_767_225_600_001,
            1_767_225_600_999,
            1_767_225_601_000,
            1_767_225_600_999,
            -1,
            -1_000,
            -1_001,
            253_402_300_799_999,
            253_402_300_800_000,
            253_402_300_799_999,
            -62_167_219_200_001,
            -62_167_219_200_000,
            i64::MIN,
            i64::MAX,
            1_767_225_600_000 + day,
        ];
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let writer = TimestampWriter::new(unit);
            for time in times {
                for _ in 0..2 {
                    let (mut found, mut expected) = (Vec::new(), Vec::new());
                    writer.write(time, &mut found);
                    write_timestamp(time, unit, &mut expected);
                    assert_eq!(
                        String::from_utf8(found).unwrap(),
                        String::from_utf8(expected).unwrap(),
                        "{unit:?} {time}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_years_of_json_have_four_digits() {
        let writer = TimestampWriter::new(TimeUnit::Millisecond);
        let mut out = Vec::new();
        for (time, is_json) in [
            (253_402_300_799_999, true),
            (253_402_300_800_000, false),
            (253_402_300_800_000, false),
            (-62_167_219_200_001, false),
            (-62_167_219_200_000, true),
        ] {
            assert_eq!(writer.write_json(time, &mut out).is_ok(), is_json, "{time}");
        }
    }
}
