//! Latency from a record's send to its result's being readable: an open loop, which does not wait for the pipeline.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream_engine::ids::Offset;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use crate::clock;
use crate::log::{FailureKind, LogError, Records};
use crate::nexmark::{Event, Nexmark};

/// What an open-loop run has seen, in milliseconds; results are told to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latencies {
    /// Records sent a second.
    pub rate: u64,
    /// Records sent after the warm-up.
    pub sent: u64,
    /// Their results that were read.
    pub read: u64,
    /// The median.
    pub p50_ms: f64,
    /// Nine in ten are below it.
    pub p90_ms: f64,
    /// 99 in a hundred are below it.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// How long the pipeline may take to join its group before the first record counts.
const WARM_UP: Duration = Duration::from_secs(8);
/// How long results are waited for behind the last record.
const DRAIN: Duration = Duration::from_secs(10);
/// Records are sent in groups this often.
const TICK: Duration = Duration::from_millis(2);
const TIME_FIELD: &[u8] = b"\"date_time\":";
const TIME_DIGITS: usize = 13;

/// Sends bids at `rate` for `span` after a warm-up at the same rate, and reads what comes out.
pub(super) fn measure(
    properties: &BTreeMap<String, String>,
    input: &str,
    output: &str,
    partitions: u32,
    rate: u64,
    span: Duration,
) -> Result<Latencies, LogError> {
    let sent_all = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let reader = threads.spawn(|| read(properties, output, partitions, &sent_all));
        let counted_from = clock::wall().0 + WARM_UP.as_millis() as i64;
        let sent = send(properties, input, partitions, rate, WARM_UP + span, counted_from);
        sent_all.store(true, Ordering::SeqCst);
        let read = reader.join().map_err(|_| failed(&"the reader panicked"))??;
        let sent = sent?;
        let mut latencies: Vec<i64> =
            read.iter().filter(|(time, _)| *time >= counted_from).map(|(time, seen)| seen - time).collect();
        latencies.sort_unstable();
        let at = |share: f64| match latencies.len() {
            0 => f64::NAN,
            count => latencies[((count - 1) as f64 * share).round() as usize] as f64,
        };
        Ok(Latencies {
            rate,
            sent,
            read: latencies.len() as u64,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        })
    })
}

fn send(
    properties: &BTreeMap<String, String>,
    topic: &str,
    partitions: u32,
    rate: u64,
    span: Duration,
    counted_from: i64,
) -> Result<u64, LogError> {
    let mut config = config(properties);
    let producer: BaseProducer =
        config.set("linger.ms", "1").set("acks", "1").create().map_err(|error| failed(&error))?;
    let mut events = Records::new();
    Nexmark::new(Event::Bid, 7).fill(50_000, Offset(0), &mut events);
    let mut payloads: Vec<Vec<u8>> = events.iter().map(|event| event.value.unwrap_or_default().to_vec()).collect();
    let began = Instant::now();
    let (mut sent, mut counted) = (0_u64, 0_u64);
    while began.elapsed() < span {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        let now = clock::wall().0;
        while sent < due {
            let index = (sent % payloads.len() as u64) as usize;
            let payload = &mut payloads[index];
            set_time(payload, now);
            let partition = (sent / 10 % u64::from(partitions)) as i32;
            let record = BaseRecord::<(), [u8]>::to(topic).payload(payload).partition(partition).timestamp(now);
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(1));
                    continue;
                }
                Err((error, _)) => return Err(failed(&error)),
            }
            counted += u64::from(now >= counted_from);
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(TICK);
    }
    producer.flush(DRAIN).map_err(|error| failed(&error))?;
    Ok(counted)
}

/// Every result's (time of its record, time at which it was read), until nothing has come for a while after the last send.
fn read(
    properties: &BTreeMap<String, String>,
    topic: &str,
    partitions: u32,
    sent_all: &AtomicBool,
) -> Result<Vec<(i64, i64)>, LogError> {
    let mut config = config(properties);
    let consumer: BaseConsumer = config
        .set("group.id", format!("{topic}-reader"))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "5")
        .set("fetch.queue.backoff.ms", "1")
        .create()
        .map_err(|error| failed(&error))?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        list.add_partition_offset(topic, partition, KafkaOffset::Beginning).map_err(|error| failed(&error))?;
    }
    consumer.assign(&list).map_err(|error| failed(&error))?;
    let mut seen = Vec::new();
    let mut last = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message.map_err(|error| failed(&error))?;
                last = Instant::now();
                seen.push((message.timestamp().to_millis().unwrap_or(0), clock::wall().0));
            }
            None if sent_all.load(Ordering::SeqCst) && last.elapsed() > Duration::from_secs(2) => return Ok(seen),
            None => {}
        }
    }
}

/// Writes the time over the digits that stand in the bid.
fn set_time(payload: &mut [u8], time_ms: i64) {
    let Some(at) = memchr::memmem::find(payload, TIME_FIELD) else { return };
    let digits = at + TIME_FIELD.len();
    let mut rest = time_ms;
    for place in (digits..digits + TIME_DIGITS).rev() {
        payload[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn config(properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

fn failed(error: &dyn std::fmt::Display) -> LogError {
    LogError::Kafka { kind: FailureKind::Fatal, message: format!("the latency cannot be measured: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bid_gets_the_time_at_which_it_is_sent() {
        let mut payload = b"{\"a\":1,\"date_time\":1767225600000,\"extra\":\"x\"}".to_vec();
        set_time(&mut payload, 1_800_000_000_123);
        assert_eq!(payload, b"{\"a\":1,\"date_time\":1800000000123,\"extra\":\"x\"}");
    }
}
