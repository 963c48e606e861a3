//! The command as people and scripts see it: exit codes, messages, JSON, topics, signals; each test in a fresh folder.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The mean temperature of each room, minute by minute.
const ROOMS: &str = "\
version: 1
pipeline: rooms
sources:
  readings:
    format: json
    schema: {room: string, celsius: double, at: timestamp(ms)}
    key: room
    event_time: at
steps:
  - filter: celsius > -50
  - window: {id: by_minute, by: room, tumbling: 1m, aggregates: {mean: avg(celsius)}}
sink: {topic: rooms-1m, key: room}
tests:
  - name: a minute closes when a reading of a later minute comes
    in:
      readings:
        - {room: hall, celsius: 20, at: 2026-01-01T00:00:10Z}
        - {room: hall, celsius: 22, at: 2026-01-01T00:00:50Z}
        - {room: hall, celsius: 30, at: 2026-01-01T00:01:05Z}
    out:
      rooms-1m: [{room: hall, mean: 21}]
";

/// How long a test waits for another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fresh folder in which commands are run.
struct Folder(TempDir);

/// How a command ended, and what it said.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("rooms.yaml", ROOMS);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Commands that need topics find them in the folder `data`, unless they say where.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(arguments).current_dir(self.path()).env("TMPDIR", self.path());
        let says_where = arguments.iter().any(|argument| ["--local", "--brokers", "--config"].contains(argument));
        if matches!(arguments.first(), Some(&"topic" | &"run" | &"reset")) && !says_where {
            command.args(["--local", "data"]);
        }
        command.env_remove("KAFKA_BROKER_ADDRESS");
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("CLICOLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments).spawn().unwrap())
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        finish(child)
    }

    /// Runs a command that must go well, and gives what it printed.
    fn well(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.well(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Writes a reading of a room at a time of 2026-01-01.
    fn reading(&self, room: &str, celsius: f64, time: &str) {
        let line = format!(r#"{{"room":"{room}","celsius":{celsius},"at":"2026-01-01T{time}Z"}}"#);
        let ran = self.run_with_input(&["topic", "produce", "readings", "--key-field", "room"], &line);
        assert_eq!((ran.code, ran.out.as_str()), (0, "wrote 1 record to readings\n"), "{}", ran.err);
    }
}

fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The pipeline with two mistakes, of different kinds, in different places.
fn wrong() -> String {
    ROOMS.replace("celsius > -50", "celcius > -50").replace("avg(celsius)", "avg(room)")
}

#[test]
fn check_says_what_is_right() {
    let folder = Folder::new();
    assert_eq!(folder.well(&["check", "rooms.yaml"]), "ok    rooms.yaml (rooms)\n");
    assert_eq!(folder.json(&["check", "--json", "rooms.yaml"])[0]["ok"], true);
}

#[test]
fn check_names_every_mistake_of_every_file_at_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("more")).unwrap();
    folder.write("more/a.yaml", &wrong());
    folder.write("more/b.yaml", "version: 1\n");
    let ran = folder.run(&["check", "rooms.yaml", "more"]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("ok    rooms.yaml (rooms)\n"), "{}", ran.out);
    assert!(ran.out.contains("wrong more/a.yaml: 2 errors\n"), "{}", ran.out);
    assert!(ran.out.contains("wrong more/b.yaml: "), "{}", ran.out);
    for part in
        ["--> more/a.yaml:10:13", "`celcius`", "`celsius`", "--> more/a.yaml:11:", "avg takes a number", "more/b.yaml"]
    {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }

    let ran = folder.run(&["check", "--json", "more/a.yaml"]);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let diagnostics = results[0]["diagnostics"].as_array().unwrap();
    assert_eq!(diagnostics.len(), 2);
    assert_eq!((&diagnostics[0]["line"], &diagnostics[0]["column"]), (&10.into(), &13.into()));
    assert_eq!(diagnostics[0]["suggestion"]["text"], "celsius");
}

#[test]
fn a_check_goes_on_behind_files_that_it_cannot_read() {
    let folder = Folder::new();
    fs::write(folder.path().join("a.yaml"), b"version: 1\npipeline: caf\xe9\n").unwrap();
    let ran = folder.run(&["check", "."]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "wrong ./a.yaml: 1 error\nok    ./rooms.yaml (rooms)\n"));
    insta::assert_snapshot!(ran.err, @r"
    error[MS0103]: the file is not UTF-8 text: the byte 0xe9 cannot be here
     --> ./a.yaml:2:14
      |
    2 | pipeline: caf�
      |              ^
      |
      = help: Save it as UTF-8, or name another file if this is no pipeline.
    ");
    assert_eq!(folder.run(&["run", "."]).code, 3);

    let ran = folder.run(&["check", "--json", "missing.yaml", "a.yaml", "rooms.yaml"]);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, results.as_array().unwrap().len()), (2, 3));
    assert_eq!((&results[0]["file"], &results[0]["ok"]), (&"missing.yaml".into(), &false.into()));
    assert!(results[0]["error"].as_str().unwrap().starts_with("cannot read missing.yaml: No such file"));
    assert_eq!((&results[1]["diagnostics"][0]["line"], &results[2]["ok"]), (&2.into(), &true.into()));
    let ran = folder.run(&["check", "missing.yaml", "rooms.yaml"]);
    let said = "wrong missing.yaml: it cannot be read\nok    rooms.yaml (rooms)\n";
    assert_eq!((ran.code, ran.out.as_str()), (2, said));
}

#[test]
fn a_wrong_pipeline_is_exit_code_3_everywhere() {
    let folder = Folder::new();
    folder.write("wrong.yaml", &wrong());
    folder.well(&["topic", "create", "readings"]);
    for command in ["check", "test", "plan", "graph", "run"] {
        let ran = folder.run(&[command, "wrong.yaml"]);
        assert_eq!(ran.code, 3, "{command}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("`celcius`"), "{command}: {}", ran.err);
    }
}

#[test]
fn wrong_tests_are_named_by_check_and_by_test() {
    let folder = Folder::new();
    let wrong = ROOMS.replace("[{room: hall, mean: 21}]", "[{room: hall, meen: 21}]");
    let (pipeline, tests) = wrong.split_once("tests:\n").unwrap();
    folder.write("wrong.yaml", &wrong);
    folder.write("right.yaml", pipeline);
    folder.write("case.yaml", &format!("pipeline_file: right.yaml\ntests:\n{tests}"));
    for arguments in [["check", "wrong.yaml"], ["test", "wrong.yaml"], ["test", "case.yaml"]] {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("MS0804") && ran.err.contains("`meen`"), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(arguments[1]), "{arguments:?}: {}", ran.err);
    }
    assert!(folder.well(&["plan", "wrong.yaml"]).contains("by_minute"), "they hinder nothing else");
}

#[test]
fn what_is_wrong_is_told_to_tools_too() {
    let folder = Folder::new();
    folder.write("wrong.yaml", &wrong());
    folder.well(&["topic", "create", "readings"]);
    for command in ["test", "run"] {
        let ran = folder.run(&[command, "--json", "rooms.yaml", "wrong.yaml"]);
        let said: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out));
        assert_eq!((ran.code, &said["wrong"][0]["file"]), (3, &"wrong.yaml".into()), "{command}");
        assert_eq!(said["wrong"][0]["diagnostics"].as_array().map(Vec::len), Some(2), "{command}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let folder = Folder::new();
    folder.write("not-empty", "");
    let wrong: &[&[&str]] = &[
        &[],
        &["rum"],
        &["check"],
        &["check", "missing.yaml"],
        &["run", "--close", "rooms.yaml"],
        &["run", "rooms.yaml", "./rooms.yaml"],
        &["graph", "rooms.yaml", "--format", "png"],
        &["completions", "cobol"],
        &["demo", "--dir", "."],
        &["test", "rooms.yaml", "--filter", "no test has this name"],
        &["bench", "-n", "0"],
    ];
    folder.well(&["topic", "create", "readings"]);
    for arguments in wrong {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn tests_pass_or_fail_with_exit_code_4() {
    let folder = Folder::new();
    let ran = folder.run(&["test", "rooms.yaml", "--ledger"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("pass rooms.yaml: a minute closes"), "{}", ran.out);
    assert!(ran.out.contains("by_minute: rows_in=3 folded=2 held=1 rows_out=1"), "{}", ran.out);
    assert!(ran.out.ends_with("1 passed, 0 failed\n"), "{}", ran.out);

    folder.write("fails.yaml", &ROOMS.replace("mean: 21", "mean: 20"));
    let ran = folder.run(&["test", "."]);
    assert_eq!(ran.code, 4);
    assert!(ran.out.contains("FAIL ./fails.yaml") && ran.out.contains("mean is 21.0, expected 20"), "{}", ran.out);
    assert!(ran.out.ends_with("1 passed, 1 failed\n"), "{}", ran.out);
    assert_eq!(ran.out.matches("mean is 21.0").count(), 1, "three ways, one message: {}", ran.out);

    let ran = folder.run(&["test", "rooms.yaml", "-f", "nothing"]);
    let said = "error: no name of a test holds `nothing` (--filter), of 1 test\nhelp: A test is named `a minute closes";
    assert!(ran.code == 2 && ran.err.starts_with(said), "{}", ran.err);
    folder.write("fails.yaml", ROOMS.split("tests:").next().unwrap());
    let ran = folder.run(&["test", "fails.yaml", "-f", "nothing"]);
    assert!(ran.code == 2 && ran.err.contains("Add a `tests:` section"), "{}", ran.err);
    folder.write("fails.yaml", &ROOMS.replace("mean: 21", "mean: 20"));

    let ran = folder.run(&["test", "--json", "."]);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &results["passed"], &results["failed"]), (4, &1.into(), &1.into()));
    assert_eq!(results["tests"][0]["failures"].as_array().unwrap().len(), 3);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let folder = Folder::new();
    folder.write("wrong.yaml", &wrong());
    let said = |settings: &[(&str, &str)]| {
        let mut command = folder.command(&["check", "wrong.yaml"]);
        let ran = finish(command.envs(settings.iter().copied()).spawn().unwrap());
        ran.out + &ran.err
    };
    assert!(!said(&[]).contains('\u{1b}'), "none in a pipe");
    assert!(said(&[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'), "some if forced");
    assert!(!said(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'), "none against NO_COLOR");
}

#[test]
fn plan_and_graph_show_the_pipeline() {
    let folder = Folder::new();
    let plan = folder.well(&["plan", "rooms.yaml"]);
    for part in ["pipeline rooms", "filter celsius > -50", "mean double", "rooms-1m: results, key room", "about "] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    folder.well(&["topic", "create", "readings", "--partitions", "3"]);
    assert!(folder.well(&["plan", "rooms.yaml", "--local", "data"]).contains("3 tasks"));
    folder.write("gone.yaml", &ROOMS.replace("readings:", "gone:"));
    let ran = folder.run(&["plan", "gone.yaml", "--local", "data"]);
    let missing = "topic gone, which source gone reads, does not exist: create it with \
                   `millstream topic create gone --local data`";
    assert!(ran.code == 1 && ran.out.ends_with(&format!("\ntopics in data\n  error: {missing}\n")), "{}", ran.out);
    let ran = folder.run(&["plan", "gone.yaml", "--local", "data", "--json"]);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &plan["folder"]["findings"][0]["message"]), (1, &missing.into()));
    assert_eq!(folder.json(&["plan", "rooms.yaml", "--json"])["pipeline"], "rooms");

    let mermaid = folder.well(&["graph", "rooms.yaml"]);
    assert!(mermaid.starts_with("flowchart LR") && mermaid.contains("by_minute"), "{mermaid}");
    let dot = folder.well(&["graph", "rooms.yaml", "--format", "dot"]);
    assert!(dot.starts_with("digraph \"rooms\" {") && dot.trim_end().ends_with('}'), "{dot}");
    assert_eq!(folder.well(&["graph", "rooms.yaml", "--format", "mermaid"]), mermaid);
}

#[test]
fn the_committed_schema_is_that_of_the_command() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../millstream.schema.json");
    let printed = Folder::new().well(&["schema"]);
    assert!(serde_json::from_str::<Value>(&printed).is_ok());
    let is_same = fs::read_to_string(committed).unwrap() == printed;
    assert!(is_same, "stale: write it anew with `cargo run -- schema > millstream.schema.json`");
}

#[test]
fn completions_and_help_and_version() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(folder.well(&["completions", shell]).contains("until-end"), "{shell}");
    }
    assert!(folder.well(&["--version"]).starts_with("millstream 0."));
    assert!(folder.well(&["help", "run"]).contains("--local <DIR>"));
}

#[test]
fn topics_are_made_listed_written_and_read() {
    let folder = Folder::new();
    assert_eq!(folder.well(&["topic", "create", "readings", "-p", "2"]), "created topic readings with 2 partitions\n");
    let input = "hall:20\nattic:15\n\nhall:21\r\n";
    let ran = folder.run_with_input(&["topic", "produce", "readings", "--key-separator", ":"], input);
    assert_eq!(ran.out, "wrote 3 records to readings\n", "{}", ran.err);
    let ran = folder.run_with_input(&["topic", "produce", "readings", "-"], "no key\n");
    assert_eq!(ran.out, "wrote 1 record to readings\n", "{}", ran.err);
    folder.write("lines", "a\nb\n");
    folder.well(&["topic", "produce", "readings", "lines", "--partition", "1", "--timestamp", "5"]);

    assert!(folder.well(&["topic", "list"]).contains("readings"));
    assert_eq!(folder.json(&["topic", "list", "--json"])[0]["records"], 6);
    let described = folder.json(&["topic", "describe", "readings", "--json"]);
    let ends: i64 =
        described["partitions"].as_array().unwrap().iter().map(|partition| partition["end"].as_i64().unwrap()).sum();
    assert_eq!(ends, 6);
    assert!(folder.well(&["topic", "describe", "readings"]).contains("everything is kept"));

    let mut lines: Vec<_> = folder.well(&["topic", "consume", "readings"]).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["15", "20", "21", "a", "b", "no key"]);
    assert_eq!(folder.well(&["topic", "consume", "readings", "--partition", "1", "--from", "-2"]), "a\nb\n");
    assert_eq!(folder.well(&["topic", "consume", "readings", "-n", "1"]).lines().count(), 1);
    let last = folder.json(&["topic", "consume", "readings", "--partition", "1", "--from", "-1", "--json"]);
    assert_eq!((&last["value"], &last["timestamp"], &last["key"]), (&"b".into(), &5.into(), &Value::Null));
    let keyed = folder.well(&["topic", "consume", "readings", "--json"]);
    let halls: Vec<Value> = keyed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let halls: Vec<_> = halls.iter().filter(|record| record["key"] == "hall").collect();
    assert!(halls.len() == 2 && halls[0]["partition"] == halls[1]["partition"], "one key, one partition: {halls:?}");
}

/// A record that a pipeline cannot read is the one of which every byte counts.
#[test]
fn records_that_are_no_text_are_kept_and_written_again() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings", "-p", "3"]);
    let lines = r#"{"partition":2,"offset":0,"timestamp":1767225600000,"key_base64":"AP8=","value_base64":"AAAAAAH/","headers":{"trace":{"base64":"/w=="},"tag":["a",null]}}
{"partition":2,"offset":1,"timestamp":5,"key":"hall","value":"{\"celsius\":20}","headers":{}}
{"partition":2,"offset":2,"timestamp":6,"key":null,"value":null,"headers":{}}
"#;
    let ran = folder.run_with_input(&["topic", "produce", "readings", "--json"], lines);
    assert_eq!(ran.out, "wrote 3 records to readings\n", "{}", ran.err);
    assert_eq!(folder.well(&["topic", "consume", "readings", "--json"]), lines);
    folder.well(&["topic", "create", "copy"]);
    let ran = folder.run_with_input(&["topic", "produce", "copy", "--json"], lines);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("line 1 is of partition 2, and topic copy has 1 partition"), "{}", ran.err);
    let ran = folder.run_with_input(&["topic", "produce", "copy", "--json", "--partition", "0"], lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        folder.well(&["topic", "consume", "copy", "--json"]),
        lines.replace("\"partition\":2", "\"partition\":0")
    );
}

/// On a folder that one may only read, such as another's or a copy on a medium of its own.
#[test]
fn who_only_reads_topics_writes_nothing_in_their_folder() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    folder.run_with_input(&["topic", "produce", "readings", "-"], "a\n");
    let lock = folder.path().join("data/commits.lock");
    fs::remove_file(&lock).unwrap();
    assert!(folder.well(&["topic", "list"]).contains("readings"));
    folder.well(&["topic", "describe", "readings"]);
    assert_eq!(folder.well(&["topic", "consume", "readings"]), "a\n");
    folder.well(&["plan", "rooms.yaml", "--local", "data"]);
    assert!(!lock.exists(), "somebody wrote");
    folder.well(&["topic", "create", "others"]);
    assert!(lock.exists(), "whoever writes locks");
}

#[test]
fn slips_with_topics_are_explained_and_leave_nothing_behind() {
    let folder = Folder::new();
    let ran = folder.run(&["topic", "list", "--local", "slip"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there are no topics in slip") && ran.err.contains("--local slip"), "{}", ran.err);
    assert_eq!(folder.run(&["run", "rooms.yaml", "--local", "slip"]).code, 1);
    assert!(!folder.path().join("slip").exists());

    folder.well(&["topic", "create", "other", "--local", "logs"]);
    let slips: &[(&[&str], i32, &str)] = &[
        (&["topic", "create", "other"], 1, "topic other exists already"),
        (&["topic", "create", "../other"], 2, "is no name for a topic"),
        (&["topic", "create", "none", "-p", "0"], 2, "cannot have 0 partitions"),
        (&["topic", "consume", "readings"], 1, "`millstream topic create readings --local logs`"),
        (&["topic", "produce", "readings"], 1, "`millstream topic create readings --local logs`"),
        (&["topic", "describe", "readings"], 1, "there is no topic readings"),
        (&["topic", "consume", "other", "--partition", "1"], 2, "has no partition 1"),
        (&["topic", "produce", "other", "--partition", "1"], 2, "has no partition 1"),
        (&["topic", "produce", "other", "missing"], 2, "cannot read missing"),
        (&["run", "rooms.yaml"], 1, "`millstream topic create readings --local logs`"),
    ];
    for (arguments, code, message) in slips {
        let ran = folder.run(&[*arguments, &["--local", "logs"]].concat());
        assert_eq!(ran.code, *code, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(message), "{arguments:?}: {}", ran.err);
    }
    let ran = folder.run(&["topic", "produce", "other", ".", "--local", "logs"]);
    assert!(ran.code == 2 && ran.err.starts_with("error: cannot read .: it is a folder\nhelp: "), "{}", ran.err);
}

/// Without a key a record would go to any partition, and meet those of its key nowhere.
#[test]
fn a_line_without_the_key_that_is_asked_for_ends_a_produce_and_those_before_it_are_written() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "other"]);
    let by_field = ["--key-field", "word"];
    let by_colon = ["--key-separator", ":"];
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &by_field,
            "{\"word\":1}\n\n{\"word\":null}\n{\"wrod\":2, \"n\":1}\n{\"word\":3}\n",
            "line 4 has no field word (--key-field): it has wrod, n; 2 records before it were written to other\n\
             help: Did you mean `wrod`?",
        ),
        (&by_field, "{}\n", "line 1 has no field word (--key-field): it has no fields; nothing was written"),
        (
            &by_field,
            "{\"word\":1}\n[1]\n",
            "line 2 is not a JSON object, so it has no field word; 1 record before it was",
        ),
        (&by_field, "{\"word\":1}\nno json\n", "line 2 is not JSON, so it has no field word: "),
        (&by_colon, "a:1\nb\n", "line 2 has no key: there is no `:` in it (--key-separator); 1 record before it was"),
    ];
    for (arguments, input, said) in cases {
        let ran = folder.run_with_input(&[&["topic", "produce", "other"], *arguments].concat(), input);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
        assert!(ran.err.starts_with(&format!("error: {said}")), "{}", ran.err);
    }
    assert_eq!(folder.json(&["topic", "list", "--json"])[0]["records"], 5);
    assert_eq!(folder.run(&["topic", "produce", "other", "--key-separator", ""]).code, 2);
}

#[test]
fn a_run_ends_at_the_end_and_goes_on_where_it_was() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    folder.reading("hall", 20.0, "00:00:10");
    folder.reading("hall", 21.0, "00:01:10");
    let report = folder.json(&["run", "--until-end", "--json", "rooms.yaml"]);
    assert_eq!((&report[0]["records_in"], &report[0]["records_out"]), (&2.into(), &1.into()));
    assert_eq!(report[0]["ledger"]["by_minute"]["held"], 1);

    folder.reading("hall", 23.0, "00:01:50");
    let ran = folder.run(&["run", "--until-end", "--close", "rooms.yaml"]);
    assert!(ran.out.starts_with("rooms: 1 record in, 1 message out, "), "{}{}", ran.out, ran.err);
    let candles = folder.well(&["topic", "consume", "rooms-1m"]);
    let candles: Vec<Value> = candles.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(candles.iter().map(|candle| &candle["mean"]).collect::<Vec<_>>(), [20.0, 22.0]);
    assert!(!folder.well(&["topic", "list"]).contains("changelog"));
    assert!(folder.well(&["topic", "list", "--internal"]).contains("changelog"));
}

#[test]
fn a_record_that_cannot_be_read_stops_the_run_or_goes_to_the_dead_letters() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    folder.reading("hall", 20.0, "00:00:10");
    folder.run_with_input(&["topic", "produce", "readings"], "no json\n");
    folder.reading("hall", 21.0, "00:01:10");
    let ran = folder.run(&["run", "--until-end", "rooms.yaml"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("error: ") && ran.err.contains("readings"), "{}", ran.err);

    folder.write("rooms.yaml", &format!("{ROOMS}on_error: {{dead_letter: rooms-dlq}}\n"));
    let ran = folder.run(&["run", "--until-end", "rooms.yaml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(folder.well(&["topic", "consume", "rooms-dlq"]), "no json\n");
    assert_eq!(folder.well(&["topic", "consume", "rooms-1m"]).lines().count(), 1);
}

/// Starts a run that follows, and waits until it does.
fn follow(folder: &Folder) -> Child {
    let child = folder.command(&["run", "rooms.yaml"]).spawn().unwrap();
    wait_until("the run has made its topic", || folder.run(&["topic", "describe", "rooms-1m"]).code == 0);
    child
}

#[test]
fn a_run_follows_what_is_written_and_leaves_cleanly_at_ctrl_c() {
    for name in ["-INT", "-TERM"] {
        let folder = Folder::new();
        folder.well(&["topic", "create", "readings"]);
        let run = follow(&folder);
        folder.reading("hall", 20.0, "00:00:10");
        folder.reading("hall", 21.0, "00:01:10");
        let candle = folder.json(&["topic", "consume", "rooms-1m", "--follow", "-n", "1"]);
        assert_eq!(candle["mean"], 20.0);

        let second = folder.run(&["run", "--until-end", "rooms.yaml"]);
        assert_eq!(second.code, 1);
        assert!(second.err.contains(&format!("in use by another run (process {})", run.id())), "{}", second.err);

        signal(&run, name);
        let ran = finish(run);
        assert_eq!(ran.code, 0, "{name}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("Ctrl-C commits and leaves"), "{}", ran.err);
        assert!(ran.out.starts_with("rooms: 2 records in, 1 message out, "), "{}", ran.out);
        let report = folder.json(&["run", "--until-end", "--json", "rooms.yaml"]);
        assert_eq!(report[0]["records_in"], 0, "everything had been committed");
        assert_eq!(report[0]["ledger"]["by_minute"]["restored"], 1);
    }
}

#[test]
fn a_killed_run_goes_on_behind_its_last_commit() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    let mut run = follow(&folder);
    for minute in 0..6 {
        folder.reading("hall", f64::from(minute), &format!("00:0{minute}:10"));
        if minute % 2 == 1 {
            run.kill().unwrap();
            run.wait().unwrap();
            run = follow(&folder);
        }
    }
    let mut candles = String::new();
    wait_until("five minutes have closed", || {
        candles = folder.well(&["topic", "consume", "rooms-1m"]);
        candles.lines().count() >= 5
    });
    signal(&run, "-INT");
    assert_eq!(finish(run).code, 0);
    let means: Vec<Value> =
        candles.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["mean"].clone()).collect();
    assert_eq!(means, [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_bug_that_panics_is_told_and_its_input_is_taken_again() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    folder.reading("hall", 20.0, "00:00:10");
    folder.reading("hall", 21.0, "00:01:10");
    let mut command = folder.command(&["run", "--until-end", "--json", "rooms.yaml"]);
    let ran = finish(command.env("FAILPOINTS", "worker.panic=1*panic(of the test)").spawn().unwrap());
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    for said in ["internal error: of the test", "please report", "rooms", "task 0_0", "version=", "worker::"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()[0]["records_out"], 0);
    let report = folder.json(&["run", "--until-end", "--json", "rooms.yaml"]);
    assert_eq!((&report[0]["records_in"], &report[0]["records_out"]), (&2.into(), &1.into()));
}

#[test]
fn a_pipeline_is_reset_only_when_it_is_said_so_and_nothing_runs() {
    let folder = Folder::new();
    folder.well(&["topic", "create", "readings"]);
    folder.reading("hall", 20.0, "00:00:10");
    folder.reading("hall", 21.0, "00:01:10");
    folder.well(&["run", "--until-end", "rooms.yaml"]);
    let asked = folder.run(&["reset", "rooms.yaml", "--to", "earliest"]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.out.contains("rooms goes to the oldest record") && asked.err.contains("--yes"), "{}", asked.out);
    assert!(
        asked.out.contains("state is cleared: all records of rooms-by_minute-changelog (1 partition) go"),
        "{}",
        asked.out
    );
    let again = "results of what is read again are written again to rooms-1m: what stands there stays";
    assert!(asked.out.contains(again), "{}", asked.out);
    let on = folder.run(&["reset", "rooms.yaml", "--to", "latest"]);
    assert!(on.out.contains("state is cleared") && !on.out.contains("written again"), "{}", on.out);
    assert_eq!(folder.json(&["run", "--until-end", "--json", "rooms.yaml"])[0]["records_in"], 0, "nothing was changed");

    let candles = || folder.well(&["topic", "consume", "rooms-1m"]).lines().count();
    let run = follow(&folder);
    folder.reading("hall", 22.0, "00:02:10");
    // A reset before the run has the folder would keep the run from it.
    wait_until("the run has the folder", || candles() == 2);
    let refused = folder.run(&["reset", "rooms.yaml", "--to", "earliest"]);
    assert!(refused.code == 1 && refused.err.contains("in use by another run"), "{}", refused.err);
    signal(&run, "-INT");
    finish(run);

    let done = folder.json(&["reset", "rooms.yaml", "--to", "earliest", "--yes", "--json"]);
    assert_eq!((&done["moves"][0]["from"], &done["moves"][0]["to"]), (&3.into(), &0.into()));
    let report = folder.json(&["run", "--until-end", "--json", "rooms.yaml"]);
    assert_eq!((&report[0]["records_in"], &report[0]["records_out"]), (&3.into(), &2.into()));
    assert_eq!(report[0]["ledger"]["by_minute"]["restored"], 0, "no state was left");
    assert_eq!(candles(), 4, "what was written stays");

    folder.well(&["reset", "rooms.yaml", "--to", "readings:0=2", "--keep-state", "--yes"]);
    let report = folder.json(&["run", "--until-end", "--json", "rooms.yaml"]);
    assert_eq!((&report[0]["records_in"], &report[0]["ledger"]["by_minute"]["restored"]), (&1.into(), &1.into()));
    for (to, message) in
        [("first", "--to: `first` is neither"), ("readings:0=9", "not 9"), ("other:0=0", "is not read")]
    {
        let wrong = folder.run(&["reset", "rooms.yaml", "--to", to, "--yes"]);
        assert!(wrong.code == 2 && wrong.err.contains(message), "{to}: {}", wrong.err);
    }
}

#[test]
fn two_pipelines_run_side_by_side() {
    let folder = Folder::new();
    let other = ROOMS.replace("pipeline: rooms", "pipeline: all").replace("rooms-1m", "all-1m");
    fs::create_dir(folder.path().join("pipelines")).unwrap();
    folder.write("pipelines/rooms.yaml", ROOMS);
    folder.write("pipelines/all.yaml", &other);
    folder.well(&["topic", "create", "readings"]);
    folder.reading("hall", 20.0, "00:00:10");
    let report = folder.json(&["run", "--until-end", "--close", "--json", "pipelines"]);
    assert_eq!((&report[0]["pipeline"], &report[1]["pipeline"]), (&"all".into(), &"rooms".into()));
    for topic in ["all-1m", "rooms-1m"] {
        assert_eq!(folder.well(&["topic", "consume", topic]).lines().count(), 1, "{topic}");
    }
}

#[test]
fn a_pipeline_that_dies_beside_others_is_told_at_once() {
    let folder = Folder::new();
    let other = ROOMS.replace("pipeline: rooms", "pipeline: lost").replace("rooms-1m", "lost-1m");
    folder.write("lost.yaml", &other.replace("readings:", "gone:"));
    folder.well(&["topic", "create", "readings"]);
    let mut run = folder.command(&["run", "rooms.yaml", "lost.yaml"]).spawn().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("there is no topic gone")).unwrap();
    assert!(line.contains(" ERROR lost: it has stopped: ") && line.ends_with("(others=1)"), "{line}");
    wait_until("the other goes on", || folder.run(&["topic", "describe", "rooms-1m"]).code == 0);
    assert!(run.try_wait().unwrap().is_none(), "it goes on");
    signal(&run, "-INT");
    let end: Vec<String> = said.collect();
    assert!(end.iter().any(|line| line.starts_with("error: pipeline lost: there is no topic gone")), "{end:?}");
    assert_eq!(run.wait().unwrap().code(), Some(1));
}

#[test]
fn namesakes_are_refused_by_a_check_as_by_a_run() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("pipelines")).unwrap();
    folder.write("pipelines/a.yaml", ROOMS);
    folder.write("pipelines/b.yaml", ROOMS);
    folder.well(&["topic", "create", "readings"]);
    let said = "error: pipelines/a.yaml and pipelines/b.yaml are both named rooms\nhelp: ";
    for arguments in [&["check"][..], &["check", "--json"], &["run", "--until-end"]] {
        let ran = folder.run(&[arguments, &["pipelines"]].concat());
        assert!(ran.code == 2 && ran.err.starts_with(said), "{arguments:?}: {}{}", ran.out, ran.err);
    }
    folder.well(&["check", "pipelines/b.yaml"]);
    let checked = folder.run(&["check", "--json", "pipelines"]);
    let checked: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!((&checked[0]["ok"], &checked[1]["ok"]), (&true.into(), &true.into()), "each is right by itself");
}

/// Kubernetes mounts a ConfigMap so, to change all its files at once.
#[test]
fn a_folder_of_links_into_a_hidden_one_holds_each_pipeline_once() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path().join("mounted/..2026_01_01")).unwrap();
    folder.write("mounted/..2026_01_01/rooms.yaml", ROOMS);
    for (link, to) in [("..data", "..2026_01_01"), ("rooms.yaml", "..data/rooms.yaml")] {
        std::os::unix::fs::symlink(to, folder.path().join("mounted").join(link)).unwrap();
    }
    assert_eq!(folder.well(&["check", "mounted"]), "ok    mounted/rooms.yaml (rooms)\n");
    folder.well(&["topic", "create", "readings"]);
    folder.well(&["run", "--until-end", "mounted"]);
}

#[test]
fn the_demo_shows_candles_and_what_to_try_next() {
    let folder = Folder::new();
    let out = folder.well(&["demo", "--dir", "fresh"]);
    assert!(out.contains("35 candles closed"), "{out}");
    assert!(out.contains("trades-ohlc: 20000 records in, 35 messages out, "), "{out}");
    let tries: Vec<_> = out.lines().skip_while(|line| *line != "three things to try next").skip(1).collect();
    assert_eq!(tries.len(), 3);
    for line in &tries[..2] {
        let arguments: Vec<_> = line.split_whitespace().skip(1).collect();
        folder.well(&arguments);
    }
    assert!(tries[2].ends_with(" demo --crash"));
}

#[test]
fn a_folder_that_cannot_be_made_for_the_demo_is_named() {
    let folder = Folder::new();
    let ran = folder.run(&["demo", "--dir", "rooms.yaml/demo"]);
    let said = "error: cannot make the folder rooms.yaml/demo: Not a directory (os error 20)\nhelp: Name ";
    assert!(ran.code == 1 && ran.err.starts_with(said), "{}", ran.err);
}

#[test]
fn the_demo_that_kills_itself_proves_that_nothing_is_lost() {
    let folder = Folder::new();
    let out = folder.well(&["demo", "--crash"]);
    assert_eq!(out.lines().filter(|line| line.starts_with("kill ")).count(), 3, "{out}");
    assert!(out.contains("nothing lost, nothing doubled: 35 candles"), "{out}");
}
