//! A bug that panics: it is told so that somebody can find it, its pipeline begins again, and nobody else notices.

use std::time::Duration;

use millstream_harness::process::Signal;
use millstream_harness::{Daemon, Result, ensure, suite, tests, wait};
use serde_json::Value;

use crate::scenario::{READY, SHORT_CYCLES, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![a_panic_is_told_and_its_pipeline_begins_again]
}

/// Log lines that say what we look for.
fn lines(daemon: &Daemon, what: &str) -> Vec<Value> {
    let said = daemon.output.text();
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"].as_str().is_some_and(|message| message.contains(what))).collect()
}

/// `(restarts, last error)` of a pipeline.
fn standing(daemon: &Daemon, pipeline: &str) -> Result<(u64, String)> {
    let status = daemon.status()?;
    let pipelines = status["pipelines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found =
        pipelines.iter().find(|one| one["name"] == pipeline).ok_or_else(|| format!("no {pipeline}: {status}"))?;
    Ok((found["events"]["restarts"].as_u64().unwrap_or(0), found["last_error"].to_string()))
}

fn a_panic_is_told_and_its_pipeline_begins_again() -> Result {
    let (mut one, mut two) = (Scenario::new("panics")?, Scenario::new("panics-bystander")?);
    // One while a pipeline is prepared, then two in tasks, of whichever comes by.
    let task = "worker.panic=40*off->1*panic(a bug of the test)->40*off->1*panic(a bug of the test)";
    let failpoints = format!("{SHORT_CYCLES};daemon.panic=1*panic(unprepared);{task}");
    let daemon = one.daemon("a").args([two.pipeline().display().to_string()]).env("FAILPOINTS", failpoints);
    let mut daemon = daemon.start()?;
    daemon.wait_until_ready(READY)?;
    let unprepared = lines(&daemon, "internal error: unprepared; this is a bug");
    ensure!(unprepared.len() == 1 && unprepared[0]["pipeline"].is_string(), "{unprepared:?}");
    // A topic that was just made may have been missed at first.
    let before = [standing(&daemon, &one.group())?.0, standing(&daemon, &two.group())?.0];
    let loads = (one.begin_load(500)?, two.begin_load(500)?);
    let reports = |daemon: &Daemon| lines(daemon, "internal error: a bug of the test; this is a bug");
    wait::until("two crash reports", READY, || Ok(reports(&daemon)), |reports| reports.len() == 2)?;
    std::thread::sleep(Duration::from_secs(1));
    one.end_load(loads.0)?;
    two.end_load(loads.1)?;
    for scenario in [&mut one, &mut two] {
        scenario.settle().map_err(|trouble| format!("{trouble}\n{}", daemon.output.tail(30)))?;
    }
    let reports = reports(&daemon);
    for report in &reports {
        let text = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
        ensure!([one.group(), two.group()].contains(&text("pipeline")), "no pipeline: {report}");
        ensure!(text("task").contains('_') && report["thread"].is_u64(), "no task or no thread: {report}");
        ensure!(text("location").contains(".rs:") && !text("version").is_empty(), "no place: {report}");
        ensure!(text("backtrace").contains("millstream_runtime::worker"), "nothing of ours: {report}");
    }
    for (scenario, before) in [&one, &two].into_iter().zip(before) {
        let (restarts, last_error) = standing(&daemon, &scenario.group())?;
        let hit = reports.iter().filter(|report| report["pipeline"] == scenario.group().as_str()).count() as u64;
        ensure!(
            restarts == before + hit,
            "{} was hit {hit} times, and restarted {before} and {restarts} times: {}",
            scenario.group(),
            daemon.output.tail(20)
        );
        ensure!(hit == 0 || last_error.contains("internal error: a bug of the test"), "{last_error}");
        let failures =
            format!("millstream_pipeline_failures_total{{pipeline=\"{}\",kind=\"internal\"}} ", scenario.group());
        let unprepared = unprepared.iter().filter(|report| report["pipeline"] == scenario.group().as_str()).count();
        let counted = daemon.metric(&failures)?.unwrap_or(0.0);
        ensure!(counted == (hit + unprepared as u64) as f64, "{failures}{counted}");
    }
    daemon.process.signal(Signal::TERM);
    let status = daemon.process.wait(Duration::from_secs(6))?;
    ensure!(status.success(), "{status}: {}", daemon.output.tail(20));
    Ok(())
}
