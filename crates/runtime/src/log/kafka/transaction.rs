//! The writing half: one transaction after another (or, at least once, none), and producers that are replaced when in doubt.
//!
//! After any failure the producer is dropped: the next one of the same transactional id settles what the last left open. It
//! never begins anew by itself after another producer has taken its place.

use std::time::{Duration, Instant};

use millstream_engine::ids::PartitionId;

use super::counters::KafkaCounters;
use super::defaults::{self, BatchLimits};
use super::error::{failed_as, failed_producer};
use super::interrupt::Interrupt;
use super::native::{Answers, BrokerTimes, Consumer, List, NativeError, Severity};
use super::sender::{Sender, Topics, check};
use super::settings::{Guarantee, KafkaLogSettings};
use crate::crash::{self, crash_point};
use crate::log::{Committed, FailureKind, LogError, NewRecord};

/// Waits for the end of a transaction are cut into slices of this, so that they can be ended.
const SLICE: Duration = Duration::from_millis(200);
/// One attempt to hand offsets over.
const OFFSETS_WAIT: Duration = Duration::from_secs(5);
/// All attempts: then another producer looks for the group's coordinator anew (librdkafka's issue 5511).
const OFFSETS_PATIENCE: Duration = Duration::from_secs(10);
/// All waits for the end of a transaction: then another producer settles it, and the committed offsets tell what became of it.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// All attempts to initialise one producer: then another looks for the coordinator anew.
const INIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an abort may take before the producer is dropped instead.
const ABORT_WAIT: Duration = Duration::from_secs(5);

/// The producer of the guarantee and its transaction.
pub(super) struct Writer {
    guarantee: Guarantee,
    transactional_id: String,
    sender: Option<Sender>,
    state: State,
    /// Since when the producer is being initialised.
    initialising: Option<Instant>,
    interrupt: Interrupt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no producer, or it is not initialised.
    New,
    /// A transaction can begin.
    Ready,
    /// A transaction is open.
    Open,
    /// Another producer has taken the place; only an explicit start takes it back.
    Fenced,
}

impl Writer {
    pub(super) fn new(settings: &KafkaLogSettings, interrupt: Interrupt) -> Writer {
        Writer {
            guarantee: settings.guarantee,
            transactional_id: settings.transactional_id.clone(),
            sender: None,
            state: State::New,
            initialising: None,
            interrupt,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready | State::Open)
    }

    /// How brokers have answered the producer since somebody asked last.
    pub(super) fn take_times(&self) -> BrokerTimes {
        self.sender.as_ref().map(Sender::take_times).unwrap_or_default()
    }

    /// Bytes in the open transaction.
    pub(super) fn open_bytes(&self) -> usize {
        match (&self.sender, self.state) {
            (Some(sender), State::Open) => sender.bytes(),
            _ => 0,
        }
    }

    /// Makes and initialises a producer if there is none. To be called again after a retriable error.
    pub(super) fn init(
        &mut self,
        settings: &KafkaLogSettings,
        limits: impl FnOnce() -> Result<BatchLimits, LogError>,
        wait: Duration,
        counters: &mut KafkaCounters,
    ) -> Result<(), LogError> {
        match self.state {
            State::Ready | State::Open => return Ok(()),
            State::Fenced => return Err(not_ready(self.state)),
            State::New => {}
        }
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => {
                let limits = limits()?;
                counters.producers += 1;
                Sender::new(&defaults::producer(settings, limits), limits)?
            }
        };
        if self.guarantee == Guarantee::ExactlyOnce
            && let Err(error) = sender.producer().init_transactions(wait)
        {
            let doing = format!("initialise the producer {}", self.transactional_id);
            if error.severity == Severity::Retriable {
                if self.initialising.get_or_insert_with(Instant::now).elapsed() < INIT_PATIENCE {
                    self.sender = Some(sender);
                } else {
                    self.initialising = None;
                }
                return Err(failed_as(FailureKind::Retriable, &doing, &error));
            }
            return Err(self.give_up(failed_producer(&doing, &error), counters));
        }
        self.initialising = None;
        self.sender = Some(sender);
        self.state = State::Ready;
        Ok(())
    }

    /// Adds a record to the open transaction, and opens one if there is none. The producer must be ready.
    pub(super) fn append(
        &mut self,
        topics: &dyn Topics,
        topic: &str,
        partition: PartitionId,
        record: &NewRecord<'_>,
        counters: &mut KafkaCounters,
    ) -> Result<(), LogError> {
        self.open(counters)?;
        let sender = self.sender.as_mut().ok_or_else(|| not_ready(self.state))?;
        let sent = sender.send(topics, topic, partition, record, &self.interrupt);
        match sent {
            Ok(()) => Ok(()),
            Err(
                error @ (LogError::RecordTooLarge { .. }
                | LogError::UnknownTopic { .. }
                | LogError::UnknownPartition { .. }
                | LogError::TopicName { .. }),
            ) => Err(error),
            Err(error) => Err(self.give_up(error, counters)),
        }
    }

    fn open(&mut self, counters: &mut KafkaCounters) -> Result<(), LogError> {
        if self.state == State::Open {
            return Ok(());
        }
        let Some(sender) = self.sender.as_mut().filter(|_| self.state == State::Ready) else {
            return Err(not_ready(self.state));
        };
        sender.begin();
        if self.guarantee == Guarantee::ExactlyOnce
            && let Err(error) = sender.producer().begin_transaction()
        {
            return Err(self.give_up(failed_producer("begin a transaction", &error), counters));
        }
        self.state = State::Open;
        crash_point!("kafka.begin");
        Ok(())
    }

    /// Waits until the brokers have what was sent, where no transaction holds it together with what is sent next.
    pub(super) fn write_out(&mut self, counters: &mut KafkaCounters) -> Result<(), LogError> {
        let (Guarantee::AtLeastOnce, State::Open, Some(sender)) = (self.guarantee, self.state, &mut self.sender) else {
            return Ok(());
        };
        let began = Instant::now();
        let drained = sender.drain(&self.interrupt);
        counters.commit_time.drain += began.elapsed();
        drained.map_err(|error| self.give_up(error, counters))
    }

    /// Sends what lingers where it can be read at once, as one is about to wait for input for so long; says how long that may be
    /// before this is called again.
    pub(super) fn push(&mut self, wait: Duration) -> Duration {
        match (self.guarantee, &mut self.sender) {
            (Guarantee::AtLeastOnce, Some(sender)) => sender.push(wait),
            _ => wait,
        }
    }

    /// Ends the transaction with the group's offsets in it.
    pub(super) fn commit(
        &mut self,
        consumer: &Consumer,
        offsets: Option<&List>,
        counters: &mut KafkaCounters,
    ) -> Result<Committed, LogError> {
        if self.state != State::Open && offsets.is_none() {
            return Ok(Committed::default());
        }
        self.open(counters)?;
        let sender = self.sender.as_mut().ok_or_else(|| not_ready(self.state))?;
        let ended = match self.guarantee {
            Guarantee::ExactlyOnce => end_transaction(sender, consumer, offsets, &self.interrupt, counters),
            Guarantee::AtLeastOnce => deliver(sender, consumer, offsets, &self.interrupt, counters),
        };
        match ended {
            Ok(()) => {}
            // A crash tidies nothing up.
            Err(error @ LogError::CrashPoint { .. }) => return Err(error),
            Err(error) => return Err(self.give_up(error, counters)),
        }
        let positions = sender.positions();
        counters.commits += 1;
        counters.records_written += sender.records();
        counters.bytes_written += sender.bytes() as u64;
        self.state = State::Ready;
        self.retire_in_doubt(counters);
        crash_point!("kafka.committed");
        if let Some(offsets) = offsets
            && crash::control("log.control.offsets_apart")
        {
            consumer.commit(offsets).map_err(|error| failed_producer("commit offsets", &error))?;
        }
        Ok(Committed { positions })
    }

    /// Drops the open transaction.
    pub(super) fn abort(&mut self, counters: &mut KafkaCounters) {
        if self.state != State::Open {
            return;
        }
        counters.aborts += 1;
        let Some(sender) = &mut self.sender else { return };
        let aborted = match self.guarantee {
            Guarantee::ExactlyOnce => abort_transaction(sender, &self.interrupt),
            // What was sent was sent; nothing of it may count as the next epoch's.
            Guarantee::AtLeastOnce => {
                if sender.drain_for(ABORT_WAIT) {
                    Ok(())
                } else {
                    Err(None)
                }
            }
        };
        match aborted {
            Ok(()) => {
                self.state = State::Ready;
                self.retire_in_doubt(counters);
            }
            Err(error) => {
                tracing::debug!(transactional_id = self.transactional_id, ?error, "dropping a producer to abort");
                self.drop_producer();
            }
        }
    }

    /// Aborts what is open and lets the producer go.
    pub(super) fn close(&mut self, counters: &mut KafkaCounters) {
        self.abort(counters);
        self.drop_producer();
    }

    fn drop_producer(&mut self) {
        self.sender = None;
        if self.state != State::Fenced {
            self.state = State::New;
        }
    }

    /// The transaction has failed: the next producer settles it.
    fn give_up(&mut self, error: LogError, counters: &mut KafkaCounters) -> LogError {
        match error.kind() {
            FailureKind::Fenced => {
                counters.fences += 1;
                self.state = State::Fenced;
            }
            _ => counters.aborts += u64::from(self.state == State::Open),
        }
        self.drop_producer();
        error
    }

    /// A request of the last transaction that a broker has not answered may still be on its way and be applied to the next
    /// one (KAFKA-17754), unless that has another producer epoch. So that producer does not go on.
    fn retire_in_doubt(&mut self, counters: &mut KafkaCounters) {
        let Some(sender) = &self.sender else { return };
        let answers = sender.producer().answers();
        if self.guarantee == Guarantee::ExactlyOnce
            && is_in_doubt(answers)
            && !crash::control("log.control.keep_producer")
        {
            tracing::info!(transactional_id = self.transactional_id, ?answers, "retiring a producer");
            counters.retirements += 1;
            self.drop_producer();
        }
    }

    /// Takes the place back from whoever has taken it.
    pub(super) fn forget_fence(&mut self) {
        if self.state == State::Fenced {
            self.state = State::New;
        }
    }
}

/// Whether a request of a transaction went without an answer, or its end had to be asked for again.
fn is_in_doubt(answers: Answers) -> bool {
    answers.sent != answers.answered || answers.failed > 0 || answers.ends > 1
}

fn end_transaction(
    sender: &mut Sender,
    consumer: &Consumer,
    offsets: Option<&List>,
    interrupt: &Interrupt,
    counters: &mut KafkaCounters,
) -> Result<(), LogError> {
    let began = Instant::now();
    sender.drain(interrupt)?;
    crash_point!("kafka.drained");
    let drained = Instant::now();
    if let Some(offsets) = offsets
        && !crash::control("log.control.offsets_apart")
    {
        send_offsets(sender, consumer, offsets, interrupt)?;
    }
    crash_point!("kafka.offsets_sent");
    let sent = Instant::now();
    loop {
        match sender.producer().commit_transaction(SLICE) {
            Ok(()) => break,
            Err(error) if error.severity == Severity::Retriable => {
                if interrupt.is_set() || sent.elapsed() >= COMMIT_PATIENCE {
                    let message = format!(
                        "the outcome of a commit is unknown, as no broker has answered in time ({error}): the committed \
                         offsets will tell"
                    );
                    return Err(LogError::Kafka { kind: FailureKind::Aborted, message });
                }
            }
            Err(error) => return Err(failed_producer("commit a transaction", &error)),
        }
    }
    counters.commit_time.drain += drained - began;
    counters.commit_time.send_offsets += sent - drained;
    counters.commit_time.end_txn += sent.elapsed();
    Ok(())
}

fn send_offsets(sender: &Sender, consumer: &Consumer, offsets: &List, interrupt: &Interrupt) -> Result<(), LogError> {
    let until = Instant::now() + OFFSETS_PATIENCE;
    loop {
        match sender.producer().send_offsets(offsets, consumer, OFFSETS_WAIT) {
            Ok(()) => return Ok(()),
            Err(error) if error.severity == Severity::Retriable && Instant::now() < until => {
                check(interrupt, "commit offsets")?;
            }
            Err(error) => return Err(failed_producer("commit offsets in a transaction", &error)),
        }
    }
}

/// At least once: records first, then offsets.
fn deliver(
    sender: &mut Sender,
    consumer: &Consumer,
    offsets: Option<&List>,
    interrupt: &Interrupt,
    counters: &mut KafkaCounters,
) -> Result<(), LogError> {
    let began = Instant::now();
    sender.drain(interrupt)?;
    crash_point!("kafka.drained");
    let drained = Instant::now();
    if let Some(offsets) = offsets {
        consumer.commit(offsets).map_err(|error| failed_producer("commit offsets", &error))?;
    }
    crash_point!("kafka.offsets_sent");
    counters.commit_time.drain += drained - began;
    counters.commit_time.send_offsets += drained.elapsed();
    Ok(())
}

fn abort_transaction(sender: &Sender, interrupt: &Interrupt) -> Result<(), Option<NativeError>> {
    let until = Instant::now() + ABORT_WAIT;
    loop {
        match sender.producer().abort_transaction(SLICE) {
            Ok(()) => return Ok(()),
            Err(error) if error.severity == Severity::Retriable => {
                if interrupt.is_set() || Instant::now() >= until {
                    return Err(Some(error));
                }
            }
            Err(error) => return Err(Some(error)),
        }
    }
}

fn not_ready(state: State) -> LogError {
    let (kind, message) = match state {
        State::Fenced => (FailureKind::Fenced, "another producer has taken over: nothing may be written"),
        _ => (FailureKind::Aborted, "there is no producer: it must be initialised before anything is written"),
    };
    LogError::Kafka { kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_is_in_doubt_when_a_request_went_without_an_answer_or_the_end_was_asked_for_twice() {
        let answers = |sent, answered, failed, ends| Answers { sent, answered, failed, ends };
        assert!(!is_in_doubt(answers(0, 0, 0, 0)));
        assert!(!is_in_doubt(answers(4, 4, 0, 1)));
        assert!(is_in_doubt(answers(4, 3, 0, 1)));
        assert!(is_in_doubt(answers(4, 4, 1, 1)));
        assert!(is_in_doubt(answers(5, 5, 0, 2)));
    }
}
