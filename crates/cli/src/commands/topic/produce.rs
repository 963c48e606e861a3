//! `millstream topic produce`: lines or files into a topic.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::key::partition_for;
use millstream_engine::time::Millis;
use millstream_runtime::log::{Log, NewRecord, Records};

use crate::exit::{Exit, Failure};
use crate::place::Place;

/// Writes records into a topic: one line, one record, from a file or from standard input. Works while a run follows.
///
/// With `--key-separator :` the text before the first `:` is the key and chooses the partition as Kafka's clients do.
#[derive(Debug, Args)]
pub(super) struct Produce {
    /// The topic.
    topic: String,
    /// The file with one record a line; standard input if it is not given.
    file: Option<PathBuf>,
    /// What stands between key and value.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// The field of a JSON object that is the key.
    #[arg(long, value_name = "FIELD", conflicts_with = "key_separator")]
    key_field: Option<String>,
    /// The partition, instead of the one by key (or round by round, without keys).
    #[arg(long)]
    partition: Option<u32>,
    /// The timestamp of the records in milliseconds since 1970; now, if it is not given.
    #[arg(long, value_name = "MS")]
    timestamp: Option<i64>,
    #[command(flatten)]
    place: Place,
}

/// Records are handed to the log in groups of so many lines.
const LINES_AT_ONCE: usize = 4096;

impl Produce {
    pub(super) fn run(self) -> crate::Outcome {
        let mut opened = self.place.open()?;
        let log = opened.log();
        let partitions = log.partitions(&self.topic)?.ok_or_else(|| self.place.no_topic(&self.topic))?;
        if let Some(asked) = self.partition.filter(|partition| *partition >= partitions) {
            return Err(super::no_partition(&self.topic, asked, partitions));
        }
        let input: Box<dyn BufRead> = match &self.file {
            Some(file) => Box::new(BufReader::new(
                std::fs::File::open(file)
                    .map_err(|error| Failure::run(format!("cannot read {}: {error}", file.display())))?,
            )),
            None => {
                if std::io::stdin().is_terminal() {
                    errln!("one record a line; end with Ctrl-D");
                }
                Box::new(std::io::stdin().lock())
            }
        };
        let mut pending: BTreeMap<PartitionId, Records> = BTreeMap::new();
        let mut count: u64 = 0;
        for (number, line) in (1..).zip(input.split(b'\n')) {
            let mut line = line?;
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                continue;
            }
            let (key, value) = self.key_and_value(&line, number)?;
            let partition = match (self.partition, &key) {
                (Some(partition), _) => PartitionId(partition),
                (None, Some(key)) => partition_for(key, partitions),
                (None, None) => PartitionId((count % u64::from(partitions)) as u32),
            };
            let timestamp = Millis(self.timestamp.unwrap_or_else(now_ms));
            let record = NewRecord { key: key.as_deref(), value: Some(value), timestamp, headers: &[] };
            pending.entry(partition).or_default().push(Offset(0), record);
            count += 1;
            if count.is_multiple_of(LINES_AT_ONCE as u64) || std::io::stdin().is_terminal() {
                self.flush(log, &mut pending)?;
            }
        }
        self.flush(log, &mut pending)?;
        outln!("wrote {} to {}", crate::render::count(count, "record"), self.topic);
        Ok(Exit::Well)
    }

    fn flush(&self, log: &mut dyn Log, pending: &mut BTreeMap<PartitionId, Records>) -> Result<(), Failure> {
        for (partition, records) in std::mem::take(pending) {
            log.produce(&self.topic, partition, &records)?;
        }
        Ok(())
    }

    fn key_and_value<'a>(&self, line: &'a [u8], number: u64) -> Result<(Option<Vec<u8>>, &'a [u8]), Failure> {
        if let Some(field) = &self.key_field {
            let object: serde_json::Value = serde_json::from_slice(line).map_err(|error| {
                Failure::run(format!("line {number} is not JSON, so it has no field {field}: {error}"))
            })?;
            let key = object.get(field).filter(|key| !key.is_null()).map(|key| match key {
                serde_json::Value::String(text) => text.clone().into_bytes(),
                other => other.to_string().into_bytes(),
            });
            return Ok((key, line));
        }
        let Some(separator) = &self.key_separator else { return Ok((None, line)) };
        let separator = separator.as_bytes();
        let at = line.windows(separator.len().max(1)).position(|window| window == separator);
        Ok(match at {
            Some(at) => (Some(line[..at].to_vec()), &line[at + separator.len()..]),
            None => (None, line),
        })
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
