//! Records that cannot be read, that fail, that are too large: each once where the pipeline says, and nothing else stops.

use std::collections::BTreeMap;

use millstream_harness::{Message, Result, ensure, suite, tests, wait};
use serde_json::json;

use crate::scenario::{PARTITIONS, READY, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        poison_goes_to_the_dead_letters_once,
        poison_that_must_not_be_is_named,
        a_result_too_large_for_its_topic_is_a_dead_letter,
        a_row_too_large_for_a_repartition_is_a_dead_letter,
        what_a_topic_refuses_for_its_time_or_its_key_is_a_dead_letter,
        keys_times_and_places_are_javas,
        headers_and_timestamps_are_kept_or_set,
        a_record_larger_than_any_fetch_is_read,
    ]
}

fn torture() -> Result<String> {
    let path = millstream_harness::repository().join("tests/kafka/torture.yaml");
    std::fs::read_to_string(&path).map_err(millstream_harness::Trouble::io(path.display()))
}

fn poison_goes_to_the_dead_letters_once() -> Result {
    let mut scenario = Scenario::new("poison")?;
    scenario.set_pipeline(&(torture()? + "\non_error: {dead_letter: PREFIXdead}\n"))?;
    let (events, dead) = (scenario.topic("events"), scenario.topic("dead"));
    scenario.client.create_topic(&dead, PARTITIONS)?;
    let mut places = Vec::new();
    for round in 0..6 {
        let mut daemon = scenario.daemon("a").start()?;
        scenario.write(300)?;
        let poison: Vec<Message> = (0..20).map(|n| Message::value(format!("poison {round} {n}"))).collect();
        places.extend(scenario.client.produce(&events, &poison)?);
        scenario.write(300)?;
        // While some of it is on its way.
        std::thread::sleep(std::time::Duration::from_millis(900 + 150 * round));
        daemon.kill();
    }
    let _daemon = scenario.start("a")?;
    scenario.settle()?;
    let mut letters: BTreeMap<String, usize> = BTreeMap::new();
    for record in scenario.client.read_settled(&dead)? {
        *letters
            .entry(String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned())
            .or_default() += 1;
    }
    ensure!(letters.len() == places.len(), "{} letters of {} records", letters.len(), places.len());
    let twice: Vec<_> = letters.iter().filter(|(_, count)| **count != 1).collect();
    ensure!(twice.is_empty(), "more than once: {twice:?}");
    Ok(())
}

fn poison_that_must_not_be_is_named() -> Result {
    let mut scenario = Scenario::new("named")?;
    scenario.write(200)?;
    let places = scenario.client.produce(&scenario.topic("events"), &[Message::value("no event").to(2)])?;
    let mut daemon = scenario.daemon("a").start()?;
    let (group, topic) = (scenario.group(), scenario.topic("events"));
    let what = format!("pipeline {group}, task 0_2, topic {topic} partition 2 offset {}: step ", places[0].1);
    let line = told::wait_for_error(&mut daemon, &group, &[&what, ": decode: ", "set `on_error: skip`"], READY)?;
    let fields = (&line["task"], &line["topic"], &line["partition"]);
    ensure!(fields == (&"0_2".into(), &topic.into(), &2.into()), "the line does not say where: {line}");
    Ok(())
}

const LARGE: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {id: bigint, key: string, user: string, amount: bigint, ts: timestamp(ms)}
    event_time: ts
steps:
  - map: {text: "repeat(key, abs(amount))"}
sink: {topic: PREFIXcopied, format: json, key: key}
on_error: {dead_letter: PREFIXdead}
"#;

fn a_result_too_large_for_its_topic_is_a_dead_letter() -> Result {
    let mut scenario = Scenario::new("large")?;
    scenario.set_pipeline(LARGE)?;
    let dead = scenario.topic("dead");
    // So small that not even the whole message has a place in it.
    let configs = [("retention.ms", "-1"), ("max.message.bytes", "530")];
    scenario.client.create_topic_with(&dead, PARTITIONS, &configs)?;
    scenario.client.set_topic_config(&scenario.topic("copied"), &[("max.message.bytes", "1500")])?;
    let _daemon = scenario.start("a")?;
    scenario.write(500)?;
    let read = |topic: String| scenario.client.read(&topic);
    let all = || Ok((read(scenario.topic("copied"))?.len(), read(dead.clone())?.len()));
    let (copied, letters) =
        wait::until("every record, here or there", READY, all, |(here, there)| here + there >= 500)?;
    ensure!(copied + letters == 500 && copied > 100 && letters > 50, "{copied} results, {letters} dead letters");
    let letters = read(dead)?;
    let message = letters[0].headers.iter().find(|(name, _)| name == "millstream.error.message");
    let message = message.and_then(|(_, value)| String::from_utf8(value.clone()?).ok()).unwrap_or_default();
    ensure!(message.starts_with("the record has ") && !message.ends_with(')'), "it is not cut: {message}");
    Ok(())
}

/// Eight MiB are allowed; less here, as such records would take long to make.
fn a_row_too_large_for_a_repartition_is_a_dead_letter() -> Result {
    let scenario = Scenario::new("wide-row")?;
    let text = LARGE.replace(
        "map: {text: \"repeat(key, abs(amount))\"}",
        "aggregate: {id: longest, by: user, aggregates: {n: count(*), longest: max(key)}}",
    );
    let text = text.replace("key: key}", "key: user}");
    scenario.set_pipeline(&text)?;
    let (dead, copied) = (scenario.topic("dead"), scenario.topic("copied"));
    scenario.client.create_topic(&dead, PARTITIONS)?;
    scenario.start("a")?.stop(READY)?;
    let is_internal = |topic: &String| topic.starts_with(&scenario.group()) && topic.ends_with("-repartition");
    let topics = scenario.client.topics()?;
    let repartition = topics.into_iter().find(is_internal).ok_or("there is no repartition")?;
    scenario.client.set_topic_config(&repartition, &[("max.message.bytes", "12000")])?;
    let daemon = scenario.start("a")?;
    // Frames are compressed, so the text must be noise.
    let mut noise = 1u64;
    let mut digits = |count: usize| -> String {
        let mut digit = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (noise >> 60) as u8)
        };
        (0..count).map(|_| digit()).collect()
    };
    let mut message = |id: usize| {
        let key = digits(if id.is_multiple_of(3) { 30_000 } else { 3_000 });
        let value =
            json!({"id": id, "key": key, "user": format!("u{}", id % 7), "amount": 1, "ts": 1_767_225_600_000_u64});
        Message::value(value.to_string()).to(id as u32 % PARTITIONS).at(1_767_225_600_000)
    };
    let messages: Vec<_> = (0..300).map(&mut message).collect();
    scenario.client.produce(&scenario.topic("events"), &messages)?;
    let grouped = || -> Result<i64> {
        let mut last = BTreeMap::new();
        for result in scenario.client.read(&copied)? {
            last.insert(result.key.clone(), result.json()?["n"].as_i64().unwrap_or_default());
        }
        Ok(last.into_values().sum())
    };
    let all = || Ok((grouped()?, scenario.client.read(&dead)?.len() as i64));
    let (rows, letters) = wait::until("every record, here or there", READY, all, |(here, there)| here + there >= 300)?;
    ensure!((rows, letters) == (200, 100), "{rows} rows are grouped, {letters} dead letters");
    ensure!(daemon.status()?["pipelines"][0]["last_error"].is_null(), "{}", daemon.output.tail(20));
    Ok(())
}

/// By default brokers take no time that is more than an hour ahead of their clocks. Dead letters of rows are of now, as old ones
/// would soon be deleted.
fn what_a_topic_refuses_for_its_time_or_its_key_is_a_dead_letter() -> Result {
    let scenario = Scenario::new("misfits")?;
    let text = LARGE.replace("map: {text: \"repeat(key, abs(amount))\"}", "filter: id > 0");
    scenario.set_pipeline(&text)?;
    let (copied, dead) = (scenario.topic("copied"), scenario.topic("dead"));
    scenario.client.create_topic(&dead, 1)?;
    scenario.client.set_topic_config(&copied, &[("cleanup.policy", "compact")])?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(|error| error.to_string())?;
    let now = now.as_millis() as i64;
    let event = |id: i64, key: &str, ts: i64| Message::value(format!(r#"{{"id":{id},"key":{key},"ts":{ts}}}"#)).at(now);
    let hour = 3_600_000;
    let events = [
        event(1, r#""a""#, now),
        event(2, r#""a""#, now + 2 * hour),
        event(3, "null", now),
        event(4, r#""b""#, now + hour / 2),
    ];
    scenario.client.produce(&scenario.topic("events"), &events)?;
    let mut daemon = scenario.start("a")?;
    let read = |topic: &String| scenario.client.read(topic);
    let all = || Ok(read(&copied)?.len() + read(&dead)?.len());
    wait::until("every record, here or there", READY, all, |all| *all >= events.len())?;
    let mut ids = read(&copied)?.iter().map(|read| Ok(read.json()?["id"].as_i64())).collect::<Result<Vec<_>>>()?;
    ids.sort_unstable();
    ensure!(ids == [Some(1), Some(4)], "{ids:?}");
    let letters = read(&dead)?;
    for (id, why) in [(2, "message.timestamp.after.max.ms"), (3, "cleanup.policy")] {
        let letter = letters.iter().find(|letter| letter.json().is_ok_and(|row| row["id"] == id));
        let letter = letter.ok_or_else(|| format!("no dead letter of {id}: {letters:?}"))?;
        let message = letter.headers.iter().find(|(name, _)| name == "millstream.error.message");
        let message = message.and_then(|(_, value)| String::from_utf8(value.clone()?).ok()).unwrap_or_default();
        ensure!(message.contains(why), "{message}");
        ensure!((letter.timestamp - now).abs() < hour, "a dead letter of the time {}", letter.timestamp);
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn keys_times_and_places_are_javas() -> Result {
    let mut scenario = Scenario::new("places")?;
    let _daemon = scenario.start("a")?;
    scenario.write(1000)?;
    scenario.settle()?;
    let by_id = |topic: &str| -> Result<BTreeMap<i64, millstream_harness::Read>> {
        let read = scenario.client.read(&scenario.topic(topic))?;
        read.into_iter().map(|record| Ok((record.json()?["id"].as_i64().unwrap_or(-1), record))).collect()
    };
    let (events, copied) = (by_id("events")?, by_id("copied")?);
    for (id, copy) in &copied {
        let event = &events[id];
        let event_time = event.json()?["ts"].as_i64();
        // The last events were put where the test wanted them, not where Java puts their keys.
        let is_placed_by_java = !event.key.as_deref().unwrap_or_default().starts_with(b"end");
        ensure!(
            copy.key == event.key
                && Some(copy.timestamp) == event_time
                && (copy.partition == event.partition || !is_placed_by_java),
            "{event:?} was copied as {copy:?}"
        );
    }
    let users: BTreeMap<String, u32> = BTreeMap::new();
    let mut users = users;
    for record in scenario.client.read(&scenario.topic("totals"))? {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let partition = *users.entry(key.clone()).or_insert(record.partition);
        ensure!(partition == record.partition, "{key} is in two partitions");
    }
    // Java's own producer puts the same keys into the same partitions.
    let probe = scenario.topic("probe");
    scenario.client.create_topic(&probe, PARTITIONS)?;
    let keys: Vec<&String> = users.keys().collect();
    let messages: Vec<Message> = keys.iter().map(|key| Message::keyed(key.as_str(), "")).collect();
    for (key, (partition, _)) in keys.iter().zip(scenario.client.produce(&probe, &messages)?) {
        ensure!(users[*key] == partition, "{key} is in {} and Java puts it into {partition}", users[*key]);
    }
    Ok(())
}

const HEADERS: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {id: bigint, ts: timestamp(ms)}
    event_time: ts
streams:
  even: {from: events, steps: [{filter: id % 2 = 0}, {map: {half: id / 2}}]}
sinks:
  - {from: even, topic: PREFIXcopied, headers: keep}
  - from: events
    topic: PREFIXsums
    headers: {source: "'events'", trace: "_headers['trace']", id: id, at: ts}
    timestamp: _timestamp
  - {from: events, topic: PREFIXvisits}
"#;

fn headers_and_timestamps_are_kept_or_set() -> Result {
    const TS: i64 = 1_767_225_600_000;
    let scenario = Scenario::new("headers")?;
    scenario.set_pipeline(HEADERS)?;
    let _daemon = scenario.start("a")?;
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let events: Vec<Message> = (0..200_i64)
        .map(|id| {
            let trace = format!("trace {id}");
            let headers = match id % 6 {
                0 => vec![
                    header("trace", Some(trace.as_bytes())),
                    header("", Some(b"no name")),
                    header("bytes", Some(b"\xff\0")),
                    header("bytes", None),
                    header("bytes", Some(b"")),
                ],
                1 | 2 => vec![header("trace", Some(trace.as_bytes()))],
                3 => vec![header("trace", None)],
                _ => Vec::new(),
            };
            let event = Message::keyed(format!("k{id}"), format!(r#"{{"id":{id},"ts":{}}}"#, TS + id));
            Message { headers, ..event.at(TS + 1_000_000 + id) }
        })
        .collect();
    scenario.client.produce(&scenario.topic("events"), &events)?;
    let read = |topic: &str, count: usize| {
        let all = || scenario.client.read(&scenario.topic(topic));
        wait::until("all results", READY, all, |read: &Vec<_>| read.len() >= count)
    };
    let event_of = |record: &millstream_harness::Read| -> Result<(i64, &Message)> {
        let id = record.json()?["id"].as_i64().unwrap_or(-1);
        Ok((id, events.get(id as usize).ok_or("there is no such event")?))
    };
    for record in read("copied", 100)? {
        let (id, event) = event_of(&record)?;
        let is_right = record.headers == event.headers && record.timestamp == TS + id;
        ensure!(is_right, "{event:?} was copied as {record:?}");
    }
    for record in read("sums", 200)? {
        let (id, event) = event_of(&record)?;
        let mut expected = vec![header("source", Some(b"events"))];
        expected.extend(event.headers.iter().find(|(name, value)| name == "trace" && value.is_some()).cloned());
        expected.push(header("id", Some(id.to_string().as_bytes())));
        let at = format!("2026-01-01T00:00:00.{id:03}Z");
        expected.push(header("at", Some(at.as_bytes())));
        let is_right = record.headers == expected && Some(record.timestamp) == event.timestamp;
        ensure!(is_right, "{event:?} became {record:?}");
    }
    for record in read("visits", 200)? {
        let (id, _) = event_of(&record)?;
        ensure!(record.headers.is_empty() && record.timestamp == TS + id, "nobody has asked for these: {record:?}");
    }
    Ok(())
}

const PADDED: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events: {topic: PREFIXevents, format: json, schema: {id: bigint, pad: string}}
steps:
  - map: {length: length(pad)}
  - drop: [pad]
sink: {topic: PREFIXcopied, key: none}
"#;

/// A broker gives a whole batch however little is asked for; the library's fetches and queue are smaller than this one.
fn a_record_larger_than_any_fetch_is_read() -> Result {
    const LARGE: usize = 9 << 20;
    let scenario = Scenario::new("padded")?;
    scenario.set_pipeline(PADDED)?;
    let events = scenario.topic("events");
    scenario.client.set_topic_config(&events, &[("max.message.bytes", "16777216")])?;
    let writer = scenario.client.clone().with("max.request.size", "16777216");
    let _daemon = scenario.start("a")?;
    let mut lengths = BTreeMap::new();
    // Before it, between two of them and behind it there are small ones, in the same partition and in another.
    for (round, length) in [3, LARGE, 5, LARGE + 1, 7].into_iter().enumerate() {
        let messages: Vec<Message> = [1_u32, 2]
            .into_iter()
            .map(|partition| {
                let id = 10 * round as u32 + partition;
                let length = if partition == 1 { length } else { 1 };
                lengths.insert(i64::from(id), length as i64);
                Message::value(format!(r#"{{"id":{id},"pad":"{}"}}"#, "x".repeat(length))).to(partition)
            })
            .collect();
        writer.produce(&events, &messages)?;
    }
    let read = || scenario.client.read(&scenario.topic("copied"));
    let read = wait::until("every record", READY, read, |read: &Vec<_>| read.len() >= lengths.len())?;
    let mut found = BTreeMap::new();
    for record in &read {
        let value = record.json()?;
        found.insert(value["id"].as_i64().unwrap_or(-1), value["length"].as_i64().unwrap_or(-1));
    }
    ensure!(found == lengths && read.len() == lengths.len(), "{found:?} is not {lengths:?}");
    Ok(())
}
