//! `millstream status` beside an instance that this process plays.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::time::Duration;

use millstream_runtime::http::{self, HttpServer};
use millstream_runtime::telemetry::{
    Failure, FailureKind, PipelineState, Telemetry, Traffic, WorkerSnapshot, WorkerState,
};

fn instance() -> (Telemetry, HttpServer) {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("candles");
    let worker = pipeline.worker(0);
    pipeline.set_state(PipelineState::Running);
    let traffic = Traffic { records_in: 1234, records_out: 56, ..Traffic::default() };
    worker.publish(WorkerSnapshot { traffic, ..WorkerSnapshot::default() });
    worker.set_state(WorkerState::Running);
    let server = http::serve("127.0.0.1:0".parse().unwrap(), telemetry.clone()).unwrap();
    (telemetry, server)
}

/// Runs `millstream status` and returns its exit code, and what it wrote to each stream.
fn status(address: SocketAddr, arguments: &[&str]) -> (i32, String, String) {
    finish(
        Command::new(env!("CARGO_BIN_EXE_millstream"))
            .arg("status")
            .args(["--address", &address.to_string()])
            .args(arguments),
    )
}

fn finish(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_ready_instance_is_shown() {
    let (_telemetry, server) = instance();
    let (code, out, _) = status(server.address(), &[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains(": ready, up ") && !out.contains("last error"), "{out}");
    let row = out.lines().find(|line| line.contains("candles")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["candles", "running", "0", "1234", "56", "-", "-", "-"]);
    assert_eq!(status(server.address(), &["--live"]), (0, String::new(), String::new()));
    let (code, out, _) = status(server.address(), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["pipelines"][0]["traffic"]["records_in"]), (0, &1234.into()));
}

#[test]
fn a_failed_pipeline_is_not_ready_and_says_why() {
    let (telemetry, server) = instance();
    let failure = Failure { kind: FailureKind::Log, message: "topic trades does not exist".to_owned() };
    telemetry.pipeline("candles").set_state(PipelineState::Failed { failure, retry_in: Duration::from_secs(60) });
    let (code, out, _) = status(server.address(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("not ready"), "{out}");
    assert!(out.contains("  pipeline candles: topic trades does not exist (tried again in "), "{out}");
    assert!(out.contains("candles: last error 20") && out.contains("(log, 0 restarts since the start)"), "{out}");
    assert_eq!(status(server.address(), &["--live"]).0, 0, "it lives");
}

#[test]
fn a_pipeline_that_waits_for_the_registry_is_not_said_to_have_failed() {
    let (telemetry, server) = instance();
    let why = "the schema registry does not answer: http://registry:8081: refused".to_owned();
    telemetry.pipeline("candles").set_state(PipelineState::Waiting { why, retry_in: Duration::from_secs(60) });
    let (code, out, _) = status(server.address(), &[]);
    assert_eq!(code, 1);
    let says =
        "  pipeline candles: it waits for its schemas: the schema registry does not answer: http://registry:8081";
    assert!(out.contains(says) && out.contains(" waiting "), "{out}");
    assert!(!out.contains("last error") && !out.contains("failed"), "{out}");
}

#[test]
fn nobody_there_is_said_so() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [&[][..], &["--live"]] {
        let (code, out, err) = status(address, arguments);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains(&format!("error: nobody listens on {address}")) && err.contains("help: Is"), "{err}");
    }
}

#[test]
fn an_instance_is_found_by_a_name_and_by_the_environment() {
    let (_telemetry, server) = instance();
    // Which may stand for another address first, on which nobody listens.
    let name = format!("localhost:{}", server.address().port());
    let asked = |variable: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        finish(command.arg("status").args(arguments).env("MILLSTREAM_HTTP__LISTEN", variable))
    };
    assert_eq!(asked("", &["--address", &name, "--live"]), (0, String::new(), String::new()));
    assert_eq!(asked(&name, &["--live"]), (0, String::new(), String::new()));
    // A compose file sets what is not set to nothing.
    let (code, _, err) = asked("", &["--live"]);
    assert!(code != 2 && !err.contains("not an address"), "{err}");
    for wrong in ["localhost", "localhost:", "localhost:http", "localhost:0"] {
        let (code, _, err) = asked("", &["--address", wrong]);
        assert!(code == 2 && err.contains(&format!("`{wrong}` is not an address with a port\nhelp: ")), "{err}");
    }
    let (code, _, err) = asked("nowhere.invalid:9464", &[]);
    assert!(code == 1 && err.contains("cannot find the address of nowhere.invalid:9464: "), "{err}");
}

#[test]
fn an_instance_is_found_by_its_settings() {
    let (_telemetry, server) = instance();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("config/millstream.yaml", &format!("http: {{listen: '0.0.0.0:{}'}}\n", server.address().port()));
    write("other.yaml", "http: {listen: '127.0.0.1:1'}\n");
    write("off.yaml", "http: {enabled: false}\n");
    write("wrong.yaml", "htpp: {}\n");
    let secrets = "kafka: {sasl.password: '${env:GONE}'}\nthreads: ${env:GONE}\nschema_registry: {urls: 'http://r:8081', username: u, \
                   password: '${file:gone}'}\n";
    write("secrets.yaml", &format!("{secrets}http: {{listen: '0.0.0.0:{}'}}\n", server.address().port()));
    write("hidden.yaml", "http:\n  listen: ${env:GONE}\n");
    let asked = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.arg("status").args(arguments).current_dir(folder.path());
        finish(command.env_remove("MILLSTREAM_HTTP__LISTEN").env_remove("KAFKA_BROKER_ADDRESS"))
    };
    assert_eq!(asked(&["--live"]), (0, String::new(), String::new()));
    let (code, _, err) = asked(&["--live", "--config", "other.yaml"]);
    assert!(code == 1 && err.contains("nobody listens on 127.0.0.1:1"), "{err}");
    let (code, _, err) = asked(&["--config", "off.yaml"]);
    assert!(code == 1 && err.contains("error: off.yaml:1: `http.enabled` is false"), "{err}");
    assert_eq!(asked(&["--live", "--config", "secrets.yaml"]), (0, String::new(), String::new()));
    let (code, _, err) = asked(&["--config", "hidden.yaml"]);
    assert!(code == 2 && err.contains("hidden.yaml:2:11") && err.contains("`GONE` is not set"), "{err}");
    let (code, _, err) = asked(&["--config", "wrong.yaml"]);
    assert!(code == 2 && err.contains("wrong.yaml:1:1") && err.contains("with --address"), "{err}");
    let address = server.address().to_string();
    assert_eq!(asked(&["--live", "--config", "wrong.yaml", "--address", &address]).0, 0, "no settings are read");
}

#[test]
fn somebody_else_who_answers_is_said_so() {
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = foreign.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in foreign.incoming().map(Result::unwrap) {
            let request = BufReader::new(&stream).lines().map(Result::unwrap);
            let request: Vec<String> = request.take_while(|line| !line.is_empty()).collect();
            // JSON too may be somebody else's.
            let (code, body) = if request[0].contains("/status") { ("200 OK", "{}") } else { ("404 Not Found", "") };
            let length = body.len();
            let answer = format!("HTTP/1.1 {code}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
    });
    for arguments in [&[][..], &["--live"], &["--json"]] {
        let (code, out, err) = status(address, arguments);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(
            err.contains(&format!("error: what answers on {address} is not millstream's http port\nhelp:")),
            "{err}"
        );
    }
}
