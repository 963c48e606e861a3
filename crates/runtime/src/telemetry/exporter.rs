//! From what is known to metrics: events, sums and snapshots as Prometheus' text.

use millstream_engine::ledger::Ledger;
use millstream_engine::time::Millis;
use prometheus::core::Collector;
use prometheus::{Encoder, TextEncoder};

use super::Shared;
use super::catalogue::*;
use super::families::Families;
use super::pipeline::{PipelineRecord, Standing};
use super::snapshot::{LaneKind, LaneSnapshot, Speech, TaskSnapshot};
use super::state::{Event, FailureKind, PipelineState, TaskPhase, WorkerState};
use super::totals::{StepTotals, Totals};
use super::{process, readiness, status};
use crate::log::kafka::ClientKind;

/// All metrics at `now`, by the wall clock.
pub(super) fn text(shared: &Shared, now: Millis) -> String {
    let mut families = Families::default();
    families.count(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    families.count(&READY, &[], u64::from(readiness::of(shared).ready));
    for record in shared.pipelines() {
        let (standing, totals) = record.standing();
        pipeline(&mut families, &record, &standing);
        events(&mut families, &record);
        sums(&mut families, record.name(), &totals);
        for (_, snapshot) in standing.tasks() {
            task(&mut families, record.name(), snapshot, now);
        }
    }
    if let Some(counts) = shared.schema_requests() {
        for (outcome, count) in [("found", counts.found), ("missing", counts.missing), ("failed", counts.failed)] {
            families.count(&SCHEMA_REQUESTS, &[outcome], count);
        }
    }
    machine(&mut families, shared);
    let mut families = families.into_families();
    // A family without a sample has no place in the text.
    let histograms = [&shared.phases, &shared.latencies, &shared.round_trips].map(Collector::collect);
    families.extend(histograms.into_iter().flatten().filter(|family| !family.get_metric().is_empty()));
    families.sort_by(|one, other| one.name().cmp(other.name()));
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&families, &mut bytes).expect("families of the catalogue have names and samples");
    String::from_utf8(bytes).expect("the encoder writes text")
}

fn pipeline(families: &mut Families, record: &PipelineRecord, standing: &Standing) {
    let name = record.name();
    families.count(&PIPELINE_UP, &[name], u64::from(standing.state == PipelineState::Running));
    families.count(&PIPELINE_READY, &[name], u64::from(readiness::of_pipeline(record, standing).is_empty()));
    if let Some(about) = &standing.about {
        families.count(&PIPELINE_INFO, &[name, &about.fingerprint, about.guarantee], 1);
    }
    families.one_of(&PIPELINE_STATE, &[name], &PipelineState::NAMES, standing.state.as_str());
    for state in WorkerState::NAMES {
        let workers = standing.workers.values().filter(|worker| worker.state.as_str() == state).count();
        families.count(&WORKERS, &[name, state], workers as u64);
    }
    for phase in TaskPhase::NAMES {
        let tasks = standing.tasks().filter(|(_, task)| task.phase.as_str() == phase).count();
        families.count(&TASKS, &[name, phase], tasks as u64);
    }
    if let Some(commit) = standing.last_commit {
        families.add(&LAST_COMMIT, &[name], seconds(commit));
    }
}

fn events(families: &mut Families, record: &PipelineRecord) {
    let name = record.name();
    for (def, event) in [
        (&COMMITS, Event::Commit),
        (&ABORTS, Event::Abort),
        (&FENCES, Event::Fence),
        (&REBALANCES, Event::Rebalance),
        (&PARTITIONS_LOST, Event::PartitionsLost),
        (&PRODUCERS_RETIRED, Event::ProducerRetired),
        (&STORES_QUARANTINED, Event::StoreQuarantined),
        (&TRIMS_REFUSED, Event::TrimRefused),
    ] {
        families.count(def, &[name], record.counted(event));
    }
    for (reason, event) in [
        ("leader", Event::TrimWithoutLeader),
        ("timeout", Event::TrimTimedOut),
        ("policy", Event::TrimAgainstPolicy),
        ("other", Event::TrimFailed),
    ] {
        families.count(&TRIMS_FAILED, &[name, reason], record.counted(event));
    }
    families.count(&PIPELINE_RESTARTS, &[name], record.restarts());
    for kind in FailureKind::ALL {
        families.count(&PIPELINE_FAILURES, &[name, kind.as_str()], record.failures(kind));
    }
    for client in ClientKind::ALL {
        families.add(&THROTTLE_SECONDS, &[name, client.as_str()], record.throttled(client).as_secs_f64());
    }
    let restores = record.restores();
    families.count(&RESTORES, &[name], restores.count);
    families.count(&RESTORED_RECORDS, &[name], restores.records);
    families.count(&RESTORED_BYTES, &[name], restores.bytes);
    families.add(&RESTORE_SECONDS, &[name], restores.took.as_secs_f64());
}

fn sums(families: &mut Families, pipeline: &str, totals: &Totals) {
    for (def, count) in [
        (&INPUT_RECORDS, totals.traffic.records_in),
        (&INPUT_BYTES, totals.traffic.bytes_in),
        (&DELETED_RECORDS, totals.traffic.records_deleted),
        (&OUTPUT_RECORDS, totals.traffic.records_out),
        (&OUTPUT_BYTES, totals.traffic.bytes_out),
        (&DEAD_LETTERS, totals.traffic.dead_letters),
        (&CHANGELOG_WRITTEN, totals.changelog_written_bytes),
    ] {
        families.count(def, &[pipeline], count);
    }
    for (name, totals) in &totals.steps {
        step(families, &[pipeline, name], totals);
    }
}

fn step(families: &mut Families, labels: &[&str; 2], totals: &StepTotals) {
    let ledger = &totals.ledger;
    for (def, count) in [
        (&STEP_INPUT_ROWS, ledger.rows_in),
        (&STEP_RESTORED_ROWS, ledger.restored),
        (&STEP_OUTPUT_ROWS, ledger.rows_out),
        (&STEP_HELD_ROWS, ledger.held),
        (&STEP_LATE_REFUSALS, ledger.late),
        (&STEP_RESULT_ERRORS, ledger.result_errors),
    ] {
        families.count(def, labels, count);
    }
    for (outcome, count) in outcomes(ledger, totals.released) {
        families.count(&STEP_ROWS, &[labels[0], labels[1], outcome], count);
    }
}

/// The classes of the ledger's balance that only grow, and the rows that went with their tasks.
fn outcomes(ledger: &Ledger, released: u64) -> [(&'static str, u64); 10] {
    [
        ("passed", ledger.passed),
        ("filtered", ledger.filtered),
        ("late", ledger.late_rows),
        ("null_key", ledger.null_key),
        ("null_value", ledger.null_value),
        ("unmatched", ledger.unmatched),
        ("expired", ledger.expired),
        ("error", ledger.errors),
        ("folded", ledger.folded),
        ("released", released),
    ]
}

fn task(families: &mut Families, pipeline: &str, task: &TaskSnapshot, now: Millis) {
    let id = task.id.to_string();
    let labels = [pipeline, id.as_str()];
    for (def, bytes) in [
        (&STATE_MEMORY, task.state_memory_bytes),
        (&STATE_DISK, task.state_disk_bytes),
        (&CHANGELOG_LIVE, task.changelog_live_bytes),
        (&CHANGELOG_DEAD, task.changelog_dead_bytes),
        (&CHANGELOG_LARGEST_ROW, task.changelog_largest_row_bytes),
    ] {
        families.count(def, &labels, bytes);
    }
    if let Some(watermark) = task.watermark.and_then(status::point) {
        families.add(&WATERMARK, &labels, seconds(watermark));
        families.add(&WATERMARK_LAG, &labels, seconds(now.minus(watermark)));
    }
    if let Some(held_back) = task.held_back {
        families.add(&WATERMARK_HELD, &labels, seconds(held_back));
    }
    if let Some(pace) = task.restore() {
        let progress = pace.progress;
        let total = progress.records_total.max(1);
        families.add(&RESTORE_PROGRESS, &labels, progress.records.min(total) as f64 / total as f64);
        families.count(&RESTORE_REMAINING, &labels, progress.records_total.saturating_sub(progress.records));
        families.count(&RESTORE_READ, &labels, progress.bytes);
        if let Some(left) = pace.left() {
            families.add(&RESTORE_LEFT, &labels, left.as_secs_f64());
        }
    }
    for lane in &task.lanes {
        self::lane(families, pipeline, lane, now);
    }
}

fn lane(families: &mut Families, pipeline: &str, lane: &LaneSnapshot, now: Millis) {
    let partition = lane.partition.to_string();
    let labels = [pipeline, lane.topic.as_str(), partition.as_str()];
    if lane.kind == LaneKind::Repartition {
        families.count(&REPARTITION_LAG_RECORDS, &labels, lane.lag());
        return;
    }
    families.count(&SOURCE_LAG_RECORDS, &labels, lane.lag());
    families.count(&SOURCE_IDLE, &labels, u64::from(lane.speech == Speech::Idle));
    families.count(&SCHEMA_WAITING, &labels, u64::from(lane.waits.is_some()));
    if let Some(time) = lane.newest_event_time {
        families.add(&SOURCE_EVENT_TIME, &labels, seconds(time));
        let behind = if lane.lag() == 0 { Millis(0) } else { now.minus(time) };
        families.add(&SOURCE_LAG_SECONDS, &labels, seconds(behind));
    }
}

fn machine(families: &mut Families, shared: &Shared) {
    let usage = process::usage();
    for (def, value) in [
        (&PROCESS_CPU, usage.cpu_seconds),
        (&PROCESS_RESIDENT, usage.resident_bytes.map(|bytes| bytes as f64)),
        (&PROCESS_VIRTUAL, usage.virtual_bytes.map(|bytes| bytes as f64)),
        (&PROCESS_THREADS, usage.threads.map(|count| count as f64)),
        (&PROCESS_OPEN_FDS, usage.open_fds.map(|count| count as f64)),
        (&PROCESS_MAX_FDS, usage.max_fds.map(|count| count as f64)),
        (&PROCESS_START, usage.started_seconds),
    ] {
        if let Some(value) = value {
            families.add(def, &[], value);
        }
    }
    for folder in shared.folders() {
        if let Some(space) = process::space(&folder) {
            let folder = folder.display().to_string();
            families.count(&FOLDER_FREE, &[&folder], space.free_bytes);
            families.count(&FOLDER_SIZE, &[&folder], space.size_bytes);
        }
    }
}

fn seconds(time: Millis) -> f64 {
    time.0 as f64 / 1000.0
}
