//! Avro on a real broker with a real schema registry: schemas that change, that do not exist, and a registry that is away.
//! Nothing is lost, nothing comes twice, and what can go on goes on.

mod answers;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_harness::daemon::DaemonCommand;
use millstream_harness::{Daemon, Gate, Message, Result, SchemaRegistry, Trouble, ensure, process, suite, tests, wait};
use serde_json::Value;

use crate::scenario::{PARTITIONS, READY, SETTLED, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    let mut tests = answers::tests();
    tests.extend(tests![
        a_producer_moves_to_its_next_version_in_mid_stream,
        protobuf_and_json_schema_change_in_mid_stream_too,
        what_cannot_be_read_is_a_dead_letter_and_nothing_else_stops,
        a_registry_that_is_down_at_the_start_is_waited_for,
        columns_of_a_registry_that_is_down_are_waited_for_and_others_run,
        what_a_file_refers_to_in_a_registry_that_is_down_is_waited_for,
        a_registry_that_dies_while_pipelines_load_ends_nothing,
        a_registry_that_goes_down_holds_only_those_who_need_it,
        a_registry_and_a_daemon_that_come_and_go_lose_nothing,
        without_a_registry_the_daemon_says_so,
        over_a_folder_of_topics_a_registry_is_waited_for_too,
    ]);
    tests
}

const PIPELINE: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: avro
    schema: {id: bigint, note: string}
sink: {topic: PREFIXcopied, format: json}
on_error: {dead_letter: PREFIXdead}
"#;

const ONE: &str = r#"{"type":"record","name":"Event","fields":[{"name":"id","type":"long"}]}"#;
const TWO: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"note","type":"string","default":""},{"name":"id","type":"long"}]}"#;

/// As the second, with another default.
const THREE: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"note","type":"string","default":"-"},{"name":"id","type":"long"}]}"#;

/// What is said of a registry where nobody listens.
const DOWN: &str = "does not answer: http://127.0.0.1";

/// A topic of Avro, its registry, and what must come out.
struct Orders {
    scenario: Scenario,
    next: i64,
    /// By id: the note, if the version has one.
    expected: BTreeMap<i64, Option<String>>,
    subject: String,
}

impl Orders {
    fn new(name: &str) -> Result<Orders> {
        let scenario = Scenario::new(name)?;
        scenario.set_pipeline(PIPELINE)?;
        scenario.client.create_topic(&scenario.topic("dead"), PARTITIONS)?;
        let subject = format!("{}-value", scenario.topic("events"));
        Ok(Orders { scenario, next: 0, expected: BTreeMap::new(), subject })
    }

    fn start(&self, registry: &SchemaRegistry) -> Result<Daemon> {
        self.begin("a", registry)
    }

    fn begin(&self, instance: &str, registry: &SchemaRegistry) -> Result<Daemon> {
        self.scenario
            .daemon(instance)
            .env("SCHEMA_REGISTRY_URL", registry.url())
            .env("MILLSTREAM_SCHEMA_REGISTRY__REQUEST_TIMEOUT", "1s")
            .start()
    }

    fn message(&mut self, schema: u32, note: Option<&str>) -> Message {
        let id = self.next;
        self.next += 1;
        self.expected.insert(id, note.map(str::to_owned));
        let mut value = header(schema);
        if let Some(note) = note {
            value.extend(long(note.len() as i64));
            value.extend(note.as_bytes());
        }
        value.extend(long(id));
        Message::value(value)
    }

    /// A second pipeline beside it, in `plain.yaml`, which needs no registry and has a line to copy. Gives the topic that the line
    /// comes to.
    fn add_plain(&self) -> Result<String> {
        let plain = self.scenario.folder().join("plain.yaml");
        let prefix = self.scenario.topic("");
        std::fs::write(&plain, PLAIN.replace("PREFIX", &prefix)).map_err(Trouble::io(plain.display()))?;
        let (lines, kept) = (self.scenario.topic("lines"), self.scenario.topic("kept"));
        self.scenario.client.create_topic(&lines, 1)?;
        self.scenario.client.create_topic(&kept, 1)?;
        self.scenario.client.produce(&lines, &[Message::value("a line")])?;
        Ok(kept)
    }

    /// Writes records of the schema, some to each of the partitions.
    fn write(&mut self, schema: u32, note: Option<&str>, count: usize, partitions: &[u32]) -> Result {
        let messages: Vec<Message> =
            (0..count).map(|at| self.message(schema, note).to(partitions[at % partitions.len()])).collect();
        self.scenario.client.produce(&self.scenario.topic("events"), &messages).map(drop)
    }

    /// What has come out so far; an id that came twice is wrong.
    fn read(&self) -> Result<BTreeMap<i64, Option<String>>> {
        let mut found = BTreeMap::new();
        for record in self.scenario.client.read(&self.scenario.topic("copied"))? {
            let row = record.json()?;
            let id = row["id"].as_i64().ok_or_else(|| format!("no id: {row}"))?;
            if found.insert(id, row["note"].as_str().map(str::to_owned)).is_some() {
                return Err(Trouble::Wrong(format!("id {id} came twice")));
            }
        }
        Ok(found)
    }

    fn wait_for_rows(&self, count: usize) -> Result {
        let rows = wait::until("the rows", SETTLED, || Ok(self.read()?.len()), |rows| *rows >= count)?;
        ensure!(rows == count, "{rows} rows, where {count} were to come");
        Ok(())
    }

    fn settle(&self) -> Result {
        self.wait_for_rows(self.expected.len())?;
        // What came too often would come now.
        std::thread::sleep(Duration::from_millis(700));
        let found = self.read()?;
        ensure!(found == self.expected, "other rows: {} of {}", found.len(), self.expected.len());
        Ok(())
    }

    fn dead_letters(&self) -> Result<usize> {
        Ok(self.scenario.client.read(&self.scenario.topic("dead"))?.len())
    }
}

fn header(schema: u32) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(schema.to_be_bytes());
    bytes
}

fn long(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

fn varint(value: u64) -> Vec<u8> {
    let mut rest = value;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// Waits until `/ready` says that records wait for these schemas, and why; and `/status` too.
fn wait_until_it_waits(daemon: &Daemon, schemas: &[u32], why: &str) -> Result {
    let reasons = || {
        let answer: Value = serde_json::from_str(&daemon.get("/ready")?.body).unwrap_or_default();
        Ok(answer["reasons"].as_array().cloned().unwrap_or_default())
    };
    let ids: Vec<String> = schemas.iter().map(u32::to_string).collect();
    let wanted = format!("waits for schema{} {} for", if ids.len() > 1 { "s" } else { "" }, ids.join(", "));
    let says = |reason: &Value| {
        let detail = reason["detail"].as_str().unwrap_or_default();
        reason["reason"] == "schema" && detail.contains(&wanted) && detail.contains(why)
    };
    wait::until("the reason", READY, reasons, |reasons: &Vec<Value>| reasons.iter().any(says))?;
    let status = daemon.status()?.to_string();
    ensure!(status.contains(&format!("\"schemas\":[{}]", ids.join(","))), "{status}");
    Ok(())
}

fn a_producer_moves_to_its_next_version_in_mid_stream() -> Result {
    let registry = SchemaRegistry::shared()?;
    let mut orders = Orders::new("evolve")?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    let mut daemon = orders.start(registry)?;
    daemon.wait_until_ready(READY)?;
    let all: Vec<u32> = (0..PARTITIONS).collect();
    orders.write(one, None, 800, &all)?;
    orders.wait_for_rows(800)?;

    registry.set_level(&orders.subject, "BACKWARD")?;
    let two = registry.register(&orders.subject, "AVRO", TWO)?;
    // Old and new producers side by side, within one batch too.
    let mut mixed = Vec::new();
    for at in 0..400 {
        let message = if at % 3 == 0 { orders.message(two, Some("new")) } else { orders.message(one, None) };
        mixed.push(message.to(at % PARTITIONS));
    }
    orders.scenario.client.produce(&orders.scenario.topic("events"), &mixed)?;
    orders.write(two, Some(""), 800, &all)?;
    orders.settle()?;
    ensure!(orders.dead_letters()? == 0, "there are dead letters");
    let requests = daemon.metric("millstream_schema_requests_total{outcome=\"found\"} ")?;
    ensure!(requests == Some(2.0), "{requests:?} requests for two schemas");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn protobuf_and_json_schema_change_in_mid_stream_too() -> Result {
    let registry = SchemaRegistry::shared()?;
    let proto = |fields: &str| format!("syntax = \"proto3\";\n\nmessage Event {{\n  int64 id = 1;\n{fields}}}\n");
    let json = |more: &str| {
        format!(
            r#"{{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{{"id":{{"type":"integer"}}{more}}}}}"#
        )
    };
    let with_note = r#","note":{"type":"string"}"#;
    for (format, kind, one, two) in [
        ("protobuf", "PROTOBUF", proto(""), proto("  optional string note = 7;\n")),
        ("json_schema", "JSON", json(""), json(with_note)),
    ] {
        let mut orders = Orders::new(format)?;
        orders.scenario.set_pipeline(&PIPELINE.replace("avro", format))?;
        let one = registry.register(&orders.subject, kind, &one)?;
        let mut daemon = orders.start(registry)?;
        daemon.wait_until_ready(READY)?;
        let message = |schema: u32, id: i64, note: Option<&str>| {
            let body = match (format, note) {
                ("protobuf", None) => [vec![0, 0x08], varint(id as u64)].concat(),
                ("protobuf", Some(note)) => {
                    [vec![0, 0x08], varint(id as u64), vec![0x3a, note.len() as u8], note.into()].concat()
                }
                (_, None) => format!("{{\"id\": {id}}}").into_bytes(),
                (_, Some(note)) => format!("{{\"id\": {id}, \"note\": \"{note}\"}}").into_bytes(),
            };
            Message::value([header(schema), body].concat()).to(id as u32 % PARTITIONS)
        };
        let events = orders.scenario.topic("events");
        let first: Vec<Message> = (1..201).map(|id| message(one, id, None)).collect();
        orders.scenario.client.produce(&events, &first)?;
        orders.expected.extend((1..201).map(|id| (id, None)));
        orders.wait_for_rows(200)?;
        let two = registry.register(&orders.subject, kind, &two)?;
        ensure!(one != two, "{format}: the second version has the id of the first");
        let both =
            (201..401).map(|id| if id % 2 == 0 { message(two, id, Some("new")) } else { message(one, id, None) });
        orders.scenario.client.produce(&events, &both.collect::<Vec<_>>())?;
        orders.expected.extend((201..401).map(|id| (id, (id % 2 == 0).then(|| "new".to_owned()))));
        orders.settle().map_err(|trouble| format!("{format}: {trouble}"))?;
        ensure!(orders.dead_letters()? == 0, "{format}: there are dead letters");
        ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    }
    Ok(())
}

fn what_cannot_be_read_is_a_dead_letter_and_nothing_else_stops() -> Result {
    let registry = SchemaRegistry::shared()?;
    let mut orders = Orders::new("hostile")?;
    let two = registry.register(&orders.subject, "AVRO", TWO)?;
    let other =
        registry.register("hostile-other", "PROTOBUF", "syntax = \"proto3\";\n\nmessage A {\n  string b = 1;\n}\n")?;
    let mut daemon = orders.start(registry)?;
    daemon.wait_until_ready(READY)?;
    let with = |schema: u32, rest: &[u8]| Message::value([header(schema), rest.to_vec()].concat());
    let hostile = [
        with(1_999_999_999, &[2]),
        with(u32::MAX, &[2]),
        with(other, &[10, 1, 65]),
        Message::value(""),
        Message::value([0, 0, 1]),
        Message::value("{\"id\": 7}"),
        Message::value([1, 0, 0, 0, 1, 2]),
        // No note, half a note, a note of two gigabytes, of a negative length; and something behind the record.
        with(two, &[]),
        with(two, &[8, 65]),
        with(two, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 65]),
        with(two, &[1, 65]),
        with(two, &[2, 65, 2, 99]),
    ];
    let mut messages = Vec::new();
    for round in 0..40 {
        messages.push(orders.message(two, Some("good")).to(round % PARTITIONS));
        messages.push(hostile[round as usize % hostile.len()].clone().to(round % PARTITIONS));
    }
    orders.scenario.client.produce(&orders.scenario.topic("events"), &messages)?;
    orders.settle()?;
    let letters = wait::until("the dead letters", SETTLED, || orders.dead_letters(), |letters| *letters >= 40)?;
    ensure!(letters == 40, "{letters} dead letters of 40 records");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    ensure!(daemon.get("/ready")?.status == 200, "it is not ready any more");
    Ok(())
}

fn a_registry_that_is_down_at_the_start_is_waited_for() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let mut orders = Orders::new("absent")?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    registry.kill();
    let all: Vec<u32> = (0..PARTITIONS).collect();
    orders.write(one, None, 400, &all)?;
    let mut daemon = orders.start(&registry)?;
    wait_until_it_waits(&daemon, &[one], DOWN)?;
    let waiting = format!(
        "{{pipeline=\"{}\",topic=\"{}\",partition=\"0\"}} ",
        orders.scenario.group(),
        orders.scenario.topic("events")
    );
    let waits = daemon.metric(&format!("millstream_schema_waiting{waiting}"))?;
    ensure!(waits == Some(1.0), "the metric says {waits:?}");
    // It waits without turning round and round.
    let cpu = || Ok::<f64, Trouble>(daemon.metric("process_cpu_seconds_total ")?.unwrap_or_default());
    let before = cpu()?;
    std::thread::sleep(Duration::from_secs(4));
    let spent = cpu()? - before;
    ensure!(spent < 1.0, "{spent} CPU-seconds in 4 seconds of waiting");
    ensure!(orders.read()?.is_empty() && orders.dead_letters()? == 0, "something came out");
    let said = daemon.output.text().matches("wait (for").count();
    ensure!((1..=3).contains(&said), "it was said {said} times: {}", daemon.output.tail(20));

    registry.restart()?;
    orders.settle()?;
    daemon.wait_until_ready(READY)?;
    ensure!(orders.dead_letters()? == 0, "there are dead letters");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

const LATEST: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events: {topic: PREFIXevents, format: avro}
sink: {topic: PREFIXcopied, format: avro, register: true}
"#;

const PLAIN: &str = r#"
version: 1
pipeline: PREFIXplain
sources:
  lines: {topic: PREFIXlines, format: raw}
sink: {topic: PREFIXkept, format: raw}
"#;

fn columns_of_a_registry_that_is_down_are_waited_for_and_others_run() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let mut orders = Orders::new("columns")?;
    orders.scenario.set_pipeline(LATEST)?;
    let (client, kept) = (orders.scenario.client.clone(), orders.add_plain()?);
    let two = registry.register(&orders.subject, "AVRO", TWO)?;
    registry.kill();
    orders.write(two, Some("note"), 100, &[0, 1])?;

    let mut daemon =
        orders.scenario.daemon("a").args(["plain.yaml"]).env("SCHEMA_REGISTRY_URL", registry.url()).start()?;
    let not_ready = || Ok(daemon.get("/ready")?.body);
    wait::until("the reason", READY, not_ready, |said| said.contains("torture") && said.contains(DOWN))?;
    wait::until("the other pipeline", SETTLED, || Ok(client.read(&kept)?.len()), |lines| *lines == 1)?;
    ensure!(client.read(&orders.scenario.topic("copied"))?.is_empty(), "something came out");

    registry.restart()?;
    daemon.wait_until_ready(READY)?;
    let copied = || client.read(&orders.scenario.topic("copied"));
    let copied = wait::until("the rows", SETTLED, copied, |rows| rows.len() >= 100)?;
    let subject = format!("/subjects/{}-value/versions/latest", orders.scenario.topic("copied"));
    let id = registry.ask("GET", &subject, &Value::Null)?.body["id"].as_u64().ok_or("no schema was registered")?;
    let is_of = |row: &millstream_harness::Read| {
        row.value.as_deref().is_some_and(|value| value.starts_with(&header(id as u32)))
    };
    ensure!(copied.len() == 100 && copied.iter().all(is_of), "{} rows, or of another schema", copied.len());
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

const REFERS: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  events: {topic: PREFIXevents, format: json, schema: {id: bigint, state: string}}
sink: {topic: PREFIXcopied, format: avro, register: true, schema: {file: bill.avsc}}
"#;
const STATE: &str = r#"{"type":"enum","name":"shop.State","symbols":["OPEN","PAID"]}"#;
const BILL: &str = r#"{"type":"record","name":"shop.Bill","fields":[
    {"name":"id","type":"long"},{"name":"state","type":"State"}]}"#;

fn what_a_file_refers_to_in_a_registry_that_is_down_is_waited_for() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let scenario = Scenario::new("refers")?;
    scenario.set_pipeline(REFERS)?;
    let file = scenario.folder().join("bill.avsc");
    std::fs::write(&file, BILL).map_err(Trouble::io(file.display()))?;
    registry.register("shop.State", "AVRO", STATE)?;
    registry.kill();
    scenario.client.produce(&scenario.topic("events"), &[Message::value("{\"id\": 7, \"state\": \"PAID\"}")])?;
    let mut daemon = scenario.daemon("a").env("SCHEMA_REGISTRY_URL", registry.url()).start()?;
    let not_ready = || Ok(daemon.get("/ready")?.body);
    wait::until("the reason", READY, not_ready, |said| said.contains("shop.State") && said.contains(DOWN))?;

    registry.restart()?;
    daemon.wait_until_ready(READY)?;
    let copied = || scenario.client.read(&scenario.topic("copied"));
    let copied = wait::until("the row", SETTLED, copied, |rows| !rows.is_empty())?;
    let path = format!("/subjects/{}-value/versions/latest", scenario.topic("copied"));
    let registered = registry.ask("GET", &path, &Value::Null)?.body;
    let references = serde_json::json!([{"name": "shop.State", "subject": "shop.State", "version": 1}]);
    ensure!(registered["references"] == references, "{registered}");
    let id = registered["id"].as_u64().unwrap_or_default() as u32;
    let expected = [header(id), long(7), vec![2]].concat();
    ensure!(copied[0].value.as_deref() == Some(&expected[..]), "{:?}", copied[0].value);
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

/// The registry dies behind its first answer (which says that it is there), behind the second, and so on: while columns are
/// asked for, while sinks are compared, while they are registered.
fn a_registry_that_dies_while_pipelines_load_ends_nothing() -> Result {
    let registry = SchemaRegistry::shared()?;
    for questions in MOMENTS {
        let name = format!("dies-{questions}");
        let mut orders = Orders::new(&name)?;
        orders.scenario.set_pipeline(LATEST)?;
        let (client, kept) = (orders.scenario.client.clone(), orders.add_plain()?);
        let two = registry.register(&orders.subject, "AVRO", TWO)?;
        orders.write(two, Some("note"), 20, &[0, 1])?;

        let gate = Gate::before(registry, questions)?;
        let mut daemon =
            orders.scenario.daemon("a").args(["plain.yaml"]).env("SCHEMA_REGISTRY_URL", gate.url()).start()?;
        wait::until("the other pipeline", SETTLED, || Ok(client.read(&kept)?.len()), |lines| *lines == 1)?;
        let standing = || daemon.status().map(|status| of_pipeline(&status, &orders.scenario.group()));
        wait::until("the pipeline to wait", READY, standing, |pipeline| pipeline["state"] == "waiting")?;
        ensure!(gate.is_closed(), "it waits for a registry that answers");
        says_that_it_waits(&daemon, &orders.scenario.group())?;
        gate.open()?;
        daemon.wait_until_ready(READY)?;
        let copied = || Ok(client.read(&orders.scenario.topic("copied"))?.len());
        let rows = wait::until("the rows", SETTLED, copied, |rows| *rows >= 20)?;
        ensure!(rows == 20, "{rows} rows of 20");
        ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    }
    Ok(())
}

/// So many questions were answered: that it is there; the columns; and what is asked about the sink until it is registered.
const MOMENTS: [usize; 5] = [1, 2, 4, 6, 8];

fn of_pipeline(status: &Value, name: &str) -> Value {
    let mut pipelines = status["pipelines"].as_array().into_iter().flatten();
    pipelines.find(|pipeline| pipeline["name"] == name).cloned().unwrap_or_default()
}

/// `/ready` and the metrics, as `/status` did, say that the pipeline waits for its schemas.
fn says_that_it_waits(daemon: &Daemon, pipeline: &str) -> Result {
    let ready: Value = serde_json::from_str(&daemon.get("/ready")?.body).unwrap_or_default();
    let reasons = ready["reasons"].as_array().into_iter().flatten();
    let reasons: Vec<_> = reasons.filter(|reason| reason["pipeline"] == pipeline).collect();
    let [reason] = reasons[..] else { return Err(format!("not one reason: {ready}").into()) };
    ensure!(reason["reason"] == "schema", "{reason}");
    let detail = reason["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("it waits for its schemas") && detail.contains(DOWN), "{detail}");
    let state = |state: &str| {
        let labels = format!("{{pipeline=\"{pipeline}\",state=\"{state}\"}} ");
        daemon.metric(&format!("millstream_pipeline_state{labels}"))
    };
    ensure!((state("waiting")?, state("failed")?) == (Some(1.0), Some(0.0)), "the metric says otherwise");
    Ok(())
}

fn a_registry_that_goes_down_holds_only_those_who_need_it() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let mut orders = Orders::new("away")?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    let two = registry.register(&orders.subject, "AVRO", TWO)?;
    let mut daemon = orders.start(&registry)?;
    daemon.wait_until_ready(READY)?;
    let all: Vec<u32> = (0..PARTITIONS).collect();
    orders.write(one, None, 400, &all)?;
    orders.wait_for_rows(400)?;

    registry.kill();
    // The first partition waits behind its first record of the new version; what is before it, and the others, go on.
    orders.write(one, None, 100, &[0])?;
    orders.write(two, Some("later"), 10, &[0])?;
    orders.write(one, None, 100, &[0])?;
    orders.write(one, None, 300, &[1, 2, 3])?;
    wait_until_it_waits(&daemon, &[two], DOWN)?;
    orders.wait_for_rows(400 + 100 + 300)?;
    // A crash while it waits: the next one needs both schemas, and has none.
    daemon.kill();
    let mut daemon = orders.start(&registry)?;
    wait_until_it_waits(&daemon, &[one, two], DOWN)?;
    orders.wait_for_rows(800)?;
    // Tasks move to another instance and back while their records wait.
    let mut other = orders.begin("b", &registry)?;
    wait_until_it_waits(&other, &[one, two], DOWN).or_else(|_| wait_until_it_waits(&daemon, &[one, two], DOWN))?;
    other.kill();
    registry.restart()?;
    orders.settle()?;

    // A registry that hangs is as good as none.
    let three = registry.register(&orders.subject, "AVRO", THREE)?;
    registry.pause();
    orders.write(three, Some("late"), 100, &[1])?;
    orders.write(two, Some("in time"), 100, &[2])?;
    wait_until_it_waits(&daemon, &[three], "no answer within 1000 ms")?;
    orders.wait_for_rows(orders.expected.len() - 100)?;
    registry.resume();
    orders.settle()?;
    daemon.wait_until_ready(READY)?;
    ensure!(orders.dead_letters()? == 0, "there are dead letters");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn a_registry_and_a_daemon_that_come_and_go_lose_nothing() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let mut orders = Orders::new("comesandgoes")?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    // Versions that are all like the second, but each with an id of its own.
    let versions: Vec<u32> = (0..6)
        .map(|at| {
            registry.register(
                &orders.subject,
                "AVRO",
                &TWO.replace("\"default\":\"\"", &format!("\"default\":\"{at}\"")),
            )
        })
        .collect::<Result<_>>()?;
    let all: Vec<u32> = (0..PARTITIONS).collect();
    let mut daemon = orders.start(&registry)?;
    for (round, &version) in versions.iter().enumerate() {
        match round % 3 {
            0 => registry.kill(),
            1 => registry.pause(),
            _ => {}
        }
        orders.write(one, None, 300, &all)?;
        orders.write(version, Some("note"), 100, &all[round % 2..])?;
        orders.write(one, None, 300, &all)?;
        std::thread::sleep(Duration::from_millis(400 + 300 * round as u64));
        if round % 2 == 1 {
            daemon.kill();
            daemon = orders.start(&registry)?;
        }
        match round % 3 {
            0 => registry.restart()?,
            1 => registry.resume(),
            _ => {}
        }
    }
    orders.settle()?;
    daemon.wait_until_ready(READY)?;
    ensure!(orders.dead_letters()? == 0, "there are dead letters");
    Ok(())
}

fn without_a_registry_the_daemon_says_so() -> Result {
    let orders = Orders::new("nameless")?;
    let mut daemon = orders.scenario.daemon("a").start()?;
    daemon.wait_until_it_says("set `schema_registry.urls` in the settings", READY)?;
    ensure!(daemon.get("/ready")?.status == 503, "it is ready");
    Ok(())
}

fn over_a_folder_of_topics_a_registry_is_waited_for_too() -> Result {
    let mut registry = SchemaRegistry::start()?;
    let one = registry.register("local-value", "AVRO", ONE)?;
    let folder = process::temp_folder("local-registry")?;
    let url = registry.url();
    let command = |name: &str, arguments: &[&str]| {
        DaemonCommand::new(env!("CARGO_BIN_EXE_millstream"), name, folder.path())
            .args(arguments.iter().copied())
            .env("SCHEMA_REGISTRY_URL", &url)
    };
    let well = |name: &str, arguments: &[&str]| -> Result<String> {
        let (status, output) = command(name, arguments).run(READY)?;
        ensure!(status.success(), "{arguments:?}: {status}: {}", output.tail(20));
        Ok(output.text())
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).map_err(Trouble::io(path.display()))
    };
    write("copy.yaml", PIPELINE.replace("PREFIX", "local-").replace("{dead_letter: local-dead}", "skip").as_bytes())?;
    // One record a line: the fifth would be two.
    let lines: Vec<Vec<u8>> = (0..40).filter(|id| *id != 5).map(|id| [header(one), long(id)].concat()).collect();
    write("lines", &lines.join(&b"\n"[..]))?;
    well("create", &["topic", "create", "local-events", "--local", "data"])?;
    well("produce", &["topic", "produce", "local-events", "lines", "--local", "data"])?;
    let run = command("run", &["run", "copy.yaml", "--local", "data", "--until-end"]);
    registry.kill();
    let mut run = run.start()?;
    run.wait_until_it_says("the schema registry does not answer", READY)?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(run.process.ended().is_none(), "it ended: {}", run.output.tail(20));
    registry.restart()?;
    let status = run.process.wait(READY)?;
    ensure!(status.success(), "{status}: {}", run.output.tail(20));
    let read = well("consume", &["topic", "consume", "local-copied", "--local", "data"])?;
    let rows = read.lines().filter(|line| line.contains("\"id\":")).count();
    ensure!(rows == lines.len(), "{rows} rows: {read}");
    Ok(())
}
