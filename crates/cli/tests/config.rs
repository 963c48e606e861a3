//! Settings as people give and see them: places, order, origins, mistakes; and secrets, which nothing ever prints.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// What every secret is, wherever it stands.
const CANARY: &str = "canary-7f3a";

const PIPELINE: &str = "\
version: 1
pipeline: copy
sources:
  words: {format: json, schema: {word: string}}
sink: {topic: copies}
";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// A command in a folder, with nothing of this process's environment that is a setting.
fn millstream(folder: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    for (name, _) in std::env::vars() {
        if name.starts_with("MILLSTREAM_") || ["KAFKA_BROKER_ADDRESS", "SCHEMA_REGISTRY_URL"].contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(folder.path()).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = millstream(folder, arguments, environment).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn config_shows_each_value_with_where_it_came_from() {
    let file =
        "threads: 2\nkafka:\n  linger.ms: 7\n  sasl.password: ${file:password}\nlog:\n  targets: {librdkafka: debug}\n";
    let folder = folder(&[("config/millstream.yaml", file), ("config/password", CANARY)]);
    let environment = [("KAFKA_BROKER_ADDRESS", "broker:9092"), ("MILLSTREAM_KAFKA__SASL_USERNAME", "me")];
    let shown = run(&folder, &["config", "--guarantee", "at_least_once", "--http", "off"], &environment);
    assert_eq!(shown.code, 0, "{}", shown.err);
    insta::assert_snapshot!(shown.out, @r"
    file: config/millstream.yaml
    kafka.bootstrap.servers          broker:9092     environment: KAFKA_BROKER_ADDRESS
    kafka.linger.ms                  7               config/millstream.yaml:3
    kafka.sasl.password              ***             config/millstream.yaml:4
    kafka.sasl.username              me              environment: MILLSTREAM_KAFKA__SASL_USERNAME
    state_dir                        ./state         default
    state_memory                     1GiB            default
    threads                          2               config/millstream.yaml:1
    guarantee                        at_least_once   flag: --guarantee
    commit_interval                  100ms           default
    checkpoint_interval              5s              default
    transaction_timeout              15s             default
    restart.backoff                  1s              default
    restart.max_backoff              1m              default
    http.enabled                     false           flag: --http
    http.listen                      127.0.0.1:9464  default
    log.format                       auto            default
    log.level                        info            default
    log.targets.librdkafka           debug           config/millstream.yaml:6
    schema_registry.urls             none            default
    schema_registry.username         none            default
    schema_registry.password         none            default
    schema_registry.token            none            default
    schema_registry.ca_file          none            default
    schema_registry.connect_timeout  3s              default
    schema_registry.request_timeout  10s             default
    ");
}

#[test]
fn config_is_json_for_tools() {
    let folder = folder(&[("m.yaml", "threads: 2\n")]);
    let shown = run(&folder, &["config", "--json", "--config", "m.yaml", "--threads", "3"], &[]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    let setting = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap().clone()
    };
    assert_eq!(shown["file"], "m.yaml");
    assert_eq!(setting("threads")["value"], "3");
    assert_eq!(setting("threads")["origin"], serde_json::json!({"kind": "flag", "flag": "--threads"}));
    assert_eq!(setting("state_dir")["origin"], serde_json::json!({"kind": "default"}));
    let schema = run(&folder, &["config", "--schema"], &[]);
    assert_eq!(serde_json::from_str::<Value>(&schema.out).unwrap()["additionalProperties"], false);
}

#[test]
fn wrong_settings_are_exit_code_2_and_named_all_at_once() {
    let folder = folder(&[("m.yaml", "thread: 2\nkafka:\n  group.id: mine\n"), ("copy.yaml", PIPELINE)]);
    for command in [&["config"][..], &["run", "copy.yaml"]] {
        let environment = [("MILLSTREAM_COMMIT_INTERVAL", "5"), ("MILLSTREAM_HTPP__LISTEN", "1.2.3.4:5")];
        let ran = run(&folder, &[command, &["--config", "m.yaml", "--http", "9464"]].concat(), &environment);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        for part in [
            "m.yaml:1:1",
            "did you mean `threads`",
            "environment: MILLSTREAM_COMMIT_INTERVAL: the duration `5` lacks a unit",
            "Did you mean MILLSTREAM_HTTP__LISTEN?",
            "flag: --http: expected an address and a port, not `9464`",
        ] {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
    }
    let ran = run(&folder, &["config", "--config", "gone.yaml"], &[]);
    assert!(ran.code == 2 && ran.err.contains("cannot read the settings in gone.yaml"), "{}", ran.err);
    let ran = run(&folder, &["config", "--kafka", "linger.ms"], &[]);
    assert!(ran.code == 2 && ran.err.contains("--kafka takes a property and its value"), "{}", ran.err);
    let ran = run(&folder, &["run", "copy.yaml", "--local", "data", "--brokers", "b:1"], &[]);
    assert!(ran.code == 2 && ran.err.contains("cannot be used with"), "{}", ran.err);
}

/// A run with other settings than those that somebody wrote down is another run.
#[test]
fn settings_that_are_there_and_cannot_be_read_are_never_passed_over() {
    let no_file = folder(&[("config/millstream.yaml/other", ""), ("copy.yaml", PIPELINE)]);
    let no_target = folder(&[("config/other", ""), ("copy.yaml", PIPELINE)]);
    std::os::unix::fs::symlink("gone", no_target.path().join("config/millstream.yaml")).unwrap();
    let no_text = folder(&[("config/other", ""), ("copy.yaml", PIPELINE)]);
    fs::write(no_text.path().join("config/millstream.yaml"), b"threads: \xff").unwrap();
    for (folder, why) in [(no_file, "Is a directory"), (no_target, "No such file"), (no_text, "valid UTF-8")] {
        for command in [&["config"][..], &["run", "copy.yaml"], &["topic", "list"]] {
            let ran = run(&folder, command, &[]);
            let said = "error: cannot read the settings in config/millstream.yaml: ";
            assert!(ran.code == 2 && ran.err.starts_with(said) && ran.err.contains(why), "{why}: {}", ran.err);
            assert!(ran.err.contains("help: Settings that stand there"), "{}", ran.err);
        }
        assert_eq!(run(&folder, &["config", "--config", "/dev/null"], &[]).code, 0, "another was named");
    }
    // Nothing is there, nor can be.
    for files in [&[][..], &[("config", "")]] {
        assert_eq!(run(&folder(files), &["config"], &[]).code, 0);
    }
}

/// The client takes them all, and brokers that do not answer would be all that is ever said.
#[test]
fn addresses_of_brokers_that_are_none_are_named_with_the_place_that_has_them() {
    let folder = folder(&[
        ("m.yaml", "kafka:\n  bootstrap.servers: broker\n"),
        ("empty.yaml", "kafka: {bootstrap.servers: \"\"}\n"),
        ("hidden.yaml", "kafka: {bootstrap.servers: \"${file:password}\"}\n"),
        ("password", CANARY),
        ("copy.yaml", PIPELINE),
    ]);
    let port = "`broker` in `bootstrap.servers` has no port";
    let wrong: &[(&[&str], &str, &[&str])] = &[
        (&["--config", "m.yaml"], "", &[port, "m.yaml:2:22", "Add the port: broker:9092"]),
        (&["--config", "empty.yaml"], "", &["`bootstrap.servers` is empty", "empty.yaml:1:"]),
        (&["--config", "hidden.yaml"], "", &["an address in `bootstrap.servers` has no port", "hidden.yaml:1:"]),
        (&[], "broker", &[&format!("error: environment: KAFKA_BROKER_ADDRESS: {port}\nhelp: Add the port")]),
        (
            &[],
            ",",
            &["environment: KAFKA_BROKER_ADDRESS: `bootstrap.servers` has a comma", "broker-1:9092,broker-2:9092"],
        ),
        (&["--brokers", "http://b:1"], "b:1", &["flag: --brokers: `http://b:1` in `bootstrap.servers` begins with"]),
        (&["--brokers", ""], "b:1", &["flag: --brokers: `bootstrap.servers` is empty"]),
    ];
    for (arguments, variable, parts) in wrong {
        for command in [&["config"][..], &["run", "copy.yaml"], &["topic", "list"]] {
            let ran = run(&folder, &[command, arguments].concat(), &[("KAFKA_BROKER_ADDRESS", variable)]);
            assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
            for part in *parts {
                assert!(ran.err.contains(part), "{part}: {}", ran.err);
            }
            assert!(!ran.err.contains(CANARY), "{}", ran.err);
        }
    }
    let well = ["config", "--kafka", "security.protocol=SSL", "--brokers", "SSL://[::1]:9093,b:1"];
    let well = run(&folder, &well, &[("KAFKA_BROKER_ADDRESS", "broker")]);
    assert!(well.code == 0 && well.out.contains("SSL://[::1]:9093,b:1"), "{}", well.err);
}

/// A run would try again and again what no time mends.
#[test]
fn settings_that_no_client_can_be_made_with_are_named_with_the_place_that_has_them() {
    let folder = folder(&[
        (
            "mechanism.yaml",
            &format!("kafka:\n  sasl.mechanism: SCRAM-SHA-521\nschema_registry: {{password: {CANARY}, username: a}}\n"),
        ),
        ("no-user.yaml", "kafka: {security.protocol: SASL_SSL, sasl.mechanism: PLAIN}\n"),
        ("hidden.yaml", "kafka: {security.protocol: SASL_SSL, sasl.mechanism: \"${env:PASSWORD}\"}\n"),
        ("tls.yaml", "kafka:\n  security.protocol: SSL\n  ssl.ca.location: gone.pem\n  ssl.key.location: gone.key\n"),
        ("pem.yaml", "kafka:\n  security.protocol: SSL\n  ssl.certificate.location: copy.yaml\n"),
        ("copy.yaml", PIPELINE),
    ]);
    let key = format!("ssl.key.pem={CANARY}");
    let wrong: &[(&[&str], &[&str])] = &[
        (
            &["--config", "mechanism.yaml"],
            &["error: mechanism.yaml:2: `sasl.mechanism` is SCRAM-SHA-521, which the", "Did you mean SCRAM-SHA-512?"],
        ),
        (
            &["--config", "no-user.yaml"],
            &["no-user.yaml:1: `sasl.mechanism` is PLAIN, and `sasl.username` and `sasl.password` are not set"],
        ),
        (
            &["--config", "hidden.yaml"],
            &["hidden.yaml:1: `sasl.mechanism` is ***, which the Kafka client does not know"],
        ),
        (
            &["--config", "tls.yaml"],
            &[
                "tls.yaml:3: `ssl.ca.location` is gone.pem, which cannot be read: No such file",
                "tls.yaml:4: `ssl.key.loc",
            ],
        ),
        (&["--config", "pem.yaml"], &["pem.yaml:3: the Kafka client refuses `ssl.certificate.location`", "PEM form."]),
        (
            &["--kafka", "security.protocol=SASL_SSL"],
            &["flag: --kafka: `security.protocol` is SASL_SSL, and `sasl.mecha"],
        ),
        (
            &["--kafka", "security.protocol=SSL", "--kafka", &key],
            &["flag: --kafka: the Kafka client refuses `ssl.key.pem`"],
        ),
        (&["--kafka", "fetch.max.bytes=1000"], &["flag: --kafka: the Kafka client refuses `fetch.max.bytes`: "]),
        (&["--brokers", "SSL://b:1"], &["flag: --brokers: SSL://b:1 in `bootstrap.servers` has another protocol"]),
    ];
    for (arguments, parts) in wrong {
        let plan = ["plan", "copy.yaml", "--brokers", "b:1"];
        let plan = if arguments.contains(&"--brokers") { &plan[..2] } else { &plan[..] };
        for command in [&["config"][..], &["run", "copy.yaml"], &["topic", "list"], plan] {
            let ran = run(&folder, &[command, arguments].concat(), &[("PASSWORD", CANARY)]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{command:?} {arguments:?}: {}", ran.err);
            for part in *parts {
                assert!(ran.err.contains(part), "{part}: {}", ran.err);
            }
            assert!(!ran.err.contains(CANARY), "{}", ran.err);
        }
    }
    // Nobody connects.
    let planned = run(&folder, &["plan", "copy.yaml"], &[("MILLSTREAM_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")]);
    assert_eq!(planned.code, 0, "{}", planned.err);
}

#[test]
fn what_the_client_refuses_of_settings_and_pipeline_together_is_named_before_it_runs() {
    let alone = format!("{PIPELINE}kafka: {{fetch.max.bytes: 1000}}\n");
    let together = format!("{PIPELINE}kafka: {{fetch.max.bytes: 3000000}}\n");
    let folder = folder(&[("alone.yaml", &alone), ("together.yaml", &together)]);
    for command in ["check", "plan", "run"] {
        let ran = run(&folder, &[command, "alone.yaml"], &[]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains("MS0903") && ran.err.contains("alone.yaml:6:9"), "{}", ran.err);
    }
    let arguments = ["run", "together.yaml", "--kafka", "receive.message.max.bytes=2000000"];
    let ran = run(&folder, &arguments, &[]);
    assert!(ran.code == 2 && ran.err.contains("`receive.message.max.bytes`"), "{}", ran.err);
}

#[test]
fn what_the_client_refuses_in_a_pipeline_is_named_before_it_runs() {
    let wrong = format!("{PIPELINE}kafka: {{linger.ms: soon}}\n");
    let folder = folder(&[("copy.yaml", &wrong)]);
    for command in ["check", "plan", "run"] {
        let ran = run(&folder, &[command, "copy.yaml"], &[]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains("MS0903") && ran.err.contains("copy.yaml:6:9"), "{}", ran.err);
    }
}

#[test]
fn plan_shows_what_brokers_will_see() {
    let pipeline = format!(
        "{PIPELINE}guarantee: exactly_once\nkafka: {{linger.ms: 7}}\non_error: {{dead_letter: copies-dlq, create: {{retention: 7d}}}}\n"
    )
    .replace("{topic: copies}", "{topic: copies, key: word, create: {replication: 3, cleanup: compact}}");
    let folder = folder(&[("copy.yaml", &pipeline)]);
    let plan = run(&folder, &["plan", "copy.yaml"], &[("MILLSTREAM_THREADS", "2")]);
    for part in [
        "copies: results, key word; created if it is missing with as many partitions as the widest source, \
         cleanup.policy=compact, replication.factor=3, retention.bytes=-1, retention.ms=-1",
        "copies-dlq: failed records; created if it is missing",
        "cleanup.policy=delete, retention.bytes=-1, retention.ms=604800000",
        "group copy, exactly_once",
        "transactional ids copy-<id made at the first start>-0, copy-<id made at the first start>-1",
        "linger.ms=7",
    ] {
        assert!(plan.out.contains(part), "{part}: {}{}", plan.out, plan.err);
    }
    let plan = run(&folder, &["plan", "copy.yaml", "--json"], &[]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["kafka"]["group"], "copy");
    let changelog = plan["topics"].as_array().unwrap().iter().find(|topic| topic["name"] == "copies").unwrap();
    assert_eq!(changelog["settings"]["cleanup.policy"], "compact");
}

/// A script that deploys must not take it for a mistake of whoever wrote the pipeline.
#[test]
fn a_registry_that_cannot_be_asked_is_no_wrong_pipeline() {
    let at = answering("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let reads = "version: 1\npipeline: reads\nsources:\n  t: {format: avro}\nsink: {topic: u}\n";
    let writes = PIPELINE.replace("{topic: copies}", "{topic: copies, format: avro}");
    let folder = folder(&[
        ("reads.yaml", reads),
        ("writes.yaml", &writes),
        ("wrong.yaml", "version: 1\npipeline: wrong\nsources: {t: {format: josn}}\nsink: {topic: u}\n"),
        ("m.yaml", &format!("\nschema_registry:\n  urls: {at}\n")),
        ("data/empty", ""),
    ]);
    let away = ["--registry", "http://127.0.0.1:1"];
    let named = "the schema registry at http://127.0.0.1:1 (flag: --registry) could not be asked";
    for command in [
        &["check"][..],
        &["plan"],
        &["plan", "--local", "data"],
        &["reset", "--to", "earliest", "--local", "data"],
        &["contract"],
        &["run", "--local", "data"],
        &["graph"],
        &["test"],
    ] {
        let ran = run(&folder, &[command, &["reads.yaml"], &away].concat(), &[]);
        assert!(ran.code == 1 && ran.err.contains(named), "{command:?}: {} {}", ran.code, ran.err);
    }
    let by_variable = [("SCHEMA_REGISTRY_URL", at.as_str())];
    for (arguments, environment, origin) in
        [(&["--config", "m.yaml"][..], &[][..], "m.yaml:3"), (&[], &by_variable, "environment: SCHEMA_REGISTRY_URL")]
    {
        let ran = run(&folder, &[&["check", "reads.yaml", "writes.yaml"], arguments].concat(), environment);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        let asked = format!("{at} ({origin})");
        for part in ["not known reads.yaml", "not known writes.yaml", &format!("asked the schema registry at {asked}")]
        {
            assert!(ran.out.contains(part), "{part}: {}", ran.out);
        }
        assert!(ran.err.contains("refuses access (status 401)") && ran.err.contains(&asked), "{}", ran.err);
    }
    // What is wrong for certain is wrong.
    let ran = run(&folder, &[&["check", "reads.yaml", "wrong.yaml"], &away[..]].concat(), &[]);
    assert!(ran.code == 3 && ran.out.contains("wrong wrong.yaml: 1 error"), "{}{}", ran.out, ran.err);
    let ran = run(&folder, &[&["check", "--json", "writes.yaml"], &away[..]].concat(), &[]);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(results[0]["registry"], "http://127.0.0.1:1 (flag: --registry)");
    assert!(results[0]["error"].as_str().unwrap().contains("does not answer"), "{results}");
    // A file of certificates that is not there is nothing of the registry's.
    let gone = [("MILLSTREAM_SCHEMA_REGISTRY__CA_FILE", "gone.pem")];
    assert_eq!(run(&folder, &[&["check", "reads.yaml"], &away[..]].concat(), &gone).code, 2);
}

/// The address of somebody who answers whatever is asked with this, for as long as the test lasts.
fn answering(with: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(with.as_bytes());
        }
    });
    format!("http://{address}")
}

/// Secrets in the file, the environment and on the command line; commands that go well and that fail: what they print, on
/// either stream, never has one.
#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let secrets = [("PASSWORD", CANARY), ("MILLSTREAM_KAFKA__SSL_KEY_PASSWORD", CANARY)];
    let good = format!(
        "kafka:\n  bootstrap.servers: 127.0.0.1:1\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n  \
         sasl.username: ${{env:PASSWORD}}\n  sasl.password: ${{file:password}}\n  ssl.keystore.password: {CANARY}\n\
         schema_registry:\n  urls: http://127.0.0.1:1\n  username: ${{env:PASSWORD}}\n  password: {CANARY}\n"
    );
    let with_token = format!("schema_registry: {{urls: 'http://127.0.0.1:1', token: {CANARY}}}\n");
    let two_ways = format!("schema_registry: {{urls: 'http://a', token: {CANARY}, username: {CANARY}}}\n");
    let of_registry = format!("schema_registry: {{urls: 'http://me:{CANARY}@registry', pasword: {CANARY}}}\n");
    let wrong = format!("kafka: {{sasl.pasword: {CANARY}, ssl.key.pem: {CANARY}}}\nthreads: ${{env:PASSWORD}}\n");
    let broken = format!("kafka:\n  sasl.password: \"{CANARY}\n  linger.ms: 5\n");
    let in_pipeline = format!("{PIPELINE}kafka: {{sasl.password: {CANARY}, linger.ms: 5}}\n");
    let folder = folder(&[
        ("good.yaml", &good),
        ("wrong.yaml", &wrong),
        ("registry.yaml", &of_registry),
        ("token.yaml", &with_token),
        ("two-ways.yaml", &two_ways),
        ("avro.yaml", "version: 1\npipeline: a\nsources:\n  t: {format: avro}\nsink: {topic: u}\n"),
        ("broken.yaml", &broken),
        ("password", CANARY),
        ("pipelines/copy.yaml", PIPELINE),
        ("secret.yaml", &in_pipeline),
    ]);
    let flag = format!("ssl.key.pem={CANARY}");
    let slip = format!("sasl.pasword={CANARY}");
    let no_value = format!("={CANARY}");
    let cases: &[(&[&str], i32)] = &[
        (&["config", "--config", "good.yaml", "--kafka", &flag], 0),
        (&["config", "--json", "--config", "good.yaml", "--kafka", &flag], 0),
        (&["config", "--config", "wrong.yaml"], 2),
        (&["config", "--config", "broken.yaml"], 2),
        (&["config", "--config", "registry.yaml"], 2),
        (&["run", "avro.yaml", "--config", "good.yaml", "--until-end"], 1),
        (&["config", "--config", "token.yaml"], 0),
        (&["config", "--json", "--config", "token.yaml"], 0),
        (&["run", "avro.yaml", "--config", "token.yaml", "--until-end"], 1),
        (&["contract", "avro.yaml", "--config", "token.yaml"], 1),
        (&["config", "--config", "two-ways.yaml"], 2),
        (&["config", "--kafka", &slip], 2),
        (&["config", "--kafka", &no_value], 2),
        (&["check", "secret.yaml"], 3),
        (&["plan", "pipelines/copy.yaml"], 0),
        (&["topic", "list", "--config", "good.yaml", "--kafka", &flag], 1),
    ];
    for (arguments, code) in cases {
        let ran = run(&folder, arguments, &secrets);
        assert_eq!(ran.code, *code, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(!ran.out.contains(CANARY) && !ran.err.contains(CANARY), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

/// A daemon that finds no broker says so within ten seconds, goes on trying, and leaves when it is told to.
#[test]
fn a_run_without_a_broker_says_so_and_shows_no_secret() {
    let folder = folder(&[("password", CANARY), ("copy.yaml", PIPELINE)]);
    let arguments = [
        "run",
        "copy.yaml",
        "--brokers",
        "127.0.0.1:1",
        "--http",
        "off",
        "--log-level",
        "trace",
        "--kafka",
        "sasl.password=canary-7f3a",
        "--kafka",
        "security.protocol=SASL_PLAINTEXT",
        "--kafka",
        "sasl.mechanism=PLAIN",
        "--kafka",
        "sasl.username=me",
        "--kafka",
        "debug=all",
    ];
    let child = millstream(&folder, &arguments, &[("MILLSTREAM_KAFKA__SSL_KEY_PASSWORD", CANARY)]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(14));
    let stop = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains(CANARY), "{said}");
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed = lines.iter().find(|line| line["level"] == "error" && line["pipeline"] == "copy");
    let failed = failed.unwrap_or_else(|| panic!("nothing is said of the broker: {said}"));
    assert!(failed["message"].as_str().unwrap().contains("127.0.0.1:1"), "{failed}");
}
