//! `millstream status`: how a running instance is, as it says itself over HTTP.

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use millstream_runtime::http::client::{self, Answer, AskError};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::render::{DIM, ERROR, GOOD, RESET, count, table};
use crate::settings::Connection;

/// How a running instance is: its pipelines, lag, watermarks, last commits and errors. Exit code 0 if it is ready, else 1.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Where the instance listens. By default `http.listen` of the settings.
    #[arg(long, value_name = "HOST:PORT", env = "MILLSTREAM_HTTP__LISTEN")]
    address: Option<String>,
    /// The settings file. By default config/millstream.yaml or, without that, /etc/millstream/millstream.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only whether the process answers, for health checks of containers: prints nothing if it does.
    #[arg(long, conflicts_with = "json")]
    live: bool,
    /// All of it as JSON, as `/status` has it.
    #[arg(long)]
    json: bool,
}

/// An instance that takes longer is not well.
const WITHIN: Duration = Duration::from_secs(4);

impl Status {
    pub(crate) fn run(self) -> crate::Outcome {
        let addresses = self.addresses()?;
        if self.live {
            let (address, answer) = ask(&addresses, "/live")?;
            return if answer.code == 200 { Ok(Exit::Well) } else { Err(foreign(address)) };
        }
        let (address, answer) = ask(&addresses, "/status")?;
        let status: Option<Value> = serde_json::from_str(&answer.body).ok();
        let status = status.filter(|status| status["ready"].is_boolean()).ok_or_else(|| foreign(address))?;
        let shown = if self.json { answer.body } else { shown(address, &status) };
        out!("{shown}");
        Ok(if status["ready"] == true { Exit::Well } else { Exit::RunFailed })
    }
}

impl Status {
    /// Where to ask. An empty address is one that was not set, as settings have it. The settings are read only if nothing else
    /// says where, and of them `http` alone: a health check should not depend on them.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(address) = self.address.as_deref().filter(|address| !address.is_empty()) {
            return addresses(address);
        }
        let with_address = "Name the instance's http.listen with --address: then no settings are read.";
        let effective = Connection::at(self.config.clone(), None)
            .load_section("http")
            .map_err(|failure| failure.help(with_address))?;
        let http = effective.settings.http;
        if !http.enabled {
            let origin = effective.origin(&["http", "enabled"]);
            return Err(
                Failure::run(format!("{origin}: `http.enabled` is false, so nobody answers")).help(with_address)
            );
        }
        Ok(vec![client::reach(http.listen)])
    }
}

/// Somebody answers, and is not an instance.
fn foreign(address: SocketAddr) -> Failure {
    Failure::run(format!("what answers on {address} is not millstream's http port"))
        .help("Name the instance's http.listen with --address.")
}

/// What an address stands for.
fn addresses(written: &str) -> Result<Vec<SocketAddr>, Failure> {
    let help = "An address is HOST:PORT, such as 127.0.0.1:9464: --address names it, or MILLSTREAM_HTTP__LISTEN.";
    let port = written.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        return Err(Failure::usage(format!("`{written}` is not an address with a port")).help(help));
    }
    match written.to_socket_addrs() {
        Ok(found) => Ok(found.map(client::reach).collect()),
        Err(error) => Err(Failure::run(format!("cannot find the address of {written}: {error}")).help(help)),
    }
}

/// Asks at the first of the addresses of a name where somebody listens: a machine may have another address for it than the one that
/// is listened on.
fn ask(addresses: &[SocketAddr], path: &str) -> Result<(SocketAddr, Answer), Failure> {
    let mut failure = Failure::run("the name of the instance stands for no address");
    for &address in addresses {
        match client::get(address, path, WITHIN) {
            Ok(answer) => return Ok((address, answer)),
            Err(error @ AskError::Refused { .. }) => {
                failure = Failure::run(error.to_string()).help(format!(
                    "Is `millstream run` running? Name its http.listen with --address if it is not {address}."
                ));
            }
            Err(other) => failure = Failure::run(other.to_string()),
        }
    }
    Err(failure)
}

/// The status in words and a table.
fn shown(address: SocketAddr, status: &Value) -> String {
    let ready =
        if status["ready"] == true { format!("{GOOD}ready{RESET}") } else { format!("{ERROR}not ready{RESET}") };
    let up = duration(number(&status["uptime_seconds"]));
    let mut shown = format!("millstream {} on {address}: {ready}, up {up}\n", text(&status["version"]));
    for why in list(&status["not_ready"]) {
        let about: Vec<String> = ["pipeline", "worker", "task"]
            .into_iter()
            .filter(|name| !why[name].is_null())
            .map(|name| format!("{name} {}", text(&why[name])))
            .collect();
        let colon = if about.is_empty() { "" } else { ": " };
        // Writing into a string cannot fail.
        let _ = writeln!(shown, "  {}{colon}{}", about.join(", "), text(&why["detail"]));
    }
    let rows = rows(status);
    if !rows.is_empty() {
        let _ = writeln!(shown, "{rows}");
    }
    for pipeline in list(&status["pipelines"]).filter(|pipeline| !pipeline["last_error"].is_null()) {
        let error = &pipeline["last_error"];
        let _ = writeln!(
            shown,
            "{}: last error {} {DIM}({}, {} since the start){RESET}\n  {}",
            text(&pipeline["name"]),
            text(&error["at"]),
            text(&error["kind"]),
            count(number(&pipeline["events"]["restarts"]), "restart"),
            text(&error["message"])
        );
    }
    shown
}

/// One row a pipeline.
fn rows(status: &Value) -> Table {
    let mut rows = table(["pipeline", "state", "tasks", "records in", "out", "behind", "watermark", "last commit"]);
    for pipeline in list(&status["pipelines"]) {
        rows.add_row([
            text(&pipeline["name"]),
            text(&pipeline["state"]),
            list(&pipeline["workers"]).map(|worker| list(&worker["tasks"]).count()).sum::<usize>().to_string(),
            text(&pipeline["traffic"]["records_in"]),
            text(&pipeline["traffic"]["records_out"]),
            text(&pipeline["lag_records"]),
            text(&pipeline["watermark"]),
            text(&pipeline["last_commit"]),
        ]);
    }
    rows
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The two greatest units of so many seconds: `2 d 3 h`, `4 min 5 s`.
fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut shown: Vec<String> = Vec::new();
    for (size, unit) in parts {
        let number = left / size;
        left %= size;
        if (number > 0 || (unit == "s" && shown.is_empty())) && shown.len() < 2 {
            shown.push(format!("{number} {unit}"));
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, shown) in
            [(0, "0 s"), (59, "59 s"), (245, "4 min 5 s"), (7_200, "2 h"), (183_845, "2 d 3 h"), (86_401, "1 d 1 s")]
        {
            assert_eq!(duration(seconds), shown);
        }
    }
}
