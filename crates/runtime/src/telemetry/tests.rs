//! A process in miniature, told what daemons tell, and what it then says.

use std::collections::{BTreeMap, BTreeSet};

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::ledger::Ledger;
use millstream_engine::time::{Millis, Watermark};

use super::catalogue::METRICS;
use super::*;
use crate::log::kafka::{BrokerTimes, ClientKind};

fn id(partition: u32) -> TaskId {
    TaskId { subtopology: 0, partition: PartitionId(partition) }
}

fn running(partition: u32, rows_in: u64) -> TaskSnapshot {
    let ledger = Ledger { rows_in, rows_out: rows_in - 1, passed: rows_in - 1, held: 1, ..Ledger::default() };
    let lane = |topic: &str, kind| LaneSnapshot {
        topic: topic.to_owned(),
        partition: PartitionId(partition),
        kind,
        next: Offset(40),
        end: Offset(42),
        newest_event_time: Some(Millis(1_767_225_600_000)),
        speech: Speech::Speaking,
        waits: None,
    };
    TaskSnapshot {
        lanes: vec![lane("trades", LaneKind::Source), lane("p-by-repartition", LaneKind::Repartition)],
        watermark: Some(Watermark(1_767_225_600_000)),
        held_back: Some(Millis(2_500)),
        ledgers: vec![("sources.trades".to_owned(), ledger)],
        state_memory_bytes: 1024,
        changelog_written_bytes: 10,
        ..TaskSnapshot::new(id(partition), TaskPhase::Running)
    }
}

fn snapshot(records_in: u64, tasks: Vec<TaskSnapshot>) -> WorkerSnapshot {
    WorkerSnapshot {
        tasks,
        traffic: Traffic { records_in, bytes_in: records_in * 90, ..Traffic::default() },
        last_commit: Some(Millis(1_767_225_601_000)),
        ..WorkerSnapshot::default()
    }
}

/// A process that has told everything that there is to tell.
fn busy() -> Telemetry {
    let telemetry = Telemetry::new();
    telemetry.watch_folder(".");
    telemetry.watch_schemas(SchemaCache::given([]));
    let pipeline = telemetry.pipeline("candles");
    let worker = pipeline.worker(0);
    pipeline.describe(0xab12, Guarantee::ExactlyOnce);
    pipeline.set_state(PipelineState::Running);
    worker.set_state(WorkerState::Running);
    for phase in Phase::ALL {
        worker.observe(phase, Duration::from_millis(3));
    }
    worker.observe_latency(Duration::from_secs(90));
    for (client, millis) in [(ClientKind::Producer, 1_500), (ClientKind::Consumer, 0), (ClientKind::Producer, 250)] {
        let (throttled, trip) = (Duration::from_millis(millis), Duration::from_millis(3));
        worker.observe_brokers(client, &BrokerTimes { throttled, round_trips: vec![trip; 2] });
    }
    worker.count(Event::Commit);
    worker.count(Event::TrimAgainstPolicy);
    let progress = RestoreProgress { records: 5, records_total: 20, bytes: 500 };
    worker.restored(progress, Duration::from_millis(500));
    let mut restoring = TaskSnapshot::new(id(1), TaskPhase::Restoring(progress));
    restoring.restoring_for = Some(Duration::from_millis(500));
    worker.publish(snapshot(10, vec![running(0, 10), restoring]));
    telemetry
}

/// Samples of the text by what stands before the value.
fn samples(telemetry: &Telemetry) -> BTreeMap<String, f64> {
    let text = telemetry.metrics_text();
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    let samples: Vec<(String, f64)> = lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
    let count = samples.len();
    let by_name: BTreeMap<String, f64> = samples.into_iter().collect();
    assert_eq!(by_name.len(), count, "a sample is there twice:\n{text}");
    by_name
}

#[test]
fn what_is_exported_is_what_the_catalogue_says() {
    let text = busy().metrics_text();
    let help: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let kinds: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for def in METRICS {
        assert_eq!(help.get(def.name), Some(&def.help), "{}", def.name);
        assert_eq!(kinds.get(def.name), Some(&def.kind.as_str()), "{}", def.name);
    }
    assert_eq!(help.len(), METRICS.len(), "something is exported that the catalogue does not have");
    let unique: BTreeSet<&str> = METRICS.iter().map(|def| def.name).collect();
    assert_eq!(unique.len(), METRICS.len());
}

#[test]
fn samples_say_what_was_told() {
    let samples = samples(&busy());
    for (name, value) in [
        ("millstream_ready", 0.0),
        ("millstream_pipeline_up{pipeline=\"candles\"}", 1.0),
        (
            "millstream_pipeline_info{pipeline=\"candles\",fingerprint=\"000000000000ab12\",guarantee=\"exactly_once\"}",
            1.0,
        ),
        ("millstream_pipeline_ready{pipeline=\"candles\"}", 0.0),
        ("millstream_pipeline_state{pipeline=\"candles\",state=\"running\"}", 1.0),
        ("millstream_pipeline_state{pipeline=\"candles\",state=\"failed\"}", 0.0),
        ("millstream_workers{pipeline=\"candles\",state=\"running\"}", 1.0),
        ("millstream_tasks{pipeline=\"candles\",phase=\"restoring\"}", 1.0),
        ("millstream_input_records_total{pipeline=\"candles\"}", 10.0),
        ("millstream_input_bytes_total{pipeline=\"candles\"}", 900.0),
        ("millstream_step_rows_total{pipeline=\"candles\",step=\"sources.trades\",outcome=\"passed\"}", 9.0),
        ("millstream_step_held_rows{pipeline=\"candles\",step=\"sources.trades\"}", 1.0),
        ("millstream_source_lag_records{pipeline=\"candles\",topic=\"trades\",partition=\"0\"}", 2.0),
        ("millstream_repartition_lag_records{pipeline=\"candles\",topic=\"p-by-repartition\",partition=\"0\"}", 2.0),
        ("millstream_task_watermark_timestamp_seconds{pipeline=\"candles\",task=\"0_0\"}", 1_767_225_600.0),
        ("millstream_task_watermark_held_back_seconds{pipeline=\"candles\",task=\"0_0\"}", 2.5),
        ("millstream_last_commit_timestamp_seconds{pipeline=\"candles\"}", 1_767_225_601.0),
        ("millstream_epoch_phase_seconds_count{phase=\"commit\",pipeline=\"candles\"}", 1.0),
        ("millstream_record_latency_seconds_bucket{pipeline=\"candles\",le=\"60\"}", 0.0),
        ("millstream_record_latency_seconds_bucket{pipeline=\"candles\",le=\"300\"}", 1.0),
        ("millstream_epoch_phase_seconds_bucket{phase=\"commit\",pipeline=\"candles\",le=\"0.0025\"}", 0.0),
        ("millstream_epoch_phase_seconds_bucket{phase=\"commit\",pipeline=\"candles\",le=\"0.005\"}", 1.0),
        ("millstream_commits_total{pipeline=\"candles\"}", 1.0),
        ("millstream_trims_failed_total{pipeline=\"candles\",reason=\"policy\"}", 1.0),
        ("millstream_trims_failed_total{pipeline=\"candles\",reason=\"other\"}", 0.0),
        ("millstream_aborts_total{pipeline=\"candles\"}", 0.0),
        ("millstream_restores_total{pipeline=\"candles\"}", 1.0),
        ("millstream_restore_seconds_total{pipeline=\"candles\"}", 0.5),
        ("millstream_broker_throttle_seconds_total{pipeline=\"candles\",client=\"producer\"}", 1.75),
        ("millstream_broker_throttle_seconds_total{pipeline=\"candles\",client=\"consumer\"}", 0.0),
        ("millstream_broker_round_trip_seconds_bucket{pipeline=\"candles\",le=\"0.005\"}", 6.0),
        ("millstream_restore_progress_ratio{pipeline=\"candles\",task=\"0_1\"}", 0.25),
        ("millstream_restore_remaining_records{pipeline=\"candles\",task=\"0_1\"}", 15.0),
        ("millstream_restore_read_bytes{pipeline=\"candles\",task=\"0_1\"}", 500.0),
        ("millstream_restore_left_seconds{pipeline=\"candles\",task=\"0_1\"}", 1.5),
        ("millstream_changelog_written_bytes_total{pipeline=\"candles\"}", 10.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    let behind = samples["millstream_task_watermark_lag_seconds{pipeline=\"candles\",task=\"0_0\"}"];
    assert!((behind - (crate::clock::wall().0 - 1_767_225_600_000) as f64 / 1000.0).abs() < 10.0, "{behind}");
}

#[test]
fn records_that_wait_for_schemas_are_told_when_it_takes_long_or_goes_wrong() {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("candles");
    let worker = pipeline.worker(0);
    pipeline.set_state(PipelineState::Running);
    worker.set_state(WorkerState::Running);
    let publish = |seconds, error: Option<&str>| {
        let mut task = running(0, 10);
        let error = error.map(str::to_owned);
        task.lanes[0].waits = Some(SchemaWait { schemas: vec![7, 9], count: 5, seconds, error });
        worker.publish(snapshot(10, vec![task]));
    };
    let waiting = "millstream_schema_waiting{pipeline=\"candles\",topic=\"trades\",partition=\"0\"}";
    publish(0, None);
    assert!(telemetry.readiness().ready, "a new schema takes a moment");
    assert_eq!(samples(&telemetry)[waiting], 1.0);
    for (seconds, error, detail) in [
        (2, None, "topic trades partition 0 waits for schemas 7, 9 and 3 more for 2 s"),
        (0, Some("it is down"), "topic trades partition 0 waits for schemas 7, 9 and 3 more for 0 s: it is down"),
    ] {
        publish(seconds, error);
        let readiness = telemetry.readiness();
        let reasons: Vec<(Reason, &str)> =
            readiness.reasons.iter().map(|reason| (reason.reason, reason.detail.as_str())).collect();
        assert_eq!(reasons, [(Reason::Schema, detail)]);
    }
    let status = serde_json::to_value(telemetry.status()).unwrap();
    let partition = &status["pipelines"][0]["workers"][0]["tasks"][0]["partitions"][0];
    assert_eq!(partition["waits"]["error"], "it is down");
    assert_eq!(status["not_ready"][0]["reason"], "schema");
}

#[test]
fn a_partition_that_is_read_to_its_end_is_not_behind() {
    let telemetry = busy();
    let worker = telemetry.pipeline("candles").worker(0);
    let mut task = running(0, 10);
    task.lanes[0].next = Offset(42);
    worker.publish(snapshot(1, vec![task]));
    let samples = samples(&telemetry);
    let labels = "{pipeline=\"candles\",topic=\"trades\",partition=\"0\"}";
    assert_eq!(samples[&format!("millstream_source_lag_seconds{labels}")], 0.0);
    assert_eq!(samples[&format!("millstream_source_event_timestamp_seconds{labels}")], 1_767_225_600.0);
}

#[test]
fn counters_go_on_when_workers_and_tasks_come_and_go() {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("p");
    let counted = || {
        let samples = samples(&telemetry);
        let rows = samples.get("millstream_step_input_rows_total{pipeline=\"p\",step=\"sources.trades\"}");
        (samples["millstream_input_records_total{pipeline=\"p\"}"], rows.copied().unwrap_or_default())
    };
    let first = pipeline.worker(0);
    first.publish(snapshot(100, vec![running(0, 60), running(1, 40)]));
    assert_eq!(counted(), (100.0, 100.0));

    // A task is parked, let go, and comes back.
    first.publish(WorkerSnapshot { parked: vec![running(1, 45)], ..snapshot(105, vec![running(0, 60)]) });
    assert_eq!(counted(), (105.0, 105.0));
    let series = samples(&telemetry);
    let memory = |task: &str| format!("millstream_state_memory_bytes{{pipeline=\"p\",task=\"{task}\"}}");
    assert!(series.contains_key(&memory("0_0")) && !series.contains_key(&memory("0_1")), "a parked task has a gauge");
    first.publish(snapshot(105, vec![running(0, 60)]));
    assert_eq!(counted(), (105.0, 105.0));
    first.publish(snapshot(107, vec![running(0, 60), running(1, 2)]));
    assert_eq!(counted(), (107.0, 107.0));

    // The worker is built anew; the old one's handles have nothing more to say.
    let second = pipeline.worker(0);
    assert_eq!(counted(), (107.0, 107.0));
    first.publish(snapshot(1_000, vec![running(0, 1_000)]));
    first.set_state(WorkerState::Stopped);
    second.publish(snapshot(3, vec![running(0, 3)]));
    assert_eq!(counted(), (110.0, 110.0));

    // It stops, and its counts stay.
    second.set_state(WorkerState::Stopped);
    assert_eq!(counted(), (110.0, 110.0));
}

#[test]
fn readiness_follows_the_life_of_a_pipeline() {
    let telemetry = Telemetry::new();
    let reasons = || telemetry.readiness().reasons.iter().map(|why| why.reason).collect::<Vec<_>>();
    assert_eq!(reasons(), [Reason::NoPipelines]);
    let pipeline = telemetry.pipeline("p");
    assert_eq!(reasons(), [Reason::Starting]);
    pipeline.set_state(PipelineState::Running);
    assert_eq!(reasons(), [Reason::Starting], "no worker yet");
    let worker = pipeline.worker(0);
    assert_eq!(reasons(), [Reason::Connecting]);
    worker.set_state(WorkerState::Joining);
    assert_eq!(reasons(), [Reason::Joining]);
    worker.set_state(WorkerState::Restoring);
    let progress = RestoreProgress { records: 1, records_total: 4, bytes: 100 };
    let mut restoring = TaskSnapshot::new(id(1), TaskPhase::Restoring(progress));
    restoring.restoring_for = Some(Duration::from_secs(1));
    worker.publish(snapshot(0, vec![running(0, 1), restoring]));
    let readiness = telemetry.readiness();
    assert_eq!(
        readiness.reasons[0].to_string(),
        "pipeline p, worker 0, task 0_1: restored 1 of 4 changelog records (100 bytes, 0.0 MB/s, 3 s left)"
    );
    assert_eq!(readiness.reasons.len(), 1, "{readiness:?}");
    worker.publish(snapshot(0, vec![running(0, 1), running(1, 1)]));
    worker.set_state(WorkerState::Running);
    assert_eq!(telemetry.readiness(), Readiness { ready: true, reasons: Vec::new() });

    for (kind, reason) in [(FailureKind::Records, Reason::Failed), (FailureKind::DiskFull, Reason::DiskFull)] {
        let failure = Failure { kind, message: "of one task".to_owned() };
        pipeline.set_state(PipelineState::Failed { failure, retry_in: Duration::from_secs(4) });
        assert_eq!(reasons(), [reason], "the pipeline is not ready, whatever else it has said");
    }
    let samples = samples(&telemetry);
    let counted =
        |kind: &str| samples[&format!("millstream_pipeline_failures_total{{pipeline=\"p\",kind=\"{kind}\"}}")];
    assert_eq!((counted("records"), counted("disk_full")), (1.0, 1.0));

    let why = "the schema registry does not answer".to_owned();
    pipeline.set_state(PipelineState::Waiting { why, retry_in: Duration::from_millis(3_500) });
    let readiness = telemetry.readiness();
    assert_eq!(
        readiness.reasons[0].to_string(),
        "pipeline p: it waits for its schemas: the schema registry does not answer (asked again in 4 s)"
    );
    assert_eq!(reasons(), [Reason::Schema]);
    let status = serde_json::to_value(telemetry.status()).unwrap();
    assert_eq!(status["pipelines"][0]["state"], "waiting");
    assert!(status["pipelines"][0]["retry_in_seconds"].as_u64().unwrap() <= 3, "{status}");
    let samples = self::samples(&telemetry);
    let state = |name: &str| samples[&format!("millstream_pipeline_state{{pipeline=\"p\",state=\"{name}\"}}")];
    assert_eq!((state("waiting"), state("failed")), (1.0, 0.0));
    assert_eq!(samples["millstream_pipeline_failures_total{pipeline=\"p\",kind=\"records\"}"], 1.0, "a wait is none");

    pipeline.set_state(PipelineState::Stopped);
    telemetry.stopping();
    assert_eq!(reasons(), [Reason::Stopping, Reason::Stopped]);
}

#[test]
fn who_waits_says_what_may_be_why() {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("p");
    pipeline.set_state(PipelineState::Running);
    let worker = pipeline.worker(0);
    let progress = RestoreProgress { records: 1, records_total: 4, bytes: 100 };
    let mut restoring = TaskSnapshot::new(id(1), TaskPhase::Restoring(progress));
    restoring.restoring_for = Some(Duration::from_secs(1));
    for (state, tasks, begins) in [
        (WorkerState::Connecting, Vec::new(), "it looks for the broker; last error: "),
        (WorkerState::Joining, Vec::new(), "it waits for its partitions; last error: "),
        (
            WorkerState::Restoring,
            vec![restoring],
            "restored 1 of 4 changelog records (100 bytes, 0.0 MB/s, 3 s left); last error: ",
        ),
    ] {
        worker.set_state(state);
        let trouble = Some(Trouble::now("broker 2 is down (_TRANSPORT)".to_owned()));
        worker.publish(WorkerSnapshot { trouble, ..snapshot(0, tasks) });
        assert_eq!(telemetry.readiness().reasons[0].detail, format!("{begins}broker 2 is down (_TRANSPORT) (0 s ago)"));
        let status = serde_json::to_value(telemetry.status()).unwrap();
        assert_eq!(status["pipelines"][0]["workers"][0]["last_error"], "broker 2 is down (_TRANSPORT) (0 s ago)");
    }
    worker.set_state(WorkerState::Running);
    worker.publish(snapshot(0, vec![running(1, 1)]));
    assert!(telemetry.readiness().ready);
    let status = serde_json::to_value(telemetry.status()).unwrap();
    assert_eq!(status["pipelines"][0]["workers"][0].get("last_error"), None);
}

#[test]
fn a_failure_that_ends_an_attempt_counts_once() {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("p");
    let failure = Failure { kind: FailureKind::Records, message: "step a: decode: no".to_owned() };
    for attempt in 1..=3 {
        pipeline.set_state(PipelineState::Starting);
        let detail = telemetry.readiness().reasons[0].detail.clone();
        let again = if attempt == 1 { "" } else { " again, as it failed: step a: decode: no" };
        assert_eq!(detail, format!("it is being built{again}"));
        let worker = pipeline.worker(0);
        pipeline.set_state(PipelineState::Running);
        worker.failed(failure.clone());
        pipeline.set_state(PipelineState::Failed { failure: failure.clone(), retry_in: Duration::from_secs(1) });
        pipeline.restarted();
        let samples = samples(&telemetry);
        assert_eq!(samples["millstream_pipeline_failures_total{pipeline=\"p\",kind=\"records\"}"], f64::from(attempt));
        assert_eq!(samples["millstream_pipeline_restarts_total{pipeline=\"p\"}"], f64::from(attempt));
        assert_eq!(samples["millstream_workers{pipeline=\"p\",state=\"stopped\"}"], 1.0);
    }
}

#[test]
fn status_says_where_everything_stands() {
    let telemetry = busy();
    let failure = Failure { kind: FailureKind::Log, message: "no broker at localhost:19092".to_owned() };
    telemetry.pipeline("other").set_state(PipelineState::Failed { failure, retry_in: Duration::from_secs(8) });
    let status = serde_json::to_value(telemetry.status()).unwrap();
    let [candles, other] = status["pipelines"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!(candles["state"], "running");
    assert_eq!(candles["lag_records"], 2);
    assert_eq!(candles["watermark"], "2026-01-01T00:00:00.000Z");
    assert_eq!(candles["last_commit"], "2026-01-01T00:00:01.000Z");
    assert_eq!(candles["last_error"], serde_json::Value::Null);
    assert_eq!(candles["events"]["commits"], 1);
    assert_eq!(candles["steps"][0]["rows"]["rows_in"], 10);
    let restore = serde_json::json!(
        {"records": 5, "records_total": 20, "bytes": 500, "bytes_per_second": 1000, "seconds_left": 2}
    );
    assert_eq!(candles["workers"][0]["tasks"][1]["restore"], restore);
    assert_eq!(candles["workers"][0]["tasks"][0]["partitions"][0]["lag_records"], 2);
    assert_eq!((&other["state"], &other["last_error"]["kind"]), (&"failed".into(), &"log".into()));
    assert_eq!(other["lag_records"], serde_json::Value::Null, "nobody looks");
    assert!(other["retry_in_seconds"].as_u64().unwrap() <= 8);
    assert_eq!(status["ready"], false);
    assert_eq!(status["not_ready"].as_array().unwrap().len(), 2, "{status}");
}
