//! Named crash points in the paths that must survive a crash, for the tests that stop at each of them.
//!
//! They are points of the `fail` crate and compile to nothing without the feature `crash-points`. The action `return` stops
//! the log or store there with an error and without tidying up, as a crash would; `return(kill)` ends the process at once,
//! without unwinding, as `kill -9` would.

use crate::log::LogError;
use crate::store::StoreError;
use crate::worker::WorkerError;

/// Every crash point, in the order in which a run comes by them.
pub const CRASH_POINTS: &[&str] = &[
    "log.open.before_create",
    "log.open.created",
    "log.topic.before_rename",
    "log.topic.after_rename",
    "log.data.before",
    "log.data.rolled",
    "log.data.torn",
    "log.data.written",
    "log.data.synced",
    "log.commit.torn",
    "log.commit.written",
    "log.commit.synced",
    "log.trim.before_delete",
    "log.trim.after_delete",
    "log.compact.before",
    "log.compact.torn",
    "log.compact.written",
    "log.compact.renamed",
    "log.compact.done",
    "worker.before_changelog",
    "worker.before_commit",
    "worker.after_commit",
    "worker.before_flush",
    "store.apply.before",
    "store.apply.after",
    "store.flush.before",
    "store.flush.after",
];

/// Every crash point of the Kafka log, in the order in which a transaction comes by them.
pub const KAFKA_CRASH_POINTS: &[&str] = &["kafka.begin", "kafka.drained", "kafka.offsets_sent", "kafka.committed"];

/// Switches that take a guard away, for tests that must then fail: write the commit record before the data is synced;
/// commit offsets apart from what goes with them; go on with a producer whose last requests had no answer; commit offsets
/// as nobody, whom no broker puts out; read what was aborted; take offsets for committed that an open transaction is about to
/// replace; restore only up to where a changelog's committed records end; store state before it is committed; take a changelog
/// as it is found; take a source for silent that was not asked. And one that makes frequent what is rare: changelogs that are
/// written anew all the time.
pub const CONTROLS: &[&str] = &[
    "log.control.commit_before_data",
    "log.control.offsets_apart",
    "log.control.keep_producer",
    "log.control.without_generation",
    "log.control.read_uncommitted",
    "log.control.unstable_offsets",
    "log.control.committed_end",
    "worker.control.state_before_commit",
    "worker.control.state_without_offsets",
    "worker.control.trust_changelog",
    "worker.control.trust_silence",
    "worker.control.wait_for_nobody",
    "worker.control.short_cycles",
];

/// Switches on what the environment variable `FAILPOINTS` names (`worker.before_commit=3*off->1*return(kill)`), for tests
/// that kill a process. A build without the feature reads nothing and has no points.
pub fn arm() {
    #[cfg(feature = "crash-points")]
    std::mem::forget(fail::FailScenario::setup());
}

/// A crash point was hit.
#[derive(Debug)]
pub(crate) struct Stopped {
    point: &'static str,
}

impl From<Stopped> for LogError {
    fn from(stopped: Stopped) -> LogError {
        LogError::CrashPoint { point: stopped.point }
    }
}

impl From<Stopped> for StoreError {
    fn from(stopped: Stopped) -> StoreError {
        StoreError::CrashPoint { point: stopped.point }
    }
}

impl From<Stopped> for WorkerError {
    fn from(stopped: Stopped) -> WorkerError {
        WorkerError::Log(stopped.into())
    }
}

/// What a crash point does when it is switched on.
#[cfg_attr(not(feature = "crash-points"), allow(dead_code))]
pub(crate) fn stop(point: &'static str, action: Option<String>) -> Stopped {
    if action.as_deref() == Some("kill") {
        std::process::abort();
    }
    Stopped { point }
}

/// Where a test may have something panic (`worker.panic=20*off->1*panic(why)`): `worker.panic`, a task, in the middle of what
/// arrived; `daemon.panic`, a pipeline that is being prepared.
pub(crate) fn panic_point(name: &'static str) {
    fail::fail_point!(name);
    let _ = name;
}

/// Whether a control (one of [`CONTROLS`]) is switched on.
pub(crate) fn control(name: &'static str) -> bool {
    debug_assert!(CONTROLS.contains(&name));
    fail::fail_point!(name, |_| true);
    false
}

/// Returns an error from the function around it when the point is switched on; before that, it does what stands behind
/// the name.
macro_rules! crash_point {
    ($point:literal) => {
        fail::fail_point!($point, |action| Err($crate::crash::stop($point, action).into()))
    };
    ($point:literal, $first:expr) => {
        fail::fail_point!($point, |action| {
            $first;
            Err($crate::crash::stop($point, action).into())
        })
    };
}
pub(crate) use crash_point;
