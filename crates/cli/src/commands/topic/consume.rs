//! `millstream topic consume`: committed records of a topic.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_runtime::log::{Log, ReadLimit, RecordView, Records};
use serde_json::json;

use super::Folder;
use crate::exit::Exit;

/// Prints the committed records of a topic: one record, one line.
#[derive(Debug, Args)]
pub(super) struct Consume {
    /// The topic.
    topic: String,
    /// Only this partition.
    #[arg(long)]
    partition: Option<u32>,
    /// The first offset of each partition; negative counts from the end.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0)]
    from: i64,
    /// At most so many records.
    #[arg(long, short = 'n', value_name = "RECORDS")]
    limit: Option<u64>,
    /// Goes on as records come, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Key, partition, offset, timestamp and headers too, as JSON objects.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folder: Folder,
}

/// How long a follower waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Consume {
    pub(super) fn run(self) -> crate::Outcome {
        let mut log = self.folder.open()?;
        let count = log.partitions(&self.topic)?.ok_or_else(|| self.folder.no_topic(&self.topic))?;
        if let Some(asked) = self.partition.filter(|partition| *partition >= count) {
            return Err(super::no_partition(&self.topic, asked, count));
        }
        let mut places = Vec::new();
        for partition in (0..count).filter(|partition| self.partition.is_none_or(|only| only == *partition)) {
            let extent = log.extent(&self.topic, PartitionId(partition))?;
            let from = if self.from < 0 { extent.end.0.saturating_add(self.from) } else { self.from };
            places.push((PartitionId(partition), Offset(from.clamp(extent.earliest.0, extent.end.0))));
        }
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut records = Records::new();
        loop {
            let mut found = false;
            for (partition, next) in &mut places {
                records.clear();
                *next = log.read(&self.topic, *partition, *next, ReadLimit::default(), &mut records)?;
                found |= !records.is_empty();
                for record in records.iter() {
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                    if self.print(&mut out, *partition, &record).is_err() {
                        return Ok(Exit::Well); // whoever read the output has enough
                    }
                }
            }
            if left == 0 || (!found && !self.follow) {
                return Ok(out.flush().map(|()| Exit::Well).unwrap_or(Exit::Well));
            }
            if !found {
                let _ = out.flush();
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }

    fn print(&self, out: &mut dyn Write, partition: PartitionId, record: &RecordView<'_>) -> std::io::Result<()> {
        if !self.json {
            out.write_all(record.value.unwrap_or(b"null"))?;
            return out.write_all(b"\n");
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: serde_json::Map<String, serde_json::Value> =
            record.headers.map(|header| (header.name.to_owned(), header.value.map(text).into())).collect();
        let line = json!({
            "partition": partition.0,
            "offset": record.offset.0,
            "timestamp": record.timestamp.0,
            "key": record.key.map(text),
            "value": record.value.map(text),
            "headers": headers,
        });
        writeln!(out, "{line}")
    }
}
