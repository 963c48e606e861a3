//! Which ids are known, refused, waiting or failing, and which is to be asked for next. It has no clock and no thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_formats::SchemaId;

use super::{CacheCounts, KnownSchemas, Lookup, Verdict};

/// So many ids may wait for an answer at once. Others wait until they are looked up again.
const MOST_WAITING: usize = 16_384;
/// So many ids that there are not are remembered; of more, the oldest are forgotten, and asked for again.
const MOST_REFUSED: usize = 65_536;
/// A registry of several servers may not have told all of them of a new id: it must say twice that there is none.
const ASKED_TWICE_WITHIN: Duration = Duration::from_secs(1);
/// So long a no is believed: a registry may have come up without its store, and be mended. Whoever looks after that is still
/// told no, and it is asked again.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(60);
/// The wait after a failure; it doubles
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So many requests for ids that there are not may come at once, and so many a second after that.
const MISSES: f64 = 256.0;
const MISSES_A_SECOND: f64 = 50.0;

pub(super) struct Table {
    known: BTreeMap<SchemaId, Lookup>,
    refused_for: Duration,
    /// What is refused because there is none, by how long that is believed.
    believed: BTreeMap<SchemaId, Instant>,
    /// The same, in the order in which that was found first; some may have come to be known since.
    refused: VecDeque<SchemaId>,
    waiting: BTreeMap<SchemaId, Waiting>,
    /// The ids that wait, by when they are to be asked for.
    due: BTreeSet<(Instant, SchemaId)>,
    pause: Option<Pause>,
    misses: Option<Misses>,
    pub(super) counts: CacheCounts,
    pub(super) over: bool,
    has_news: bool,
}

struct Waiting {
    due: Instant,
    was_missing: bool,
    /// Why it was not given, if it is the schema and not the registry; and how long the next wait is.
    broken: Option<(Arc<str>, Duration)>,
}

/// The whole registry is left alone.
struct Pause {
    until: Instant,
    /// How long the next wait is.
    next: Duration,
    error: Arc<str>,
}

/// A bucket of tokens.
struct Misses {
    left: f64,
    at: Instant,
}

impl Default for Table {
    fn default() -> Table {
        Table::believing(REFUSED_FOR)
    }
}

impl Table {
    pub(super) fn of(known: KnownSchemas) -> Table {
        Table { known, ..Table::default() }
    }

    /// A table that knows nothing, and believes for so long that there is no such schema.
    pub(super) fn believing(refused_for: Duration) -> Table {
        Table {
            known: KnownSchemas::new(),
            refused_for,
            believed: BTreeMap::new(),
            refused: VecDeque::new(),
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            pause: None,
            misses: None,
            counts: CacheCounts::default(),
            over: false,
            has_news: false,
        }
    }

    pub(super) fn known(&self, id: SchemaId) -> Option<Lookup> {
        self.known.get(&id).cloned()
    }

    /// What is known of `id`; if nothing is, it is to be asked for.
    pub(super) fn get(&mut self, id: SchemaId, now: Instant) -> Lookup {
        if let Some(known) = self.known(id) {
            if self.believed.get(&id).is_some_and(|until| *until <= now) {
                self.ask(id, Waiting { due: now, was_missing: true, broken: None });
            }
            return known;
        }
        self.ask(id, Waiting { due: now, was_missing: false, broken: None });
        let broken = self.waiting.get(&id).and_then(|waiting| waiting.broken.as_ref());
        let broken = broken.map(|(error, _)| error.clone());
        let error = broken.or_else(|| self.pause.as_ref().map(|pause| pause.error.clone()));
        error.map_or(Lookup::Pending, Lookup::Failing)
    }

    /// Whether something has been added since this was asked last.
    pub(super) fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The id to ask for now, or how long to wait before looking again; `None` if nothing is to be asked for.
    pub(super) fn next(&self, now: Instant) -> Option<Result<SchemaId, Duration>> {
        let (due, id) = self.due.first()?;
        let resumed = self.pause.as_ref().map_or(now, |pause| pause.until);
        let mut at = (*due).max(resumed);
        if let Some(misses) = &self.misses {
            let left = misses.left_at(now);
            if left < 1.0 {
                at = at.max(now + Duration::from_secs_f64((1.0 - left) / MISSES_A_SECOND));
            }
        }
        Some(if at <= now { Ok(*id) } else { Err(at - now) })
    }

    /// Takes down what came of asking for `id`. Says what is worth a log line: the error of a registry that fails.
    pub(super) fn answered(&mut self, id: SchemaId, verdict: Verdict, now: Instant) -> Option<Arc<str>> {
        let waiting = self.waiting.remove(&id)?;
        self.due.remove(&(waiting.due, id));
        if let Verdict::Failed { message, retry_after } = verdict {
            self.counts.failed += 1;
            let wait = self.pause.as_ref().map_or(FIRST_WAIT, |pause| pause.next);
            let until = now + retry_after.map_or(wait, |asked| asked.clamp(wait, LONGEST_WAIT));
            self.pause = Some(Pause { until, next: (wait * 2).min(LONGEST_WAIT), error: message.clone() });
            // Others have their turn before it.
            self.wait(id, Waiting { due: until, ..waiting });
            return Some(message);
        }
        // The registry answers.
        self.pause = None;
        match verdict {
            Verdict::Known(schema) => self.found(id, Lookup::Known(schema)),
            Verdict::Unreadable(reason) => self.found(id, Lookup::Refused(reason)),
            Verdict::Missing => {
                self.counts.missing += 1;
                self.miss(now);
                if waiting.was_missing {
                    self.refuse(id, now);
                } else {
                    self.wait(id, Waiting { due: now + ASKED_TWICE_WITHIN, was_missing: true, broken: None });
                }
            }
            Verdict::Broken(message) => {
                self.counts.failed += 1;
                let wait = waiting.broken.as_ref().map_or(FIRST_WAIT, |(_, wait)| *wait);
                let broken = Some((message.clone(), (wait * 2).min(LONGEST_WAIT)));
                self.wait(id, Waiting { due: now + wait, was_missing: false, broken });
                return Some(message);
            }
            Verdict::Failed { .. } => {}
        }
        None
    }

    fn wait(&mut self, id: SchemaId, waiting: Waiting) {
        self.due.insert((waiting.due, id));
        self.waiting.insert(id, waiting);
    }

    /// `id` is to be asked for, unless it is already, or too many are.
    fn ask(&mut self, id: SchemaId, waiting: Waiting) {
        if self.waiting.len() < MOST_WAITING && !self.waiting.contains_key(&id) {
            self.wait(id, waiting);
            self.has_news = true;
        }
    }

    /// The registry has it: what it is stays so.
    fn found(&mut self, id: SchemaId, lookup: Lookup) {
        self.counts.found += 1;
        self.believed.remove(&id);
        self.known.insert(id, lookup);
    }

    fn refuse(&mut self, id: SchemaId, now: Instant) {
        if self.believed.insert(id, now + self.refused_for).is_some() {
            return;
        }
        let reason = format!("the schema registry has no schema with the id {id}");
        self.known.insert(id, Lookup::Refused(Arc::from(reason)));
        self.refused.push_back(id);
        if self.refused.len() > MOST_REFUSED
            && let Some(oldest) = self.refused.pop_front()
            && self.believed.remove(&oldest).is_some()
        {
            self.known.remove(&oldest);
        }
    }

    fn miss(&mut self, now: Instant) {
        let left = self.misses.as_ref().map_or(MISSES, |misses| misses.left_at(now));
        self.misses = Some(Misses { left: left - 1.0, at: now });
    }
}

impl Misses {
    fn left_at(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * MISSES_A_SECOND).min(MISSES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn failed(retry_after: Option<Duration>) -> Verdict {
        Verdict::Failed { message: Arc::from("down"), retry_after }
    }

    #[test]
    fn an_id_is_asked_for_once_however_often_it_is_looked_up() {
        let (mut table, now) = (Table::default(), Instant::now());
        assert_eq!(table.next(now), None);
        for _ in 0..3 {
            assert_eq!(table.get(SchemaId(7), now), Lookup::Pending);
        }
        assert!(table.has_news() && !table.has_news());
        assert_eq!(table.next(now), Some(Ok(SchemaId(7))));
        table.answered(SchemaId(7), Verdict::Unreadable(Arc::from("no")), now);
        assert_eq!(table.next(now), None);
        assert_eq!(table.get(SchemaId(7), now), Lookup::Refused(Arc::from("no")));
        assert!(!table.has_news());
    }

    #[test]
    fn a_missing_id_is_believed_when_it_is_missing_twice() {
        let (mut table, now) = (Table::default(), Instant::now());
        table.get(SchemaId(7), now);
        table.answered(SchemaId(7), Verdict::Missing, now);
        assert_eq!(table.get(SchemaId(7), now), Lookup::Pending);
        assert_eq!(table.next(now), Some(Err(secs(1.0))));
        let later = now + secs(1.0);
        assert_eq!(table.next(later), Some(Ok(SchemaId(7))));
        table.answered(SchemaId(7), Verdict::Missing, later);
        let lookup = table.get(SchemaId(7), later);
        assert_eq!(lookup, Lookup::Refused(Arc::from("the schema registry has no schema with the id 7")));
        assert_eq!(table.next(later), None);
    }

    /// A table that has just come to refuse the id 7, and when.
    fn refusing() -> (Table, Instant) {
        let (mut table, start) = (Table::default(), Instant::now());
        table.get(SchemaId(7), start);
        table.answered(SchemaId(7), Verdict::Missing, start);
        let refused_at = start + ASKED_TWICE_WITHIN;
        table.answered(SchemaId(7), Verdict::Missing, refused_at);
        (table, refused_at)
    }

    #[test]
    fn a_refusal_is_believed_for_a_time_and_then_asked_for_again() {
        let is_refused = |lookup: Lookup| matches!(lookup, Lookup::Refused(_));
        let (mut table, refused_at) = refusing();
        let mut now = refused_at;
        for turn in 0..3 {
            assert!(is_refused(table.get(SchemaId(7), now + secs(59.9))));
            assert_eq!(table.next(now + secs(59.9)), None, "turn {turn}: it is asked for too early");
            now += REFUSED_FOR;
            // However many look: they are told no at once, and it is asked for once.
            for _ in 0..3 {
                assert!(is_refused(table.get(SchemaId(7), now)));
            }
            assert_eq!(table.next(now), Some(Ok(SchemaId(7))));
            table.answered(SchemaId(7), Verdict::Missing, now);
            assert_eq!(table.next(now + secs(10.0)), None, "turn {turn}: one more no is enough");
        }
        now += REFUSED_FOR;
        table.get(SchemaId(7), now);
        // A registry that fails takes nothing back.
        assert!(table.answered(SchemaId(7), failed(None), now).is_some());
        assert!(is_refused(table.get(SchemaId(7), now)));
        assert_eq!(table.next(now + FIRST_WAIT), Some(Ok(SchemaId(7))));
        table.answered(SchemaId(7), Verdict::Unreadable(Arc::from("no")), now + FIRST_WAIT);
        // What there is stays so.
        now += REFUSED_FOR * 2;
        assert_eq!(table.get(SchemaId(7), now), Lookup::Refused(Arc::from("no")));
        assert_eq!(table.next(now), None);
        for id in 0..(MOST_REFUSED as u32 + 10) {
            table.refuse(SchemaId(2_000_000 + id), now);
        }
        assert_eq!(table.get(SchemaId(7), now), Lookup::Refused(Arc::from("no")), "it was forgotten with others");
    }

    #[test]
    fn a_registry_that_fails_is_left_alone_for_longer_and_longer() {
        let (mut table, mut now) = (Table::default(), Instant::now());
        table.get(SchemaId(1), now);
        table.get(SchemaId(2), now);
        let mut waits = Vec::new();
        for turn in 0..9 {
            // Each has its turn.
            let id = SchemaId(1 + turn % 2);
            assert_eq!(table.next(now), Some(Ok(id)));
            assert!(table.answered(id, failed(None), now).is_some());
            let Some(Err(wait)) = table.next(now) else { panic!("it is asked at once") };
            waits.push(wait.as_secs_f64());
            now += wait;
        }
        assert_eq!(waits, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        // All who wait know why.
        assert_eq!(table.get(SchemaId(1), now), Lookup::Failing(Arc::from("down")));
        assert_eq!(table.get(SchemaId(2), now), Lookup::Failing(Arc::from("down")));
        assert_eq!(table.next(now), Some(Ok(SchemaId(2))));
        table.answered(SchemaId(2), Verdict::Unreadable(Arc::from("no")), now);
        assert_eq!(table.get(SchemaId(1), now), Lookup::Pending);
        assert_eq!(table.next(now), Some(Ok(SchemaId(1))));
        // The next failure begins anew; what the registry asks for counts, up to the longest wait.
        table.answered(SchemaId(1), failed(Some(secs(5.0))), now);
        assert_eq!(table.next(now), Some(Err(secs(5.0))));
        let now = now + secs(5.0);
        table.answered(SchemaId(1), failed(Some(secs(3600.0))), now);
        assert_eq!(table.next(now), Some(Err(LONGEST_WAIT)));
    }

    #[test]
    fn a_schema_that_is_not_given_holds_nobody_else_up() {
        let (mut table, mut now) = (Table::default(), Instant::now());
        table.get(SchemaId(1), now);
        for wait in [0.25, 0.5, 1.0] {
            assert_eq!(table.next(now), Some(Ok(SchemaId(1))));
            assert!(
                table.answered(SchemaId(1), Verdict::Broken(Arc::from("what it refers to is gone")), now).is_some()
            );
            assert_eq!(table.next(now), Some(Err(secs(wait))));
            assert_eq!(table.get(SchemaId(1), now), Lookup::Failing(Arc::from("what it refers to is gone")));
            let other = SchemaId(2 + (wait * 4.0) as u32);
            assert_eq!(table.get(other, now), Lookup::Pending);
            assert_eq!(table.next(now), Some(Ok(other)));
            table.answered(other, Verdict::Unreadable(Arc::from("no")), now);
            now += secs(wait);
        }
        table.answered(SchemaId(1), Verdict::Unreadable(Arc::from("no")), now);
        assert_eq!(table.next(now), None);
    }

    #[test]
    fn hostile_ids_bound_memory_and_requests() {
        let (mut table, start) = (Table::default(), Instant::now());
        for id in 0..1_000_000 {
            assert_eq!(table.get(SchemaId(id), start), Lookup::Pending);
        }
        assert_eq!((table.waiting.len(), table.due.len()), (MOST_WAITING, MOST_WAITING));
        let (mut now, mut asked) = (start, 0);
        while now < start + secs(60.0) {
            match table.next(now) {
                Some(Ok(id)) => {
                    asked += 1;
                    table.answered(id, Verdict::Missing, now);
                }
                Some(Err(wait)) => now += wait.max(secs(0.001)),
                None => break,
            }
        }
        assert!((3_000..=3_300).contains(&asked), "{asked}");
        for id in 0..(MOST_REFUSED as u32 + 10) {
            table.refuse(SchemaId(2_000_000 + id), now);
        }
        assert_eq!(table.refused.len(), MOST_REFUSED);
        assert!(table.known.len() <= MOST_REFUSED, "{}", table.known.len());
    }
}
