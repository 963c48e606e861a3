//! Reads what a log holds, for tests that compare whole logs.

use millstream_engine::ids::{Offset, PartitionId};
use millstream_runtime::log::{Log, ReadLimit, Records};

/// All committed records of a partition from the first offset on, in order.
pub(crate) fn all_of(log: &mut impl Log, topic: &str, partition: PartitionId) -> Records {
    let mut records = Records::new();
    let mut next = Offset(0);
    while next < log.extent(topic, partition).unwrap().end {
        next = log.read(topic, partition, next, ReadLimit::default(), &mut records).unwrap();
    }
    records
}
