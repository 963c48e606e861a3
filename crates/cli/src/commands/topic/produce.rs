//! `millstream topic produce`: lines or files into a topic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::key::partition_for;
use millstream_engine::time::Millis;
use millstream_pipeline::suggest;
use millstream_runtime::log::{Log, NewRecord, Records};

use super::line::{self, Line};
use crate::exit::{Exit, Failure};
use crate::place::Place;

/// Writes records into a topic: one line, one record, from a file or from standard input. Works while a run follows.
///
/// With `--key-separator :` the text before the first `:` is the key and chooses the partition as Kafka's clients do. A line
/// that has no key where one is asked for ends it; the lines before it are written.
#[derive(Debug, Args)]
pub(super) struct Produce {
    /// The topic.
    topic: String,
    /// The file with one record a line; standard input if it is not given, or `-`.
    file: Option<PathBuf>,
    /// What stands between key and value.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// The field of a JSON object that is the key; null is no key.
    #[arg(long, value_name = "FIELD", conflicts_with = "key_separator")]
    key_field: Option<String>,
    /// Lines are those of `consume --json`: key, value, headers, timestamp and partition of each record, so that it stands
    /// again as it stood.
    #[arg(long, conflicts_with_all = ["key_separator", "key_field"])]
    json: bool,
    /// The partition, instead of that of the line (--json), the one by key, or, without keys, one after the other.
    #[arg(long)]
    partition: Option<u32>,
    /// The timestamp of the records in milliseconds since 1970; if it is not given that of the line (--json), or now.
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
        let input = self.open_input()?;
        let mut pending: BTreeMap<PartitionId, Records> = BTreeMap::new();
        let mut count: u64 = 0;
        for (number, line) in (1..).zip(input.split(b'\n')) {
            let mut line = match line {
                Ok(line) => line,
                Err(error) => {
                    let failure = Failure::run(format!("cannot read line {number} of {}: {error}", self.input()));
                    return Err(self.stopped(log, &mut pending, count, failure));
                }
            };
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                continue;
            }
            let (line, partition) = match self.placed(&line, number, partitions) {
                Ok(placed) => placed,
                Err(failure) => return Err(self.stopped(log, &mut pending, count, failure)),
            };
            let partition = match (partition, &line.key) {
                (Some(partition), _) => PartitionId(partition),
                (None, Some(key)) => partition_for(key, partitions),
                (None, None) => PartitionId((count % u64::from(partitions)) as u32),
            };
            let timestamp = Millis(self.timestamp.or(line.timestamp).unwrap_or_else(now_ms));
            let (key, value, headers) = (line.key.as_deref(), line.value.as_deref(), line.headers());
            let record = NewRecord { key, value, timestamp, headers: &headers };
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

    /// The file, where there is one; `-` is standard input, as everywhere.
    fn file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| *file != Path::new("-"))
    }

    fn open_input(&self) -> Result<Box<dyn BufRead>, Failure> {
        let Some(file) = self.file() else {
            if std::io::stdin().is_terminal() {
                errln!("one record a line; end with Ctrl-D");
            }
            return Ok(Box::new(std::io::stdin().lock()));
        };
        let cannot = |why: String| Failure::usage(format!("cannot read {}: {why}", file.display()));
        // A folder can be opened, and not be read.
        if file.is_dir() {
            return Err(cannot("it is a folder".to_owned()).help("Name a file with one record a line."));
        }
        Ok(Box::new(BufReader::new(File::open(file).map_err(|error| cannot(error.to_string()))?)))
    }

    /// What is read, for messages.
    fn input(&self) -> String {
        self.file().map_or_else(|| "standard input".to_owned(), |file| file.display().to_string())
    }

    fn flush(&self, log: &mut dyn Log, pending: &mut BTreeMap<PartitionId, Records>) -> Result<(), Failure> {
        for (partition, records) in std::mem::take(pending) {
            log.produce(&self.topic, partition, &records)?;
        }
        Ok(())
    }

    /// What ended it at a line. The lines before it are written, however many of them were already, so that one knows where to
    /// go on.
    fn stopped(
        &self,
        log: &mut dyn Log,
        pending: &mut BTreeMap<PartitionId, Records>,
        count: u64,
        failure: Failure,
    ) -> Failure {
        let (records, were) = (crate::render::count(count, "record"), if count == 1 { "was" } else { "were" });
        match (self.flush(log, pending), count) {
            (Err(failure), _) => failure,
            (Ok(()), 0) => failure.and("nothing was written"),
            (Ok(()), _) => failure.and(&format!("{records} before it {were} written to {}", self.topic)),
        }
    }

    /// What a line says, and the partition where that is said.
    fn placed<'a>(&self, line: &'a [u8], number: u64, partitions: u32) -> Result<(Line<'a>, Option<u32>), Failure> {
        let line = self.record(line, number)?;
        let partition = self.partition.or(line.partition);
        if let Some(asked) = partition.filter(|partition| *partition >= partitions) {
            let has = crate::render::count(u64::from(partitions), "partition");
            let failure =
                Failure::run(format!("line {number} is of partition {asked}, and topic {} has {has}", self.topic));
            return Err(
                failure.help("Leave `partition` out of the lines to have it chosen by key, or give --partition.")
            );
        }
        Ok((line, partition))
    }

    fn record<'a>(&self, line: &'a [u8], number: u64) -> Result<Line<'a>, Failure> {
        if self.json {
            return line::read(line, number);
        }
        let of = |key: Option<Vec<u8>>, value: &'a [u8]| Line {
            key: key.map(Cow::Owned),
            value: Some(Cow::Borrowed(value)),
            ..Line::default()
        };
        if let Some(field) = &self.key_field {
            return Ok(of(key_in(line, field, number)?, line));
        }
        let Some(separator) = &self.key_separator else { return Ok(of(None, line)) };
        let bytes = separator.as_bytes();
        let at = line.windows(bytes.len()).position(|window| window == bytes).ok_or_else(|| {
            Failure::run(format!("line {number} has no key: there is no `{separator}` in it (--key-separator)"))
        })?;
        Ok(of(Some(line[..at].to_vec()), &line[at + bytes.len()..]))
    }
}

/// The key in a field of a line.
fn key_in(line: &[u8], field: &str, number: u64) -> Result<Option<Vec<u8>>, Failure> {
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| Failure::run(format!("line {number} is not JSON, so it has no field {field}: {error}")))?;
    let Some(object) = value.as_object() else {
        return Err(Failure::run(format!("line {number} is not a JSON object, so it has no field {field}")));
    };
    match object.get(field) {
        Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone().into_bytes())),
        Some(other) => Ok(Some(other.to_string().into_bytes())),
        None => {
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            let has = if names.is_empty() { "no fields".to_owned() } else { names.join(", ") };
            let failure = Failure::run(format!("line {number} has no field {field} (--key-field): it has {has}"));
            Err(match suggest::nearest(field, names.iter().copied()) {
                Some(meant) => failure.help(format!("Did you mean `{meant}`?")),
                None => failure,
            })
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
