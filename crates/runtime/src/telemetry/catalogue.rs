//! Every metric that the exporter knows: name, kind, labels and meaning. The reference in docs/operations.md is made from
//! this table, so nothing may be exported that is not in it.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricDef {
    /// Its name, with its unit, as Prometheus practice has it.
    pub name: &'static str,
    /// What its values do.
    pub kind: MetricKind,
    /// The names of its labels. Keys, offsets and messages are never labels: their number has no bound.
    pub labels: &'static [&'static str],
    /// What it counts, in one sentence.
    pub help: &'static str,
}

/// What the values of a metric do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// They never fall while the process lives.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted by size.
    Histogram,
}

impl MetricKind {
    /// The kind as Prometheus writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: MetricDef =
            MetricDef { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };)*

        /// All metrics, in the order of the reference.
        pub const METRICS: &[MetricDef] = &[$($id),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "millstream_build_info" ["version"] "1, with the version of the program.";
    READY = Gauge "millstream_ready" []
        "1 if every worker has its partitions and their state and processes, as `/ready` says; else 0.";

    PIPELINE_UP = Gauge "millstream_pipeline_up" ["pipeline"]
        "1 while the pipeline runs; 0 while it waits, starts, has failed or has stopped.";
    PIPELINE_READY = Gauge "millstream_pipeline_ready" ["pipeline"]
        "1 if all workers of the pipeline have their partitions and state and process; else 0.";
    PIPELINE_INFO = Gauge "millstream_pipeline_info" ["pipeline", "fingerprint", "guarantee"]
        "1, with the fingerprint of the pipeline's state, as `millstream plan FILE` prints it, and its guarantee (exactly_once, at_least_once).";
    PIPELINE_STATE = Gauge "millstream_pipeline_state" ["pipeline", "state"]
        "1 for the state that the pipeline is in (waiting for a schema registry, starting, running, failed, stopped), 0 for the others.";
    PIPELINE_RESTARTS = Counter "millstream_pipeline_restarts_total" ["pipeline"]
        "How often the pipeline, or a worker of it, was built again after a failure.";
    PIPELINE_FAILURES = Counter "millstream_pipeline_failures_total" ["pipeline", "kind"]
        "Failures of the pipeline and its workers by kind (disk_full, log, state, records, configuration, internal).";
    WORKERS = Gauge "millstream_workers" ["pipeline", "state"]
        "Worker threads by state (connecting, joining, restoring, running, stopped).";
    TASKS = Gauge "millstream_tasks" ["pipeline", "phase"]
        "Tasks that this process owns by phase (restoring, running).";

    INPUT_RECORDS = Counter "millstream_input_records_total" ["pipeline"]
        "Records read from source topics, those of aborted epochs too.";
    INPUT_BYTES = Counter "millstream_input_bytes_total" ["pipeline"]
        "Bytes of key, value and headers of the records read from source topics.";
    DELETED_RECORDS = Counter "millstream_source_deleted_records_total" ["pipeline"]
        "Records that the log had deleted before they were read: retention is shorter than the pipeline's delay.";
    OUTPUT_RECORDS = Counter "millstream_output_records_total" ["pipeline"]
        "Records written to the topics of sinks and of late rows, those of aborted epochs too.";
    OUTPUT_BYTES = Counter "millstream_output_bytes_total" ["pipeline"]
        "Bytes of key, value and headers of the records written to the topics of sinks and of late rows.";
    DEAD_LETTERS = Counter "millstream_dead_letters_total" ["pipeline"]
        "Records written to the dead-letter topic.";

    STEP_INPUT_ROWS = Counter "millstream_step_input_rows_total" ["pipeline", "step"]
        "Rows that came into the step.";
    STEP_RESTORED_ROWS = Counter "millstream_step_restored_rows_total" ["pipeline", "step"]
        "Rows that stood in the step's state when one of its tasks was built.";
    STEP_OUTPUT_ROWS = Counter "millstream_step_output_rows_total" ["pipeline", "step"]
        "Rows that went out of the step: one row may become many, and many one.";
    STEP_ROWS = Counter "millstream_step_rows_total" ["pipeline", "step", "outcome"]
        "Where the step's rows went, each in one outcome (passed, filtered, late, null_key, null_value, unmatched, expired, \
         error, folded, released); input and restored rows are these and the held ones.";
    STEP_HELD_ROWS = Gauge "millstream_step_held_rows" ["pipeline", "step"]
        "Rows that the step's open state still remembers.";
    STEP_LATE_REFUSALS = Counter "millstream_step_late_refusals_total" ["pipeline", "step"]
        "Refusals of late rows by (row, window): a row may be late for some of its windows only.";
    STEP_RESULT_ERRORS = Counter "millstream_step_result_errors_total" ["pipeline", "step"]
        "Results given to `on_error` because an aggregate had no value.";

    SOURCE_LAG_RECORDS = Gauge "millstream_source_lag_records" ["pipeline", "topic", "partition"]
        "Offsets between what was read of the source partition and its committed end.";
    SOURCE_LAG_SECONDS = Gauge "millstream_source_lag_seconds" ["pipeline", "topic", "partition"]
        "How far the newest event time that was read lies behind the wall clock; 0 where everything has been read.";
    SOURCE_EVENT_TIME = Gauge "millstream_source_event_timestamp_seconds" ["pipeline", "topic", "partition"]
        "The greatest event time that was read of the source partition, in seconds since 1970.";
    SOURCE_IDLE = Gauge "millstream_source_idle" ["pipeline", "topic", "partition"]
        "1 if the source partition has been silent for so long that event time goes on without it; else 0.";
    SCHEMA_WAITING = Gauge "millstream_schema_waiting" ["pipeline", "topic", "partition"]
        "1 if records of the source partition wait for a schema of the registry; else 0.";
    SCHEMA_REQUESTS = Counter "millstream_schema_requests_total" ["outcome"]
        "Requests to the schema registry for a schema by its id (found, missing, failed).";
    REPARTITION_LAG_RECORDS = Gauge "millstream_repartition_lag_records" ["pipeline", "topic", "partition"]
        "Offsets between what was read of the pipeline's own repartition and its committed end.";
    WATERMARK = Gauge "millstream_task_watermark_timestamp_seconds" ["pipeline", "task"]
        "How far event time has come in the task, in seconds since 1970: the least watermark of its windows, aggregates and \
         repartitions that see rows of its inputs; without such a step the least of its inputs that are not idle.";
    WATERMARK_LAG = Gauge "millstream_task_watermark_lag_seconds" ["pipeline", "task"]
        "How far the task's watermark lies behind the wall clock.";
    WATERMARK_HELD = Gauge "millstream_task_watermark_held_back_seconds" ["pipeline", "task"]
        "Behind a repartition: how far the furthest of the tasks that send is ahead of the slowest, which holds windows open.";

    EPOCH_PHASE_SECONDS = Histogram "millstream_epoch_phase_seconds" ["pipeline", "phase"]
        "How long the phases of an epoch took (epoch is the whole; process, changelog, drain, offsets, commit, store).";
    RECORD_LATENCY_SECONDS = Histogram "millstream_record_latency_seconds" ["pipeline"]
        "By epoch: how old the oldest of its source records was, by its own timestamp, when the epoch was committed.";
    COMMITS = Counter "millstream_commits_total" ["pipeline"] "Epochs committed.";
    ABORTS = Counter "millstream_aborts_total" ["pipeline"] "Epochs aborted; their input was taken again.";
    FENCES = Counter "millstream_fences_total" ["pipeline"] "Producers that were fenced because another took over.";
    REBALANCES = Counter "millstream_rebalances_total" ["pipeline"]
        "Assignments and revocations of partitions, by worker.";
    PARTITIONS_LOST = Counter "millstream_partitions_lost_total" ["pipeline"]
        "How often a worker lost its partitions without a chance to commit.";
    PRODUCERS_RETIRED = Counter "millstream_producers_retired_total" ["pipeline"]
        "Producers replaced because the outcome of a commit or abort was in doubt.";
    LAST_COMMIT = Gauge "millstream_last_commit_timestamp_seconds" ["pipeline"]
        "When the pipeline committed last, in seconds since 1970; idle pipelines do not commit.";

    THROTTLE_SECONDS = Counter "millstream_broker_throttle_seconds_total" ["pipeline", "client"]
        "For how long brokers have said that they hold requests back for a quota, request by request, by the client (consumer, producer).";
    ROUND_TRIP_SECONDS = Histogram "millstream_broker_round_trip_seconds" ["pipeline"]
        "How long brokers took to answer requests with records, the way there and back included.";
    RESTORES = Counter "millstream_restores_total" ["pipeline"] "Tasks whose state was restored.";
    RESTORE_SECONDS = Counter "millstream_restore_seconds_total" ["pipeline"] "Time that restores which have ended took; tasks of a worker are restored side by side.";
    RESTORED_RECORDS = Counter "millstream_restored_records_total" ["pipeline"]
        "Changelog records read by restores that have ended.";
    RESTORED_BYTES = Counter "millstream_restored_bytes_total" ["pipeline"]
        "Changelog bytes read by restores that have ended.";
    RESTORE_PROGRESS = Gauge "millstream_restore_progress_ratio" ["pipeline", "task"]
        "The part of its changelog that a restoring task has read, from 0 to 1.";
    RESTORE_REMAINING = Gauge "millstream_restore_remaining_records" ["pipeline", "task"]
        "Changelog records that a restoring task has still to read.";
    RESTORE_READ = Gauge "millstream_restore_read_bytes" ["pipeline", "task"]
        "Changelog bytes that a restoring task has read.";
    RESTORE_LEFT = Gauge "millstream_restore_left_seconds" ["pipeline", "task"]
        "How long a restoring task takes yet, by its rate so far; absent while it has read nothing.";

    STATE_MEMORY = Gauge "millstream_state_memory_bytes" ["pipeline", "task"] "Bytes of state in memory.";
    STATE_DISK = Gauge "millstream_state_disk_bytes" ["pipeline", "task"] "Bytes of state in the store on disk.";
    STORES_QUARANTINED = Counter "millstream_stores_quarantined_total" ["pipeline"]
        "Folders of stored state that could not be trusted, and were moved aside and rebuilt.";
    CHANGELOG_LIVE = Gauge "millstream_changelog_live_bytes" ["pipeline", "task"]
        "Bytes that a restore without stored state needs of the task's changelog, about.";
    CHANGELOG_DEAD = Gauge "millstream_changelog_dead_bytes" ["pipeline", "task"]
        "Bytes of the task's changelog that newer records have made superfluous and that are not deleted yet, about.";
    CHANGELOG_LARGEST_ROW = Gauge "millstream_changelog_largest_row_bytes" ["pipeline", "task"]
        "Bytes of the largest row of state that the task has written, once one has more than half of what a record of its changelog may \
         have: a larger one than that stops the pipeline; 0 before.";
    CHANGELOG_WRITTEN = Counter "millstream_changelog_written_bytes_total" ["pipeline"] "Bytes written to changelogs.";
    TRIMS_REFUSED = Counter "millstream_trims_refused_total" ["pipeline"]
        "Records behind a changelog or repartition that could not be deleted: without that right the topics only grow.";
    TRIMS_FAILED = Counter "millstream_trims_failed_total" ["pipeline", "reason"]
        "Attempts to delete records behind a changelog or repartition that failed otherwise (leader: the partition had none; \
         timeout; policy: the topic's settings do not allow it; other).";
    FOLDER_FREE = Gauge "millstream_folder_free_bytes" ["folder"]
        "Bytes that are free for this user on the file system of the folder.";
    FOLDER_SIZE = Gauge "millstream_folder_size_bytes" ["folder"] "The size of the file system of the folder.";

    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "CPU time of the process, user and system.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Memory of the process that is resident.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Address space of the process.";
    PROCESS_THREADS = Gauge "process_threads" [] "Threads of the process.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "File descriptors that are open.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "File descriptors that may be open.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When the process began, in seconds since 1970.";
}
