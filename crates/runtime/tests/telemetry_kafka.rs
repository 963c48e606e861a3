//! What the daemon tells about itself while it runs over a real broker: it is held against what a foreign client wrote
//! and read.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millstream_harness::broker::Broker;
use millstream_harness::foreign::{Client, Message};
use millstream_harness::{Result, suite, tests, wait};
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::lower;
use millstream_runtime::daemon::{self, DaemonSettings, PipelineUnit};
use millstream_runtime::follow::{Stop, Until};
use millstream_runtime::http::{self, HttpServer, client};
use millstream_runtime::log::kafka::Guarantee;
use millstream_runtime::telemetry::{Readiness, Reason, Telemetry};
use millstream_runtime::worker::WorkerSettings;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 4;
const ROWS: u64 = 2_000;
/// Every so many-th record does not decode.
const BROKEN_EACH: u64 = 100;

/// A window with late rows on the source's own key, another behind a repartition, dead letters.
const PIPELINE: &str = "
version: 1
pipeline: NAME
sources:
  trades:
    topic: NAME-in
    format: json
    schema: {symbol: string, venue: string, qty: bigint, ts: timestamp(ms)}
    key: symbol
    event_time: ts
    watermark: {idle: 2s}
on_error: {dead_letter: NAME-dead}
steps:
  - filter: qty > 0
  - window: {id: first, by: [symbol, venue], tumbling: 1s, aggregates: {n: count(*), q: sum(qty)}}
  - window: {id: second, by: [venue], tumbling: 10s, aggregates: {n: sum(n), q: sum(q)}}
sink: {topic: NAME-out, key: venue}
";

fn main() -> ExitCode {
    suite::main(
        2,
        tests![
            counts_are_those_of_a_foreign_client,
            counts_go_on_over_a_rebalance,
            readiness_tells_the_truth,
            who_waits_for_a_broker_says_why,
            what_brokers_hold_back_is_told,
        ],
    )
}

/// A daemon in this process.
struct Running {
    telemetry: Telemetry,
    http: HttpServer,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    _state: TempDir,
}

impl Running {
    fn start(broker: &Broker, pipelines: &[&str]) -> Running {
        let (state, telemetry, stop) = (tempfile::tempdir().unwrap(), Telemetry::new(), Stop::new());
        telemetry.watch_folder(state.path());
        let settings = DaemonSettings {
            kafka: BTreeMap::from([
                ("bootstrap.servers".to_owned(), broker.bootstrap()),
                // As soon as brokers allow a member is missed, and misses its group.
                ("session.timeout.ms".to_owned(), "6000".to_owned()),
            ]),
            state_dir: state.path().to_owned(),
            threads: 2,
            worker: WorkerSettings::default(),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(1),
            brokers_within: Duration::from_secs(60),
            until: Until::Stopped,
        };
        let units = pipelines.iter().map(|name| unit(name)).collect();
        let thread = {
            let (stop, telemetry) = (stop.clone(), telemetry.clone());
            std::thread::spawn(move || drop(daemon::run(&settings, units, &stop, &telemetry).unwrap()))
        };
        let http = http::serve("127.0.0.1:0".parse().unwrap(), telemetry.clone()).unwrap();
        Running { telemetry, http, stop, thread: Some(thread), _state: state }
    }

    fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = client::get(self.http.address(), path, Duration::from_secs(5)).map_err(|why| why.to_string())?;
        Ok((answer.code, answer.body))
    }

    fn readiness(&self) -> Readiness {
        self.telemetry.readiness()
    }

    fn wait_until_ready(&self) -> Result {
        wait::until("readiness", PATIENCE, || Ok(self.readiness()), |found| found.ready).map(|_| ())
    }

    /// Samples by what stands before the value.
    fn samples(&self) -> Result<BTreeMap<String, f64>> {
        let (code, text) = self.get("/metrics")?;
        assert_eq!(code, 200);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
        Ok(lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the daemon panicked");
        }
    }
}

fn unit(name: &str) -> PipelineUnit {
    let text = PIPELINE.replace("NAME", name);
    let lower = move |counts: &_| {
        let (pipeline, map) =
            millstream_pipeline::parse("p.yaml", &text, &no_lookup).map_err(|why| format!("{why:?}"))?;
        lower::lower(&pipeline, &map, counts).map_err(|why| format!("{why:?}").into())
    };
    PipelineUnit {
        name: name.to_owned(),
        lower: Arc::new(lower),
        kafka: BTreeMap::new(),
        guarantee: Guarantee::ExactlyOnce,
    }
}

fn create_topics(client: &Client, name: &str) -> Result {
    client.create_topic(&format!("{name}-in"), PARTITIONS)?;
    client.create_topic(&format!("{name}-out"), PARTITIONS)?;
    client.create_topic(&format!("{name}-dead"), 1)
}

/// Trades of a minute; some have no quantity, some are no JSON.
fn trades() -> Vec<Message> {
    let trade = |index: u64| {
        let symbol = format!("S{}", index % 17);
        let row = json!({"symbol": symbol, "venue": format!("V{}", index % 3), "qty": index % 10, "ts": 1_767_225_600_000 + index * 30});
        let value = if index % BROKEN_EACH == 7 { "{broken".to_owned() } else { row.to_string() };
        Message::keyed(symbol, value)
    };
    (0..ROWS).map(trade).collect()
}

fn counts_are_those_of_a_foreign_client() -> Result {
    let broker = Broker::shared()?;
    let (client, name) = (broker.client(), "counted");
    create_topics(&client, name)?;
    let running = Running::start(broker, &[name]);
    running.wait_until_ready()?;
    client.produce(&format!("{name}-in"), &trades())?;

    let of = |metric: &str, more: &str| format!("millstream_{metric}{{pipeline=\"{name}\"{more}}}");
    let (input, lag) = (of("input_records_total", ""), "millstream_source_lag_records{");
    let done = |samples: &BTreeMap<String, f64>| {
        let behind: f64 = samples.iter().filter(|(key, _)| key.starts_with(lag)).map(|(_, value)| value).sum();
        samples[&input] == ROWS as f64 && behind == 0.0 && samples[&of("dead_letters_total", "")] > 0.0
    };
    wait::until("all records in", PATIENCE, || running.samples(), done)?;
    // What is written is counted, window after window, until the last that closes has been.
    let both = || Ok((client.read(&format!("{name}-out"))?.len(), running.samples()?));
    let is_same = |(read, samples): &(usize, BTreeMap<String, f64>)| {
        *read > 0 && samples[&of("output_records_total", "")] == *read as f64
    };
    let (_, samples) = wait::until("what was written is counted", PATIENCE, both, is_same)?;
    let letters = client.read(&format!("{name}-dead"))?;
    assert_eq!(samples[&of("dead_letters_total", "")], letters.len() as f64);
    assert_eq!(letters.len() as u64, ROWS / BROKEN_EACH);
    assert_eq!(samples[&of("aborts_total", "")], 0.0);
    let info = format!("millstream_pipeline_info{{pipeline=\"{name}\",fingerprint=");
    assert_eq!(samples.keys().filter(|key| key.starts_with(&info)).count(), 1);
    assert!(samples[&of("commits_total", "")] > 0.0);
    let observed = of("epoch_phase_seconds_count", "").replace("{", "{phase=\"commit\",");
    assert_eq!(samples[&observed], samples[&of("commits_total", "")]);
    let aged = samples[&of("record_latency_seconds_count", "")];
    assert!(aged > 0.0 && aged <= samples[&of("commits_total", "")], "{aged} of them had records of a source");
    // A broker on this machine answers at once, mostly.
    let trips = |what: &str, more: &str| samples[&of(&format!("broker_round_trip_seconds_{what}"), more)];
    let (answers, within_a_second) = (trips("count", ""), trips("bucket", ",le=\"1\""));
    assert!(answers >= 1.0 && within_a_second >= answers / 2.0, "{within_a_second} of {answers} within a second");
    for client in ["consumer", "producer"] {
        assert_eq!(samples[&of("broker_throttle_seconds_total", &format!(",client=\"{client}\""))], 0.0);
    }
    assert!(samples[&of("input_bytes_total", "")] > 50.0 * ROWS as f64);
    assert_ledger_balances(name, &samples);
    for step in ["first", "second"] {
        let held = samples[&of("step_held_rows", &format!(",step=\"{step}\""))];
        assert!(held > 0.0, "{step} holds open windows");
    }

    let (_, status) = running.get("/status")?;
    let status: Value = serde_json::from_str(&status).unwrap();
    let pipeline = &status["pipelines"][0];
    assert_eq!((&status["ready"], &pipeline["state"]), (&true.into(), &"running".into()), "{status:#}");
    assert_eq!(pipeline["traffic"]["records_in"], ROWS);
    assert!(pipeline["last_commit"].is_string() && pipeline["watermark"].is_string(), "{pipeline:#}");
    let tasks: usize =
        pipeline["workers"].as_array().unwrap().iter().map(|w| w["tasks"].as_array().unwrap().len()).sum();
    assert_eq!(tasks, 2 * PARTITIONS as usize, "{pipeline:#}");
    // Behind the repartition time has come as far as the slowest of those that send says: their windows of a second are closed
    // but for the last.
    let latest = 1_767_225_600.0 + ROWS as f64 * 0.03;
    let has_come = |samples: &BTreeMap<String, f64>| {
        (0..PARTITIONS).all(|partition| {
            let task = format!(",task=\"1_{partition}\"");
            let time = samples.get(&of("task_watermark_timestamp_seconds", &task));
            let is_told = samples.contains_key(&of("task_watermark_held_back_seconds", &task));
            is_told && time.is_some_and(|time| (latest - 2.0..latest).contains(time))
        })
    };
    wait::until("the time of tasks behind a repartition", PATIENCE, || running.samples(), has_come)?;

    let began = Instant::now();
    drop(running);
    assert!(began.elapsed() < Duration::from_secs(5), "the end took {:?}", began.elapsed());
    Ok(())
}

/// Another instance comes and goes: tasks are asked back, and those that come again have not processed anything anew.
fn counts_go_on_over_a_rebalance() -> Result {
    let broker = Broker::shared()?;
    let (client, name) = (broker.client(), "balanced");
    create_topics(&client, name)?;
    let running = Running::start(broker, &[name]);
    running.wait_until_ready()?;
    client.produce(&format!("{name}-in"), &trades())?;
    let of = |metric: &str, more: &str| format!("millstream_{metric}{{pipeline=\"{name}\"{more}}}");
    let (rows, rebalances) = (of("step_input_rows_total", ",step=\"sources.trades\""), of("rebalances_total", ""));
    let all_in = |samples: &BTreeMap<String, f64>| samples.get(&rows) == Some(&(ROWS as f64));
    let before = wait::until("all records in", PATIENCE, || running.samples(), all_in)?;
    let moved = |since: f64| {
        let is_balanced = |samples: &BTreeMap<String, f64>| {
            samples[&rebalances] >= since + 4.0 && samples[&of("pipeline_ready", "")] == 1.0
        };
        wait::until("both threads to give and get their partitions", PATIENCE, || running.samples(), is_balanced)
    };
    let other = Running::start(broker, &[name]);
    let beside = moved(before[&rebalances])?;
    assert_eq!(beside[&rows], ROWS as f64, "what was asked back was counted again");
    drop(other);
    let alone = moved(beside[&rebalances])?;
    assert_eq!(alone[&rows], ROWS as f64, "what came back was counted again");
    assert_ledger_balances(name, &alone);
    Ok(())
}

/// Each step's rows are all somewhere.
fn assert_ledger_balances(pipeline: &str, samples: &BTreeMap<String, f64>) {
    let mut balance: BTreeMap<&str, f64> = BTreeMap::new();
    for (key, value) in samples {
        let Some(step) = key.split_once("step=\"").and_then(|(_, rest)| rest.split('"').next()) else { continue };
        let sign = match key.split('{').next().unwrap() {
            "millstream_step_input_rows_total" | "millstream_step_restored_rows_total" => 1.0,
            "millstream_step_rows_total" | "millstream_step_held_rows" => -1.0,
            _ => continue,
        };
        assert!(key.contains(&format!("pipeline=\"{pipeline}\"")));
        *balance.entry(step).or_default() += sign * value;
    }
    assert!(balance.len() >= 4 && balance.values().all(|&sum| sum == 0.0), "{balance:?}");
}

fn readiness_tells_the_truth() -> Result {
    let broker = Broker::shared()?;
    let (client, there, missing) = (broker.client(), "there", "missing");
    create_topics(&client, there)?;
    let running = Running::start(broker, &[there, missing]);
    let only_missing = |found: &Readiness| {
        found.reasons.iter().any(|why| why.reason == Reason::Failed)
            && found.reasons.iter().all(|why| why.pipeline.as_deref() == Some(missing))
    };
    let found = wait::until("one to fail", PATIENCE, || Ok(running.readiness()), only_missing)?;
    assert!(found.reasons[0].detail.contains("missing-in"), "{found:?}");
    assert_eq!(running.get("/ready")?.0, 503);
    let failed = |kind| format!("millstream_pipeline_failures_total{{pipeline=\"{missing}\",kind=\"{kind}\"}}");
    let samples = wait::until(
        "restarts",
        PATIENCE,
        || running.samples(),
        |samples| samples["millstream_pipeline_restarts_total{pipeline=\"missing\"}"] >= 2.0,
    )?;
    assert!(samples[&failed("configuration")] >= 2.0, "{samples:#?}");
    assert_eq!(samples["millstream_pipeline_ready{pipeline=\"there\"}"], 1.0);

    // Its topics come, and it goes on by itself.
    create_topics(&client, missing)?;
    running.wait_until_ready()?;
    assert_eq!(running.get("/ready")?.0, 200);
    let (_, status) = running.get("/status")?;
    let status: Value = serde_json::from_str(&status).unwrap();
    let pipeline = status["pipelines"].as_array().unwrap().iter().find(|one| one["name"] == missing).unwrap();
    assert_eq!(pipeline["last_error"]["kind"], "configuration", "the last error stays for people to read");
    Ok(())
}

/// The broker freezes: the worker has lost its partitions when its session is over, and waits to join.
fn who_waits_for_a_broker_says_why() -> Result {
    let mut broker = Broker::start()?;
    create_topics(&broker.client(), "frozen")?;
    let running = Running::start(&broker, &["frozen"]);
    running.wait_until_ready()?;
    broker.pause();
    let says_why = |found: &Readiness| found.reasons.iter().any(|why| why.detail.contains("last error: "));
    let found = wait::until("a reason", PATIENCE, || Ok(running.readiness()), says_why)?;
    assert!(found.reasons.iter().all(|why| why.pipeline.as_deref() == Some("frozen")), "{found:?}");
    let (_, status) = running.get("/status")?;
    let status: Value = serde_json::from_str(&status).unwrap();
    let workers = status["pipelines"][0]["workers"].as_array().unwrap();
    assert!(workers.iter().any(|worker| worker["last_error"].is_string()), "{status:#}");
    broker.resume();
    // The broker takes itself for dead first, and the group begins anew.
    wait::until("readiness again", 3 * PATIENCE, || Ok(running.readiness()), |found| found.ready).map(drop)
}

/// A quota for what the pipeline's producers write: brokers say for how long they hold requests back.
fn what_brokers_hold_back_is_told() -> Result {
    let broker = Broker::shared()?;
    let (client, name) = (broker.client(), "held-back");
    create_topics(&client, name)?;
    for thread in 0..2 {
        client.set_producer_quota(&format!("millstream-{name}-{thread}"), 2_000.0)?;
    }
    let running = Running::start(broker, &[name]);
    running.wait_until_ready()?;
    client.produce(&format!("{name}-in"), &trades())?;
    let of = |metric: &str, client: &str| format!("millstream_{metric}{{pipeline=\"{name}\",client=\"{client}\"}}");
    let [held_back, let_go] = ["producer", "consumer"].map(|client| of("broker_throttle_seconds_total", client));
    let is_told = |samples: &BTreeMap<String, f64>| samples[&held_back] > 0.1;
    let samples = wait::until("requests to be held back", PATIENCE, || running.samples(), is_told)?;
    assert_eq!(samples[&let_go], 0.0, "the quota is for what is written");
    Ok(())
}
