//! One record as one line of JSON, such that any bytes come back as they were and a flipped bit is noticed.
//!
//! ```json
//! {"offset":7,"timestamp":1767225601000,"key":"A","headers":[["source","x"]],"value":{"price":10},"crc":"0a1b2c3d"}
//! ```
//!
//! A value that is itself a JSON object or array on one line stands there verbatim, other text as a JSON string, other bytes
//! as `"value_base64"`; a tombstone as `null`. Keys are text or `"key_base64"`. `crc` covers the line before it. The text
//! between `{"offset":N` and `,"crc"` is the body; it is made when a record is appended, the rest when its offset is known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memchr2;
use millstream_engine::ids::Offset;
use millstream_engine::time::Millis;
use serde::de::IgnoredAny;

use crate::log::records::{Header, NewRecord, RecordBuilder, Records};

const HEAD: &[u8] = b"{\"offset\":";
const CRC: &[u8] = b",\"crc\":\"";
/// `,"crc":"`, eight hexadecimal digits, `"}`.
const TAIL_LEN: usize = 18;

/// Appends the body of a record's line.
pub(super) fn push_body(record: NewRecord<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timestamp\":");
    push_int(record.timestamp.0, out);
    push_field("key", record.key, Documents::Quoted, out);
    if let Some((first, rest)) = record.headers.split_first() {
        out.extend_from_slice(b",\"headers\":[");
        push_header(first, out);
        for header in rest {
            out.push(b',');
            push_header(header, out);
        }
        out.push(b']');
    }
    push_field("value", record.value, Documents::Verbatim, out);
}

/// Appends the line of the record at `offset` whose body is `body`, with its line feed.
pub(super) fn push_line(offset: Offset, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(HEAD);
    push_int(offset.0, out);
    out.extend_from_slice(body);
    push_crc(start, out);
}

/// Closes a JSON object that begins at `start` of `out` (and is not closed) with its checksum and a line feed.
pub(super) fn push_crc(start: usize, out: &mut Vec<u8>) {
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(CRC);
    for shift in (0..8).rev() {
        out.push(HEX[(crc >> (4 * shift)) as usize & 15]);
    }
    out.extend_from_slice(b"\"}\n");
}

/// The part of a line (without its line feed) that its checksum covers, if the checksum is right.
pub(super) fn checked(line: &[u8]) -> Result<&[u8], &'static str> {
    let (content, tail) = line.split_at_checked(line.len().wrapping_sub(TAIL_LEN)).ok_or("the line is too short")?;
    let hex = tail.strip_prefix(CRC).and_then(|tail| tail.strip_suffix(b"\"}")).ok_or("the line has no checksum")?;
    let written = std::str::from_utf8(hex).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
    if written != Some(crc32fast::hash(content)) {
        return Err("the line does not match its checksum");
    }
    Ok(content)
}

/// Reads a line (without its line feed) to the end of `into`, and checks that it is the record at `offset`.
pub(super) fn read_line(line: &[u8], offset: Offset, into: &mut Records) -> Result<(), &'static str> {
    let mut rest = Rest(checked(line)?);
    rest.expect(HEAD)?;
    if rest.int()? != offset.0 {
        return Err("the line has the offset of another record");
    }
    rest.expect(b",\"timestamp\":")?;
    let timestamp = Millis(rest.int()?);
    let len = into.len();
    let read = read_fields(&mut rest, &mut into.begin(offset, timestamp));
    if read.is_err() {
        into.truncate(len);
    }
    read
}

fn read_fields(rest: &mut Rest<'_>, record: &mut RecordBuilder<'_>) -> Result<(), &'static str> {
    if rest.eat(b",\"key_base64\":") {
        let text = rest.plain_string()?;
        let bytes = BASE64.decode(text).map_err(|_| "a key is not base64")?;
        record.key(Some(&bytes));
    } else {
        rest.expect(b",\"key\":")?;
        if !rest.eat(b"null") {
            let mut read = Ok(());
            record.key_with(|arena| read = rest.string(arena));
            read?;
        }
    }
    if rest.eat(b",\"headers\":[") {
        read_headers(rest, record)?;
    }
    read_value(rest, record)
}

fn read_value(rest: &mut Rest<'_>, record: &mut RecordBuilder<'_>) -> Result<(), &'static str> {
    if rest.eat(b",\"value_base64\":") {
        let text = rest.plain_string()?;
        let mut read = Ok(0);
        record.value_with(|arena| {
            let start = arena.len();
            arena.resize(start + base64::decoded_len_estimate(text.len()), 0);
            read = BASE64.decode_slice(text, &mut arena[start..]);
            arena.truncate(start + read.as_ref().copied().unwrap_or(0));
        });
        read.map_err(|_| "a value is not base64")?;
        return rest.end();
    }
    rest.expect(b",\"value\":")?;
    match rest.0.first() {
        Some(b'{' | b'[') => {
            record.value(Some(rest.0));
            return Ok(());
        }
        Some(b'"') => {
            let mut read = Ok(());
            record.value_with(|arena| read = rest.string(arena));
            read?;
        }
        _ => rest.expect(b"null")?,
    }
    rest.end()
}

fn read_headers(rest: &mut Rest<'_>, record: &mut RecordBuilder<'_>) -> Result<(), &'static str> {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    loop {
        name.clear();
        value.clear();
        rest.expect(b"[")?;
        rest.string(&mut name)?;
        rest.expect(b",")?;
        let mut present = true;
        if rest.eat(b"null") {
            present = false;
        } else if rest.eat(b"{\"base64\":") {
            value = BASE64.decode(rest.plain_string()?).map_err(|_| "a header is not base64")?;
            rest.expect(b"}")?;
        } else {
            rest.string(&mut value)?;
        }
        let name = std::str::from_utf8(&name).map_err(|_| "a header's name is not text")?;
        record.header(Header { name, value: present.then_some(&value) });
        rest.expect(b"]")?;
        if rest.eat(b"]") {
            return Ok(());
        }
        rest.expect(b",")?;
    }
}

/// What to do with text that is a JSON document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Documents {
    Verbatim,
    Quoted,
}

fn push_field(name: &str, value: Option<&[u8]>, documents: Documents, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    let Some(value) = value else {
        out.extend_from_slice(b"\":null");
        return;
    };
    let Ok(text) = std::str::from_utf8(value) else {
        out.extend_from_slice(b"_base64\":");
        push_base64(value, out);
        return;
    };
    out.extend_from_slice(b"\":");
    if documents == Documents::Verbatim && is_document(text) {
        out.extend_from_slice(value);
    } else {
        push_string(text, out);
    }
}

fn push_header(header: &Header<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    push_string(header.name, out);
    out.push(b',');
    match header.value.map(|value| (value, std::str::from_utf8(value))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => push_string(text, out),
        Some((bytes, Err(_))) => {
            out.extend_from_slice(b"{\"base64\":");
            push_base64(bytes, out);
            out.push(b'}');
        }
    }
    out.push(b']');
}

/// Whether the text is one JSON object or array without line feeds or other control characters.
fn is_document(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'{' | b'['))
        && !text.bytes().any(|b| b < 0x20)
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let len = base64::encoded_len(bytes.len(), true).expect("a record is far smaller than the address space");
    out.resize(start + len, 0);
    BASE64.encode_slice(bytes, &mut out[start..]).expect("the slice has just the length of the text");
    out.push(b'"');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut run = 0;
    for (at, &b) in text.as_bytes().iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[run..at]);
        run = at + 1;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[run..]);
    out.push(b'"');
}

fn push_int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// What is still to be read of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn eat(&mut self, literal: &[u8]) -> bool {
        let rest = self.0.strip_prefix(literal);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, literal: &[u8]) -> Result<(), &'static str> {
        if self.eat(literal) { Ok(()) } else { Err("the line is not a record") }
    }

    fn end(&self) -> Result<(), &'static str> {
        if self.0.is_empty() { Ok(()) } else { Err("there is something behind the record") }
    }

    fn int(&mut self) -> Result<i64, &'static str> {
        let len = self.0.iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or("a number is missing")
    }

    /// A string that has no escapes.
    fn plain_string(&mut self) -> Result<&'a [u8], &'static str> {
        self.expect(b"\"")?;
        let end = memchr::memchr(b'"', self.0).ok_or("a string has no end")?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    /// A string, without its quotes and escapes, to the end of `out`.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.expect(b"\"")?;
        loop {
            let at = memchr2(b'"', b'\\', self.0).ok_or("a string has no end")?;
            out.extend_from_slice(&self.0[..at]);
            let stop = self.0[at];
            self.0 = &self.0[at + 1..];
            if stop == b'"' {
                return Ok(());
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<u8, &'static str> {
        let (&kind, rest) = self.0.split_first().ok_or("a string has no end")?;
        self.0 = rest;
        Ok(match kind {
            b'"' | b'\\' => kind,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'u' => {
                let (digits, rest) = self.0.split_at_checked(4).ok_or("a string has no end")?;
                self.0 = rest;
                std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or("an escape is not one of ours")?
            }
            _ => return Err("an escape is not one of ours"),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line_of(record: NewRecord<'_>) -> Vec<u8> {
        let (mut body, mut line) = (Vec::new(), Vec::new());
        push_body(record, &mut body);
        push_line(Offset(41), &body, &mut line);
        line
    }

    fn round_trip(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> Vec<u8> {
        let line = line_of(NewRecord { key, value, timestamp: Millis(-5), headers });
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        serde_json::from_slice::<IgnoredAny>(&line).unwrap();
        let mut records = Records::new();
        read_line(&line[..line.len() - 1], Offset(41), &mut records).unwrap();
        let read = records.get(0);
        assert_eq!((read.key, read.value, read.timestamp, read.offset), (key, value, Millis(-5), Offset(41)));
        assert_eq!(read.headers.collect::<Vec<_>>(), headers);
        line
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let values: &[&[u8]] = &[
            b"",
            b"plain",
            b"{\"a\":1}",
            b"{\"a\":1} ",
            b"[1,2]",
            b"{\"a\":\n1}",
            b"{broken",
            b"{\"a\":1}}",
            b"\"quoted\"",
            b"12",
            b"null",
            b"\x00\x1f\x7f\\\"\r\n\t",
            "{\"a\":\"\u{2028}ü\"}".as_bytes(),
            b"\xff\xfe",
            b"{\"a\":\"\xff\"}",
            b"\",\"crc\":\"00000000\"}",
        ];
        for value in values {
            round_trip(None, Some(value), &[]);
            round_trip(Some(value), None, &[Header { name: "h\"\n", value: Some(value) }]);
            round_trip(
                Some(value),
                Some(value),
                &[Header { name: "", value: None }, Header { name: "b", value: Some(b"") }],
            );
        }
    }

    #[test]
    fn a_line_reads_well() {
        let line = round_trip(Some(b"A"), Some(b"{\"price\":10}"), &[Header { name: "source", value: Some(b"x") }]);
        let line = String::from_utf8(line).unwrap();
        let (content, _) = line.split_at(line.len() - 19);
        let expected = r#"{"offset":41,"timestamp":-5,"key":"A","headers":[["source","x"]],"value":{"price":10}"#;
        assert_eq!(content, expected);
    }

    #[test]
    fn deep_documents_come_back() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        round_trip(None, Some(deep.as_bytes()), &[]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let header = [Header { name: "n", value: Some(b"\xff") }];
        let line =
            line_of(NewRecord { key: Some(b"k\n"), value: Some(b"\xff\x00"), timestamp: Millis(9), headers: &header });
        let line = &line[..line.len() - 1];
        let mut records = Records::new();
        for cut in 0..line.len() {
            assert!(read_line(&line[..cut], Offset(41), &mut records).is_err());
        }
        for bit in 0..line.len() * 8 {
            let mut flipped = line.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The case of a hexadecimal digit of the checksum itself does not matter.
            if !flipped.eq_ignore_ascii_case(line) {
                assert!(read_line(&flipped, Offset(41), &mut records).is_err(), "bit {bit}");
            }
        }
        assert!(records.is_empty());
    }

    #[test]
    fn hostile_lines_with_a_right_checksum_never_panic() {
        let good = line_of(NewRecord { key: Some(b"k"), value: Some(b"v\n"), timestamp: Millis(9), headers: &[] });
        let content = &good[..good.len() - TAIL_LEN - 1];
        for cut in 0..content.len() {
            for extra in [&b""[..], b"\"", b"\\", b"\\u0", b"[", b"{", b"\xff", b",\"headers\":[[\"\xff\",null]]"] {
                let mut line = content[..cut].to_vec();
                line.extend_from_slice(extra);
                push_crc(0, &mut line);
                let mut records = Records::new();
                let _ = read_line(&line[..line.len() - 1], Offset(41), &mut records);
                records.iter().for_each(|record| record.headers.for_each(drop));
            }
        }
    }
}
