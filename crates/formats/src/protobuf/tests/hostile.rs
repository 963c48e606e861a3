//! Bytes from nobody who means well: every outcome is a row or a fault, in bounded time and memory.

use arrow::array::Array;
use arrow::datatypes::{DataType, Field};

use super::*;
use crate::testing::Random;

fn every_kind() -> ProtobufMessage {
    first(&compile(
        "syntax = \"proto2\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/struct.proto\"; import \"google/protobuf/wrappers.proto\";
         message M { optional int32 a = 1; optional string b = 2; repeated sint64 c = 3; map<string, N> d = 4; oneof o { int32 e = 5; bytes f = 6; }
         optional N n = 7; repeated N l = 8; optional google.protobuf.Timestamp t = 9; optional google.protobuf.Struct s = 10; optional E g = 11;
         optional google.protobuf.StringValue w = 12; message N { optional double x = 1; repeated string y = 2; } enum E { ONE = 1; } }",
    ))
}

const GOOD: &str = r#"a: -1 b: "text" c: [1, -2] d: {key: "k" value: {x: 0.5}} f: "ff" n: {y: "y"} l: {} l: {x: 1 y: "z"} t: {seconds: 5 nanos: 6}
    s: {fields: {key: "k" value: {list_value: {values: {number_value: 1}}}}} g: ONE w: {value: "w"}"#;

#[test]
fn damaged_messages_harm_only_themselves() {
    let message = every_kind();
    let good = bytes(&message, GOOD);
    let few: Fields = vec![Field::new("w", DataType::Utf8, true), Field::new("e", DataType::Int32, true)].into();
    let mut decoders =
        [all(&message), decoder(bare(&message), few).unwrap(), decoder(bare(&message), Fields::empty()).unwrap()];
    for seed in 0..1_500 {
        let mut random = Random::new(seed);
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
        match random.below(3) {
            0 => bad.truncate(random.below(bad.len())),
            1 => bad = (0..random.below(64)).map(|_| random.next() as u8).collect(),
            _ => {}
        }
        for decoder in &mut decoders {
            let decoded = decode(decoder, &[&good, &bad, &good]);
            assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 3, "seed {seed}");
            assert!(decoded.faults.iter().all(|(index, _)| *index == 1), "seed {seed}");
            let alone = decode(decoder, &[&good]);
            for (around, alone) in decoded.rows.columns().iter().zip(alone.rows.columns()) {
                assert_eq!(&around.slice(0, 1), alone, "seed {seed}");
                assert_eq!(&around.slice(around.len() - 1, 1), alone, "seed {seed}");
            }
        }
    }
}

#[test]
fn wild_lengths_and_tags_are_faults_at_once() {
    let mut decoder = all(&every_kind());
    for bytes in [
        &[18, 0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[26, 0xff, 0xff, 0xff, 0x7f, 1],
        &[66, 5, 0xff],
        &[0],
        &[7],
        &[6, 1],
        &[12],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[11, 11, 11, 12, 12],
        &[163, 6, 163, 6, 164, 6],
        &[18, 1, 0xff],
        &[74, 6, 16, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ] {
        let decoded = decode(&mut decoder, &[bytes]);
        assert_eq!(decoded.faults.len(), 1, "{bytes:x?}");
        assert!(decoded.rows.get_array_memory_size() < 1 << 20);
    }
    let endless = decode(&mut decoder, &[&[163, 6].repeat(100_000)]);
    assert!(endless.faults[0].1.message.starts_with("groups nested more than 100 deep"));
}

/// Two bytes an item, each of which is a row of two hundred columns.
#[test]
fn empty_messages_do_not_grow_without_bound() {
    let fields = (1..=200).map(|i| format!("int64 f{i} = {i};")).collect::<String>();
    let message = first(&proto3(&format!("message M {{ repeated N l = 1; message N {{ {fields} }} }}")));
    let many = [10, 0].repeat(100_000);
    let decoded = decode(&mut all(&message), &[&many, &[10, 0].repeat(1_000)]);
    assert_eq!(decoded.faults.len(), 1);
    assert!(decoded.faults[0].1.message.contains("becomes far larger in columns"), "{}", decoded.faults[0].1.message);
    assert_eq!(decoded.rows.num_rows(), 1);
}

/// The same, with the columns in a message within the item.
#[test]
fn empty_messages_do_not_grow_by_what_they_hold() {
    let fields = (1..=200).map(|i| format!("int64 f{i} = {i};")).collect::<String>();
    let message = format!("message M {{ repeated N l = 1; message N {{ O o = 1; }} message O {{ {fields} }} }}");
    let many = [10, 0].repeat(60_000);
    let decoded = decode(&mut all(&first(&proto3(&message))), &[&many, &[10, 0].repeat(1_000)]);
    assert_eq!(decoded.faults.len(), 1);
    assert!(decoded.faults[0].1.message.contains("becomes far larger in columns"), "{}", decoded.faults[0].1.message);
    assert_eq!(decoded.rows.num_rows(), 1);
}

/// JSON values within each other as deep as bytes go.
#[test]
fn json_nested_without_end_is_a_fault() {
    let message = first(&compile(
        "syntax = \"proto3\"; import \"google/protobuf/struct.proto\"; message M { google.protobuf.Value v = 1; }",
    ));
    let mut value = vec![8, 0];
    for _ in 0..5_000 {
        let list = [&[10][..], &length(value.len()), &value].concat();
        value = [&[50][..], &length(list.len()), &list].concat();
    }
    let bytes = [&[10][..], &length(value.len()), &value].concat();
    let decoded = decode(&mut all(&message), &[&bytes]);
    assert_eq!(decoded.faults[0].1.message, "column v: JSON nested more than 100 deep");
}

fn length(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::wire::put_varint(len as u64, &mut bytes);
    bytes
}
