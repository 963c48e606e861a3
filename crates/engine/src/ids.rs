//! Newtypes for every number that could be taken for another.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// The position of a record in its partition, from 0.
    Offset(i64)
);
id!(
    /// A partition of a topic, from 0.
    PartitionId(u32)
);
id!(
    /// The number of an epoch within one run of a worker, from 1.
    EpochId(u64)
);
id!(
    /// A node of a task's graph; a node's inputs have smaller numbers than itself.
    NodeId(usize)
);
id!(
    /// One of the inputs of a task, or the output of a stateful operator as an input of those behind it.
    /// Numbered per task; [`crate::task::TaskInputs`] holds the name under which state remembers it.
    InputId(u32)
);
id!(
    /// A sink of the topology, user's or implied (late rows), in the order of the topology.
    SinkId(usize)
);
id!(
    /// A repartition of the topology, in the order of the topology.
    ExchangeId(usize)
);
id!(
    /// Which of an operator's inputs a batch comes by, from 0; all but merge and join have only port 0.
    Port(usize)
);

/// A subtopology × a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Index of the subtopology in the topology.
    pub subtopology: usize,
    /// The partition of its sources that the task reads.
    pub partition: PartitionId,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// Where a row was read first: the rank of its source topic among the topology's topic names, and the partition.
/// Compares as (topic, partition), which together with the offset is the order of ties in event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin(pub u64);

impl Origin {
    /// Of results of a step, which stem from no record: behind all topics, and of no partition before the task puts its own there.
    pub const RESULTS: Origin = Origin(u64::MAX);

    /// The origin for a topic by its rank in name order and a partition.
    pub fn new(topic_rank: u32, partition: PartitionId) -> Origin {
        Origin(u64::from(topic_rank) << 32 | u64::from(partition.0))
    }

    /// The rank of the topic's name among the topics of the topology.
    pub fn topic_rank(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The partition of the topic.
    pub fn partition(self) -> PartitionId {
        PartitionId(self.0 as u32)
    }
}
