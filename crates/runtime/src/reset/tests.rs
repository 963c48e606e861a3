//! Moving a group by hand: what is planned, and what becomes of it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use millstream_pipeline::interpolate::no_lookup;

use super::*;
use crate::log::memory::MemoryLog;
use crate::log::{NewRecord, ReadLimit, Records, TopicSettings};
use crate::store::memory::MemoryStores;
use crate::worker::{Worker, WorkerSettings};
use millstream_engine::time::Millis;

const PIPELINE: &str = "
version: 1
pipeline: totals
sources:
  sales: {format: json, schema: {shop: string, amount: bigint}}
steps:
  - aggregate: {id: by_shop, by: shop, aggregates: {total: sum(amount)}, emit: changes}
sink: {topic: totals-out, key: shop}
";

/// A pipeline over a log in memory, and the state that a machine has stored.
struct World {
    log: MemoryLog,
    stores: MemoryStores,
    topology: Topology,
    counts: PartitionCounts,
}

impl World {
    fn new(partitions: u32) -> World {
        let mut log = MemoryLog::new();
        log.create_topic("sales", TopicSettings::user(partitions)).unwrap();
        World { log, stores: MemoryStores::new(), ..World::of(PIPELINE, partitions) }
    }

    fn of(text: &str, partitions: u32) -> World {
        let counts = PartitionCounts::from_iter([("sales", partitions)]);
        let topology = millstream_pipeline::check("p.yaml", text, &no_lookup, &counts).unwrap().topology;
        World { log: MemoryLog::new(), stores: MemoryStores::new(), topology, counts }
    }

    fn sell(&mut self, partition: u32, shop: &str, amount: i64, timestamp: i64) {
        let value = format!(r#"{{"shop":"{shop}","amount":{amount}}}"#);
        let mut records = Records::new();
        let value = Some(value.as_bytes());
        records.push(Offset(0), NewRecord { key: None, value, timestamp: Millis(timestamp), headers: &[] });
        self.log.produce("sales", PartitionId(partition), &records).unwrap();
    }

    /// Runs the pipeline to the end of what is there, with a checkpoint, and gives what it has written meanwhile.
    fn run(&mut self) -> Result<Vec<String>, WorkerError> {
        let before = self.written();
        let topology = Arc::new(self.topology.clone());
        let stores = Box::new(self.stores.clone());
        let settings = WorkerSettings::default();
        let mut worker = Worker::start(topology, self.log.clone(), stores, settings, Millis(0), &mut |_, _| {})?;
        worker.run_until_quiet(Millis(1_000))?;
        worker.checkpoint(Millis(1_000))?;
        Ok(self.written()[before.len()..].to_vec())
    }

    /// The last total of each shop, of what a run has written.
    fn totals(&mut self) -> Vec<String> {
        let mut totals = self.run().unwrap_or_else(|error| panic!("{error}"));
        totals.sort();
        totals
    }

    fn written(&mut self) -> Vec<String> {
        let mut values = Vec::new();
        for partition in 0..self.log.partitions("totals-out").unwrap().unwrap_or(0) {
            let mut records = Records::new();
            let limit = ReadLimit::default();
            self.log.read("totals-out", PartitionId(partition), Offset(0), limit, &mut records).unwrap();
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            values.extend(records.iter().map(|record| text(record.value)));
        }
        values
    }

    fn plan(&mut self, target: &str, state: State) -> Result<Plan, ResetError> {
        let target = target.parse().unwrap();
        plan(&self.topology, &self.counts, &target, state, &mut GroupLog::Folder(&mut self.log))
    }

    fn reset(&mut self, target: &str, state: State) {
        let plan = self.plan(target, state).unwrap_or_else(|error| panic!("{error}"));
        apply(&plan, &self.topology, &mut GroupLog::Folder(&mut self.log)).unwrap();
    }
}

/// One partition, so that the order of what is written is known; three sales, processed.
fn three_sales() -> World {
    let mut world = World::new(1);
    world.sell(0, "a", 1, 100);
    world.sell(0, "b", 10, 200);
    world.sell(0, "a", 2, 300);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":3}"#, r#"{"shop":"b","total":10}"#]);
    world
}

#[test]
fn from_the_beginning_with_no_state_is_as_the_first_time() {
    let mut world = three_sales();
    assert_eq!(world.totals(), [] as [&str; 0], "everything had been processed");
    let plan = world.plan("earliest", State::Clear).unwrap();
    let [only] = plan.moves.as_slice() else { panic!("{plan:?}") };
    assert_eq!((only.from, only.to), (Some(Offset(3)), Some(Offset(0))));
    assert_eq!(plan.emptied, [("totals-by_shop-changelog".to_owned(), 1)]);
    world.reset("earliest", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":3}"#, r#"{"shop":"b","total":10}"#]);
    assert_eq!(world.totals(), [] as [&str; 0]);
}

/// The machine has stored everything that the changelog had: the store must be found not to fit.
#[test]
fn stored_state_does_not_outlive_a_reset() {
    for wiped in [true, false] {
        let mut world = three_sales();
        world.reset("latest", State::Clear);
        if wiped {
            world.stores.wipe();
        }
        world.sell(0, "a", 5, 400);
        assert_eq!(world.totals(), [r#"{"shop":"a","total":5}"#], "wiped: {wiped}");
    }
}

#[test]
fn state_that_is_kept_counts_what_is_read_again() {
    let mut world = three_sales();
    let plan = world.plan("earliest", State::Keep).unwrap();
    assert!(plan.emptied.is_empty(), "{plan:?}");
    world.reset("earliest", State::Keep);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":6}"#, r#"{"shop":"b","total":20}"#]);
    world.reset("latest", State::Keep);
    world.sell(0, "b", 1, 400);
    assert_eq!(world.totals(), [r#"{"shop":"b","total":21}"#]);
}

#[test]
fn a_time_and_offsets_say_where_to_begin() {
    let mut world = three_sales();
    world.reset("1970-01-01T00:00:00.200Z", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":2}"#, r#"{"shop":"b","total":10}"#]);
    world.reset("sales:0=2", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":2}"#]);
    let why = |world: &mut World, target: &str| world.plan(target, State::Clear).unwrap_err().to_string();
    assert!(why(&mut world, "sales:0=4").contains("has the offsets 0 to 3, not 4"));
    assert!(why(&mut world, "sales:1=0").contains("the topic has 1 partitions"));
    assert!(why(&mut world, "totals-out:0=0").contains("which reads sales"));
}

#[test]
fn a_pipeline_that_has_never_run_can_be_moved_too() {
    let mut world = World::new(2);
    world.sell(0, "a", 1, 100);
    world.sell(1, "a", 2, 100);
    world.reset("sales:1=1", State::Clear);
    world.sell(1, "b", 4, 100);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":1}"#, r#"{"shop":"b","total":4}"#]);
}

/// In flight between two subtopologies: what was sent before the reset must not arrive behind it.
#[test]
fn repartitions_are_emptied() {
    let mut world = World::new(2);
    for amount in 1..=4 {
        world.sell(amount as u32 % 2, "a", amount, 100);
    }
    world.totals();
    let plan = world.plan("latest", State::Clear).unwrap();
    let emptied: Vec<&str> = plan.emptied.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(
        emptied,
        ["totals-by_shop-repartition", "totals-by_shop-repartition-changelog", "totals-by_shop-changelog"]
    );
    world.reset("latest", State::Clear);
    assert_eq!(world.totals(), [] as [&str; 0]);
    world.sell(0, "a", 7, 200);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":7}"#]);
}

/// Between the mark and the end nothing may run over half of it; the reset can be done again.
#[test]
fn a_reset_that_is_cut_off_is_not_run_over() {
    let mut world = three_sales();
    let plan = world.plan("earliest", State::Clear).unwrap();
    let marked: BTreeMap<_, _> = apply::cleared(&plan, &world.topology)
        .iter()
        .map(|(place, offset)| (place.clone(), crate::worker::position::Beside::unfinished(offset)))
        .collect();
    world.log.commit("totals", &marked).unwrap();
    let refused = world.run().unwrap_err().to_string();
    assert!(refused.contains("was cut off") && refused.contains("--clear-state"), "{refused}");
    let kept = world.plan("earliest", State::Keep).unwrap_err().to_string();
    assert!(kept.contains("was cut off"), "{kept}");
    world.reset("earliest", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":3}"#, r#"{"shop":"b","total":10}"#]);
}

#[test]
fn a_pipeline_with_other_steps_takes_over_with_no_state_only() {
    let mut world = three_sales();
    let changed = PIPELINE.replace("total: sum(amount)", "total: sum(amount), n: count(*)");
    world.topology = World::of(&changed, 1).topology;
    assert!(matches!(world.run(), Err(WorkerError::ShapeChanged { .. })));
    let kept = world.plan("earliest", State::Keep).unwrap_err().to_string();
    assert!(kept.contains("`millstream reset FILE --to earliest`"), "{kept}");
    world.reset("earliest", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":3,"n":2}"#, r#"{"shop":"b","total":10,"n":1}"#]);
}

#[test]
fn offsets_of_another_program_are_taken_over() {
    let mut world = World::new(1);
    world.sell(0, "a", 1, 100);
    let foreign = CommittedOffset { offset: Offset(1), metadata: String::new() };
    world.log.commit("totals", &BTreeMap::from([(("sales".to_owned(), PartitionId(0)), foreign)])).unwrap();
    assert!(matches!(world.run(), Err(WorkerError::ForeignGroup { .. })));
    world.reset("earliest", State::Clear);
    assert_eq!(world.totals(), [r#"{"shop":"a","total":1}"#]);
}
