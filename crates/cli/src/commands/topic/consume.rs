//! `millstream topic consume`: committed records of a topic.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_runtime::log::{Log, ReadLimit, RecordView, Records};

use super::line;
use crate::exit::{Exit, Failure};
use crate::place::{Place, Topics};

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
    /// Key, partition, offset, timestamp and headers too, as JSON objects, which `produce --json` reads back. What is not UTF-8 is
    /// base64, under `key_base64` and `value_base64`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A partition that is read.
struct Lane {
    partition: PartitionId,
    next: Offset,
    end: Offset,
}

/// How long a follower waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Nothing more can be written, which is well if whoever reads has enough; the end of the process tells it, if not.
fn ended(error: &std::io::Error) -> Exit {
    crate::stdout::failed(error);
    Exit::Well
}

impl Consume {
    pub(super) fn run(self) -> crate::Outcome {
        let mut opened = self.place.open()?;
        let mut lanes = self.lanes(opened.log())?;
        if let Topics::Cluster(log) = &mut opened {
            log.assign(&lanes.iter().map(|lane| ((self.topic.clone(), lane.partition), lane.next)).collect())?;
        }
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut records = Records::new();
        loop {
            let mut found = false;
            for lane in &mut lanes {
                records.clear();
                lane.next =
                    opened.log().read(&self.topic, lane.partition, lane.next, ReadLimit::default(), &mut records)?;
                found |= !records.is_empty();
                for record in records.iter() {
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                    if let Err(error) = self.print(&mut out, lane.partition, &record) {
                        return Ok(ended(&error));
                    }
                }
            }
            if left == 0 || (!self.follow && !found && self.is_read(&lanes, opened.log())?) {
                return Ok(out.flush().map_or_else(|error| ended(&error), |()| Exit::Well));
            }
            if !found {
                if let Err(error) = out.flush() {
                    return Ok(ended(&error));
                }
                match &mut opened {
                    Topics::Folder(_) => std::thread::sleep(LOOK_AGAIN),
                    Topics::Cluster(log) => {
                        log.poll(LOOK_AGAIN)?;
                    }
                }
            }
        }
    }

    /// Whether all is read that was there at the beginning. Behind the last record there may be offsets without one, and what
    /// fetches from brokers may or may not pass over them.
    fn is_read(&self, lanes: &[Lane], log: &mut dyn Log) -> Result<bool, Failure> {
        for lane in lanes.iter().filter(|lane| lane.next < lane.end) {
            if lane.next < log.extent(&self.topic, lane.partition)?.end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The partitions to read, each from where it is to begin to where it ends now.
    fn lanes(&self, log: &mut dyn Log) -> Result<Vec<Lane>, Failure> {
        let count = log.partitions(&self.topic)?.ok_or_else(|| self.place.no_topic(&self.topic))?;
        if let Some(asked) = self.partition.filter(|partition| *partition >= count) {
            return Err(super::no_partition(&self.topic, asked, count));
        }
        let mut lanes = Vec::new();
        for partition in (0..count).filter(|partition| self.partition.is_none_or(|only| only == *partition)) {
            let partition = PartitionId(partition);
            let extent = log.extent(&self.topic, partition)?;
            let from = if self.from < 0 { extent.end.0.saturating_add(self.from) } else { self.from };
            let next = Offset(from.clamp(extent.earliest.0, extent.end.0));
            lanes.push(Lane { partition, next, end: extent.end });
        }
        Ok(lanes)
    }

    fn print(&self, out: &mut dyn Write, partition: PartitionId, record: &RecordView<'_>) -> std::io::Result<()> {
        if !self.json {
            out.write_all(record.value.unwrap_or(b"null"))?;
            return out.write_all(b"\n");
        }
        writeln!(out, "{}", line::write(partition, record))
    }
}
