//! Tests of the settings: layers, origins, mistakes, secrets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use millstream_pipeline::interpolate::{Asked, NoValue};

use super::environment;
use super::*;

/// What every test with secrets plants.
const CANARY: &str = "canary-7f3a";

const ANNOTATED: &str = include_str!("../../../../config/millstream.yaml");

fn lookup(asked: Asked, name: &str) -> Result<String, NoValue> {
    match (asked, name) {
        (Asked::Env, "PASSWORD") | (Asked::File, "password" | "registry-token") => Ok(CANARY.to_owned()),
        (Asked::Env, "THREADS") => Ok("3".to_owned()),
        (Asked::Env, "INTERVAL") => Ok("5s".to_owned()),
        _ => Err(NoValue::NotSet),
    }
}

fn load_from(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &[&str], &str)],
) -> Result<Effective, ConfigError> {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flags: Vec<Flag> = flags
        .iter()
        .map(|(name, key, value)| Flag {
            name: (*name).to_owned(),
            key: key.iter().map(|&part| part.to_owned()).collect(),
            value: (*value).to_owned(),
        })
        .collect();
    let file = (Path::new("m.yaml"), file);
    load(&Sources { file: Some(file), environment: &environment, flags: &flags, lookup: &lookup })
}

fn wrong(file: &str, environment: &[(&str, &str)], flags: &[(&str, &[&str], &str)]) -> String {
    load_from(file, environment, flags).unwrap_err().to_string()
}

#[test]
fn nothing_said_is_the_defaults() {
    let effective = load_from("", &[], &[]).unwrap();
    assert_eq!(effective.settings, Settings::default());
    assert!(effective.entries().iter().all(|entry| entry.origin == Origin::Default));
    assert_eq!(effective.settings.kafka.brokers(), "localhost:19092");
}

#[test]
fn the_annotated_file_says_nothing_but_defaults() {
    let effective = load_from(ANNOTATED, &[], &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(effective.settings, Settings::default());
}

/// The annotated file with its commented keys made keys.
fn uncommented() -> String {
    let line = |line: &str| match line.split_once('#') {
        Some((indent, rest)) if indent.trim().is_empty() && rest.starts_with(char::is_alphabetic) => {
            format!("{indent}{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    ANNOTATED.lines().map(line).collect()
}

#[test]
fn the_annotated_file_has_every_key() {
    // Nobody signs in in two ways.
    let without = |keys: &[&str]| {
        let is_kept = |line: &&str| !keys.iter().any(|key| line.trim_start().starts_with(key));
        let lines: String = uncommented().lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        load_from(&lines, &[], &[]).unwrap_or_else(|error| panic!("{error}"))
    };
    let (effective, by_token) = (without(&["token:"]), without(&["username:", "password:"]));
    let (given, by_token) = (effective.given(), by_token.given());
    for key in environment::keys(&SCHEMA) {
        let given = if key.last().is_some_and(|key| key == "token") { &by_token } else { &given };
        assert!(given.contains_key(&key.join(".")), "{} is not in config/millstream.yaml", key.join("."));
    }
    // What is written there beside the commented examples is the default.
    let defaults = Effective::defaults().entries();
    let shown = effective.entries();
    let examples: BTreeSet<&str> = BTreeSet::from(["kafka"]);
    for entry in &shown {
        let is_example =
            examples.contains(entry.key[0].as_str()) || entry.key.get(1).is_some_and(|key| key == "targets");
        if !is_example {
            let default = defaults.iter().find(|default| default.key == entry.key).unwrap();
            let has_none = default.value == show::NONE;
            assert!(has_none || entry.value == default.value, "{}: {}", entry.key.join("."), entry.value);
        }
    }
}

#[test]
fn every_key_is_shown() {
    let shown: BTreeSet<_> = Effective::defaults().entries().into_iter().map(|entry| entry.key).collect();
    for key in environment::keys(&SCHEMA) {
        assert!(shown.contains(&key), "{}", key.join("."));
    }
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = "threads: 2\nhttp: {listen: 0.0.0.0:1}\nlog:\n  level: debug\nkafka:\n  bootstrap.servers: a:1\n  linger.ms: 5\n";
    let environment = [
        ("MILLSTREAM_THREADS", "4"),
        ("MILLSTREAM_LOG__LEVEL", "warn"),
        ("KAFKA_BROKER_ADDRESS", "b:2"),
        ("MILLSTREAM_HTTP__ENABLED", "false"),
        ("MILLSTREAM_STATE_DIR", ""),
        ("HOME", "/root"),
    ];
    let flags: [(&str, &[&str], &str); 1] = [("--threads", &["threads"], "8")];
    let effective = load_from(file, &environment, &flags).unwrap();
    let settings = &effective.settings;
    assert_eq!((settings.threads, settings.log.level, settings.http.enabled), (8, LogLevel::Warn, false));
    assert_eq!((settings.kafka.brokers(), settings.http.listen.port()), ("b:2", 1));
    let origin = |key: &[&str]| effective.origin(key).to_string();
    assert_eq!(origin(&["threads"]), "flag: --threads");
    assert_eq!(origin(&["log", "level"]), "environment: MILLSTREAM_LOG__LEVEL");
    assert_eq!(origin(&["kafka", "bootstrap.servers"]), "environment: KAFKA_BROKER_ADDRESS");
    assert_eq!(origin(&["kafka", "linger.ms"]), "m.yaml:7");
    assert_eq!(origin(&["http", "listen"]), "m.yaml:2");
    assert_eq!(origin(&["state_dir"]), "default");
}

#[test]
fn our_variable_of_brokers_goes_over_the_conventional_one() {
    for order in [[0, 1], [1, 0]] {
        let variables = [("KAFKA_BROKER_ADDRESS", "a:1"), ("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", "b:2")];
        let effective = load_from("", &order.map(|at| variables[at]), &[]).unwrap();
        assert_eq!(effective.settings.kafka.brokers(), "b:2");
    }
}

#[test]
fn placeholders_have_values_that_are_not_shown() {
    let file =
        "threads: ${env:THREADS}\nkafka:\n  sasl.username: '${env:PASSWORD}'\n  sasl.password: ${file:password}\n";
    let effective = load_from(file, &[], &[]).unwrap();
    assert_eq!(effective.settings.threads, 3);
    assert_eq!(effective.settings.kafka.get("sasl.username").unwrap().expose(), CANARY);
    let shown = effective.entries();
    for key in ["threads", "kafka.sasl.username", "kafka.sasl.password"] {
        let entry = shown.iter().find(|entry| entry.key.join(".") == key).unwrap();
        assert_eq!(entry.value, "***", "{key}");
    }
    assert!(!format!("{effective:?}").contains(CANARY), "{effective:?}");
    assert!(!as_json(&shown).to_string().contains(CANARY));
}

#[test]
fn mistakes_in_the_file_are_named_at_their_places_all_at_once() {
    let said = wrong(
        "thread: 2\nstate_memory: 1 gig\nhttp: {listen: 9464}\nguarantee: exactly-once\ncommit_interval: 5\nlog: {level: loud}\n",
        &[],
        &[],
    );
    for part in [
        "m.yaml:1:1",
        "did you mean `threads`",
        "m.yaml:2:15",
        "no unit of size",
        "m.yaml:3:16",
        "127.0.0.1:9464",
        "m.yaml:4:12",
        "did you mean `exactly_once`",
        "lacks a unit",
        "cannot be `loud`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn properties_of_the_file_are_checked_at_their_places() {
    let said = wrong("kafka:\n  fetch.min.byte: 1\n  isolation.level: read_uncommitted\n  linger.ms: soon\n", &[], &[]);
    for part in [
        "MS0901",
        "m.yaml:2:3",
        "did you mean `fetch.min.bytes`",
        "MS0902",
        "m.yaml:3:3",
        "must not be read",
        "MS0903",
        "m.yaml:4:14",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn mistakes_elsewhere_name_the_variable_or_the_flag() {
    let said = wrong(
        "",
        &[
            ("MILLSTREAM_THREADS", "many"),
            ("MILLSTREAM_HTTP__LISTN", "x"),
            ("MILLSTREAM_KAFKA__GROUP_ID", "g"),
            ("MILLSTREAM_KAFKA__LINGR_MS", "5"),
        ],
        &[("--guarantee", &["guarantee"], "exactly-once"), ("--kafka", &["kafka", "nope.nope"], "1")],
    );
    for part in [
        "environment: MILLSTREAM_THREADS: `threads` is a whole number here, not `many`",
        "MILLSTREAM_HTTP__LISTN is no setting",
        "Did you mean MILLSTREAM_HTTP__LISTEN?",
        "environment: MILLSTREAM_KAFKA__GROUP_ID: the property `group.id` cannot be set: the group is the pipeline's name",
        "no property `lingr.ms`",
        "Did you mean `linger.ms`?",
        "flag: --guarantee: `guarantee` cannot be `exactly-once`",
        "flag: --kafka: the Kafka client has no property `nope.nope`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_with_where_they_came_from() {
    let said = wrong(
        "threads: 0\nrestart: {backoff: 2m}\nstate_memory: 1B\n",
        &[("MILLSTREAM_TRANSACTION_TIMEOUT", "5s"), ("MILLSTREAM_COMMIT_INTERVAL", "2s")],
        &[],
    );
    for part in
        ["m.yaml:1: `threads` cannot be 0", "m.yaml:2: `restart.backoff` is longer", "m.yaml:3: `state_memory` is less"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_transaction_is_longer_than_four_commits_and_no_longer_than_the_client_takes() {
    let why = "help: A transaction must outlive the epoch that it carries";
    let given = wrong("commit_interval: 2s\n", &[("MILLSTREAM_TRANSACTION_TIMEOUT", "5s")], &[]);
    let variable = "environment: MILLSTREAM_TRANSACTION_TIMEOUT";
    let said = format!(
        "error: {variable}: `transaction_timeout` is 5s ({variable}), less than four times `commit_interval`, which is 2s \
         (m.yaml:1)\n{why}: make `transaction_timeout` 8s or more, or `commit_interval` 1s250ms or less.\n"
    );
    assert_eq!(given, said);
    let by_default = wrong("commit_interval: 5s\n", &[], &[]);
    let said = format!(
        "error: m.yaml:1: `transaction_timeout` is 15s (default), less than four times `commit_interval`, which is 5s \
         (m.yaml:1)\n{why}: make `transaction_timeout` 20s or more, or `commit_interval` 3s750ms or less.\n"
    );
    assert_eq!(by_default, said);
    let hidden = wrong("commit_interval: ${env:INTERVAL}\n", &[], &[]);
    assert!(hidden.contains("which is *** (m.yaml:1)\n") && hidden.ends_with(&format!("{why}.\n")), "{hidden}");
    let endless = wrong("commit_interval: 106751991167d\n", &[], &[]);
    assert!(endless.ends_with(&format!("{why}: make `commit_interval` 3s750ms or less.\n")), "{endless}");
    let too_long = wrong("", &[("MILLSTREAM_TRANSACTION_TIMEOUT", "106751991167d")], &[]);
    let said = format!("error: {variable}: `transaction_timeout` is more than 24d20h31m23s647ms\nhelp: ");
    assert!(too_long.starts_with(&said), "{too_long}");
    let longest = load_from("transaction_timeout: 2147483647ms\n", &[], &[]).unwrap();
    let client = longest.settings.client_properties();
    assert_eq!(client["transaction.timeout.ms"], "2147483647");
}

#[test]
fn a_registry_is_named_by_the_file_or_by_either_variable() {
    let file = "schema_registry:\n  urls: http://a:8081/, https://b/path/\n  username: me\n  password: ${env:PASSWORD}\n  \
                request_timeout: 5s\n";
    let effective = load_from(file, &[], &[]).unwrap();
    let registry = &effective.settings.schema_registry;
    assert_eq!(registry.urls, ["http://a:8081", "https://b/path"]);
    assert_eq!(registry.password.as_ref().unwrap().expose(), CANARY);
    assert_eq!((registry.request_timeout, registry.connect_timeout), (Duration::from_secs(5), Duration::from_secs(3)));
    let shown: Vec<(String, String)> =
        effective.entries().into_iter().map(|entry| (entry.key.join("."), entry.value)).collect();
    for (key, value) in [("urls", "http://a:8081,https://b/path"), ("username", "me"), ("password", "***")] {
        let key = format!("schema_registry.{key}");
        assert!(shown.contains(&(key.clone(), value.to_owned())), "{key}: {shown:?}");
    }
    let conventional = ("SCHEMA_REGISTRY_URL", "http://c:1");
    let ours = ("MILLSTREAM_SCHEMA_REGISTRY__URLS", "http://d:2");
    for (variables, url) in [
        (vec![conventional], "http://c:1"),
        (vec![conventional, ours], "http://d:2"),
        (vec![ours, conventional], "http://d:2"),
    ] {
        assert_eq!(load_from(file, &variables, &[]).unwrap().settings.schema_registry.urls, [url]);
    }
}

#[test]
fn a_registry_may_ask_for_a_token_which_is_never_shown() {
    let in_file = "schema_registry:\n  urls: http://a\n  token: ${file:password}\n";
    let variable = ("MILLSTREAM_SCHEMA_REGISTRY__TOKEN", CANARY);
    for (file, variables) in [(in_file, vec![]), ("schema_registry: {urls: 'http://a'}\n", vec![variable])] {
        let effective = load_from(file, &variables, &[]).unwrap();
        assert_eq!(effective.settings.schema_registry.token.as_ref().unwrap().expose(), CANARY);
        let shown = effective.entries();
        let token = shown.iter().find(|entry| entry.key == ["schema_registry", "token"]).unwrap();
        assert_eq!(token.value, "***");
        assert!(!format!("{effective:?}{}", as_json(&shown)).contains(CANARY));
    }
}

#[test]
fn a_registry_that_cannot_be_asked_is_refused() {
    for (said, part) in [
        ("urls: localhost:8081", "`schema_registry.urls` is no address: expected `http://host:port`"),
        ("urls: ftp://a", "is no address"),
        ("urls: 'http://a, http://me:canary-7f3a@b'", "has credentials in it: put them under"),
        ("password: canary-7f3a", "stands without a username"),
        ("token: 'canary 7f3a'", "has characters that no token has"),
        ("token: ''", "`schema_registry.token` is empty"),
        ("token: canary-7f3a\n  username: me", "`schema_registry.token` stands beside a username"),
        ("request_timeout: 0s", "`schema_registry.request_timeout` cannot be 0"),
        ("url: http://a", "did you mean `urls`"),
    ] {
        let error = wrong(&format!("schema_registry:\n  {said}\n"), &[], &[]);
        assert!(error.contains(part) && error.contains("m.yaml:2") && !error.contains(CANARY), "{error}");
    }
}

/// Whatever is wrong, wherever the secret stands: nothing that is said shows it.
#[test]
fn no_mistake_shows_a_secret() {
    let files = [
        format!("kafka:\n  sasl.pasword: {CANARY}\n"),
        format!("kafka: {{sasl.password: {CANARY}, nope.nope: 1}}\n"),
        format!("kakfa: {{sasl.password: {CANARY}}}\n"),
        format!("kafka:\n  sasl.password: [{CANARY}]\n"),
        format!("kafka:\n  sasl.password: \"{CANARY}\n"),
        format!("kafka:\n  ssl.key.pem: |\n    {CANARY}\n\t{CANARY}\n"),
        format!("kafka:\n  password: {CANARY}\n"),
        format!("schema_registry: {{pasword: {CANARY}, username: {CANARY}, nope: 1}}\n"),
        format!("schema_registy: {{password: {CANARY}}}\n"),
        format!("schema_registry:\n  password: [{CANARY}]\n"),
        format!("schema_registry:\n  token: [{CANARY}]\n"),
        format!("schema_registry:\n  tokn: {CANARY}\n"),
        format!("schema_registry:\n  token: Bearer {CANARY}\n"),
        format!("schema_registry:\n  token: {CANARY}\n  username: ${{env:PASSWORD}}\n"),
        format!("schema_registry:\n  password: \"{CANARY}\n"),
        format!("schema_registry: {{urls: 'http://me:{CANARY}@a', nope: 1}}\n"),
        "schema_registry: {urls: '${env:PASSWORD}'}\n".to_owned(),
        "threads: ${env:PASSWORD}\n".to_owned(),
        "http: {listen: '${file:password}'}\n".to_owned(),
        "log: {level: \"x${env:PASSWORD}\", targets: {a: '${env:PASSWORD}'}}\n".to_owned(),
        "guarantee: ${env:PASSWORD}\ncommit_interval: ${env:PASSWORD}\nstate_memory: ${env:PASSWORD}\n".to_owned(),
        "kafka:\n  linger.ms: ${env:PASSWORD}\n  security.protocol: ${file:password}\n".to_owned(),
        "kafka:\n  sasl.password: ${env:PASSWORD}\n  ssl.key.password: ${env:GONE}\n".to_owned(),
    ];
    for file in &files {
        let error = load_from(file, &[], &[]).unwrap_err();
        let said = format!("{error}{error:#?}{}", serde_json::to_string(&error.diagnostics).unwrap());
        let text = said.replace(&file.replace('\n', "\\n"), "");
        assert!(!error.to_string().is_empty());
        assert!(!text.contains(CANARY), "{file}: {text}");
    }
    for name in ["SASL_PASWORD", "SSL_KEY_PASSWORD", "SASL_OAUTHBEARER_CLIENT_SECRET"] {
        let variable = format!("MILLSTREAM_KAFKA__{name}");
        let flag: (&str, &[&str], &str) = ("--kafka", &["kafka", "sasl.pasword"], CANARY);
        let error = load_from("", &[(&variable, CANARY)], &[flag]).unwrap_err();
        assert!(!format!("{error}{error:?}").contains(CANARY), "{error}");
    }
}
