//! Where a group is to go.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::spec::Start;

use crate::log::TopicPartition;
use crate::utc::rfc3339;

/// Where a group is to go: `earliest`, `latest`, a time, or offsets of single partitions (`topic:partition=offset,..`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The oldest record there is.
    Earliest,
    /// Behind the newest.
    Latest,
    /// The first record whose timestamp is not before this one.
    Time(Millis),
    /// These offsets; partitions that are not named stay where they are.
    Offsets(BTreeMap<TopicPartition, Offset>),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        if text.contains('=') {
            return offsets(text).map(Target::Offsets);
        }
        match text.parse::<Start>() {
            Ok(Start::Earliest) => Ok(Target::Earliest),
            Ok(Start::Latest) => Ok(Target::Latest),
            Ok(Start::At(time)) => Ok(Target::Time(time)),
            Err(_) => Err(format!(
                "`{text}` is neither `earliest` nor `latest`, nor a time such as `2026-01-01T00:00:00Z`, nor offsets such \
                 as `trades:0=1200,trades:1=900`"
            )),
        }
    }
}

fn offsets(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, String> {
    let mut offsets = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || format!("`{part}` is not `topic:partition=offset`");
        let (place, offset) = part.split_once('=').ok_or_else(wrong)?;
        let (topic, partition) = place.rsplit_once(':').ok_or_else(wrong)?;
        let partition = partition.trim().parse().map(PartitionId).map_err(|_| wrong())?;
        let offset = offset.trim().parse().ok().filter(|offset| *offset >= 0).map(Offset).ok_or_else(wrong)?;
        if offsets.insert((topic.trim().to_owned(), partition), offset).is_some() {
            return Err(format!("topic {topic} partition {partition} is named twice"));
        }
    }
    Ok(offsets)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Earliest => f.write_str("the oldest record"),
            Target::Latest => f.write_str("behind the newest record"),
            Target::Time(time) => write!(f, "the first record at or after {}", rfc3339(*time)),
            Target::Offsets(_) => f.write_str("the offsets given"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_all_forms() {
        assert_eq!("earliest".parse(), Ok(Target::Earliest));
        assert_eq!("latest".parse(), Ok(Target::Latest));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Target::Time(Millis(1000))));
        assert!(Target::Time(Millis(1000)).to_string().ends_with("at or after 1970-01-01T00:00:01.000Z"));
        let offsets = BTreeMap::from([
            (("a.b:c".to_owned(), PartitionId(0)), Offset(5)),
            (("t".to_owned(), PartitionId(12)), Offset(0)),
        ]);
        assert_eq!("a.b:c:0=5, t:12=0".parse(), Ok(Target::Offsets(offsets)));
        for wrong in ["", "first", "t:0=", "t:0=-1", "t=5", "t:x=5", "t:0=5,t:0=6"] {
            wrong.parse::<Target>().unwrap_err();
        }
    }
}
