//! Bytes from nobody who means well: every outcome is a row or a fault, in bounded time and memory.

use arrow::array::Array;
use serde_json::Value;

use super::*;
use crate::testing::Random;

fn every_kind() -> JsonSchema {
    schema(&json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": "integer", "minimum": -5}, "price": {"type": "number"}, "paid": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
        "raw": {"type": "string", "contentEncoding": "base64"}, "side": {"enum": ["BUY", "SELL"]},
        "name": {"type": ["null", "string"], "pattern": "^(a|b|ab)*[^\\d]*$"},
        "tags": {"type": "array", "items": {"type": "array", "items": {"type": ["string", "null"]}}, "uniqueItems": true},
        "labels": {"type": "object", "additionalProperties": {"type": "number"}},
        "home": {"allOf": [{"$ref": "#/$defs/address"}]}, "tree": {"$ref": "#/$defs/tree"}},
        "$defs": {
            "address": {"type": "object", "properties": {"zip": {"type": "string"}, "floor": {"type": "integer"}}},
            "tree": {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}}))
}

fn document(random: &mut Random) -> Value {
    json!({"id": random.below(1_000), "price": 0.5, "paid": true, "at": "2026-01-31T12:00:00.25Z", "day": "2026-01-31",
        "raw": "AAEC", "side": "BUY", "name": "abba", "tags": [["x", null], [], ["\u{e9}\n\"\\"]], "labels": {"k": 1.5, "l": 2},
        "home": {"zip": "89073", "floor": 2}, "tree": {"below": [{"below": []}]}})
}

/// A decoder with what precedes its messages; all columns are read, or few.
struct Reading {
    decoder: Decoder,
    header: Vec<u8>,
}

fn readings() -> Vec<Reading> {
    let schema = every_kind();
    let all: Fields = schema.columns().fields.into();
    let few = all.iter().step_by(4).cloned().collect::<Fields>();
    let mut readings = Vec::new();
    for columns in [all, few, Fields::empty()] {
        let ways = [
            (JsonFraming::Bare, Validation::Off),
            (JsonFraming::Bare, Validation::Schema(schema.clone())),
            (JsonFraming::Registry, Validation::Off),
            (JsonFraming::Registry, Validation::Schema(schema.clone())),
            (JsonFraming::Registry, Validation::Writer),
        ];
        for (framing, validation) in ways {
            let mut decoder = decoder(framing, validation, columns.clone()).unwrap();
            decoder.add_writer(SchemaId(7), &WriterSchema::Json(schema.clone())).unwrap();
            let header = if framing == JsonFraming::Bare { Vec::new() } else { SchemaId(7).header().to_vec() };
            readings.push(Reading { decoder, header });
        }
    }
    readings
}

/// The text with some of its bytes changed, taken out, doubled or cut off.
fn damaged(good: &[u8], random: &mut Random) -> Vec<u8> {
    const BYTES: &[u8] = b"{}[]\",:\\0-+.eEu \n\0\x7f\x80\xc3\xff";
    let mut bad = good.to_vec();
    for _ in 0..=random.below(3) {
        if bad.is_empty() {
            break;
        }
        let at = random.below(bad.len());
        match random.below(6) {
            0 => bad[at] = BYTES[random.below(BYTES.len())],
            1 => bad[at] ^= 1 << random.below(8),
            2 => bad.insert(at, BYTES[random.below(BYTES.len())]),
            3 => drop(bad.remove(at)),
            4 => bad.truncate(at + 1),
            _ => {
                let end = at + random.below(bad.len() - at);
                let piece = bad[at..end].to_vec();
                bad.splice(at..at, piece);
            }
        }
    }
    bad
}

/// Whatever the bytes are, good messages around them are the rows that they are alone, and a fault is all that comes of them.
fn check(reading: &mut Reading, good: &[u8], bad: &[u8], what: &str) {
    let Reading { decoder, .. } = reading;
    let payloads = [good.to_vec(), bad.to_vec(), good.to_vec()];
    let decoded = match decoder.decode("t", 0, &messages(&payloads)) {
        Ok(decoded) => decoded,
        // The header names another schema, which nobody has told of.
        Err(unknown) => {
            let named = SchemaId::named_by(bad).into_iter().collect::<Vec<_>>();
            return assert_eq!(unknown.0, named, "{what}");
        }
    };
    assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 3, "{what}");
    assert!(decoded.faults.iter().all(|(index, _)| *index == 1), "{what}: {:?}", decoded.faults);
    let alone = decode(decoder, &[good.to_vec()]);
    for (around, alone) in decoded.rows.columns().iter().zip(alone.rows.columns()) {
        assert_eq!(&around.slice(0, 1), alone, "{what}");
        assert_eq!(&around.slice(around.len() - 1, 1), alone, "{what}");
    }
}

#[test]
fn damaged_messages_harm_only_themselves() {
    let mut readings = readings();
    let mut faults = 0;
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let text = document(&mut random).to_string();
        for reading in &mut readings {
            let good = [&reading.header, text.as_bytes()].concat();
            let bad = match random.below(8) {
                0 => (0..random.below(64)).map(|_| random.next() as u8).collect(),
                // The header too may be damaged.
                1 => damaged(&good, &mut random),
                _ => [&reading.header, &damaged(text.as_bytes(), &mut random)[..]].concat(),
            };
            let what = format!("seed {seed}: {}", String::from_utf8_lossy(&bad));
            check(reading, &good, &bad, &what);
            faults +=
                usize::from(reading.decoder.decode("t", 0, &messages(&[bad])).is_ok_and(|of| of.faults.len() == 1));
        }
    }
    assert!(faults > 800, "{faults} faults show nothing");
}

#[test]
fn every_cut_is_a_fault() {
    for mut reading in readings() {
        let text = document(&mut Random::new(1)).to_string();
        let good = [&reading.header, text.as_bytes()].concat();
        let cuts = (0..good.len()).map(|len| good[..len].to_vec()).collect::<Vec<_>>();
        let decoded = decode(&mut reading.decoder, &cuts);
        assert_eq!((decoded.rows.num_rows(), decoded.faults.len()), (0, good.len()));
    }
}

/// Values within each other as deep as bytes go, numbers and names without end, one name again and again. What took time with
/// the square of its length would take minutes here.
#[test]
fn wild_documents_are_rows_or_faults_at_once() {
    let long = "9".repeat(100_000);
    let again = (0..20_000).map(|i| format!("\"id\": {i}")).collect::<Vec<_>>().join(", ");
    let names = (0..20_000).map(|i| format!("\"n{i}\": {i}")).collect::<Vec<_>>().join(", ");
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let below = |depth: usize| format!("{}[]{}", "[{\"below\": ".repeat(depth), "}]".repeat(depth));
    let wild = [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"id\": 1, \"tags\": {}}}", lists(50_000)),
        format!("{{\"id\": 1, \"other\": {}}}", lists(50_000)),
        format!("{{\"id\": 1, \"tree\": {{\"below\": {}}}}}", below(5_000)),
        format!("{{\"id\": {long}}}"),
        format!("{{\"id\": 1, \"price\": 1e{long}}}"),
        format!("{{\"id\": 1, \"price\": 0.{long}}}"),
        format!("{{{again}}}"),
        format!("{{\"id\": 1, {names}}}"),
        format!("{{\"id\": 1, \"labels\": {{{names}}}}}"),
        format!("{{\"id\": 1, \"name\": \"{}!\"}}", "ab".repeat(50_000)),
        format!("{{\"id\": 1, \"name\": \"{}", "\\u00".repeat(50_000)),
        "null".to_owned(),
        "[]".to_owned(),
    ];
    for mut reading in readings() {
        for text in &wild {
            let bytes = [&reading.header, text.as_bytes()].concat();
            let decoded = decode(&mut reading.decoder, &[bytes]);
            let shown = &text[..text.len().min(40)];
            assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1, "{shown}");
            assert!(decoded.rows.get_array_memory_size() < 4 << 20, "{shown}");
        }
    }
}
