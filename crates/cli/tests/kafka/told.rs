//! What a daemon says of a pipeline that stands: the error lines of its log, and `/status`. A name alone proves nothing: topics,
//! groups and addresses are in other lines too.

use std::time::Duration;

use millstream_harness::{Daemon, Result, ensure, wait};
use serde_json::Value;

/// Lines of the log, as far as they are JSON.
pub(crate) fn lines(daemon: &Daemon) -> Vec<Value> {
    daemon.output.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What `/status` says of a pipeline.
pub(crate) fn standing(daemon: &Daemon, pipeline: &str) -> Result<Value> {
    let status = daemon.status()?;
    let mut pipelines = status["pipelines"].as_array().into_iter().flatten();
    Ok(pipelines.find(|one| one["name"] == pipeline).ok_or_else(|| format!("no {pipeline}: {status}"))?.clone())
}

/// Waits until a pipeline stands and why is told, with all of these words in one line of level `error` and in `last_error` of
/// `/status`; and not ready it is, while the process goes on. Gives the line.
pub(crate) fn wait_for_error(daemon: &mut Daemon, pipeline: &str, words: &[&str], within: Duration) -> Result<Value> {
    let has_all = |message: &Value| message.as_str().is_some_and(|said| words.iter().all(|word| said.contains(word)));
    let is_it = |line: &Value| line["level"] == "error" && line["pipeline"] == pipeline && has_all(&line["message"]);
    let look = || {
        let last = standing(daemon, pipeline)?["last_error"]["message"].clone();
        Ok((lines(daemon).into_iter().find(is_it), last, daemon.get("/ready")?.status))
    };
    let told = wait::until(&format!("an error with {words:?}"), within, look, |(line, last, ready)| {
        line.is_some() && has_all(last) && *ready == 503
    });
    let (line, ..) = told.map_err(|late| format!("{late}\n{}", daemon.output.tail(20)))?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(line.unwrap_or_default())
}
