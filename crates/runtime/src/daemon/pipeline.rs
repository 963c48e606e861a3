//! One pipeline of the daemon: its workers are built, watched and, when one fails, all built again.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millstream_engine::error::TaskError;
use millstream_engine::ledger::Ledger;
use millstream_engine::task;
use millstream_pipeline::topology::{PartitionCounts, Topology};

use super::member::{AtEnd, Member, MemberError};
use super::{DaemonSettings, Instance, NotLowered, PipelineUnit, Report};
use crate::crash;
use crate::follow::{Stop, Until};
use crate::log::kafka::{Interrupt, KafkaLog, KafkaLogSettings};
use crate::log::{FailureKind as LogFailure, Log};
use crate::panics::{self, Panic};
use crate::preflight::{self, Gravity};
use crate::store::memory::MemoryStores;
use crate::store::sled::SledStores;
use crate::store::{StateStores, StoreError};
use crate::telemetry::{Event, Failure, FailureKind, PipelineState, PipelineTelemetry};
use crate::worker::{CreateTopics, Flush, Place, Standing, Telling, WorkerError, WorkerSettings};

/// Stored state of a task that has been elsewhere for so long is of no more use: much of it would have to be read again.
const KEPT_UNUSED: Duration = Duration::from_hours(24);

/// So long behind its first commit a run takes back what earlier failures have added to the wait. Not from its beginning: a restore
/// may take longer than that, and fail each time at the same place.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How often stored state is made durable.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How long workers may take to commit and leave before their waits for brokers are ended. They then have 2 s to leave the group,
/// and the whole must be over in less than 5 s.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// How often a waiting supervisor looks whether it is asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Runs one pipeline and all its workers.
pub(super) struct Supervisor {
    pub(super) unit: PipelineUnit,
    pub(super) settings: DaemonSettings,
    pub(super) instance: Arc<Instance>,
    pub(super) telemetry: PipelineTelemetry,
    pub(super) stop: Stop,
}

/// What a worker brings home.
pub(super) struct Returned {
    pub(super) standing: Standing,
    /// From the first record read to the last commit.
    pub(super) busy: Duration,
    pub(super) ledger: Vec<(String, Ledger)>,
    pub(super) error: Option<MemberError>,
}

impl Returned {
    /// It came to nothing.
    pub(super) fn nothing(error: Option<MemberError>) -> Returned {
        Returned { standing: Standing::default(), busy: Duration::ZERO, ledger: Vec::new(), error }
    }
}

/// What an attempt begins with.
struct Prepared {
    topology: Arc<Topology>,
    /// The partitions of source topics that the topology was made for.
    counts: PartitionCounts,
    stores: Arc<dyn StateStores + Sync>,
}

/// One attempt: what its workers did, and why it ended.
struct Attempt {
    returned: Vec<Returned>,
    error: Option<MemberError>,
    /// When one of its workers committed first with all its tasks.
    committed_since: Option<Instant>,
}

impl Supervisor {
    /// Runs the pipeline until it is asked to stop or has come to its end.
    pub(super) fn run(self) -> Report {
        // Whatever is said here says of which pipeline.
        let _span = tracing::error_span!("pipeline", pipeline = %self.unit.name).entered();
        let mut report = Report {
            pipeline: self.unit.name.clone(),
            standing: Standing::default(),
            busy: Duration::ZERO,
            ledger: Vec::new(),
            error: None,
        };
        let mut wait = self.settings.backoff_min;
        let mut away_since = None;
        loop {
            let attempt = self.attempt();
            let was_healthy = is_healthy(attempt.committed_since);
            for returned in attempt.returned {
                report.add(returned);
            }
            let Some(error) = attempt.error else { break };
            if error.is_growth() {
                tracing::info!(pipeline = %self.unit.name, "{error}");
                continue;
            }
            if was_healthy {
                wait = self.settings.backoff_min;
            }
            if self.stop.is_asked() && error.may_pass() {
                // Nothing is visible of what was under way, and it will be taken again.
                tracing::info!(pipeline = %self.unit.name, "stopped before it could be tried again: {error}");
                break;
            }
            away_since = match &error {
                MemberError::Unreachable { since, .. } => Some(away_since.unwrap_or(*since)),
                _ => None,
            };
            if let Some(since) = away_since.filter(|&since| self.waits_too_long(since, wait)) {
                report.error = Some(format!(
                    "{error}; none has answered for {} s, and a run to the end waits no longer than {} s",
                    since.elapsed().as_secs(),
                    self.settings.brokers_within.as_secs()
                ));
                break;
            }
            self.tell(&error, wait);
            report.error = Some(error.to_string());
            if self.settings.until != Until::Stopped && !error.may_pass() {
                break;
            }
            if !self.pause(wait) {
                // It has been told, and a stop that was asked for is no failure.
                report.error = report.error.filter(|_| self.settings.until != Until::Stopped);
                break;
            }
            wait = (wait * 2).min(self.settings.backoff_max);
            report.error = None;
            if !is_wait(&error) {
                self.telemetry.restarted();
            }
        }
        self.telemetry.set_state(PipelineState::Stopped);
        report
    }

    /// Whether somebody waits for the end of the run, and brokers have been away for too long when the next attempt begins.
    fn waits_too_long(&self, since: Instant, wait: Duration) -> bool {
        self.settings.until != Until::Stopped && since.elapsed() + wait >= self.settings.brokers_within
    }

    /// Says why an attempt has ended.
    fn tell(&self, error: &MemberError, retry_in: Duration) {
        let (pipeline, retry_in_ms) = (&self.unit.name, retry_in.as_millis() as u64);
        if is_wait(error) {
            tracing::warn!(%pipeline, retry_in_ms, "it waits for its schemas: {error}");
            self.telemetry.set_state(PipelineState::Waiting { why: error.to_string(), retry_in });
        } else {
            let Place { task, topic, partition } = error.place();
            tracing::error!(%pipeline, task, topic, partition, retry_in_ms, "{error}");
            self.telemetry.set_state(PipelineState::Failed { failure: failure(error), retry_in });
        }
    }

    /// Waits; false if it is asked to stop.
    fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.stop.is_asked() {
            std::thread::sleep(LOOK.min(wait));
        }
        !self.stop.is_asked()
    }

    fn attempt(&self) -> Attempt {
        let prepared = panics::guard(&self.unit.name, None, || self.prepare());
        let Prepared { topology, counts, stores } =
            match prepared.unwrap_or_else(|panic| Err(MemberError::Panicked(panic))) {
                Ok(prepared) => prepared,
                Err(error) => return Attempt { returned: Vec::new(), error: Some(error), committed_since: None },
            };
        // One worker that fails takes the others with it: they are built again together.
        let stop = Stop::new();
        let leashes: Vec<Arc<OnceLock<Interrupt>>> =
            (0..self.settings.threads.max(1)).map(|_| Arc::default()).collect();
        let at_end = AtEnd::of(leashes.len());
        let committed_since = Arc::new(OnceLock::new());
        let threads: Vec<JoinHandle<Returned>> = leashes
            .iter()
            .enumerate()
            .map(|(thread, leash)| {
                let member = Member {
                    topology: Arc::clone(&topology),
                    counts: counts.clone(),
                    log: self.log_settings(&topology, thread),
                    stores: Arc::clone(&stores),
                    settings: WorkerSettings {
                        flush: Flush::Elsewhere,
                        create_topics: CreateTopics::AsDeclared,
                        // Whoever waits for the end waits for all that it tells.
                        telling: match self.settings.until {
                            Until::Stopped => Telling::Sparingly,
                            Until::End | Until::EndAndClose => Telling::AtCommits,
                        },
                        ..self.settings.worker.clone()
                    },
                    until: self.settings.until,
                    brokers_within: self.settings.brokers_within,
                    thread,
                    telemetry: self.telemetry.worker(thread),
                    stop: stop.clone(),
                    at_end: at_end.clone(),
                    leash: Arc::clone(leash),
                    committed_since: Arc::clone(&committed_since),
                };
                std::thread::spawn(move || member.run())
            })
            .collect();
        self.telemetry.set_state(PipelineState::Running);
        let ended = |threads: &[JoinHandle<Returned>]| match self.settings.until {
            Until::Stopped => threads.iter().any(JoinHandle::is_finished),
            Until::End | Until::EndAndClose => threads.iter().all(JoinHandle::is_finished),
        };
        let mut attempt = Attempt { returned: Vec::new(), error: None, committed_since: None };
        let mut flushed = Instant::now();
        while attempt.error.is_none() && !self.stop.is_asked() && !ended(&threads) {
            std::thread::sleep(LOOK);
            if flushed.elapsed() >= FLUSH_EVERY {
                flushed = Instant::now();
                attempt.error = self.look_after(&*stores).err().map(|error| MemberError::Worker(error.into()));
            }
        }
        // What comes now is the end of the run.
        attempt.committed_since = committed_since.get().copied();
        stop.ask();
        let until = Instant::now() + LEAVE_WITHIN;
        while Instant::now() < until && !threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(LOOK / 10);
        }
        // Whoever still waits for a broker gives up: what is not committed is taken again.
        leashes.iter().filter_map(|leash| leash.get()).for_each(Interrupt::set);
        for thread in threads {
            match thread.join() {
                Ok(mut returned) => {
                    attempt.error = attempt.error.or(returned.error.take());
                    attempt.returned.push(returned);
                }
                // Outside its own guard.
                Err(_) => attempt.error = Some(MemberError::Panicked(Panic::unheard())),
            }
        }
        if let Err(error) = stores.flush() {
            attempt.error.get_or_insert(MemberError::Worker(error.into()));
        }
        attempt
    }

    /// The topology for the partitions that the source topics have now, and the stores.
    fn prepare(&self) -> Result<Prepared, MemberError> {
        crash::panic_point("daemon.panic");
        let unknown = (self.unit.lower)(&PartitionCounts::unknown())?;
        // Who waits for a registry waits until it has answered.
        self.telemetry.set_state(PipelineState::Starting);
        let since = Instant::now();
        let log = KafkaLog::connect(self.log_settings(&unknown, 0)).map_err(|error| match error.kind() {
            LogFailure::Retriable => MemberError::Unreachable { error, since },
            _ => error.into(),
        })?;
        let mut counts = PartitionCounts::unknown();
        for source in &unknown.sources {
            let missing = || WorkerError::MissingTopic { topic: source.topic.clone() };
            counts.0.insert(source.topic.clone(), log.partitions(&source.topic)?.ok_or_else(missing)?);
        }
        let topology = (self.unit.lower)(&counts)?;
        self.telemetry.describe(topology.fingerprint, self.unit.guarantee);
        self.examine(&log, &topology, &counts)?;
        let stores = self.stores(&topology)?;
        Ok(Prepared { topology: Arc::new(topology), counts, stores })
    }

    /// Where state is kept: in the pipeline's folder, if any step keeps some. sled takes 20 MB for as long as the process lives
    /// (histograms, in which it writes nothing), which a pipeline without state need not pay.
    fn stores(&self, topology: &Topology) -> Result<Arc<dyn StateStores + Sync>, MemberError> {
        if topology.stores.is_empty() {
            return Ok(Arc::new(MemoryStores::new()));
        }
        let (stores, quarantined) =
            SledStores::open(&self.instance.pipeline_dir(&self.unit.name)).map_err(WorkerError::from)?;
        if let Some(quarantined) = quarantined {
            tracing::warn!(
                pipeline = %self.unit.name,
                "stored state could not be trusted ({}): it was moved to {} and is rebuilt from the changelog",
                quarantined.reason,
                quarantined.moved_to.display()
            );
            self.telemetry.worker(0).count(Event::StoreQuarantined);
        }
        Ok(Arc::new(stores))
    }

    /// Makes stored state durable, and removes that of tasks which have been elsewhere for long.
    fn look_after(&self, stores: &dyn StateStores) -> Result<(), StoreError> {
        stores.flush()?;
        let unused = stores.forget_unused(KEPT_UNUSED)?;
        if !unused.is_empty() {
            tracing::info!(
                pipeline = %self.unit.name,
                "removed stored state that other instances have had for {} hours: {}",
                KEPT_UNUSED.as_secs() / 3600,
                unused.join(", ")
            );
        }
        Ok(())
    }

    /// What can be known before the first record is said before the first record, all at once.
    fn examine(&self, log: &KafkaLog, topology: &Topology, counts: &PartitionCounts) -> Result<(), MemberError> {
        let findings = preflight::examine_made(log, topology, counts)?;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.gravity == Gravity::Error);
        for warning in warnings {
            tracing::warn!(pipeline = %self.unit.name, "{warning}");
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(MemberError::Preflight(errors.into_iter().map(|finding| finding.message).collect()))
    }

    fn log_settings(&self, topology: &Topology, thread: usize) -> KafkaLogSettings {
        let mut properties = self.settings.kafka.clone();
        properties.extend(self.unit.kafka.clone());
        let mut output_topics: Vec<String> = topology.sinks.iter().map(|sink| sink.topic.clone()).collect();
        output_topics.extend(topology.on_error.dead_letter.clone());
        output_topics.extend(topology.exchanges.iter().map(|exchange| exchange.topic.clone()));
        output_topics.extend((0..topology.subtopologies.len()).filter_map(|index| topology.changelog_topic(index)));
        output_topics.sort();
        output_topics.dedup();
        KafkaLogSettings {
            properties,
            group: self.unit.name.clone(),
            transactional_id: self.instance.transactional_id(&self.unit.name, thread),
            client_id: format!("millstream-{}-{thread}", self.unit.name),
            guarantee: self.unit.guarantee,
            output_topics,
            headerless_topics: topology.headerless_topics().into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Report {
    fn add(&mut self, returned: Returned) {
        let (sum, part) = (&mut self.standing, returned.standing);
        self.busy = self.busy.max(returned.busy);
        sum.records_in += part.records_in;
        sum.records_out += part.records_out;
        sum.errors += part.errors;
        sum.late += part.late;
        sum.commits += part.commits;
        sum.lag = part.lag;
        sum.state_bytes = part.state_bytes;
        sum.watermark = part.watermark.or(sum.watermark);
        self.ledger = task::add_up(std::mem::take(&mut self.ledger).into_iter().chain(returned.ledger));
    }
}

/// Whether a run that ends now has been well for long, by when it committed first.
fn is_healthy(committed_since: Option<Instant>) -> bool {
    committed_since.is_some_and(|since| since.elapsed() >= HEALTHY_AFTER)
}

/// Whether it is no failure: the pipeline has not begun, as a schema registry does not answer.
fn is_wait(error: &MemberError) -> bool {
    matches!(error, MemberError::Pipeline(NotLowered::Registry(_)))
}

/// What kind of failure an error is, for alerts.
pub(super) fn failure(error: &MemberError) -> Failure {
    let kind = match error {
        MemberError::Pipeline(_) | MemberError::Preflight(_) | MemberError::PartitionsChanged { .. } => {
            FailureKind::Configuration
        }
        MemberError::Unreachable { .. } => FailureKind::Log,
        MemberError::Panicked(_) => FailureKind::Internal,
        MemberError::Worker(error) => match error {
            WorkerError::Record { .. }
            | WorkerError::Task { source: TaskError::RecordFailed(_), .. }
            | WorkerError::TooManyFailures { .. } => FailureKind::Records,
            WorkerError::Task { source: TaskError::State { .. }, .. } | WorkerError::Frame { .. } => FailureKind::State,
            WorkerError::Task { source: TaskError::Kernel { .. }, .. } | WorkerError::Internal(_) => {
                FailureKind::Internal
            }
            WorkerError::Store(StoreError::Folder { message, .. }) if is_disk_full(message) => FailureKind::DiskFull,
            WorkerError::Store(_)
            | WorkerError::ChangelogLost { .. }
            | WorkerError::OffsetsLost { .. }
            | WorkerError::RepartitionLost { .. } => FailureKind::State,
            WorkerError::Log(error) if error.kind() != LogFailure::Refused => FailureKind::Log,
            WorkerError::Log(_)
            | WorkerError::Format { .. }
            | WorkerError::NoRegistry { .. }
            | WorkerError::MissingTopic { .. }
            | WorkerError::MissingOutput { .. }
            | WorkerError::SourceTruncated { .. }
            | WorkerError::PartitionsChanged { .. }
            | WorkerError::ForeignGroup { .. }
            | WorkerError::FrameLacks { .. }
            | WorkerError::ResetUnfinished { .. }
            | WorkerError::ShapeChanged { .. } => FailureKind::Configuration,
        },
    };
    Failure { kind, message: error.to_string() }
}

/// As the system says it: of a disk, or of a user's share of it.
fn is_disk_full(message: &str) -> bool {
    ["No space left on device", "(os error 28)", "Disk quota exceeded", "(os error 122)"]
        .iter()
        .any(|said| message.contains(said))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn who_has_committed_nothing_was_not_well_however_long_it_took() {
        let ago = |span: Duration| Instant::now().checked_sub(span).unwrap();
        assert!(!is_healthy(None));
        assert!(!is_healthy(Some(ago(HEALTHY_AFTER / 2))));
        assert!(is_healthy(Some(ago(HEALTHY_AFTER))));
    }

    #[test]
    fn a_full_disk_and_a_quota_that_is_used_up_are_the_same_to_operators() {
        let kind_of = |code| {
            let message = format!("sled: {}", io::Error::from_raw_os_error(code));
            failure(&MemberError::Worker(StoreError::Folder { action: "write", path: "/state".into(), message }.into()))
                .kind
        };
        assert_eq!([28, 122, 5].map(kind_of), [FailureKind::DiskFull, FailureKind::DiskFull, FailureKind::State]);
    }
}
