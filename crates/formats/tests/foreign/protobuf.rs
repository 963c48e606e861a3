//! Protobuf: random message types of both syntaxes.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use millstream_formats::protobuf::{ProtobufFraming, ProtobufRead, ProtobufSchema, ProtobufWrite};
use millstream_formats::{DecodeFormat, EncodeFormat};
use millstream_harness::random::Random;
use millstream_harness::suite::Trial;
use millstream_harness::{Codecs, Result, ensure};
use protox::file::{File, FileResolver, GoogleFileResolver};
use serde_json::{Value, json};

use crate::same::same;
use crate::{bytes, decode, encode, hex};

const SCHEMAS: u64 = 400;
const ROWS: usize = 6;
const SCALARS: [&str; 15] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "float",
    "double", "bool", "string", "bytes",
];

pub(crate) fn tests() -> Vec<Trial> {
    millstream_harness::tests![
        messages_are_read_as_java_writes_them_and_java_reads_what_we_write,
        java_reads_what_has_no_type_of_its_own,
    ]
}

fn messages_are_read_as_java_writes_them_and_java_reads_what_we_write() -> Result {
    let codecs = Codecs::shared()?;
    for seed in 0..SCHEMAS {
        let text = schema(&mut Random::new(seed));
        messages(codecs, seed, &text).map_err(|trouble| format!("seed {seed}: {trouble}\n  {text}"))?;
    }
    Ok(())
}

fn schema(random: &mut Random) -> String {
    let proto2 = random.below(3) == 0;
    let mut text = match proto2 {
        true => "syntax = \"proto2\"; enum E { ONE = 1; MINUS = -1; BIG = 1000000; }".to_owned(),
        false => "syntax = \"proto3\"; enum E { ZERO = 0; ONE = 1; MINUS = -1; BIG = 1000000; }".to_owned(),
    };
    let count = 1 + random.below(3);
    for message in 0..count {
        text += &format!(" message M{message} {{");
        let mut number = 0;
        for field in 0..1 + random.below(8) {
            number += 1 + random.below(4) * random.below(100);
            let kind = kind(random, message);
            text += &match (random.below(8), proto2) {
                (0, _) => format!(" optional {kind} f{field} = {number};"),
                (1, _) => format!(" repeated {kind} f{field} = {number};"),
                (2, _) if SCALARS[..13].contains(&&*kind) => {
                    format!(" repeated {kind} f{field} = {number} [packed = {}];", !proto2)
                }
                (3, _) => {
                    let key = ["string", "int32", "sint64", "bool", "fixed64"][random.below(5) as usize];
                    format!(" map<{key}, {kind}> f{field} = {number};")
                }
                (4, _) => {
                    number += 1;
                    let other = self::kind(random, message);
                    format!(" oneof o{field} {{ {kind} f{field} = {}; {other} g{field} = {number}; }}", number - 1)
                }
                (5, true) => format!(" required {kind} f{field} = {number};"),
                (6, true) => format!(" optional sint32 f{field} = {number} [default = -3];"),
                (_, true) => format!(" optional {kind} f{field} = {number};"),
                (_, false) => format!(" {kind} f{field} = {number};"),
            };
        }
        text += " }";
    }
    text
}

fn kind(random: &mut Random, messages: u64) -> String {
    match random.below(6) {
        0 => "E".to_owned(),
        1 if messages > 0 => format!("M{}", random.below(messages)),
        _ => SCALARS[random.below(15) as usize].to_owned(),
    }
}

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        match name {
            "m.proto" => File::from_source(name, &self.0),
            google => GoogleFileResolver::new().open_file(google),
        }
    }
}

/// The schema as `protoc` would hand it to Java.
fn files(text: &str) -> Result<String> {
    let mut compiler = protox::Compiler::with_file_resolver(Source(text.to_owned()));
    compiler.include_imports(true);
    compiler.open_file("m.proto").map_err(|error| error.to_string())?;
    Ok(hex(&compiler.encode_file_descriptor_set()))
}

fn messages(codecs: &Codecs, seed: u64, text: &str) -> Result {
    let own = ProtobufSchema::compile(text, &[]).map_err(|error| error.to_string())?;
    let name = own.message_names().pop().unwrap_or_default();
    let message = own.message(Some(&name)).map_err(|error| error.to_string())?;
    let files = files(text)?;
    let request = json!({"op": "protobuf-write", "files": files, "message": name, "seed": seed, "count": ROWS});
    let rows = codecs.ask(&request)??;
    let columns = message.columns();
    ensure!(columns.unreadable.is_empty(), "{:?}", columns.unreadable);
    let format = DecodeFormat::Protobuf(ProtobufRead {
        framing: ProtobufFraming::Bare(message.clone()),
        readers: Vec::new(),
        types: None,
    });
    let payloads = rows.iter().map(|row| bytes(&row["bytes"])).collect::<Vec<_>>();
    let decoded = decode(format, Fields::from(columns.fields), &payloads).map_err(|error| error.to_string())?;
    ensure!(decoded.faults.is_empty(), "{:?}", decoded.faults);
    for (index, row) in rows.iter().enumerate() {
        for (field, column) in decoded.rows.schema().fields().iter().zip(decoded.rows.columns()) {
            let value = &row["read"][field.name()];
            ensure!(same(column, index, value), "row {index}, {}: {value}, ours {column:?}", field.name());
        }
    }
    let written = encode(EncodeFormat::Protobuf(ProtobufWrite { message, id: None }), &decoded.rows, "written")?;
    let request = json!({"op": "protobuf-read", "files": files, "message": name, "rows": written});
    let back: Vec<Value> = codecs.ask(&request)??;
    for (row, (back, theirs)) in back.iter().zip(&rows).enumerate() {
        let (back, theirs) = (back.get("read"), theirs.get("read"));
        ensure!(back == theirs, "row {row}: we wrote {theirs:?} so that Java reads {back:?}");
    }
    Ok(())
}

/// Dates, decimals, times, and lists within lists, by the schema that is made of them.
fn java_reads_what_has_no_type_of_its_own() -> Result {
    let columns = vec![
        Field::new("day", DataType::Date32, true),
        Field::new("amount", DataType::Decimal128(10, 2), true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("days", DataType::new_list(DataType::Date32, false), false),
        Field::new("grid", DataType::new_list(DataType::new_list(DataType::Int64, false), false), false),
    ];
    let columns = Fields::from(columns);
    let json = [
        r#"{"day":"2026-01-31","amount":-12.5,"at":"1969-12-31T23:59:59.999Z","days":["0001-01-01"],"grid":[[1,300],[]]}"#,
        r#"{"day":null,"amount":null,"at":null,"days":[],"grid":[]}"#,
        r#"{"day":"9999-12-31","amount":99999999.99,"at":0,"days":["1970-01-01","2000-02-29"],"grid":[[-1]]}"#,
    ];
    let theirs = [
        json!({"day": "2026-01-31", "amount": "-12.50", "at": {"seconds": -1, "nanos": 999_000_000},
            "days": ["0001-01-01"], "grid": [{"items": [1, 300]}, {"items": []}]}),
        json!({"day": null, "amount": null, "at": null, "days": [], "grid": []}),
        json!({"day": "9999-12-31", "amount": "99999999.99", "at": {"seconds": 0, "nanos": 0},
            "days": ["1970-01-01", "2000-02-29"], "grid": [{"items": [-1]}]}),
    ];
    let payloads = json.map(|text| text.as_bytes().to_vec());
    let rows = decode(DecodeFormat::Json, columns.clone(), &payloads).map_err(|error| error.to_string())?;
    ensure!(rows.faults.is_empty(), "{:?}", rows.faults);
    let schema = ProtobufSchema::of_columns("shop.Row", &columns, None).map_err(|error| error.to_string())?;
    let text = schema.text().unwrap_or_default().to_owned();
    let message = schema.message(None).map_err(|error| error.to_string())?;
    let written =
        encode(EncodeFormat::Protobuf(ProtobufWrite { message: message.clone(), id: None }), &rows.rows, &text)?;
    let request = json!({"op": "protobuf-read", "files": files(&text)?, "message": "Row", "rows": written});
    let back = Codecs::shared()?.ask(&request)??;
    for (back, theirs) in back.iter().zip(&theirs) {
        ensure!(back.get("read") == Some(theirs), "Java reads {back}, where {theirs} was to come\n{text}");
    }
    let format = DecodeFormat::Protobuf(ProtobufRead {
        framing: ProtobufFraming::Bare(message),
        readers: Vec::new(),
        types: None,
    });
    let payloads = written.iter().map(bytes).collect::<Vec<_>>();
    let again = decode(format, columns, &payloads).map_err(|error| error.to_string())?;
    ensure!(again.rows == rows.rows, "we read {:?}", again.rows);
    Ok(())
}
