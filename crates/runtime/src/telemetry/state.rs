//! The words for what pipelines, workers and tasks are doing and for what happens to them; no logic but their names.

use std::time::Duration;

use crate::worker::RestoreProgress;

/// What a pipeline is doing, as its supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PipelineState {
    /// Its workers are being built, for the first time or again.
    #[default]
    Starting,
    /// Its workers run; each says for itself how far it is ([`WorkerState`]).
    Running,
    /// It has failed as a whole: no worker of it runs until the next attempt.
    Failed {
        /// Why.
        failure: Failure,
        /// When it will be tried again, from now.
        retry_in: Duration,
    },
    /// It cannot begin before a schema registry has answered.
    Waiting {
        /// What the registry said, or that it says nothing.
        why: String,
        /// When it will be asked again, from now.
        retry_in: Duration,
    },
    /// It was asked to stop, and has.
    Stopped,
}

impl PipelineState {
    /// All names, in the order in which a pipeline goes through them.
    pub(super) const NAMES: [&'static str; 5] = ["waiting", "starting", "running", "failed", "stopped"];

    /// The state's name in metrics and in `/status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            PipelineState::Waiting { .. } => "waiting",
            PipelineState::Starting => "starting",
            PipelineState::Running => "running",
            PipelineState::Failed { .. } => "failed",
            PipelineState::Stopped => "stopped",
        }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerState {
    /// It looks for the broker, at its start or after something failed.
    #[default]
    Connecting,
    /// It waits for its partitions.
    Joining,
    /// It has its partitions and rebuilds their state.
    Restoring,
    /// It processes.
    Running,
    /// It has ended, in order or by an error: its tasks are gone, and what they counted is kept.
    Stopped,
}

impl WorkerState {
    /// All names, in the order in which a worker goes through them.
    pub(super) const NAMES: [&'static str; 5] = ["connecting", "joining", "restoring", "running", "stopped"];

    /// The state's name in metrics and in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerState::Connecting => "connecting",
            WorkerState::Joining => "joining",
            WorkerState::Restoring => "restoring",
            WorkerState::Running => "running",
            WorkerState::Stopped => "stopped",
        }
    }
}

/// What a task is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskPhase {
    /// It rebuilds its state.
    Restoring(RestoreProgress),
    /// It processes.
    Running,
}

impl TaskPhase {
    /// All names, in order.
    pub(super) const NAMES: [&'static str; 2] = ["restoring", "running"];

    /// The phase's name in metrics and in `/status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            TaskPhase::Restoring(_) => "restoring",
            TaskPhase::Running => "running",
        }
    }
}

/// Why a pipeline has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of which kind it is: what an alert can tell apart.
    pub kind: FailureKind,
    /// In words for people, without secrets.
    pub message: String,
}

/// The kinds of failures that call for different answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// No space is left for state.
    DiskFull,
    /// The broker cannot be reached, or refuses (no such topic, no right).
    Log,
    /// State or changelog cannot be read or does not fit.
    State,
    /// Records: one failed where the pipeline says `on_error: fail`, or too many did.
    Records,
    /// The pipeline does not fit what is there: partition counts, topics, a group in use.
    Configuration,
    /// A bug of this program.
    Internal,
}

impl FailureKind {
    /// All kinds.
    pub(super) const ALL: [FailureKind; 6] = [
        FailureKind::DiskFull,
        FailureKind::Log,
        FailureKind::State,
        FailureKind::Records,
        FailureKind::Configuration,
        FailureKind::Internal,
    ];

    /// The kind's name in metrics and in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::DiskFull => "disk_full",
            FailureKind::Log => "log",
            FailureKind::State => "state",
            FailureKind::Records => "records",
            FailureKind::Configuration => "configuration",
            FailureKind::Internal => "internal",
        }
    }
}

/// What happens to a worker now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An epoch was committed.
    Commit,
    /// An epoch was aborted; its input is taken again.
    Abort,
    /// The producer was fenced: another has taken over.
    Fence,
    /// Partitions were assigned or revoked.
    Rebalance,
    /// Partitions were lost without a chance to commit.
    PartitionsLost,
    /// A producer was retired, because the outcome of a commit or abort was in doubt.
    ProducerRetired,
    /// Stored state could not be trusted, and was moved aside.
    StoreQuarantined,
    /// Records could not be deleted behind a changelog or repartition: the topic only grows.
    TrimRefused,
    /// They could not, as the partition had no leader.
    TrimWithoutLeader,
    /// They could not within the time for it.
    TrimTimedOut,
    /// They could not, as the topic's settings do not allow it.
    TrimAgainstPolicy,
    /// They could not for another reason.
    TrimFailed,
}

impl Event {
    pub(super) const COUNT: usize = 12;
}

/// The parts of an epoch whose durations are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The whole epoch, from its first record to behind its commit.
    Epoch,
    /// Taking input and processing it, together over the epoch.
    Process,
    /// Writing state changes to the open transaction.
    Changelog,
    /// Waiting until the broker has everything that was produced.
    Drain,
    /// Adding the input positions to the transaction.
    Offsets,
    /// Ending the transaction.
    Commit,
    /// Writing committed state to the state store.
    Store,
}

impl Phase {
    pub(super) const ALL: [Phase; 7] =
        [Phase::Epoch, Phase::Process, Phase::Changelog, Phase::Drain, Phase::Offsets, Phase::Commit, Phase::Store];

    /// The phase's name as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Epoch => "epoch",
            Phase::Process => "process",
            Phase::Changelog => "changelog",
            Phase::Drain => "drain",
            Phase::Offsets => "offsets",
            Phase::Commit => "commit",
            Phase::Store => "store",
        }
    }
}
