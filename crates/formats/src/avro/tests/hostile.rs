//! Bytes from nobody who means well: every outcome is a row or a fault, in bounded time and memory.

use arrow::array::Array;
use serde_json::json;

use super::*;
use crate::testing::Random;

fn every_kind() -> AvroSchema {
    schema(&json!({"type": "record", "name": "W", "fields": [
        {"name": "flag", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": ["null", "long"]},
        {"name": "d", "type": "double"}, {"name": "s", "type": "string"}, {"name": "b", "type": "bytes"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 4}},
        {"name": "m", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "u", "type": ["null", "int", "string", "F"]},
        {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": ["null", "string"]}}},
        {"name": "map", "type": {"type": "map", "values": {"type": "record", "name": "P", "fields": [{"name": "x", "type": "float"}, {"name": "y", "type": "string"}]}}},
        {"name": "nothing", "type": {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}}]}))
}

fn value(random: &mut Random) -> Value {
    let texts = |random: &mut Random| (0..random.below(3)).map(|i| json!(format!("t{i}"))).collect::<Vec<_>>();
    json!({"flag": random.below(2) == 0, "i": random.next() as i32, "l": null, "d": 0.5, "s": "text", "b": "ÿ", "e": "B",
        "f": "abcd", "m": "ab", "u": "x", "list": [texts(random), texts(random)],
        "map": {"a": {"x": 1.5, "y": "z"}}, "nothing": [{}, {}]})
}

/// Everything is read, only the last field is read (all else is passed over), or nothing.
fn decoders(writer: &AvroSchema) -> Vec<Decoder> {
    let all = fields(writer);
    let last = all.iter().skip(all.len() - 1).cloned().collect::<Fields>();
    [all, last, Fields::empty()].map(|columns| decoder(bare(writer, None), columns).unwrap()).into()
}

/// Whatever the bytes are, good messages around them are rows, and a fault is all that comes of them.
fn check(decoders: &mut [Decoder], good: &[u8], bad: &[u8]) {
    for decoder in decoders {
        let decoded = decode(decoder, &[good, bad, good]);
        assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 3, "{bad:x?}");
        assert!(decoded.faults.iter().all(|(index, _)| *index == 1), "{bad:x?}");
        let alone = decode(decoder, &[good]);
        for (around, alone) in decoded.rows.columns().iter().zip(alone.rows.columns()) {
            assert_eq!(&around.slice(0, 1), alone, "{bad:x?}");
            assert_eq!(&around.slice(around.len() - 1, 1), alone, "{bad:x?}");
        }
    }
}

#[test]
fn damaged_messages_harm_only_themselves() {
    let writer = every_kind();
    let mut decoders = decoders(&writer);
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let good = bytes(&writer, &value(&mut random));
        for len in 0..good.len() {
            let cut = decode(&mut decoders[0], &[&good[..len]]);
            assert_eq!(cut.faults.len(), 1, "seed {seed}, cut at {len}");
        }
        for _ in 0..30 {
            let mut bad = good.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bad.len());
                bad[at] = match random.below(4) {
                    0 => 0xff,
                    1 => 0x80,
                    2 => bad[at] ^ (1 << random.below(8)),
                    _ => random.next() as u8,
                };
            }
            check(&mut decoders, &good, &bad);
        }
        let noise = (0..random.below(64)).map(|_| random.next() as u8).collect::<Vec<_>>();
        check(&mut decoders, &good, &noise);
    }
}

/// Lengths and counts up to 2⁶³ in a few bytes.
#[test]
fn wild_lengths_are_faults_at_once() {
    let wild = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x80, 0x04],
        &[0x01, 0x01],
    ];
    let empty = json!({"type": "record", "name": "Empty", "fields": []});
    for kind in [
        json!("string"),
        json!("bytes"),
        json!({"type": "array", "items": "string"}),
        json!({"type": "array", "items": empty}),
        json!({"type": "map", "values": empty}),
        json!(["null", "string"]),
        json!({"type": "enum", "name": "E", "symbols": ["A"]}),
    ] {
        let writer = schema(
            &json!({"type": "record", "name": "W", "fields": [{"name": "a", "type": kind}, {"name": "z", "type": "int"}]}),
        );
        for columns in [fields(&writer), Fields::empty()] {
            let mut decoder = decoder(bare(&writer, None), columns).unwrap();
            for bytes in wild {
                let decoded = decode(&mut decoder, &[bytes, &[bytes, &[0, 0]].concat()]);
                assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 2);
                assert!(decoded.rows.get_array_memory_size() < 1 << 20, "{kind} {bytes:x?}");
            }
        }
    }
}

/// A few bytes that say: sixty thousand items, each of which is a long default of the reader.
#[test]
fn items_without_bytes_do_not_grow_without_bound() {
    let writer = schema(&json!({"type": "array", "items": {"type": "record", "name": "R", "fields": []}}));
    let text = "x".repeat(4096);
    let reader = schema(
        &json!({"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string", "default": text}]}}),
    );
    let mut decoder = decoder(bare(&writer, Some(&reader)), fields(&reader)).unwrap();
    let many = [0xa0, 0x9c, 0x01, 0]; // 10,000 items
    let all = [0x80, 0x80, 0x08, 0]; // 65,536 items
    let decoded = decode(&mut decoder, &[&many, &all, &many]);
    let faults = decoded.faults.iter().map(|(index, error)| (*index, error.message.clone())).collect::<Vec<_>>();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].0, 1);
    assert!(faults[0].1.contains("becomes far larger in columns"), "{faults:?}");
    assert_eq!(decoded.rows.num_rows(), 2);
}

#[test]
fn a_value_nested_without_end_is_a_fault() {
    let writer = schema(
        &json!({"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}, {"name": "v", "type": "int"}]}),
    );
    let columns: Fields = vec![arrow::datatypes::Field::new("v", arrow::datatypes::DataType::Int32, true)].into();
    let mut decoder = decoder(bare(&writer, None), columns).unwrap();
    let endless = vec![2; 100_000];
    let chain = |len: usize| [vec![2; len], vec![0], vec![8; len + 1]].concat();
    let decoded = decode(&mut decoder, &[&endless, &chain(10), &chain(1_000)]);
    assert_eq!(json_rows(&decoded.rows), [json!({"v": 4})]);
    let faults = decoded.faults.iter().map(|(index, _)| *index).collect::<Vec<_>>();
    assert_eq!(faults, [0, 2]);
}
