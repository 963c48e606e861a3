//! Runs the tests of pipelines and case files, over a log in memory or any other: straight through, with a commit after every record, and
//! with a crash and a restore after every record. What has been committed must be the same each time.

mod changes;
mod compare;
mod dead_letters;
mod message;
mod place;
mod schemas;
mod world;

use std::fmt;

use millstream_engine::ledger::Ledger;
use millstream_pipeline::case::TestSpec;
use millstream_pipeline::topology::{PartitionCounts, Topology};

use place::Memory;
use world::{Outcome, World};

pub use message::Message;
pub use place::Place;

/// A way to run a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All input at once, in batches as large as they come.
    Straight,
    /// One record at a time, with a commit after each.
    CommitEach,
    /// One record at a time; the process dies before the commit, does it again, commits, and dies again.
    CrashEach,
    /// As straight, but it dies once, after so many records.
    CrashAfter(u64),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Straight => f.write_str("straight through"),
            Way::CommitEach => f.write_str("with a commit after every record"),
            Way::CrashEach => f.write_str("with a crash after every record"),
            Way::CrashAfter(records) => write!(f, "with a crash after {records} records"),
        }
    }
}

/// What became of one test.
#[derive(Debug, Clone)]
pub struct TestReport {
    /// The test's name.
    pub name: String,
    /// What was wrong, in order; empty if the test passed.
    pub failures: Vec<Failure>,
    /// The ledger of the straight run.
    pub ledger: Vec<(String, Ledger)>,
}

impl TestReport {
    /// Whether nothing was wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// One thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In which run.
    pub way: Way,
    /// What was expected and what was there.
    pub message: String,
}

/// Makes the topology for given numbers of partitions: the pipeline has been checked before.
pub type Lower<'a> = dyn Fn(&PartitionCounts) -> Result<Topology, String> + 'a;

/// Runs one test in every way, in memory.
pub fn run(lower: &Lower<'_>, test: &TestSpec) -> TestReport {
    run_in(&mut || Ok(Memory::default()), &[Way::Straight, Way::CommitEach, Way::CrashEach], lower, test)
}

/// Runs one test in these of its ways, each in a place of its own. A crash after so many records is run where the test asks
/// for it.
pub fn run_in<P: Place>(
    place: &mut dyn FnMut() -> Result<P, String>,
    ways: &[Way],
    lower: &Lower<'_>,
    test: &TestSpec,
) -> TestReport {
    let mut report = TestReport { name: test.name.value.clone(), failures: Vec::new(), ledger: Vec::new() };
    let partitions = test.partitions.iter().map(|(topic, count)| (topic.value.clone(), count.value));
    let asked: PartitionCounts = partitions.collect();
    let prepared = topology(lower, &asked).and_then(|mut topology| {
        schemas::settle(&mut topology);
        let writers = schemas::prepare(&mut topology, test)?;
        Ok((topology, writers))
    });
    let (topology, writers) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            report.failures.push(Failure { way: Way::Straight, message });
            return report;
        }
    };
    let mut ways = ways.to_vec();
    ways.extend(test.crash_after.as_ref().map(|records| Way::CrashAfter(records.value)));
    if counts_silence(&topology) {
        ways.retain(|way| matches!(way, Way::Straight | Way::CommitEach));
    }
    let mut straight: Option<Outcome> = None;
    for way in ways {
        let outcome =
            place().and_then(|place| World::new(place, &topology, &writers, &asked, test, way)).and_then(World::run);
        let mut outcome = match outcome {
            Ok(outcome) => outcome,
            Err(message) => {
                report.failures.push(Failure { way, message });
                continue;
            }
        };
        if let Some(first) = &straight {
            dead_letters::forget_passing(&topology, first, &mut outcome);
        }
        let mut messages = compare::with_expected(&topology, test, way, &outcome);
        match &straight {
            None => {
                report.ledger.clone_from(&outcome.ledger);
                straight = Some(outcome);
            }
            Some(first) => messages.extend(compare::with_straight(&topology, first, &outcome)),
        }
        report.failures.extend(messages.into_iter().map(|message| Failure { way, message }));
    }
    report
}

/// The topology for topics that have as many partitions as asked, and 1 where nothing is asked.
fn topology(lower: &Lower<'_>, asked: &PartitionCounts) -> Result<Topology, String> {
    let topology = lower(&PartitionCounts::unknown())?;
    let counts = topology.sources.iter().map(|source| {
        let count = asked.get(&source.topic).or_else(|| asked.get(&source.name)).unwrap_or(1);
        (source.topic.clone(), count)
    });
    lower(&counts.collect())
}

/// Whether event time goes on by the wall clock in some silence (`idle_close`): a restart begins to count it anew, so such a
/// pipeline is not the same with crashes in between.
fn counts_silence(topology: &Topology) -> bool {
    topology.sources.iter().any(|source| source.idle_close.is_some())
}

/// Whether every source has one partition, so that the order of all records is given.
fn is_serial(topology: &Topology, asked: &PartitionCounts) -> bool {
    topology.sources.len() == 1
        && topology
            .sources
            .iter()
            .all(|source| asked.get(&source.topic).or_else(|| asked.get(&source.name)).unwrap_or(1) == 1)
}

/// The topics whose content a test compares: sinks, late rows, dead letters.
fn output_topics(topology: &Topology) -> Vec<String> {
    let mut topics: Vec<String> = topology.sinks.iter().map(|sink| sink.topic.clone()).collect();
    topics.extend(topology.on_error.dead_letters().map(str::to_owned));
    topics.sort();
    topics.dedup();
    topics
}
