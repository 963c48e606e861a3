//! The cache over the client: what a worker sees of a registry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_formats::WriterSchema;
use millstream_formats::avro::AvroSchema;

use super::*;

const LONG: Reply = Reply::Json(200, r#"{"schema": "\"long\""}"#);
const NONE: Reply = Reply::Json(404, r#"{"error_code": 40403, "message": "Schema not found"}"#);

fn cache(server: &Server) -> SchemaCache {
    let settings =
        RegistrySettings { request_timeout: Duration::from_millis(600), ..RegistrySettings::at(&server.url).unwrap() };
    SchemaCache::new(&settings).unwrap()
}

/// Looks until it is what is wanted. A look never waits.
fn until(cache: &SchemaCache, id: u32, wanted: impl Fn(&Lookup) -> bool) -> Lookup {
    let began = Instant::now();
    loop {
        let look = Instant::now();
        let lookup = cache.get(SchemaId(id));
        assert!(look.elapsed() < Duration::from_millis(200), "a look took {:?}", look.elapsed());
        if wanted(&lookup) {
            return lookup;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{lookup:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_known(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Known(_))
}

#[test]
fn many_threads_that_look_make_one_request() {
    let server = Server::of(vec![LONG]);
    let cache = cache(&server);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| until(&cache, 7, is_known));
        }
    });
    let long = WriterSchema::Avro(AvroSchema::parse("\"long\"", &[]).unwrap());
    assert_eq!(until(&cache.clone(), 7, is_known), Lookup::Known(Arc::new(long)));
    assert_eq!(server.asked(), 1);
    assert_eq!(cache.counts(), CacheCounts { found: 1, missing: 0, failed: 0 });
}

#[test]
fn a_registry_that_fails_is_told_and_then_answers() {
    let silence = Reply::Silence(Duration::from_secs(2));
    let server = Server::of(vec![silence, Reply::Json(500, ""), Reply::Json(200, "<html>"), LONG]);
    let cache = cache(&server);
    let failing = until(&cache, 7, |lookup| matches!(lookup, Lookup::Failing(_)));
    assert!(matches!(failing, Lookup::Failing(error) if error.contains("no answer within 600 ms")));
    until(&cache, 7, is_known);
    assert_eq!((server.asked(), cache.counts().failed), (4, 3));
}

#[test]
fn a_registry_that_refuses_access_or_wants_a_rest_is_asked_again() {
    let busy = Reply::With(429, "retry-after: 2", "{}");
    let server = Server::of(vec![Reply::Json(401, ""), busy, LONG]);
    let cache = cache(&server);
    let refused = until(&cache, 7, |lookup| matches!(lookup, Lookup::Failing(_)));
    assert!(matches!(refused, Lookup::Failing(error) if error.contains("refuses access (status 401)")));
    until(&cache, 7, |lookup| matches!(lookup, Lookup::Failing(error) if error.contains("status 429")));
    let asked_to_rest = Instant::now();
    until(&cache, 7, is_known);
    assert!(asked_to_rest.elapsed() > Duration::from_millis(1_500), "{:?}", asked_to_rest.elapsed());
}

#[test]
fn an_id_that_there_is_not_is_refused_after_a_second_no() {
    let server = Server::of(vec![NONE]);
    let cache = cache(&server);
    let refused = until(&cache, 7, |lookup| matches!(lookup, Lookup::Refused(_)));
    assert!(matches!(refused, Lookup::Refused(reason) if reason.contains("no schema with the id 7")));
    until(&cache, 7, |lookup| matches!(lookup, Lookup::Refused(_)));
    assert_eq!(server.asked(), 2);
}

#[test]
fn an_id_that_was_refused_is_found_when_the_registry_has_it() {
    let server = Server::of(vec![NONE, NONE, NONE, Reply::Json(500, ""), LONG]);
    let settings = RegistrySettings::at(&server.url).unwrap();
    let cache = SchemaCache::believing(&settings, Duration::from_millis(700)).unwrap();
    until(&cache, 7, |lookup| matches!(lookup, Lookup::Refused(_)));
    let refused_at = Instant::now();
    until(&cache, 7, |lookup| match lookup {
        Lookup::Refused(reason) => !reason.contains("no schema with the id 7"),
        // Who looks while it is asked for again does not wait.
        Lookup::Pending | Lookup::Failing(_) => panic!("{lookup:?}"),
        Lookup::Known(_) => true,
    });
    assert!(refused_at.elapsed() > Duration::from_millis(1_300), "{:?}", refused_at.elapsed());
    assert_eq!(cache.counts(), CacheCounts { found: 1, missing: 3, failed: 1 });
}

#[test]
fn an_id_that_a_slow_server_of_the_registry_does_not_know_yet_is_found() {
    let server = Server::of(vec![NONE, LONG]);
    until(&cache(&server), 7, is_known);
}

#[test]
fn a_schema_that_cannot_be_read_is_refused_and_a_lost_reference_is_not() {
    let server = Server::of(vec![Reply::Json(200, r#"{"schema": "{"}"#)]);
    let refused = until(&cache(&server), 7, |lookup| matches!(lookup, Lookup::Refused(_)));
    assert!(matches!(refused, Lookup::Refused(reason) if reason.contains("schema 7 cannot be read: ")));
    let with =
        Reply::Json(200, r#"{"schema": "\"a.B\"", "references": [{"name": "a.B", "subject": "b", "version": 1}]}"#);
    let server = Server::of(vec![with, NONE]);
    let failing = until(&cache(&server), 7, |lookup| !matches!(lookup, Lookup::Pending));
    assert!(matches!(failing, Lookup::Failing(error) if error.contains("no subject b with a version 1")));
}

#[test]
fn without_a_registry_given_schemas_are_known_and_others_are_not() {
    let long = WriterSchema::Avro(AvroSchema::parse("\"long\"", &[]).unwrap());
    let given = SchemaCache::given([(SchemaId(1), long.clone())]);
    assert_eq!(given.get(SchemaId(1)), Lookup::Known(Arc::new(long)));
    assert!(matches!(given.get(SchemaId(2)), Lookup::Refused(_)));
    let nothing = SchemaCache::default();
    assert!(nothing.is_nowhere() && !given.is_nowhere());
    assert!(
        matches!(nothing.get(SchemaId(1)), Lookup::Failing(error) if error.contains("no schema registry is named"))
    );
}
