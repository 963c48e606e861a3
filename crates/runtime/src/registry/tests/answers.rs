//! What a registry that is well answers.

use millstream_formats::WriterSchema;
use serde_json::json;

use super::*;

const TRADE: &str = r#"{"schema": "{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"p\",\"type\":\"a.Price\"}]}",
    "references": [{"name": "a.Price", "subject": "prices", "version": 3}], "more": 1}"#;
const PRICE: &str = r#"{"subject": "prices", "version": 3, "id": 4,
    "schema": "{\"type\":\"record\",\"name\":\"a.Price\",\"fields\":[{\"name\":\"u\",\"type\":\"a.Unit\"}]}",
    "references": [{"name": "a.Unit", "subject": "units", "version": -1}]}"#;
const UNIT: &str = r#"{"subject": "units", "version": 9, "id": 2, "schemaType": "AVRO",
    "schema": "{\"type\":\"enum\",\"name\":\"a.Unit\",\"symbols\":[\"EUR\"]}",
    "references": [{"name": "a.Price", "subject": "prices", "version": 3}]}"#;

#[test]
fn a_schema_comes_with_all_that_it_refers_to_in_order() {
    let server = Server::of(vec![Reply::Json(200, TRADE), Reply::Json(200, PRICE), Reply::Json(200, UNIT)]);
    let schema = client(&[&server]).by_id(SchemaId(7)).unwrap();
    let names: Vec<&str> = schema.references.iter().map(|found| found.reference.name.as_str()).collect();
    // The unit refers back to the price: a circle of subjects comes to an end.
    assert_eq!((schema.kind.clone(), names), (SchemaKind::Avro, vec!["a.Unit", "a.Price"]));
    assert!(matches!(schema.parse(), Ok(WriterSchema::Avro(schema)) if schema.name() == Some("T")));
    let paths: Vec<String> = (0..3).map(|at| server.request(at).lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "GET /schemas/ids/7 HTTP/1.1",
            "GET /subjects/prices/versions/3 HTTP/1.1",
            "GET /subjects/units/versions/latest HTTP/1.1"
        ]
    );
}

#[test]
fn schemas_of_every_kind_are_parsed_and_others_are_refused() {
    for (kind, text, fine) in [
        ("PROTOBUF", "syntax = \"proto3\"; message A { string b = 1; }", true),
        ("JSON", "{\"type\": \"object\"}", true),
        ("AVRO", "\"long\"", true),
        ("AVRO", "{", false),
        ("WSDL", "<a/>", false),
    ] {
        let body = json!({"schemaType": kind, "schema": text}).to_string();
        let server = Server::of(vec![Reply::Bytes(server::answer(200, "a: b", body.as_bytes()))]);
        let schema = client(&[&server]).by_id(SchemaId(1)).unwrap();
        assert_eq!((schema.kind.as_str(), schema.parse().is_ok()), (kind, fine), "{schema:?}");
    }
}

#[test]
fn versions_that_were_deleted_are_asked_for_by_a_parameter_with_what_they_refer_to() {
    let server = Server::of(vec![Reply::Json(200, "[1, 3]"), Reply::Json(200, PRICE), Reply::Json(200, UNIT)]);
    let registry = client(&[&server]);
    assert_eq!(registry.versions("prices", Which::Ever).unwrap(), [1, 3]);
    registry.version_of("prices", Version::Number(3), Which::Ever).unwrap();
    for (at, path) in ["prices/versions", "prices/versions/3", "units/versions/latest"].iter().enumerate() {
        let asked = server.request(at);
        assert!(asked.starts_with(&format!("GET /subjects/{path}?deleted=true HTTP/1.1")), "{asked}");
    }
}

#[test]
fn subjects_are_asked_for_by_their_names_whatever_they_are() {
    let server = Server::of(vec![Reply::Json(200, PRICE), Reply::Json(200, UNIT), Reply::Json(200, "[3, 1, 2]")]);
    let registry = client(&[&server]);
    let found = registry.version("prices", Version::Number(3)).unwrap();
    assert_eq!((found.version, found.id, found.schema.references.len()), (3, SchemaId(4), 1));
    assert_eq!(registry.versions("a/b c-välue", Which::Present).unwrap(), [1, 2, 3]);
    assert!(server.request(2).starts_with("GET /subjects/a%2Fb%20c-v%C3%A4lue/versions HTTP/1.1"));
}

#[test]
fn a_level_is_the_subjects_or_else_that_of_all() {
    let own = Server::of(vec![Reply::Json(200, r#"{"compatibilityLevel": "FULL_TRANSITIVE"}"#)]);
    assert_eq!(client(&[&own]).compatibility_level("s"), Ok(Level::FullTransitive));
    let none = Reply::Json(404, r#"{"error_code": 40408, "message": "no level of its own"}"#);
    let global = Server::of(vec![none, Reply::Json(200, r#"{"compatibilityLevel": "BACKWARD"}"#)]);
    assert_eq!(client(&[&global]).compatibility_level("s"), Ok(Level::Backward));
    assert!(global.request(1).starts_with("GET /config HTTP/1.1"));
    let strange = Server::of(vec![Reply::Json(200, r#"{"compatibilityLevel": "SOMETIMES"}"#)]);
    let error = client(&[&strange]).compatibility_level("s").unwrap_err();
    assert!(matches!(error, RegistryError::Garbage { .. }), "{error}");
}

#[test]
fn a_schema_is_judged_looked_up_and_registered() {
    let server = Server::of(vec![
        Reply::Json(200, r#"{"is_compatible": true}"#),
        Reply::Json(200, r#"{"is_compatible": false, "messages": ["READER_FIELD_MISSING_DEFAULT_VALUE: p"]}"#),
        Reply::Json(404, r#"{"error_code": 40403, "message": "Schema not found"}"#),
        Reply::Json(200, r#"{"subject": "s", "id": 8, "version": 2, "schema": "x"}"#),
        Reply::Json(200, r#"{"id": 9}"#),
        Reply::Json(409, r#"{"error_code": 409, "message": "p has\n no   default"}"#),
        Reply::Json(422, r#"{"error_code": 42201, "message": "Invalid schema"}"#),
    ]);
    let registry = client(&[&server]);
    let schema = NewSchema {
        kind: SchemaKind::Protobuf,
        text: "syntax".to_owned(),
        references: vec![Reference { name: "a.proto".to_owned(), subject: "a".to_owned(), version: 1 }],
    };
    let last = Against::Version(Version::Latest);
    assert_eq!(registry.check_compatible("s", last, &schema), Ok(Compatibility::Compatible));
    let judged = registry.check_compatible("s", Against::Level, &NewSchema::avro("\"long\"")).unwrap();
    assert!(matches!(judged, Compatibility::Incompatible { messages } if messages.len() == 1));
    assert_eq!(registry.lookup("s", &schema), Ok(None));
    assert_eq!(registry.lookup("s", &schema), Ok(Some((SchemaId(8), 2))));
    assert_eq!(registry.register("s", &schema), Ok(SchemaId(9)));
    let refused = registry.register("s", &schema).unwrap_err();
    assert!(matches!(&refused, RegistryError::Incompatible { message, .. } if message == "p has no default"));
    let invalid = registry.register("s", &schema).unwrap_err();
    assert!(matches!(invalid, RegistryError::Rejected { status: 422, .. }), "{invalid}");

    let posted = server.request(0);
    assert!(posted.starts_with("POST /compatibility/subjects/s/versions/latest?verbose=true HTTP/1.1"), "{posted}");
    assert!(posted.ends_with(
        r#"{"schema":"syntax","schemaType":"PROTOBUF","references":[{"name":"a.proto","subject":"a","version":1}]}"#
    ));
    assert!(server.request(1).starts_with("POST /compatibility/subjects/s/versions?verbose=true"));
    assert!(server.request(1).ends_with(r#"{"schema":"\"long\""}"#));
    assert!(server.request(4).starts_with("POST /subjects/s/versions HTTP/1.1"));
}

#[test]
fn a_user_is_named_in_a_header_and_nowhere_else() {
    let server = Server::of(vec![Reply::Json(200, "[1]"), Reply::Json(401, "no")]);
    let settings = RegistrySettings {
        username: Some(crate::config::Property::Plain("me".to_owned())),
        password: Some(crate::config::Secret::new("canary-7f3a")),
        ..RegistrySettings::at(&server.url).unwrap()
    };
    let registry = Registry::new(&settings).unwrap();
    assert_eq!(registry.versions("s", Which::Present), Ok(vec![1]));
    // base64 of me:canary-7f3a
    assert!(server.request(0).contains("authorization: Basic bWU6Y2FuYXJ5LTdmM2E="), "{}", server.request(0));
    let error = registry.versions("s", Which::Present).unwrap_err();
    assert!(!format!("{error} {error:?} {settings:?}").contains("canary"), "{error:?}");
}

#[test]
fn a_token_is_named_in_a_header_and_nowhere_else() {
    let server = Server::of(vec![Reply::Json(200, "[1]"), Reply::Json(200, "{\"id\": 7}"), Reply::Json(401, "no")]);
    let settings = RegistrySettings {
        token: Some(crate::config::Secret::new("canary-7f3a.e30")),
        ..RegistrySettings::at(&server.url).unwrap()
    };
    let registry = Registry::new(&settings).unwrap();
    assert_eq!(registry.versions("s", Which::Present), Ok(vec![1]));
    assert_eq!(registry.register("s", &NewSchema::avro("\"long\"")), Ok(SchemaId(7)));
    for at in 0..2 {
        assert!(server.request(at).contains("authorization: Bearer canary-7f3a.e30\r\n"), "{}", server.request(at));
    }
    let error = registry.versions("s", Which::Present).unwrap_err();
    assert!(error.to_string().contains("or `schema_registry.token`"), "{error}");
    assert!(!format!("{error} {error:?} {settings:?}").contains("canary"), "{error:?}");
}

#[test]
fn a_registry_that_does_not_judge_has_not_found_anything_compatible() {
    use crate::contracts::{Judged, Subjects};
    let long = NewSchema::avro("\"long\"");
    let subjects = Reply::Json(200, "[]");
    let said = |reply| {
        Subjects::against_level(&client(&[&Server::of(vec![reply, subjects.clone()])]), "s", Level::Full, &long)
    };
    let no_such_question = Reply::Json(404, r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#);
    assert_eq!(said(no_such_question), Ok(Judged::Not));
    assert_eq!(said(Reply::Json(200, r#"{"is_compatible": true}"#)), Ok(Judged::Compatible));
    let why = r#"{"is_compatible": false, "messages": ["p"]}"#;
    assert_eq!(said(Reply::Json(200, why)), Ok(Judged::Incompatible(vec!["p".to_owned()])));
    // Some registries compare with all versions where they are asked for none.
    for (level, asked) in [(Level::Full, "versions/latest?"), (Level::FullTransitive, "versions?")] {
        let server = Server::of(vec![Reply::Json(200, r#"{"is_compatible": true}"#)]);
        Subjects::against_level(&client(&[&server]), "s", level, &long).unwrap();
        let request = server.request(0);
        assert!(request.starts_with(&format!("POST /compatibility/subjects/s/{asked}verbose=true")), "{request}");
    }
}
