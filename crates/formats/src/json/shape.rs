//! The scanner that bets on the shape of a topic's messages: the same names in the same order, no whitespace to speak
//! of, no escapes. It must never change what is accepted nor any value: whatever it does not know leaves it at once,
//! and the general path takes the whole message.

use arrow::datatypes::TimeUnit;
use memchr::memchr;

use super::Betting;
use super::general::{Scratch, read_value};
use super::reader::{Kind, Reader};
use crate::column::{Column, Values};
use crate::members::Members;
use crate::{number, temporal};

/// How many shapes are kept: topics with several kinds of records have a few.
const SHAPES: usize = 4;
/// Documents with more members than this are left to the general path.
const MEMBERS: usize = 256;
/// A shape is learned again after so many misses at most.
const PATIENCE: u32 = 1 << 12;

/// The shapes seen lately.
#[derive(Debug)]
pub(crate) struct Shapes {
    betting: Betting,
    known: Vec<Shape>,
    /// The shape that matched last.
    last: usize,
    /// Misses since a shape was learned.
    misses: u32,
    /// Misses to let pass before one is learned; doubles with each, so that a topic without shape costs little.
    patience: u32,
}

/// The bytes of a document around its values.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    /// For each member what stands before its value, and where the value goes.
    members: Vec<(Literal, Option<usize>)>,
    /// What stands behind the last value.
    end: Literal,
    /// Columns without a member.
    missing: Vec<usize>,
}

/// Bytes to compare with, at most a word at a time.
#[derive(Debug, PartialEq, Eq)]
struct Literal {
    text: Box<[u8]>,
    /// The first eight bytes, and which of them count.
    head: u64,
    mask: u64,
}

/// What a document holds that a scan must know about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// No string has an escape.
    Plain,
    /// Some string may have an escape.
    Escaped,
}

impl Shapes {
    pub(crate) fn new(betting: Betting) -> Shapes {
        Shapes { betting, known: Vec::new(), last: 0, misses: 0, patience: 0 }
    }

    /// Appends the message as one row if it has a known shape; otherwise appends nothing and returns false.
    #[inline]
    pub(crate) fn scan(&mut self, payload: &[u8], members: &mut Members, scratch: &mut Scratch) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let payload = trim_end(payload);
        let Some(strings) = survey(payload) else { return false };
        if self.known[self.last].scan(payload, strings, members, scratch) {
            self.patience = self.patience.saturating_sub(1);
            return true;
        }
        for index in 0..self.known.len() {
            if index != self.last && self.known[index].scan(payload, strings, members, scratch) {
                self.last = index;
                self.patience = self.patience.saturating_sub(1);
                return true;
            }
        }
        false
    }

    /// Tells of a document that the general path has accepted; perhaps its shape is worth learning.
    pub(crate) fn missed(&mut self, text: &str, members: &Members) {
        if self.betting == Betting::Off {
            return;
        }
        self.misses += 1;
        if self.misses <= self.patience {
            return;
        }
        self.misses = 0;
        self.patience = (self.patience * 2 + 1).min(PATIENCE);
        let Some(shape) = Shape::learn(text, members) else { return };
        if let Some(index) = self.known.iter().position(|known| *known == shape) {
            self.last = index;
        } else if self.known.len() < SHAPES {
            self.last = self.known.len();
            self.known.push(shape);
        } else {
            // The one used last is the one to keep.
            self.last = (self.last + 1) % SHAPES;
            self.known[self.last] = shape;
        }
    }
}

/// Without the whitespace that may stand behind a document.
#[inline]
fn trim_end(mut payload: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\n' | b'\r' | b'\t'] = payload {
        payload = rest;
    }
    payload
}

/// What there is in a document, in one quick pass; `None` where it has control characters or is not UTF-8.
#[inline]
fn survey(payload: &[u8]) -> Option<Strings> {
    // Without an early exit this runs sixteen bytes at a time. As signed numbers, control characters and bytes beyond
    // ASCII alike are below the space.
    let (unusual, escape) = payload
        .iter()
        .fold((false, false), |(unusual, escape), &byte| (unusual | ((byte as i8) < 0x20), escape | (byte == b'\\')));
    if unusual && (payload.iter().any(|&byte| byte < 0x20) || std::str::from_utf8(payload).is_err()) {
        return None;
    }
    Some(if escape { Strings::Escaped } else { Strings::Plain })
}

impl Literal {
    fn new(text: &str) -> Literal {
        let text = text.as_bytes();
        let len = text.len().min(8);
        let mut head = [0; 8];
        head[..len].copy_from_slice(&text[..len]);
        let mask = if len == 8 { u64::MAX } else { (1 << (8 * len)) - 1 };
        Literal { text: text.into(), head: u64::from_le_bytes(head), mask }
    }

    /// What follows the literal in `rest`, if `rest` begins with it.
    #[inline]
    fn strip<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let Some(word) = rest.first_chunk::<8>() else { return rest.strip_prefix(&*self.text) };
        if u64::from_le_bytes(*word) & self.mask != self.head {
            return None;
        }
        let len = self.text.len();
        if len <= 8 {
            return rest.get(len..);
        }
        if len > 16 {
            return rest.strip_prefix(&*self.text);
        }
        // The last eight bytes overlap the first eight.
        let (found, rest) = rest.split_at_checked(len)?;
        (found.last_chunk::<8>() == self.text.last_chunk::<8>()).then_some(rest)
    }
}

impl Shape {
    /// The shape of a document that the general path has accepted.
    fn learn(text: &str, members: &Members) -> Option<Shape> {
        let mut scratch = String::new();
        let mut reader = Reader::new(text, 0, 0);
        if reader.peek().ok()? != Kind::Object {
            return None;
        }
        reader.open().ok()?;
        let mut shape = Shape { members: Vec::new(), end: Literal::new(""), missing: Vec::new() };
        let mut from = 0;
        let mut next = 0;
        while let Some(name) = reader.member(shape.members.len(), &mut scratch).ok()? {
            let place = members.find(name, next);
            next = place.map_or(next, |place| place + 1);
            reader.peek().ok()?;
            if shape.members.len() == MEMBERS {
                return None;
            }
            shape.members.push((Literal::new(&text[from..reader.at()]), place));
            reader.skip(&mut scratch).ok()?;
            from = reader.at();
        }
        shape.end = Literal::new(&text[from..reader.at()]);
        let present = |column: &usize| shape.members.iter().any(|(_, place)| *place == Some(*column));
        shape.missing = (0..members.columns.len()).filter(|column| !present(column)).collect();
        Some(shape)
    }

    /// Appends the document as one row if it has this shape; otherwise appends nothing and returns false.
    #[inline]
    fn scan(&self, payload: &[u8], strings: Strings, members: &mut Members, scratch: &mut Scratch) -> bool {
        scratch.room.refill();
        if self.scan_members(payload, strings, members, scratch).is_some() {
            for &column in &self.missing {
                members.columns[column].push_null();
            }
            members.rows += 1;
            return true;
        }
        members.truncate(members.rows);
        false
    }

    #[inline]
    fn scan_members(
        &self,
        payload: &[u8],
        strings: Strings,
        members: &mut Members,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let mut rest = payload;
        for (literal, place) in &self.members {
            rest = literal.strip(rest)?;
            let quick = match place {
                None => skip(rest, strings),
                Some(column) => read(rest, strings, &mut members.columns[*column]),
            };
            rest = match quick {
                Some(rest) => rest,
                None => {
                    let column = place.map(|column| &mut members.columns[column]);
                    slow(payload, payload.len() - rest.len(), column, scratch)?
                }
            };
        }
        (*rest == *self.end.text).then_some(())
    }
}

/// Passes over or reads one value as the general path does; `None` on a fault, which the general path will find again.
#[cold]
fn slow<'a>(payload: &'a [u8], at: usize, column: Option<&mut Column>, scratch: &mut Scratch) -> Option<&'a [u8]> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut reader = Reader::new(text, at, 1);
    match column {
        Some(column) => read_value(&mut reader, column, scratch).ok()?,
        None => reader.skip(&mut scratch.text).ok()?,
    }
    payload.get(reader.at()..)
}

/// Passes over a plain string or a plain integer and returns what follows; `None` for anything else.
#[inline]
fn skip(rest: &[u8], strings: Strings) -> Option<&[u8]> {
    match rest {
        [b'"', after @ ..] => string(after, strings).map(|(_, rest)| rest),
        [b't' | b'f' | b'n', ..] => word(rest).map(|(_, rest)| rest),
        _ => {
            let (_, rest) = digits(unsigned(rest).1)?;
            no_fraction(rest)
        }
    }
}

/// Appends a plain value of the column's type and returns what follows; `None` (and nothing appended) for any other.
#[inline]
fn read<'a>(rest: &'a [u8], strings: Strings, column: &mut Column) -> Option<&'a [u8]> {
    let rest = match &mut column.values {
        Values::Int64(values) => {
            let (value, rest) = integer(rest)?;
            values.push(value);
            rest
        }
        Values::Int32(values) => {
            let (value, rest) = integer(rest)?;
            values.push(i32::try_from(value).ok()?);
            rest
        }
        Values::Timestamp(values, unit) => {
            let (value, rest) = time(rest, strings, *unit)?;
            values.push(value);
            rest
        }
        Values::Float64(values) => {
            let (value, rest) = double(rest)?;
            values.push(value);
            rest
        }
        Values::Boolean(values) => {
            let (Some(value), rest) = word(rest)? else { return None };
            values.push(value);
            rest
        }
        Values::Utf8(values) => {
            let [b'"', after @ ..] = rest else { return None };
            let (text, rest) = string(after, strings)?;
            values.push(text);
            rest
        }
        _ => return None,
    };
    column.appended();
    Some(rest)
}

/// A string's bytes from behind its opening quote, and what follows its closing one.
#[inline]
fn string(after: &[u8], strings: Strings) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'"', after)?;
    let (text, rest) = (&after[..end], &after[end + 1..]);
    if strings == Strings::Escaped && memchr(b'\\', text).is_some() {
        return None;
    }
    Some((text, rest))
}

/// The value of `true`, `false` or `null`, and what follows it.
#[inline]
fn word(rest: &[u8]) -> Option<(Option<bool>, &[u8])> {
    match rest {
        [b't', b'r', b'u', b'e', rest @ ..] => Some((Some(true), rest)),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] => Some((Some(false), rest)),
        [b'n', b'u', b'l', b'l', rest @ ..] => Some((None, rest)),
        _ => None,
    }
}

#[inline]
fn unsigned(rest: &[u8]) -> (bool, &[u8]) {
    match rest {
        [b'-', unsigned @ ..] => (true, unsigned),
        _ => (false, rest),
    }
}

/// `rest`, unless it continues a number.
#[inline]
fn no_fraction(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        Some(b'.' | b'e' | b'E') => None,
        _ => Some(rest),
    }
}

#[inline]
fn integer(rest: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, unsigned) = unsigned(rest);
    let (value, rest) = digits(unsigned)?;
    let value = value as i64;
    Some((if negative { -value } else { value }, no_fraction(rest)?))
}

/// A time in `unit` from a whole number of it or from text without escapes.
#[inline]
fn time(rest: &[u8], strings: Strings, unit: TimeUnit) -> Option<(i64, &[u8])> {
    if let [b'"', after @ ..] = rest {
        let (text, rest) = string(after, strings)?;
        return Some((temporal::timestamp(std::str::from_utf8(text).ok()?, unit)?, rest));
    }
    integer(rest)
}

#[inline]
fn double(rest: &[u8]) -> Option<(f64, &[u8])> {
    let (negative, unsigned) = unsigned(rest);
    let (whole, rest) = digits(unsigned)?;
    let [b'.', fraction @ ..] = rest else {
        return Some((number::exact_double(negative, whole, 0)?, no_fraction(rest)?));
    };
    let (tail, places) = run(fraction);
    let rest = &fraction[places..];
    if places == 0 || places > 18 {
        return None;
    }
    let mantissa = whole.checked_mul(POWERS[places])?.checked_add(tail)?;
    Some((number::exact_double(negative, mantissa, places)?, no_fraction(rest)?))
}

/// Powers of ten of at most eighteen digits.
const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut place = 1;
    while place < 19 {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// A whole number of one to eighteen digits without a leading zero, and what follows it.
#[inline]
fn digits(rest: &[u8]) -> Option<(u64, &[u8])> {
    let (value, len) = run(rest);
    if len == 0 || len > 18 || (len > 1 && rest[0] == b'0') {
        return None;
    }
    Some((value, &rest[len..]))
}

/// The value and the number of the digits that `rest` begins with. Beyond eighteen digits the value means nothing.
#[inline]
fn run(rest: &[u8]) -> (u64, usize) {
    let mut value: u64 = 0;
    let mut len = 0;
    while let Some(word) = rest.get(len..).and_then(<[u8]>::first_chunk::<8>) {
        let (part, count) = word_of_digits(*word);
        value = value.wrapping_mul(POWERS[count]).wrapping_add(part);
        len += count;
        if count < 8 || len > 18 {
            return (value, len);
        }
    }
    while let Some(digit) = rest.get(len).filter(|byte| byte.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        len += 1;
    }
    (value, len)
}

/// The value and the number of the digits that a word begins with, without a branch for each.
#[inline]
fn word_of_digits(word: [u8; 8]) -> (u64, usize) {
    let digits = u64::from_le_bytes(word) ^ 0x3030_3030_3030_3030;
    // The top bit of each byte that is no digit. A carry reaches only bytes behind the first of them.
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    // Leading zeros instead of what follows the digits; then neighbours are added up: pairs, fours, all eight.
    let digits = digits << (8 * (8 - count));
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let value = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    (value, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_digits() {
        for (word, expected) in [
            (b"12345678", (12_345_678, 8)),
            (b"1234567,", (1_234_567, 7)),
            (b"0,999999", (0, 1)),
            (b",1234567", (0, 0)),
            (b"7\xff\xff\xff1234", (7, 1)),
            (b"99:99999", (99, 2)),
            (b"99/99999", (99, 2)),
            (b"4}      ", (4, 1)),
        ] {
            assert_eq!(word_of_digits(*word), expected, "{:?}", String::from_utf8_lossy(word));
        }
    }

    #[test]
    fn runs_of_digits() {
        for text in ["0", "7", "12345678", "123456789", "1700000000000", "123456789012345678"] {
            for tail in ["", ",", "}          ", ",\"x\":1234567890"] {
                let whole = format!("{text}{tail}");
                assert_eq!(run(whole.as_bytes()), (text.parse().unwrap_or(0), text.len()), "{whole}");
            }
        }
        assert_eq!(digits(b"01"), None);
        assert!(digits(b"1234567890123456789 ").is_none());
    }
}
