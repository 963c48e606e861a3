//! Whether a source is silent, and for how long: by the worker's clock, and never without asking the log, as the worker may
//! not have listened: it was busy or asleep, or the partition's broker is away.

use millstream_engine::ids::InputId;
use millstream_engine::time::Millis;

use super::lane::{Lane, Reader};
use crate::crash;
use crate::log::Log;

/// A partition whose broker has not answered is not asked for again for so long.
const ASK_AGAIN_MS: i64 = 30_000;

/// Who has not looked for so long has not listened.
const PAUSE_MS: i64 = 1_000;

/// A worker asks no more often in one round through its tasks: who waits for an answer does nothing else.
const QUESTIONS: usize = 32;

/// What a worker may still ask in this round.
pub(super) struct Questions(usize);

impl Questions {
    pub(super) fn of_a_round() -> Questions {
        Questions(QUESTIONS)
    }
}

/// What a lane knows of its silence, by the caller's clock.
pub(super) struct Silence {
    /// When the lane last brought anything.
    pub(super) spoke_at: Millis,
    /// When it was last asked in vain whether there is nothing to read.
    unanswered_at: Option<Millis>,
    /// Up to when all that came is known, while time goes on without rows.
    listened_at: Millis,
    /// Up to when time has gone on without rows (`idle_close`).
    pub(super) closed_until: Option<Millis>,
}

impl Silence {
    /// Of a lane that has just brought something, or begins.
    pub(super) fn new(now: Millis) -> Silence {
        Silence { spoke_at: now, unanswered_at: None, listened_at: Millis(i64::MIN / 2), closed_until: None }
    }
}

impl Lane {
    /// Whether nothing has come for too long, as far as the lane has heard.
    pub(super) fn seems_idle(&self, now: Millis) -> bool {
        let Reader::Source(source) = &self.reader else { return false };
        !source.is_idle && self.is_at_end() && now.0 - self.silence.spoke_at.0 >= source.idle.0 && self.may_ask(now)
    }

    /// A lane that seems idle asks whether there is really nothing, as the worker may not have listened: it was busy or asleep,
    /// or the partition's broker is away. If so the lane is idle from now on, and says its input.
    pub(super) fn falls_idle<L: Log>(
        &mut self,
        log: &mut L,
        questions: &mut Questions,
        now: Millis,
    ) -> Option<InputId> {
        let is_silent = self.is_silent(log, questions, now)?;
        let Reader::Source(source) = &mut self.reader else { return None };
        source.is_idle = is_silent;
        is_silent.then_some(source.input)
    }

    /// Whether the log says that nothing is there to read; `None` if it says nothing: then nobody is asked any more in this
    /// round, and the lane not for long.
    fn is_silent<L: Log>(&mut self, log: &mut L, questions: &mut Questions, now: Millis) -> Option<bool> {
        if crash::control("worker.control.trust_silence") {
            return Some(true);
        }
        questions.0 = questions.0.checked_sub(1)?;
        match log.end_now(&self.topic, self.partition) {
            Ok(end) if end <= self.next => Some(true),
            Ok(_) => {
                // Somebody has written, or ended a transaction.
                self.silence.spoke_at = now;
                Some(false)
            }
            Err(error) => {
                tracing::debug!(topic = self.topic, partition = self.partition.0, %error, "not known to be silent");
                self.silence.unanswered_at = Some(now);
                questions.0 = 0;
                None
            }
        }
    }

    fn may_ask(&self, now: Millis) -> bool {
        self.silence.unanswered_at.is_none_or(|at| now.0 - at.0 >= ASK_AGAIN_MS)
    }

    /// Whether all that has come up to now is known, but for the last moment: to be called again and again while time goes on
    /// without rows. After a pause the lane asks.
    pub(super) fn listens<L: Log>(&mut self, log: &mut L, questions: &mut Questions, now: Millis) -> bool {
        let has_listened = now.0 - self.silence.listened_at.0 < PAUSE_MS;
        let is_heard = has_listened || (self.may_ask(now) && self.is_silent(log, questions, now).is_some());
        if is_heard {
            self.silence.listened_at = now;
        }
        is_heard
    }

    /// By how much time may go on without rows of this lane since it last did; `None` if it may not.
    pub(super) fn time_without_rows(&self, now: Millis) -> Option<Millis> {
        let Reader::Source(source) = &self.reader else { return None };
        let limit = source.idle_close.filter(|_| source.is_idle)?;
        let silent_ms = now.0 - self.silence.spoke_at.0;
        let since = self.silence.closed_until.unwrap_or(self.silence.spoke_at);
        (silent_ms >= limit.0).then(|| now.minus(since))
    }
}
