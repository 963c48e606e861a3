//! Makes topologies of pipelines' texts, for tests that feed workers.

use std::sync::Arc;

use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::lower;
use millstream_pipeline::topology::{PartitionCounts, Topology};

/// The topology of a pipeline that is right, over source topics with so many partitions.
pub(crate) fn lowered(pipeline: &str, partitions: &[(&str, u32)]) -> Arc<Topology> {
    let (pipeline, map) =
        millstream_pipeline::parse("p.yaml", pipeline, &no_lookup).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let counts: PartitionCounts = partitions.iter().copied().collect();
    Arc::new(lower::lower(&pipeline, &map, &counts).unwrap_or_else(|wrong| panic!("{wrong:?}")))
}
