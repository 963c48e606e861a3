//! Dates and times as text.

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

/// Appends a time as RFC 3339 in UTC, `2026-01-01T00:00:00.000Z`: with three digits of a second, six for microseconds,
/// nine for nanoseconds. Years of more than four digits carry a sign, as in ISO 8601.
pub fn write_timestamp(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let scale = per_second(unit);
    let (seconds, fraction) = (value.div_euclid(scale), value.rem_euclid(scale));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    write_date(days, out);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let [h, m, s] = [two(hour), two(minute), two(second)];
    out.extend_from_slice(&[b'T', h[0], h[1], b':', m[0], m[1], b':', s[0], s[1], b'.']);
    let (digits, fraction) = match unit {
        TimeUnit::Second => (3, 0),
        TimeUnit::Millisecond => (3, fraction),
        TimeUnit::Microsecond => (6, fraction),
        TimeUnit::Nanosecond => (9, fraction),
    };
    let mut text = [b'0'; 9];
    let mut rest = fraction;
    for place in text[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[..digits]);
    out.push(b'Z');
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
