//! What operators are given (alerts, dashboard, reference of metrics) fits what is exported: it is checked against the
//! exporter's catalogue here, and by promtool where that is installed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::ledger::Ledger;
use millstream_engine::time::{Millis, Watermark};
use millstream_harness::{Result, Trouble, suite, tests};
use millstream_pipeline::spec::Guarantee;
use millstream_runtime::log::kafka::{BrokerTimes, ClientKind};
use millstream_runtime::registry::SchemaCache;
use millstream_runtime::telemetry::catalogue::{METRICS, MetricDef, MetricKind};
use millstream_runtime::telemetry::{
    Event, LaneKind, LaneSnapshot, Phase, PipelineState, Speech, TaskPhase, TaskSnapshot, Telemetry, WorkerSnapshot,
    WorkerState,
};
use millstream_runtime::worker::RestoreProgress;

/// Labels that Prometheus itself adds.
const ADDED_LABELS: &[&str] = &["instance", "job"];

fn main() -> ExitCode {
    let mut tests = tests![
        metrics_in_alerts_and_dashboard_exist,
        the_reference_of_metrics_is_not_stale,
        every_alert_says_what_to_do,
    ];
    // What needs promtool.
    tests.extend([
        suite::extra("promtool_accepts_configuration_and_rules", promtool_accepts_configuration_and_rules),
        suite::extra("alerts_fire_when_they_should", alerts_fire_when_they_should),
        suite::extra("promtool_accepts_the_dashboards_expressions", promtool_accepts_the_dashboards_expressions),
        suite::extra("promtool_finds_no_fault_with_the_metrics", promtool_finds_no_fault_with_the_metrics),
    ]);
    suite::main(4, tests)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard() -> serde_json::Value {
    serde_json::from_str(&read("deploy/grafana/dashboards/millstream.json")).unwrap()
}

/// All strings under keys of this name.
fn strings_at(value: &serde_json::Value, name: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().filter(|_| key == name) {
                    Some(text) => found.push(text.to_owned()),
                    None => strings_at(value, name, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings_at(item, name, found)),
        _ => {}
    }
}

/// The expressions of the dashboard, as Prometheus would get them.
fn expressions() -> Vec<String> {
    let (mut found, dashboard) = (Vec::new(), dashboard());
    for name in ["expr", "definition"] {
        strings_at(&dashboard, name, &mut found);
    }
    let fill = |text: &String| text.replace("$__rate_interval", "1m").replace("$__interval", "1m");
    found.iter().map(fill).collect()
}

/// What stands in `text` like the name of a metric of ours, with the text behind it.
fn names(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.char_indices().filter(move |&(at, _)| !text[..at].ends_with(is_part)).map(|(at, _)| at);
    starts.filter_map(move |at| {
        let rest = &text[at..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        (name.starts_with("millstream_") || name.starts_with("process_")).then_some((name, behind))
    })
}

/// The metric that a sample of this name belongs to.
fn metric_of(name: &str) -> Option<&'static MetricDef> {
    METRICS.iter().find(|def| match def.kind {
        MetricKind::Histogram => {
            let suffix = name.strip_prefix(def.name);
            matches!(suffix, Some("_bucket" | "_sum" | "_count"))
        }
        MetricKind::Counter | MetricKind::Gauge => def.name == name,
    })
}

/// Labels in a selector or a list behind a name: `{a="x", b=~"y"}`.
fn labels_behind(behind: &str) -> Vec<&str> {
    let Some(selector) = behind.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return Vec::new() };
    let matchers = selector.0.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
    matchers.map(str::trim).filter(|label| !label.is_empty()).collect()
}

fn metrics_in_alerts_and_dashboard_exist() -> Result {
    let mut texts = vec![
        ("alerts.yml", read("deploy/prometheus/alerts.yml")),
        ("alerts_test.yml", read("deploy/prometheus/alerts_test.yml")),
    ];
    texts.extend(expressions().into_iter().map(|expression| ("the dashboard", expression)));
    let (mut complaints, mut seen) = (Vec::new(), BTreeSet::new());
    for (place, text) in &texts {
        for (name, behind) in names(text) {
            let Some(def) = metric_of(name) else {
                complaints.push(format!("{place}: there is no metric {name}"));
                continue;
            };
            seen.insert(def.name);
            for label in labels_behind(behind) {
                let of_histogram = label == "le" && def.kind == MetricKind::Histogram;
                if !def.labels.contains(&label) && !ADDED_LABELS.contains(&label) && !of_histogram {
                    complaints.push(format!("{place}: {name} has no label {label}"));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(seen.len() > 40, "only {} metrics were found: does this test still find them?", seen.len());
    Ok(())
}

const BEGIN: &str = "<!-- The table is made from the exporter's catalogue: `just reference` writes it anew. -->\n";
const END: &str = "<!-- end of the table -->\n";

fn the_reference_of_metrics_is_not_stale() -> Result {
    let path = "docs/operations.md";
    let text = read(path);
    let (head, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{path}: no table of metrics"));
    let (committed, tail) = rest.split_once(END).unwrap_or_else(|| panic!("{path}: the table has no end"));
    let table = table();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        // At once, as other tests read it meanwhile.
        let made = root().join(path).with_extension("new");
        fs::write(&made, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
        fs::rename(&made, root().join(path)).unwrap();
    } else {
        assert!(committed == table, "{path}: the table of metrics is stale: run `just reference`");
    }
    Ok(())
}

fn table() -> String {
    let mut table = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for def in METRICS {
        let labels: Vec<String> = def.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {} | {} | {} |", def.name, def.kind.as_str(), labels.join(", "), def.help).unwrap();
    }
    table
}

fn every_alert_says_what_to_do() -> Result {
    let (alerts, page) = (read("deploy/prometheus/alerts.yml"), read("docs/operations.md"));
    let alerts: BTreeSet<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let described: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|name| name.starts_with("Millstream"))
        .collect();
    assert!(alerts.len() > 15);
    assert_eq!(alerts, described, "alerts.yml and the headings of docs/operations.md differ");
    Ok(())
}

/// Runs promtool in the folder of the rules.
fn promtool(arguments: &[&str]) -> Result {
    promtool_reads(arguments, "").map(drop)
}

/// The same with a text to read; what it had to say.
fn promtool_reads(arguments: &[&str], text: &str) -> Result<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(root().join("deploy/prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = "promtool is not installed (Debian: apt-get install prometheus)".to_owned();
            return Err(Trouble::Skip { reason });
        }
        Err(error) => panic!("promtool: {error}"),
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(said.into_owned())
}

/// A process that has told something of everything.
fn busy() -> Telemetry {
    let telemetry = Telemetry::new();
    telemetry.watch_folder(".");
    telemetry.watch_schemas(SchemaCache::given([]));
    let pipeline = telemetry.pipeline("candles");
    let worker = pipeline.worker(0);
    pipeline.describe(0xab12, Guarantee::ExactlyOnce);
    pipeline.set_state(PipelineState::Running);
    worker.set_state(WorkerState::Running);
    worker.observe(Phase::Epoch, Duration::from_millis(3));
    let round_trips = vec![Duration::from_millis(2)];
    let times = BrokerTimes { throttled: Duration::from_millis(40), round_trips };
    worker.observe_brokers(ClientKind::Producer, &times);
    worker.count(Event::Commit);
    let task = |partition| TaskId { subtopology: 0, partition: PartitionId(partition) };
    let progress = RestoreProgress { records: 5, records_total: 20, bytes: 500 };
    worker.restored(progress, Duration::from_millis(500));
    let lane = |topic: &str, kind| LaneSnapshot {
        topic: topic.to_owned(),
        partition: PartitionId(0),
        kind,
        next: Offset(40),
        end: Offset(42),
        newest_event_time: Some(Millis(1_767_225_600_000)),
        speech: Speech::Speaking,
        waits: None,
    };
    let ledger = Ledger { rows_in: 10, rows_out: 9, passed: 9, held: 1, ..Ledger::default() };
    let running = TaskSnapshot {
        lanes: vec![lane("trades", LaneKind::Source), lane("p-by-repartition", LaneKind::Repartition)],
        watermark: Some(Watermark(1_767_225_600_000)),
        held_back: Some(Millis(0)),
        ledgers: vec![("sources.trades".to_owned(), ledger)],
        ..TaskSnapshot::new(task(0), TaskPhase::Running)
    };
    let restoring = TaskSnapshot::new(task(1), TaskPhase::Restoring(progress));
    let last_commit = Some(Millis(1_767_225_601_000));
    worker.publish(WorkerSnapshot { tasks: vec![running, restoring], last_commit, ..WorkerSnapshot::default() });
    telemetry
}

fn promtool_finds_no_fault_with_the_metrics() -> Result {
    let text = busy().metrics_text();
    for def in METRICS {
        assert!(text.contains(&format!("# TYPE {} ", def.name)), "{} is not there", def.name);
    }
    let said = promtool_reads(&["check", "metrics"], &text)?;
    assert!(said.is_empty(), "{said}");
    Ok(())
}

fn promtool_accepts_configuration_and_rules() -> Result {
    promtool(&["check", "config", "prometheus.yml"])?;
    promtool(&["check", "rules", "alerts.yml"])
}

fn alerts_fire_when_they_should() -> Result {
    promtool(&["test", "rules", "alerts_test.yml"])
}

fn promtool_accepts_the_dashboards_expressions() -> Result {
    let queries: Vec<String> = expressions().into_iter().filter(|text| !text.starts_with("label_values(")).collect();
    assert!(queries.len() > 40, "only {} expressions were found", queries.len());
    let rules: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(at, query)| serde_json::json!({"record": format!("dashboard:query:{at}"), "expr": query}))
        .collect();
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    // JSON is YAML.
    fs::write(file.path(), serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()])
}
