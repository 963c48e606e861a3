//! Confluent's own client and serializers at both ends of a pipeline.

use std::process::Command;

use millstream_harness::{Broker, Confluent, Result, SchemaRegistry, Trouble, ensure, process, suite};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<suite::Trial> {
    let formats = ["avro", "protobuf", "json_schema"];
    let trial = |format| {
        suite::extra(format!("clients::confluents_client_writes_and_reads_{format}"), move || both_ends(format))
    };
    formats.into_iter().map(trial).collect()
}

/// The columns are those of the schema that the client registers.
const PIPELINE: &str = "\
version: 1
pipeline: clients-FORMAT
sources:
  rows: {topic: clients-FORMAT-in, format: FORMATTYPES}
steps:
  - filter: id % 2 = 0
  - select: [id, note, amount, tags, at]
sink: {topic: clients-FORMAT-out, format: FORMAT, name: Row, namespace: shop, register: true}
";

const ROWS: i64 = 500;

fn both_ends(format: &str) -> Result {
    let (broker, registry) = (Broker::shared()?, SchemaRegistry::shared()?);
    let confluent = Confluent::new(broker, registry)?;
    let folder = process::temp_folder("clients")?;
    let topic = |end: &str| format!("clients-{format}-{end}");
    for end in ["in", "out"] {
        broker.client().create_topic(&topic(end), 3)?;
    }
    let rows: Vec<Value> = (0..ROWS).map(row).collect();
    confluent.write(&topic("in"), format, &rows)?;
    let path = folder.path().join("clients.yaml");
    // Its Protobuf type stands within another, behind the entries of a map.
    let types = if format == "protobuf" { ", types: [shop.Book.Row]" } else { "" };
    let pipeline = PIPELINE.replace("TYPES", types).replace("FORMAT", format);
    std::fs::write(&path, pipeline).map_err(Trouble::io(path.display()))?;
    let run = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .current_dir(folder.path())
        .env("KAFKA_BROKER_ADDRESS", broker.bootstrap())
        .env("SCHEMA_REGISTRY_URL", registry.url())
        .args(["run", "--until-end", "--http", "off", "clients.yaml"])
        .output()
        .map_err(Trouble::io("millstream"))?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&[run.stdout, run.stderr].concat()));
    let expected: Vec<Value> =
        rows.into_iter().filter(|row| row["id"].as_i64().is_some_and(|id| id % 2 == 0)).collect();
    let mut read = confluent.read(&topic("out"), format, expected.len())?;
    read.sort_by_key(|row| row["id"].as_i64());
    ensure!(read.len() == expected.len(), "{} rows were read, not {}", read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        ensure!(read == expected, "{read} is read and must be {expected}");
    }
    Ok(())
}

fn row(id: i64) -> Value {
    let note = if id % 3 == 0 { Value::Null } else { format!("größe {id}").into() };
    let tags: Vec<String> = (0..id % 4).map(|tag| format!("t{tag}")).collect();
    json!({"id": id, "note": note, "amount": id as f64 / 8.0, "tags": tags, "at": 1_767_225_600_000 + id * 1001})
}
