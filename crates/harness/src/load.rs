//! Events of a seeded world: what tests write, and what the oracle knows to have been written. Event times run ahead with the
//! events and are never late, so that every result is decided by the events alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::foreign::{Client, Message};
use crate::random::Random;
use crate::{Result, Trouble};

/// By how much events may be out of order; the pipeline's `out_of_order` is not less.
pub const OUT_OF_ORDER_MS: i64 = 2000;

/// How far the clock jumps at the end of a round: beyond every window that may be open.
const JUMP_MS: i64 = 3_600_000;

/// 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique, and growing in the order in which events are written.
    pub id: i64,
    /// The record's key.
    pub key: String,
    /// Who did it; unlike the key it does not decide the partition.
    pub user: String,
    /// How much.
    pub amount: i64,
    /// When, in milliseconds since 1970.
    pub ts: i64,
    /// Where to; `None` leaves it to the foreign client's partitioner.
    pub partition: Option<u32>,
}

impl Event {
    /// As the foreign client writes it: the record's own time is that of its writing. Were it the event's, which is long ago, a
    /// broker that starts again would forget the producer as one that has been silent for longer than
    /// `producer.id.expiration.ms` (a day), and take a batch that is sent again for a new one: seen whenever an answer was lost.
    pub fn message(&self) -> Message {
        let value = json!({
            "id": self.id, "key": self.key, "user": self.user, "amount": self.amount, "ts": self.ts
        });
        Message { partition: self.partition, ..Message::keyed(self.key.as_str(), value.to_string()) }
    }
}

/// What the events are like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many keys there are.
    pub keys: u64,
    /// How many users are about at a time; they change slowly, so that sessions end.
    pub users_at_once: u64,
    /// How many users there are.
    pub users: u64,
    /// By how much time goes on with each event, in milliseconds.
    pub step_ms: i64,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { keys: 40, users_at_once: 20, users: 500, step_ms: 10 }
    }
}

/// The events of a seed, one after the other.
#[derive(Debug)]
pub struct Events {
    random: Random,
    shape: Shape,
    next_id: i64,
    now: i64,
}

impl Events {
    /// The world of this seed.
    pub fn new(seed: u64, shape: Shape) -> Events {
        Events { random: Random::new(seed), shape, next_id: 0, now: BEGINNING }
    }

    /// The next events.
    pub fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> Event {
        self.now += self.shape.step_ms;
        let hot = (self.now / 4000) as u64 + self.random.below(self.shape.users_at_once);
        let event = Event {
            id: self.next_id,
            key: format!("k{}", self.random.below(self.shape.keys)),
            user: format!("u{}", hot % self.shape.users),
            amount: self.random.below(2001) as i64 - 1000,
            ts: self.now - self.random.below(OUT_OF_ORDER_MS as u64) as i64,
            partition: None,
        };
        self.next_id += 1;
        event
    }

    /// One event for each partition, an hour later: when they are read, every window of the events before is closed.
    pub fn ending(&mut self, partitions: u32) -> Vec<Event> {
        self.now += JUMP_MS;
        let ending = (0..partitions).map(|partition| {
            let name = format!("end{partition}");
            let id = self.next_id + i64::from(partition);
            Event { id, key: name.clone(), user: name, amount: 1, ts: self.now, partition: Some(partition) }
        });
        let ending = ending.collect();
        self.next_id += i64::from(partitions);
        self.now += OUT_OF_ORDER_MS;
        ending
    }
}

/// Writes events at a steady rate in the background.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<Mutex<Vec<Event>>>,
    thread: Option<JoinHandle<Result<Events>>>,
}

impl Load {
    /// Begins to write to a topic, `rate` events a second in small batches; what the brokers are slow to take is caught up.
    pub fn start(client: &Client, topic: &str, mut events: Events, rate: u32) -> Load {
        // An event whose fate is unknown would make every result doubtful: the producer must not give up while a broker is away.
        let client = client.clone().with("delivery.timeout.ms", "900000").with("max.block.ms", "600000");
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stop_seen, writing, topic) = (Arc::clone(&stop), Arc::clone(&written), topic.to_owned());
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut count = 0;
            while !stop_seen.load(Ordering::Acquire) {
                let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as usize;
                let batch = due.saturating_sub(count).min(2000);
                if batch > 0 {
                    let batch = events.take(batch);
                    let messages: Vec<Message> = batch.iter().map(Event::message).collect();
                    client.produce(&topic, &messages)?;
                    count += batch.len();
                    writing.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
                }
                thread::sleep(Duration::from_millis(20));
            }
            Ok(events)
        });
        Load { stop, written, thread: Some(thread) }
    }

    /// How many events the brokers have acknowledged.
    pub fn count(&self) -> usize {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends it; gives what has been written, all of it acknowledged, and the world for what comes next.
    ///
    /// # Errors
    /// If the brokers did not take an event.
    pub fn stop(mut self) -> Result<(Vec<Event>, Events)> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().ok_or("the load was stopped before")?;
        let events = thread.join().map_err(|_| Trouble::from("the load's thread panicked"))??;
        Ok((std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner)), events))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}
