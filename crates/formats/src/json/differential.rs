//! The bet may never change a result: the same messages with the bet on and off, over many thousand mutated documents.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::Betting;
use crate::testing::Random;
use crate::{DecodeFormat, Decoder, Headers, Message};

const SEEDS: u64 = 400;
const MESSAGES: usize = 150;

/// Documents of several shapes, so that shapes are learned, missed and pushed out.
fn document(random: &mut Random) -> String {
    let (a, b, c) = (random.below(100_000), random.below(1 << 40), random.below(10_000_000));
    match random.below(9) {
        0..=3 => format!(
            "{{\"auction\":{a},\"bidder\":{b},\"price\":{}.{:02},\"channel\":\"Google\",\"url\":\"https://www.nexmark.com/{c}\",\
             \"date_time\":17{c:08}000,\"flag\":{},\"extra\":\"{}\"}}",
            c / 100,
            c % 100,
            ["true", "false", "null"][random.below(3)],
            "x".repeat(random.below(40)),
        ),
        4 => {
            format!("{{ \"auction\": {a}, \"price\": {c}e-2, \"channel\": null, \"extra\": [{b}, {{\"k\": \"v\"}}]}}\n")
        }
        5 => format!(
            "{{\"bidder\":-{b},\"auction\":-{a},\"channel\":\"caf\u{e9} \\u00e9 \\\"{c}\\\"\",\"small\":{}}}",
            a % 300
        ),
        6 => format!(
            "{{\"tags\":[\"a\",\"{c}\"],\"small\":7,\"price\":-0.0,\"date_time\":\"2026-01-01T00:00:00Z\",\"auction\":{a}}}"
        ),
        7 => format!("{{\"auction\":{a}.0,\"price\":{b}{c}{b},\"small\":{b},\"bidder\":{b}{b}}}"),
        _ => "{}".to_owned(),
    }
}

/// One change of the kinds that tell decoders apart.
fn mutate(document: &mut Vec<u8>, random: &mut Random) {
    const PIECES: [&[u8]; 40] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"0",
        b"-",
        b"+",
        b".",
        b"e5",
        b"E-3",
        b"\n",
        b"\t",
        b" ",
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc3",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"null",
        b"true",
        b"NaN",
        b"\\n",
        b"\\u12",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"99999999999999999999",
        b"9007199254740993",
        b"1e400",
        b"00",
        b"\"auction\":1,",
        b",\"price\":2",
        b"{}",
        b"/*c*/",
        b"\xef\xbb\xbf",
    ];
    let at = random.below(document.len() + 1);
    let piece = PIECES[random.below(PIECES.len())];
    match random.below(9) {
        7 => replace_number(document, random),
        0 if at < document.len() => document[at] ^= 1 << random.below(8),
        1 => document.truncate(at),
        2 => {
            document.splice(at..at, piece.iter().copied());
        }
        3 => {
            let end = (at + random.below(4)).min(document.len());
            document.splice(at..end, piece.iter().copied());
        }
        4 => {
            let end = (at + random.below(20)).min(document.len());
            document.drain(at..end);
        }
        5 => {
            let end = (at + random.below(30)).min(document.len());
            let copy = document[at..end].to_vec();
            document.splice(at..at, copy);
        }
        6 => document.extend_from_slice(piece),
        _ => swap_members(document, random),
    }
}

/// Puts a number at the edge of some type's range, or of exactness, in place of some digits.
fn replace_number(document: &mut Vec<u8>, random: &mut Random) {
    const EDGES: [&str; 18] = [
        "9223372036854775807",
        "9223372036854775808",
        "9999999999999999999",
        "1000000000000000000",
        "999999999999999999",
        "18446744073709551616",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "900719925474099.3",
        "0.000000000000000001",
        "0.0000000000000000001",
        "123456789.123456789",
        "1.999999999999999999",
        "2147483647",
        "2147483648",
        "12345678",
        "0.0",
    ];
    let starts = (1..document.len()).filter(|&at| document[at].is_ascii_digit() && !document[at - 1].is_ascii_digit());
    let starts = starts.collect::<Vec<_>>();
    if starts.is_empty() {
        return;
    }
    let start = starts[random.below(starts.len())];
    let len = document[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    document.splice(start..start + len, EDGES[random.below(EDGES.len())].bytes());
}

/// Swaps two stretches between commas: members in another order, or worse.
fn swap_members(document: &mut Vec<u8>, random: &mut Random) {
    let mut parts = document.split(|&byte| byte == b',').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (first, second) = (random.below(parts.len()), random.below(parts.len()));
    parts.swap(first, second);
    *document = parts.join(&b',');
}

fn columns(random: &mut Random) -> SchemaRef {
    let tags = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let mut fields = vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("bidder", DataType::Int64, true),
        Field::new("price", DataType::Float64, true),
        Field::new("channel", DataType::Utf8, true),
        Field::new("date_time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("small", DataType::Int32, true),
        Field::new("tags", tags, true),
        Field::new("extra", DataType::Utf8, true),
    ];
    if random.below(2) == 0 {
        fields[2] = Field::new("price", DataType::Decimal128(12, 2), true);
    }
    if random.below(4) == 0 {
        fields[0] = Field::new("auction", DataType::Int64, false);
    }
    fields.retain(|_| random.below(3) > 0);
    Arc::new(Schema::new(fields))
}

#[test]
fn the_bet_never_changes_a_result() {
    let mut rows = 0;
    let mut faults = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let columns = columns(&mut random);
        let mut betting = Decoder::with_betting(DecodeFormat::Json, columns.clone(), Betting::On).unwrap();
        let mut general = Decoder::with_betting(DecodeFormat::Json, columns, Betting::Off).unwrap();
        // Several calls, so that what one learns is used in the next.
        for _ in 0..3 {
            let payloads = (0..MESSAGES).map(|_| payload(&mut random)).collect::<Vec<_>>();
            let messages = payloads.iter().map(|payload| message(payload)).collect::<Vec<_>>();
            let quick = betting.decode("t", 0, &messages).unwrap();
            let sure = general.decode("t", 0, &messages).unwrap();
            assert_eq!(quick.faults, sure.faults, "seed {seed}");
            assert_eq!(quick.messages, sure.messages, "seed {seed}");
            assert_eq!(quick.rows, sure.rows, "seed {seed}");
            rows += sure.rows.num_rows();
            faults += sure.faults.len();
        }
    }
    // The test would prove little if nearly all messages were alike.
    assert!(rows > 20_000 && faults > 20_000, "{rows} rows and {faults} faults");
}

fn payload(random: &mut Random) -> Vec<u8> {
    let mut payload = document(random).into_bytes();
    for _ in 0..random.below(3) {
        mutate(&mut payload, random);
    }
    payload
}

fn message(payload: &[u8]) -> Message<'_> {
    Message { key: None, value: Some(payload), timestamp: 0, offset: 0, headers: Headers::NONE }
}

#[test]
fn every_byte_of_a_document_changed_to_every_other() {
    let document = br#"{"a":120,"s":"text","x":-1.50,"skip":10,"b":true}"#;
    let columns = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("b", DataType::Boolean, true),
    ]));
    let mut betting = Decoder::with_betting(DecodeFormat::Json, columns.clone(), Betting::On).unwrap();
    let mut general = Decoder::with_betting(DecodeFormat::Json, columns, Betting::Off).unwrap();
    for at in 0..document.len() {
        let changed = (0..=255_u8).map(|byte| {
            let mut changed = document.to_vec();
            changed[at] = byte;
            changed
        });
        let payloads = std::iter::once(document.to_vec()).chain(changed).collect::<Vec<_>>();
        let messages = payloads.iter().map(|payload| message(payload)).collect::<Vec<_>>();
        let (quick, sure) = (betting.decode("t", 0, &messages).unwrap(), general.decode("t", 0, &messages).unwrap());
        assert_eq!(quick.faults, sure.faults, "byte {at}");
        assert_eq!(quick.rows, sure.rows, "byte {at}");
    }
}
