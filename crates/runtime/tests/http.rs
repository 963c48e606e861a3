//! The daemon's port from outside, over plain sockets: what it answers, and that no client can hold it up.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use millstream_runtime::http::client::{self, AskError};
use millstream_runtime::http::{HttpError, HttpServer, serve};
use millstream_runtime::telemetry::{Failure, FailureKind, PipelineState, Telemetry, WorkerSnapshot, WorkerState};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Telemetry of one pipeline that is ready.
fn ready() -> Telemetry {
    let telemetry = Telemetry::new();
    let pipeline = telemetry.pipeline("candles");
    let worker = pipeline.worker(0);
    pipeline.set_state(PipelineState::Running);
    worker.publish(WorkerSnapshot::default());
    worker.set_state(WorkerState::Running);
    telemetry
}

fn connect(server: &HttpServer) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends `request` as it is and returns the status code, the headers and the body.
fn exchange(server: &HttpServer, request: &str) -> (u16, String, String) {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), body.to_owned())
}

fn get(server: &HttpServer, path: &str) -> (u16, String, String) {
    exchange(server, &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"))
}

#[test]
fn metrics_are_in_prometheus_text() {
    let server = serve(ANY_PORT, ready()).unwrap();
    assert_ne!(server.address().port(), 0);
    let (code, head, body) = get(&server, "/metrics");
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nmillstream_ready 1\n"), "{body}");
    assert!(body.contains("\nmillstream_commits_total{pipeline=\"candles\"} 0\n"), "{body}");
}

#[test]
fn readiness_and_status_tell_the_truth() {
    let telemetry = ready();
    let server = serve(ANY_PORT, telemetry.clone()).unwrap();
    assert_eq!(get(&server, "/live").0, 200);
    let (code, head, body) = get(&server, "/ready");
    assert_eq!((code, head.contains("application/json")), (200, true), "{body}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["ready"], true);

    let failure = Failure { kind: FailureKind::Log, message: "topic trades: authorization failed".to_owned() };
    telemetry.pipeline("candles").set_state(PipelineState::Failed { failure, retry_in: Duration::from_secs(5) });
    let (code, _, body) = get(&server, "/ready");
    assert_eq!(code, 503);
    let said: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&said["reasons"][0]["reason"], &said["reasons"][0]["pipeline"]), (&"failed".into(), &"candles".into()));
    assert!(body.contains("authorization failed"), "{body}");
    assert_eq!(get(&server, "/live").0, 200, "a failed pipeline is no reason to kill the process");

    let (code, _, body) = get(&server, "/status");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &status["ready"]), (200, &false.into()));
    assert_eq!(status["pipelines"][0]["last_error"]["message"], "topic trades: authorization failed");
}

#[test]
fn who_asks_for_something_else_is_told_what_there_is() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let (code, _, body) = get(&server, "/metricz?x=1");
    assert_eq!(code, 404);
    assert!(
        body.contains("there is no /metricz;") && body.contains("/metrics ") && body.contains("/status "),
        "{body}"
    );
    let (code, _, body) = get(&server, "/");
    assert!(code == 200 && body.starts_with("millstream ") && body.contains("/ready "), "{body}");
    let (code, head, _) = exchange(&server, "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n");
    assert!(code == 405 && head.contains("allow: get"), "{head}");
    let (code, _, body) = exchange(&server, "HEAD /ready HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!((code, body.as_str()), (200, ""));
}

#[test]
fn clients_that_stall_do_not_hold_up_others() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let mut stalled: Vec<TcpStream> = (0..40).map(|_| connect(&server)).collect();
    for stream in &mut stalled {
        stream.write_all(b"GET /metrics HT").unwrap();
    }
    let began = Instant::now();
    assert_eq!(get(&server, "/ready").0, 200);
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for the others");

    // They are cut after their time.
    let mut rest = Vec::new();
    stalled[0].read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn more_clients_that_stall_than_there_are_places_do_not_hold_up_others() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let mut stalled = Vec::new();
    for _ in 0..300 {
        let mut stream = connect(&server);
        // The first are cut for the last.
        let _ = stream.write_all(b"GET /live HT");
        stalled.push(stream);
    }
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(get(&server, "/live").0, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for the others");
    // Who came last still has a place, and may go on.
    let last = stalled.last_mut().unwrap();
    last.write_all(b"TP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn requests_beyond_the_limits_are_refused() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let many: String = (0..100).map(|index| format!("X-{index}: y\r\n")).collect();
    assert_eq!(exchange(&server, &format!("GET /ready HTTP/1.1\r\n{many}\r\n")).0, 431);
    assert_eq!(exchange(&server, "nonsense\r\n\r\n").0, 400);

    let mut stream = connect(&server);
    let long = format!("GET /ready HTTP/1.1\r\nX: {}", "y".repeat(64 << 10));
    // It may be cut off while this is written.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(&server, "/ready").0, 200);
}

#[test]
fn a_dropped_server_is_gone_at_once_also_with_open_connections() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let address = server.address();
    let mut open = connect(&server);
    open.write_all(b"GET /ready HT").unwrap();
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).is_err());
    // The address is free again, although a connection of it was just cut.
    assert_eq!(serve(address, ready()).unwrap().address(), address);
}

#[test]
fn a_port_in_use_is_said_so() {
    let other = TcpListener::bind(ANY_PORT).unwrap();
    let address = other.local_addr().unwrap();
    let error = serve(address, ready()).unwrap_err();
    assert!(matches!(error, HttpError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let foreign: SocketAddr = "192.0.2.1:9000".parse().unwrap();
    assert!(matches!(serve(foreign, ready()).unwrap_err(), HttpError::NotHere { .. }));
}

#[test]
fn a_client_gets_what_is_served_or_a_word_why_not() {
    let server = serve(ANY_PORT, ready()).unwrap();
    let second = Duration::from_secs(1);
    let answer = client::get(server.address(), "/ready", second).unwrap();
    assert_eq!((answer.code, answer.body.contains("\"ready\": true")), (200, true), "{answer:?}");
    let address = server.address();
    drop(server);
    assert!(matches!(client::get(address, "/ready", second), Err(AskError::Refused { .. })));

    let silent = TcpListener::bind(ANY_PORT).unwrap();
    let began = Instant::now();
    let error = client::get(silent.local_addr().unwrap(), "/ready", second).unwrap_err();
    assert!(matches!(error, AskError::Late { .. }), "{error}");
    assert!(began.elapsed() < 3 * second);
}
