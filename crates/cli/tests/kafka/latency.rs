//! How long a lone record takes from being written to being readable by consumers that read committed records, behind a silence
//! that is short and behind one in which the producer's connections are closed for want of use.

use std::time::Duration;

use millstream_harness::broker::BrokerOptions;
use millstream_harness::process;
use millstream_harness::tls::Tls;
use millstream_harness::{Broker, Message, Result, Trouble, ensure, suite};
use serde_json::json;

use crate::scenario::{READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    vec![suite::test("latency::a_lone_record_is_soon_readable", a_lone_record_is_soon_readable)]
}

/// 60 ms are promised, of a release build on a machine of its own. Tests are built for debugging and share two cores with others:
/// medians of 24 to 51 ms were seen there. What waits for a whole interval, or for the library's retries, takes more than this.
const MOST: Duration = Duration::from_millis(150);

/// One step, so that the figure is the log's.
const PIPELINE: &str = "
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {id: bigint, amount: bigint, ts: timestamp(ms)}
    event_time: ts
steps:
  - filter: amount > 0
sink: {topic: PREFIXcopied, format: json}
";

/// How records are written: `(silence between them, how many)`.
type Rhythm = (Duration, usize);

/// `RECORDS=20` measures so many, 2 and 15 s apart, and prints the figures: `just lone-records`.
fn rhythms() -> [Rhythm; 2] {
    let asked = std::env::var("RECORDS").ok().and_then(|text| text.parse().ok());
    let seconds = Duration::from_secs;
    asked.map_or([(seconds(1), 5), (seconds(12), 2)], |count| [(seconds(2), count), (seconds(15), count)])
}

fn a_lone_record_is_soon_readable() -> Result {
    let folder = process::temp_folder("tls")?;
    let tls = Tls::make(folder.path())?;
    let ca = tls.ca.display().to_string();
    let broker = Broker::start_with(BrokerOptions { tls: Some(tls), ..BrokerOptions::default() })?;
    let (plain, secure) = (broker.bootstrap(), broker.tls_bootstrap());
    let trust = [("SECURITY_PROTOCOL", "SSL"), ("SSL_CA_LOCATION", ca.as_str())];
    let ways = [("without TLS", plain.as_str(), &[][..]), ("with TLS", secure.as_str(), &trust[..])];
    let cases: Vec<_> = ways.iter().flat_map(|way| rhythms().map(|rhythm| (*way, rhythm))).collect();
    let measured: Vec<Result<Vec<i64>>> = std::thread::scope(|scope| {
        let measuring = |(way, rhythm)| move |broker| measure(broker, way, rhythm);
        let threads: Vec<_> = cases
            .iter()
            .map(|case| (measuring(*case), &broker))
            .map(|(run, broker)| scope.spawn(move || run(broker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Trouble::from("a measurement panicked"))))
            .collect()
    });
    for (((way, ..), (silence, count)), measured) in cases.iter().zip(measured) {
        let mut millis = measured?;
        millis.sort_unstable();
        let (median, most) = (millis[millis.len() / 2], millis[millis.len() - 1]);
        tell(&format!(
            "{way}, a record every {silence:?}, {count} times: p50 {median} ms, max {most} ms, all {millis:?}"
        ));
        ensure!(median <= MOST.as_millis() as i64, "{way}, every {silence:?}: {millis:?} ms");
    }
    Ok(())
}

#[allow(clippy::print_stderr)]
fn tell(line: &str) {
    if std::env::var_os("RECORDS").is_some() {
        eprintln!("{line}");
    }
}

/// Milliseconds from produce to readable.
fn measure(
    broker: &Broker,
    (way, bootstrap, properties): (&str, &str, &[(&str, &str)]),
    rhythm: Rhythm,
) -> Result<Vec<i64>> {
    let (silence, count) = rhythm;
    let name = format!("lone-{}-{}", way.replace(' ', "-").to_lowercase(), silence.as_secs());
    let scenario = Scenario::on(&name, broker)?;
    scenario.set_pipeline(PIPELINE)?;
    let command = scenario.daemon_at("a", bootstrap);
    let command = properties
        .iter()
        .fold(command, |command, (property, value)| command.env(&format!("MILLSTREAM_KAFKA__{property}"), *value));
    let mut daemon = command.start()?;
    daemon.wait_until_ready(READY)?;
    let following = scenario.client.follow(&scenario.topic("copied"))?;
    let mut millis = Vec::with_capacity(count);
    // The first one finds everything cold.
    for id in 0..=count {
        let value = json!({"id": id, "amount": 1, "ts": 1_767_225_600_000_u64 + id as u64}).to_string();
        scenario.client.produce(&scenario.topic("events"), &[Message::value(value).to(0)])?;
        let seen_at = loop {
            let read = following.next(READY)?;
            let last = read.last().ok_or_else(|| format!("record {id} did not come: {}", daemon.output.tail(20)))?;
            if last.json()?["id"] == id {
                break last.seen_at;
            }
        };
        let events = scenario.client.read(&scenario.topic("events"))?;
        let written_at = events.last().ok_or("nothing was written")?.timestamp;
        if id > 0 {
            millis.push(seen_at - written_at);
        }
        if id < count {
            std::thread::sleep(silence);
        }
    }
    Ok(millis)
}
