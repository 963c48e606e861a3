//! Avro: pairs of a writer's and a reader's schema.

use arrow::datatypes::Fields;
use millstream_formats::avro::{AvroRead, AvroSchema, AvroWrite, Framing, compatibility};
use millstream_formats::{DecodeFormat, EncodeFormat};
use millstream_harness::suite::{self, Trial};
use millstream_harness::{Codecs, Result, ensure};
use serde_json::{Value, json};

use crate::evolve::Schemas;
use crate::same::same;
use crate::{bytes, decode, encode};

const PAIRS: u64 = 800;
const ROWS: usize = 6;

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = millstream_harness::tests![schemas_resolve_as_java_resolves_them_and_java_reads_what_we_write];
    let name = "avro::python_reads_what_we_write_and_writes_what_we_read";
    tests.push(suite::extra(name, python_reads_what_we_write_and_writes_what_we_read));
    tests
}

fn python_reads_what_we_write_and_writes_what_we_read() -> Result {
    let codecs = Codecs::fastavro()?;
    for seed in 0..300 {
        let json = Schemas::new(10_000 + seed).record(3);
        there_and_back(&codecs, seed, &json).map_err(|trouble| format!("seed {seed}: {trouble}\n  {json}"))?;
    }
    Ok(())
}

fn there_and_back(codecs: &Codecs, seed: u64, json: &Value) -> Result {
    let rows = codecs.ask(&json!({"op": "avro-write", "writer": json, "seed": seed, "count": ROWS}))??;
    let schema = AvroSchema::parse(&json.to_string(), &[]).map_err(|error| error.to_string())?;
    let columns = Fields::from(schema.columns().fields);
    let framing = Framing::Bare(schema.clone());
    let format = DecodeFormat::Avro(AvroRead { framing, readers: Vec::new(), types: None });
    let payloads = rows.iter().map(|row| bytes(&row["bytes"])).collect::<Vec<_>>();
    let decoded = decode(format, columns, &payloads).map_err(|error| error.to_string())?;
    ensure!(decoded.faults.is_empty(), "{:?}", decoded.faults);
    for (index, row) in rows.iter().enumerate() {
        for (field, column) in decoded.rows.schema().fields().iter().zip(decoded.rows.columns()) {
            let value = &row["read"][field.name()];
            ensure!(same(column, index, value), "row {index}, {}: {value}, ours {column:?}", field.name());
        }
    }
    let written = encode(EncodeFormat::Avro(AvroWrite { schema, id: None }), &decoded.rows, "written")?;
    let back = codecs.ask(&json!({"op": "avro-read", "schema": json, "rows": written}))??;
    for (row, (back, theirs)) in back.iter().zip(&rows).enumerate() {
        let (back, theirs) = (back.get("read"), theirs.get("read"));
        ensure!(back == theirs && back.is_some(), "row {row}: we wrote {theirs:?} so that Python reads {back:?}");
    }
    Ok(())
}

fn schemas_resolve_as_java_resolves_them_and_java_reads_what_we_write() -> Result {
    let codecs = Codecs::shared()?;
    let (mut read, mut refused) = (0, 0);
    let mut unlike = Vec::new();
    for seed in 0..PAIRS {
        let mut schemas = Schemas::new(seed);
        let writer = schemas.record(3);
        let reader = match schemas.evolve(&writer, 4) {
            // A union is no schema of columns.
            Value::Array(branches) => branches[1].clone(),
            reader => reader,
        };
        match pair(codecs, seed, &writer, &reader) {
            Ok(rows) if rows > 0 => read += 1,
            Ok(_) => refused += 1,
            Err(trouble) => unlike.push(format!("seed {seed}: {trouble}\n  writer {writer}\n  reader {reader}")),
        }
    }
    let shown = unlike.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    ensure!(unlike.is_empty(), "{} of {PAIRS} pairs:\n{shown}", unlike.len());
    ensure!(read >= 500 && refused >= 20, "{read} pairs are read, {refused} refused");
    Ok(())
}

/// The number of rows that both sides read, and the same.
fn pair(codecs: &Codecs, seed: u64, writer_json: &Value, reader: &Value) -> Result<usize> {
    let request = json!({"op": "avro-write", "writer": writer_json, "reader": reader, "seed": seed, "count": ROWS});
    let rows = codecs.ask(&request)??;
    let parse = |json: &Value| AvroSchema::parse(&json.to_string(), &[]).map_err(|error| error.to_string());
    let (writer, own) = (parse(writer_json)?, parse(reader)?);
    let verdict = codecs.ask(&json!({"op": "avro-compatible", "writer": writer_json, "reader": reader}))??;
    let theirs = verdict[0]["compatible"].as_bool();
    let findings = compatibility(&own, &writer).into_iter().filter(|finding| finding.rule.is_of_registries());
    let findings = findings.map(|finding| finding.to_string()).collect::<Vec<_>>();
    ensure!(theirs == Some(findings.is_empty()), "Java says {verdict:?}, we find {findings:?}");
    let columns = own.columns();
    ensure!(columns.unreadable.is_empty(), "{:?}", columns.unreadable);
    let columns = Fields::from(columns.fields);
    let format =
        DecodeFormat::Avro(AvroRead { framing: Framing::Bare(writer), readers: vec![own.clone()], types: None });
    let payloads = rows.iter().map(|row| bytes(&row["bytes"])).collect::<Vec<_>>();
    let Ok(decoded) = decode(format, columns, &payloads) else {
        // Java reads where no value of the types that do not fit comes along: an empty array of them.
        ensure!(theirs == Some(false), "we refuse what Java calls compatible: {verdict:?}");
        return Ok(0);
    };
    let messages = decoded.messages.clone().unwrap_or((0..rows.len() as u32).collect());
    let mut kept = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let ours = messages.iter().position(|&message| message as usize == index);
        let fault = decoded.faults.iter().find(|(at, _)| *at == index).map(|(_, fault)| &fault.message);
        match (row.get("read"), ours) {
            (Some(theirs), Some(at)) => {
                for (field, column) in decoded.rows.schema().fields().iter().zip(decoded.rows.columns()) {
                    let value = &theirs[field.name()];
                    ensure!(same(column, at, value), "row {index}, {}: {value}, ours {column:?}", field.name());
                }
                kept.push(theirs.clone());
            }
            (None, None) => {}
            (theirs, _) => {
                return Err(
                    format!("row {index}: theirs {theirs:?} {:?}, our fault {fault:?}", row.get("error")).into()
                );
            }
        }
    }
    let format = EncodeFormat::Avro(AvroWrite { schema: own, id: None });
    let written = encode(format, &decoded.rows, "written")?;
    let back = codecs.ask(&json!({"op": "avro-read", "schema": reader, "rows": written}))??;
    for (row, (back, theirs)) in back.iter().zip(&kept).enumerate() {
        ensure!(back.get("read") == Some(theirs), "row {row}: we wrote {theirs} so that Java reads {back}");
    }
    Ok(kept.len())
}
