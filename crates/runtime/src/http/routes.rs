//! What is to be had over HTTP, and how it is said.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::telemetry::Telemetry;

/// The endpoints, for people who ask for something else.
const ENDPOINTS: &str = "\
/metrics  metrics, in Prometheus' text format
/live     200 while the process lives
/ready    200 when every pipeline has its partitions and state and processes, else 503 with the reasons
/status   version, pipelines, tasks, lag, watermarks, state, last commit and last error, as JSON
";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The version of Prometheus' text format is part of its type.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All routes.
pub(super) fn router(telemetry: Telemetry) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(telemetry)
}

async fn index() -> Response {
    respond(StatusCode::OK, TEXT, format!("millstream {}\n\n{ENDPOINTS}", env!("CARGO_PKG_VERSION")))
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    respond(StatusCode::OK, METRICS, telemetry.metrics_text())
}

async fn live() -> Response {
    respond(StatusCode::OK, JSON, "{\"live\": true}\n".to_owned())
}

async fn ready(State(telemetry): State<Telemetry>) -> Response {
    let readiness = telemetry.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    as_json(status, &readiness)
}

async fn status(State(telemetry): State<Telemetry>) -> Response {
    as_json(StatusCode::OK, &telemetry.status())
}

async fn not_found(uri: Uri) -> Response {
    respond(StatusCode::NOT_FOUND, TEXT, format!("there is no {}; there are\n\n{ENDPOINTS}", uri.path()))
}

async fn wrong_method() -> Response {
    respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "everything here is read with GET\n".to_owned())
}

fn as_json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => respond(status, JSON, text + "\n"),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
