//! Many epochs under many faults: whatever happens on the way, each record of input counts once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millstream_engine::ids::PartitionId;
use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::random::Random;
use millstream_harness::suite::Trial;
use millstream_harness::{Broker, Proxy, Result, ensure, tests};
use millstream_runtime::clock;
use millstream_runtime::log::kafka::KafkaLog;
use millstream_runtime::log::{FailureKind, Log, LogError, NewRecord};

use super::common::{Told, init, number_from, offsets, place, settings};

pub(crate) fn tests() -> Vec<Trial> {
    tests![epochs_count_once_while_requests_are_lost, epochs_count_once_while_the_broker_restarts]
}

/// Writes the numbers below `count`, some to an epoch, each epoch with the next number as its offset; after any failure it goes
/// on where the committed offset says. Returns what it lived through.
fn write_numbers(
    log: &mut KafkaLog,
    topic: &str,
    count: i64,
    random: &mut Random,
    within: Duration,
) -> Result<Vec<String>> {
    let until = Instant::now() + within;
    let mut troubles = Vec::new();
    let mut next = None;
    loop {
        ensure!(Instant::now() < until, "at {next:?} of {count} after {} troubles: {troubles:#?}", troubles.len());
        let begun = match next {
            Some(next) => Ok(next),
            None => take_up(log, topic),
        };
        let done = begun.and_then(|from| {
            next = Some(from);
            if from >= count {
                return Ok(());
            }
            let to = (from + 1 + random.below(20) as i64).min(count);
            epoch(log, topic, from, to)?;
            next = Some(to);
            Ok(())
        });
        match done {
            Ok(()) if next >= Some(count) => return Ok(troubles),
            Ok(()) => {}
            Err(error) => {
                ensure!(error.kind() != FailureKind::Refused && error.kind() != FailureKind::Fatal, "{error}");
                troubles.push(format!("{:?}: {error}", error.kind()));
                next = None;
            }
        }
    }
}

/// A clean producer first, then what is committed.
fn take_up(log: &mut KafkaLog, topic: &str) -> std::result::Result<i64, LogError> {
    log.init_producer(Duration::from_secs(1))?;
    log.partitions(topic)?;
    let committed = log.committed(topic)?;
    Ok(committed.get(&place(topic, 0)).map_or(0, |committed| committed.offset.0))
}

fn epoch(log: &mut KafkaLog, topic: &str, from: i64, to: i64) -> std::result::Result<(), LogError> {
    for number in from..to {
        let value = number.to_string();
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: clock::wall(), headers: &[] };
        log.append(topic, PartitionId((number % 2) as u32), record)?;
    }
    log.commit(topic, &offsets(&[(topic, 0, to, "")]))?;
    Ok(())
}

/// Each number once, and in order within its partition.
fn check_numbers(broker: &Broker, topic: &str, count: i64) -> Result {
    let read = broker.client().read_settled(topic)?;
    let mut found: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for record in &read {
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        found.entry(record.partition).or_default().push(value.parse().map_err(|_| value)?);
    }
    for partition in 0..2 {
        let expected: Vec<i64> = (0..count).filter(|number| number % 2 == i64::from(partition)).collect();
        let found = found.remove(&partition).unwrap_or_default();
        if found != expected {
            let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            let at = wrong.unwrap_or(found.len().min(expected.len()));
            let near = |numbers: &[i64]| numbers[at.saturating_sub(3)..numbers.len().min(at + 5)].to_vec();
            return Err(format!(
                "partition {partition} has {} records, not {}; at {at}: {:?}, not {:?}",
                found.len(),
                expected.len(),
                near(&found),
                near(&expected)
            )
            .into());
        }
    }
    Ok(())
}

fn epochs_count_once_while_requests_are_lost() -> Result {
    let seed = number_from("SEED", 7);
    let rounds = number_from("ROUNDS", 12) as i64;
    let mut random = Random::new(seed);
    let broker = Broker::start()?;
    let proxy = Proxy::before(&broker)?;
    broker.client().create_topic("chaos", 2)?;
    let mut with = settings(&proxy.bootstrap(), "chaos");
    // So that what gets no answer at all does not take the test's time.
    with.properties.insert("socket.timeout.ms".to_owned(), "1500".to_owned());
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    let apis = [
        Api::EndTxn,
        Api::TxnOffsetCommit,
        Api::AddOffsetsToTxn,
        Api::AddPartitionsToTxn,
        Api::InitProducerId,
        Api::Produce,
    ];
    let mut troubles = 0;
    for round in 1..=rounds {
        let api = apis[random.below(apis.len() as u64) as usize];
        let strand = Duration::from_millis(200 + random.below(3_000));
        let action = match random.below(6) {
            0 => Action::CutAnswer,
            1 => Action::CutRequest,
            2 => Action::DropAnswer,
            3 => Action::DropRequest,
            4 => Action::Delay(strand),
            _ => Action::Strand(strand),
        };
        let after = random.below(3);
        proxy.add(Rule { api, after, times: 1, action });
        let lived = write_numbers(&mut log, "chaos", round * 100, &mut random, Duration::from_secs(60))
            .map_err(|error| format!("seed {seed}, round {round}, {api:?} {action:?}: {error}"))?;
        troubles += lived.len();
        if random.below(4) == 0 {
            proxy.clear();
        }
    }
    let counters = log.counters();
    proxy.clear();
    thread::sleep(Duration::from_secs(1));
    check_numbers(&broker, "chaos", rounds * 100).map_err(|error| format!("seed {seed}: {error}; {counters:?}"))?;
    ensure!(counters.retirements > 0, "no producer was retired: {counters:?}, {troubles} troubles");
    Ok(())
}

fn epochs_count_once_while_the_broker_restarts() -> Result {
    let mut random = Random::new(11);
    let mut broker = Broker::start()?;
    broker.client().create_topic("restarts", 2)?;
    let bootstrap = broker.bootstrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || -> Result<i64> {
            let mut log = KafkaLog::connect(settings(&bootstrap, "restarts")).told()?;
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                count += 50;
                write_numbers(&mut log, "restarts", count, &mut random, Duration::from_secs(90))?;
            }
            Ok(count)
        })
    };
    for restart in 0..4 {
        thread::sleep(Duration::from_secs(2));
        match restart % 2 {
            0 => broker.kill(),
            _ => broker.stop()?,
        }
        broker.restart()?;
    }
    thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Relaxed);
    let count = writer.join().map_err(|_| "the writer failed")??;
    ensure!(count > 200, "it wrote {count} numbers only");
    check_numbers(&broker, "restarts", count)
}
