//! How far a task has come, as it stands in the committed offsets: the offset, and beside it the changelog's end and the shape
//! of the state that go with it.

use std::collections::BTreeMap;

use millstream_engine::ids::Offset;
use millstream_engine::task::{Position, Task};
use millstream_pipeline::topology::Topology;
use serde::{Deserialize, Serialize};

use super::WorkerError;
use super::changelog::Reach;
use super::lane::{Lane, Reader};
use crate::log::{CommittedOffset, TopicPartition};

/// What stands beside a committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// The fingerprint of the topology's state.
    fingerprint: u64,
    /// The fingerprint of the topics that the pipeline reads and writes; 0 where it was not told.
    #[serde(default, skip_serializing_if = "is_none")]
    ends: u64,
    /// By which topic's partitions the task was given out, where that is not the input itself; empty where this was set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lead: Option<String>,
    /// A reset has begun and has not come to its end.
    #[serde(default, skip_serializing_if = "is_false")]
    unfinished: bool,
    /// The end of the task's changelog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) changelog: Option<i64>,
    /// From where on the changelog makes up the task's state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) since: i64,
    /// Of a source that starts at its end: how many partitions its topic had when this one was read for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partitions: Option<u32>,
    /// For frames read by event time: how far each sender's are processed.
    #[serde(default, skip_serializing_if = "Ahead::is_empty")]
    senders: Ahead,
}

/// How far each sender's frames are processed, by the sender's number, ahead of the committed offset: offsets, then a dot and rows
/// where there are any (`0 17.3 4`). So short, as brokers take 4096 bytes beside an offset by default, enough for some 500 senders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Ahead(String);

impl TryFrom<String> for Ahead {
    type Error = String;

    fn try_from(text: String) -> Result<Ahead, String> {
        let ahead = Ahead(text);
        match ahead.positions(Offset(0)) {
            Some(_) => Ok(ahead),
            None => Err(format!("no positions of senders: {:?}", ahead.0)),
        }
    }
}

impl From<Ahead> for String {
    fn from(ahead: Ahead) -> String {
        ahead.0
    }
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of senders numbered from 0 on, in order.
    fn of(senders: &[Position], committed: Offset) -> Ahead {
        let text = |position: &Position| {
            let offsets = position.offset.0 - committed.0;
            if position.rows == 0 { offsets.to_string() } else { format!("{offsets}.{}", position.rows) }
        };
        Ahead(senders.iter().map(text).collect::<Vec<_>>().join(" "))
    }

    fn positions(&self, committed: Offset) -> Option<Vec<Position>> {
        let position = |text: &str| {
            let (offsets, rows) = text.split_once('.').unwrap_or((text, "0"));
            Some(Position { offset: Offset(committed.0.checked_add(offsets.parse().ok()?)?), rows: rows.parse().ok()? })
        };
        self.0.split_terminator(' ').map(position).collect()
    }
}

fn is_none(fingerprint: &u64) -> bool {
    *fingerprint == 0
}

fn is_zero(offset: &i64) -> bool {
    *offset == 0
}

impl Beside {
    pub(super) fn of(committed: &CommittedOffset) -> Beside {
        serde_json::from_str(&committed.metadata).unwrap_or_default()
    }

    /// How far each sender's frames are processed where that is beyond the committed offset, by the sender's number.
    pub(super) fn senders(committed: &CommittedOffset) -> Vec<Position> {
        Beside::of(committed).senders.positions(committed.offset).unwrap_or_default()
    }

    /// The same offset, from which nobody may go on.
    pub(crate) fn unfinished(committed: &CommittedOffset) -> CommittedOffset {
        let beside = Beside { unfinished: true, ..Beside::of(committed) };
        CommittedOffset { offset: committed.offset, metadata: serde_json::to_string(&beside).unwrap_or_default() }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// An offset as it is committed by hand, while nothing runs: with no state. What the task's changelog holds before its end,
/// `changelog`, is not the state's.
pub(crate) fn at_rest(topology: &Topology, offset: Offset, changelog: Option<Offset>) -> CommittedOffset {
    let beside = Beside {
        fingerprint: topology.fingerprint,
        ends: topology.ends,
        lead: Some(String::new()),
        changelog: changelog.map(|end| end.0),
        since: changelog.map_or(0, |end| end.0),
        ..Beside::default()
    };
    CommittedOffset { offset, metadata: serde_json::to_string(&beside).unwrap_or_default() }
}

/// How far `task` has come on `lane`, as it is to be committed. `leads` are the topics by which tasks are given out.
pub(super) fn position_of(
    topology: &Topology,
    leads: &[String],
    task: &Task,
    lane: &Lane,
    changelog: Option<Reach>,
) -> CommittedOffset {
    let lead = leads.get(task.id().subtopology).filter(|lead| **lead != lane.topic);
    let mut beside = Beside {
        fingerprint: topology.fingerprint,
        ends: topology.ends,
        lead: lead.cloned(),
        changelog: changelog.map(|reach| reach.end.0),
        since: changelog.map_or(0, |reach| reach.since.0),
        ..Beside::default()
    };
    let offset = match &lane.reader {
        Reader::Source(source) => {
            beside.partitions = source.partitions_at_start;
            task.position(source.input).offset
        }
        Reader::Exchange(exchange) => {
            let mut senders = Vec::with_capacity(exchange.inputs.len());
            for input in exchange.inputs.values() {
                // A sender none of whose frames wait has come as far as the lane; or farther, where the lane reads again what was
                // processed before a restart.
                let position = match task.waits(*input) {
                    true => task.position(*input),
                    false => task.position(*input).max(Position { offset: lane.next, rows: 0 }),
                };
                senders.push(position);
            }
            let least = senders.iter().map(|position| position.offset).fold(lane.next, Offset::min);
            if senders.iter().any(|position| *position != Position { offset: least, rows: 0 }) {
                beside.senders = Ahead::of(&senders, least);
            }
            least
        }
    };
    CommittedOffset { offset, metadata: serde_json::to_string(&beside).unwrap_or_default() }
}

/// How many partitions `topic` had when the group began to read it; `None` if it has not begun. A partition beyond came later,
/// and everything in it did.
pub(super) fn partitions_at_start(topic: &str, committed: &BTreeMap<TopicPartition, CommittedOffset>) -> Option<u32> {
    let of_topic = || committed.iter().filter(|((name, _), _)| name == topic);
    // Offsets that were set by a reset do not tell; they were set for all partitions at once.
    let told = of_topic().filter_map(|(_, offset)| Beside::of(offset).partitions).min();
    told.or_else(|| of_topic().map(|((_, partition), _)| partition.0 + 1).max())
}

/// Whether the input has moved since it was committed, or goes with another topic's partitions now, or dead records of the
/// changelog are to be deleted: an epoch that only would write the changelog's end anew is empty.
pub(super) fn moved(last: &CommittedOffset, now: &CommittedOffset) -> bool {
    if last.offset != now.offset {
        return true;
    }
    let (last, now) = (Beside::of(last), Beside::of(now));
    last.senders != now.senders || last.since != now.since || last.lead != now.lead
}

/// By which topic's partitions the task was given out that has committed this offset of `topic`; `None` where no task has.
pub(crate) fn lead_beside(topic: &str, committed: &CommittedOffset) -> Option<String> {
    let beside: Beside = serde_json::from_str(&committed.metadata).ok()?;
    Some(beside.lead.unwrap_or_else(|| topic.to_owned())).filter(|lead| !lead.is_empty())
}

/// Whether some of these offsets were committed by a pipeline of this name that reads or writes other topics.
pub fn are_of_other_topics(topology: &Topology, committed: &BTreeMap<TopicPartition, CommittedOffset>) -> bool {
    committed.values().map(|offset| Beside::of(offset).ends).any(|ends| ends != 0 && ends != topology.ends)
}

/// Committed offsets say which shapes of state they go with.
///
/// # Errors
/// If they are another program's, or go with other shapes than the topology's; another grace is no other shape unless the state
/// is of before it said how far windows are closed.
pub fn check_shape(
    topology: &Topology,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<(), WorkerError> {
    if committed.values().any(|offset| serde_json::from_str::<Beside>(&offset.metadata).is_err()) {
        return Err(WorkerError::ForeignGroup { group: topology.name.clone() });
    }
    if committed.values().any(|offset| Beside::of(offset).unfinished) {
        return Err(WorkerError::ResetUnfinished { pipeline: topology.name.clone() });
    }
    let fitting = [topology.fingerprint, topology.fingerprint_with_grace];
    if committed.values().any(|offset| !fitting.contains(&Beside::of(offset).fingerprint)) {
        return Err(WorkerError::ShapeChanged { pipeline: topology.name.clone() });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use millstream_engine::ids::PartitionId;
    use millstream_pipeline::interpolate::no_lookup;
    use millstream_pipeline::topology::PartitionCounts;

    use super::*;

    /// State of before it said how far windows are closed goes on with its own grace, and is refused with another.
    #[test]
    fn state_of_another_grace_fits_if_it_says_what_is_closed() {
        let topology = |grace: &str| {
            let window = format!("{{id: w, by: [], tumbling: 10s, grace: {grace}, aggregates: {{n: count(*)}}}}");
            let text = format!(
                "version: 1\npipeline: p\nsources:\n  s: {{format: json, schema: {{a: bigint}}}}\nsteps:\n  - window: \
                 {window}\nsink: {{topic: out}}\n"
            );
            let counts = PartitionCounts::from_iter([("s", 1)]);
            millstream_pipeline::check("p.yaml", &text, &no_lookup, &counts).unwrap().topology
        };
        let (short, long) = (topology("5s"), topology("6s"));
        let beside = |fingerprint: u64| {
            let metadata = format!(r#"{{"fingerprint":{fingerprint}}}"#);
            BTreeMap::from([(("s".to_owned(), PartitionId(0)), CommittedOffset { offset: Offset(1), metadata })])
        };
        assert!(check_shape(&long, &beside(short.fingerprint)).is_ok());
        assert!(check_shape(&short, &beside(short.fingerprint_with_grace)).is_ok());
        let refused = check_shape(&long, &beside(short.fingerprint_with_grace));
        assert!(matches!(refused, Err(WorkerError::ShapeChanged { .. })), "{refused:?}");
    }

    fn at(offset: i64, rows: u32) -> Position {
        Position { offset: Offset(offset), rows }
    }

    #[test]
    fn what_is_processed_ahead_is_read_back() {
        let senders = [at(1_000, 0), at(1_017, 3), at(1_004, 0)];
        let ahead = Ahead::of(&senders, Offset(1_000));
        assert_eq!(ahead.0, "0 17.3 4");
        assert_eq!(ahead.positions(Offset(1_000)).as_deref(), Some(&senders[..]));
        assert_eq!(Ahead::default().positions(Offset(7)), Some(Vec::new()));
        assert!(Ahead::try_from("0 x".to_owned()).is_err());
    }

    /// A repartition of some hundred partitions must fit into what brokers take by default.
    #[test]
    fn five_hundred_senders_fit_beside_an_offset() {
        let senders: Vec<Position> =
            (0..500).map(|sender| at(10_000_000 + sender * 2 % 1_000, sender as u32 % 90)).collect();
        let beside = Beside {
            fingerprint: u64::MAX,
            ends: u64::MAX,
            changelog: Some(i64::MAX),
            since: i64::MAX,
            senders: Ahead::of(&senders, Offset(10_000_000)),
            ..Beside::default()
        };
        let bytes = serde_json::to_string(&beside).unwrap_or_default().len();
        assert!(bytes > 3_000 && bytes < 4_096, "{bytes} bytes");
    }
}
