//! What an operator does by hand: looks before a start (`plan`), moves a group (`reset`), works on topics (`topic`).

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_harness::admin::Acl;
use millstream_harness::broker::{Access, BrokerOptions};
use millstream_harness::daemon::DaemonCommand;
use millstream_harness::{Broker, Client, Message, Result, Trouble, ensure, process, suite, tests, wait};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_plan_says_what_the_brokers_have_against_a_run,
        a_plan_names_each_right_that_is_missing,
        a_reset_begins_anew_whatever_machines_have_stored,
        a_reset_to_a_time_begins_with_the_first_record_from_then,
        a_source_starts_where_it_says,
        a_reset_is_refused_while_somebody_is_in_the_group,
        a_group_that_has_lost_its_offsets_counts_nothing_twice,
        topics_are_worked_on_from_the_command_line,
    ]
}

const WITHIN: Duration = Duration::from_secs(60);

const TOTALS: &str = "\
version: 1
pipeline: PREFIXtotals
sources:
  sales: {topic: PREFIXsales, format: json, schema: {shop: string, amount: bigint}}
steps:
  - aggregate: {id: by_shop, by: shop, aggregates: {total: sum(amount)}, emit: changes}
sink: {topic: PREFIXout, key: shop, create: {partitions: 2}}
";

/// A pipeline of totals, with topics and a folder of its own.
struct Shops {
    prefix: &'static str,
    client: Client,
    bootstrap: String,
    folder: tempfile::TempDir,
}

/// How a command ended, and what it said.
struct Said {
    well: bool,
    text: String,
}

impl Shops {
    fn on(prefix: &'static str, broker: &Broker) -> Result<Shops> {
        let folder = process::temp_folder(prefix)?;
        let shops = Shops { prefix, client: broker.client(), bootstrap: broker.bootstrap(), folder };
        shops.set_pipeline(TOTALS)?;
        Ok(shops)
    }

    fn set_pipeline(&self, text: &str) -> Result {
        let path = self.folder.path().join("totals.yaml");
        std::fs::write(&path, text.replace("PREFIX", self.prefix)).map_err(Trouble::io(path.display()))
    }

    fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn command(&self, name: &str, arguments: &[&str]) -> DaemonCommand {
        DaemonCommand::new(env!("CARGO_BIN_EXE_millstream"), name, self.folder.path())
            .args(arguments.iter().copied())
            .env("KAFKA_BROKER_ADDRESS", &self.bootstrap)
            .env("MILLSTREAM_CHECKPOINT_INTERVAL", "100ms")
            .env("MILLSTREAM_TRANSACTION_TIMEOUT", "8s")
    }

    fn say(&self, arguments: &[&str]) -> Result<Said> {
        said(&self.command("command", arguments))
    }

    fn sell(&self, amounts: &[(&str, i64)]) -> Result {
        let message =
            |(shop, amount): &(&str, i64)| Message::value(format!(r#"{{"shop":"{shop}","amount":{amount}}}"#));
        let messages: Vec<Message> = amounts.iter().map(message).collect();
        self.client.produce(&self.topic("sales"), &messages).map(drop)
    }

    /// Runs to the end of what is there, as a machine with a folder of state of its own.
    fn run(&self, machine: &str) -> Result {
        let ran = self.try_to_run(machine)?;
        ensure!(ran.well, "{}", ran.text);
        Ok(())
    }

    fn try_to_run(&self, machine: &str) -> Result<Said> {
        said(&self.running(machine))
    }

    fn running(&self, machine: &str) -> DaemonCommand {
        self.command(machine, &["run", "totals.yaml", "--until-end", "--http", "off", "--state-dir", machine])
    }

    /// The last total of each shop that a reader of committed records is shown.
    fn totals(&self) -> Result<BTreeMap<String, i64>> {
        let mut totals = BTreeMap::new();
        for read in self.client.read_settled(&self.topic("out"))? {
            let total = read.json()?;
            let shop = total["shop"].as_str().unwrap_or_default().to_owned();
            totals.insert(shop, total["total"].as_i64().unwrap_or_default());
        }
        Ok(totals)
    }
}

fn said(command: &DaemonCommand) -> Result<Said> {
    let (status, output) = command.run(WITHIN)?;
    Ok(Said { well: status.success(), text: output.text() })
}

fn totals<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<String, i64> {
    of.into_iter().map(|(shop, total)| (shop.to_owned(), total)).collect()
}

fn a_plan_says_what_the_brokers_have_against_a_run() -> Result {
    let shops = Shops::on("planned-", Broker::shared()?)?;
    let plan = ["plan", "totals.yaml", "--brokers", &shops.bootstrap];
    let missing = shops.say(&plan)?;
    let sentence = "topic planned-sales, which source sales reads, does not exist";
    ensure!(!missing.well && missing.text.contains(sentence), "{}", missing.text);

    shops.client.create_topic(&shops.topic("sales"), 3)?;
    let well = shops.say(&plan)?;
    ensure!(well.well && well.text.contains("nothing speaks against a run"), "{}", well.text);
    let made = shops.client.topics()?;
    ensure!(!made.iter().any(|topic| topic.starts_with("planned-") && !topic.ends_with("sales")), "it made {made:?}");

    // A changelog of another width, settings that delete, and a group of another program.
    let internal = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
    shops.client.create_topic_with("planned-totals-by_shop-changelog", 2, &internal)?;
    shops.client.create_topic_with("planned-totals-by_shop-repartition-changelog", 3, &internal[..1])?;
    shops.client.set_topic_config("planned-totals-by_shop-repartition-changelog", &[("retention.ms", "604800000")])?;
    shops.client.set_group_offset("planned-totals", &shops.topic("sales"), 0, 0)?;
    let wrong = shops.say(&plan)?;
    for sentence in [
        "planned-totals-by_shop-changelog has 2 partitions, but the pipeline needs 3",
        "planned-totals-by_shop-repartition-changelog has retention.ms=604800000 instead of -1",
        "the group planned-totals has offsets that another program has committed",
    ] {
        ensure!(!wrong.well && wrong.text.contains(sentence), "{sentence}: {}", wrong.text);
    }
    Ok(())
}

fn a_plan_names_each_right_that_is_missing() -> Result {
    let users = vec![("alice".to_owned(), "secret-of-alice".to_owned())];
    let broker = Broker::start_with(BrokerOptions { users, access: Access::Checked, ..BrokerOptions::default() })?;
    let shops = Shops::on("rights-", &broker)?;
    let client = broker.client();
    client.create_topic(&shops.topic("sales"), 1)?;
    client.create_topic(&shops.topic("out"), 1)?;
    let allow = |resource, name: &str, operation| client.allow(Acl { user: "alice", resource, name, operation });
    allow("topic", "*", "describe")?;
    allow("group", "*", "describe")?;
    allow("cluster", "kafka-cluster", "describe")?;
    let bootstrap = broker.sasl_bootstrap();
    let plan = shops
        .command("alice", &["plan", "totals.yaml", "--brokers", &bootstrap])
        .env("MILLSTREAM_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("MILLSTREAM_KAFKA__SASL_MECHANISM", "PLAIN")
        .env("MILLSTREAM_KAFKA__SASL_USERNAME", "alice")
        .env("MILLSTREAM_KAFKA__SASL_PASSWORD", "secret-of-alice");
    let refused = said(&plan)?;
    for sentence in [
        "the user lacks the right READ on topic rights-sales",
        "the user lacks the right WRITE on topic rights-out",
        "the user lacks the right READ on group rights-totals",
        "rights-totals-by_shop-changelog is to be made, and the user lacks the right CREATE on the cluster",
    ] {
        ensure!(!refused.well && refused.text.contains(sentence), "{sentence}: {}", refused.text);
    }
    ensure!(!refused.text.contains("secret-of-alice"), "a secret was told: {}", refused.text);
    let all = [("topic", "*", "all"), ("group", "*", "all"), ("cluster", "kafka-cluster", "create")];
    for (resource, name, operation) in all {
        allow(resource, name, operation)?;
    }
    // Brokers hear of rights a little later.
    let plan_again = || said(&plan).map(|said| said.text);
    wait::until("all rights", WITHIN, plan_again, |text| text.contains("nothing speaks against a run")).map(drop)
}

/// Two machines have run the pipeline, and both have stored what there was; neither may bring it back.
fn a_reset_begins_anew_whatever_machines_have_stored() -> Result {
    let shops = Shops::on("anew-", Broker::shared()?)?;
    shops.client.create_topic(&shops.topic("sales"), 2)?;
    shops.sell(&[("a", 1), ("b", 10), ("a", 2)])?;
    shops.run("one")?;
    shops.run("two")?;
    ensure!(shops.totals()? == totals([("a", 3), ("b", 10)]), "{:?}", shops.totals()?);

    let asked = shops.say(&["reset", "totals.yaml", "--to", "latest"])?;
    ensure!(!asked.well && asked.text.contains("Say --yes"), "{}", asked.text);
    let done = shops.say(&["reset", "totals.yaml", "--to", "latest", "--yes"])?;
    ensure!(done.well && done.text.contains("anew-totals-by_shop-changelog (2 partitions)"), "{}", done.text);
    shops.sell(&[("a", 100)])?;
    shops.run("one")?;
    ensure!(shops.totals()?["a"] == 100, "machine one has kept state: {:?}", shops.totals()?);
    shops.sell(&[("b", 1000)])?;
    shops.run("two")?;
    ensure!(shops.totals()?["b"] == 1000, "machine two has kept state: {:?}", shops.totals()?);

    let from_start = shops.say(&["reset", "totals.yaml", "--to", "earliest", "--yes"])?;
    ensure!(from_start.well, "{}", from_start.text);
    shops.run("three")?;
    ensure!(shops.totals()? == totals([("a", 103), ("b", 1010)]), "{:?}", shops.totals()?);
    let kept = shops.say(&["reset", "totals.yaml", "--to", "earliest", "--keep-state", "--yes"])?;
    ensure!(kept.well, "{}", kept.text);
    shops.run("one")?;
    ensure!(shops.totals()? == totals([("a", 206), ("b", 2020)]), "{:?}", shops.totals()?);
    Ok(())
}

/// Sales of one shop with their times, each to a partition; 1970, so that a topic must keep them for ever.
fn sales_at(sales: &[(u32, i64, i64)]) -> Vec<Message> {
    let sale = |(partition, time, amount): &(u32, i64, i64)| {
        Message::value(format!(r#"{{"shop":"a","amount":{amount}}}"#)).to(*partition).at(*time)
    };
    sales.iter().map(sale).collect()
}

/// In partition 0 an older record stands behind the first one from 2.5 s on; in partition 1 all are older; 2 is empty.
const TIMED: [(u32, i64, i64); 5] = [(0, 1000, 1), (0, 3000, 10), (0, 2000, 100), (1, 1000, 1000), (1, 2499, 10_000)];
const SINCE: &str = "1970-01-01T00:00:02.500Z";

fn a_reset_to_a_time_begins_with_the_first_record_from_then() -> Result {
    let shops = Shops::on("timed-", Broker::shared()?)?;
    let sales = shops.topic("sales");
    shops.client.create_topic(&sales, 3)?;
    shops.client.produce(&sales, &sales_at(&TIMED))?;
    shops.run("one")?;
    ensure!(shops.totals()? == totals([("a", 11_111)]), "{:?}", shops.totals()?);
    // State is cleared, and each partition begins where its first record from then on is, or at its end.
    let done = shops.say(&["reset", "totals.yaml", "--to", SINCE, "--yes"])?;
    ensure!(done.well, "{}", done.text);
    let offsets = shops.client.group_offsets("timed-totals")?.remove(&sales).unwrap_or_default();
    ensure!(offsets == [(0, 1), (1, 2), (2, 0)].into(), "{offsets:?}: {}", done.text);
    let plan = shops.say(&["plan", "totals.yaml", "--brokers", &shops.bootstrap])?;
    ensure!(plan.text.contains("behind: 2 offsets of timed-sales"), "{}", plan.text);
    shops.run("one")?;
    ensure!(shops.totals()? == totals([("a", 110)]), "{:?}", shops.totals()?);
    // Beyond everything: only what comes from now on, however old its time is. The state is kept.
    let done = shops.say(&["reset", "totals.yaml", "--to", "2100-01-01T00:00:00Z", "--keep-state", "--yes"])?;
    ensure!(done.well, "{}", done.text);
    shops.client.produce(&sales, &sales_at(&[(1, 5, 1_000_000), (2, 5, 2_000_000)]))?;
    shops.run("two")?;
    ensure!(shops.totals()? == totals([("a", 3_000_110)]), "{:?}", shops.totals()?);
    Ok(())
}

/// What each start reads of what was there before, what comes while it runs, and what comes while it does not.
fn a_source_starts_where_it_says() -> Result {
    for (prefix, start, before) in
        [("from-latest-", "latest", 0), ("from-time-", SINCE, 110), ("from-earliest-", "earliest", 11_111)]
    {
        let shops = Shops::on(prefix, Broker::shared()?)?;
        let sales = shops.topic("sales");
        shops.client.create_topic(&sales, 3)?;
        shops.set_pipeline(&TOTALS.replace("format: json,", &format!("format: json, start: {start},")))?;
        shops.client.produce(&sales, &sales_at(&TIMED))?;
        let come_to = |what: &str, total: i64| {
            let shown = || Ok(shops.totals().unwrap_or_default());
            let expected = totals([("a", total)]);
            let come = wait::until(what, WITHIN, shown, |shown| *shown == expected);
            come.map(drop).map_err(|trouble| format!("start: {start}: {trouble}"))
        };
        let begin = || -> Result<millstream_harness::Daemon> {
            let mut daemon = shops.command("daemon", &["run", "totals.yaml", "--http", "off"]).start()?;
            daemon.wait_until_it_says("tasks run", WITHIN)?;
            Ok(daemon)
        };
        let mut daemon = begin()?;
        shops.client.produce(&sales, &sales_at(&[(0, 4000, 200_000)]))?;
        come_to("what came while it ran", before + 200_000)?;
        daemon.kill();
        // Partitions that nothing came from have begun too: the second start is no first one.
        let missed = [(0, 4000, 1_000_000), (1, 4000, 2_000_000), (2, 4000, 4_000_000)];
        shops.client.produce(&sales, &sales_at(&missed))?;
        let _daemon = begin()?;
        come_to("what came while it did not", before + 7_200_000)?;
    }
    Ok(())
}

fn a_reset_is_refused_while_somebody_is_in_the_group() -> Result {
    let shops = Shops::on("alive-", Broker::shared()?)?;
    shops.client.create_topic(&shops.topic("sales"), 1)?;
    shops.sell(&[("a", 1)])?;
    let mut daemon = shops.command("daemon", &["run", "totals.yaml", "--http", "off"]).start()?;
    daemon.wait_until_it_says("tasks run", WITHIN)?;
    let refused = shops.say(&["reset", "totals.yaml", "--to", "earliest", "--yes"])?;
    ensure!(
        !refused.well && refused.text.contains("the group alive-totals is in use by millstream-alive-totals-0"),
        "{}",
        refused.text
    );
    let plan = shops.say(&["plan", "totals.yaml", "--brokers", &shops.bootstrap])?;
    ensure!(plan.well && plan.text.contains("running: millstream-alive-totals-0"), "{}", plan.text);
    let status = daemon.stop(Duration::from_secs(5))?;
    ensure!(status.success(), "{status}");
    let done = shops.say(&["reset", "totals.yaml", "--to", "sales:0=0", "--yes"])?;
    ensure!(!done.well && done.text.contains("which reads alive-sales"), "{}", done.text);
    let done = shops.say(&["reset", "totals.yaml", "--to", "alive-sales:0=0", "--yes", "--json"])?;
    ensure!(done.well && done.text.contains("\"state\": \"cleared\""), "{}", done.text);
    Ok(())
}

/// Brokers forget the offsets of a group that was away for a week; somebody may also delete the group. The state is still there.
fn a_group_that_has_lost_its_offsets_counts_nothing_twice() -> Result {
    let shops = Shops::on("lost-", Broker::shared()?)?;
    shops.client.create_topic(&shops.topic("sales"), 2)?;
    shops.sell(&[("a", 1), ("b", 10), ("a", 2)])?;
    shops.run("one")?;
    let before = totals([("a", 3), ("b", 10)]);
    ensure!(shops.totals()? == before, "{:?}", shops.totals()?);
    shops.client.delete_group("lost-totals")?;
    for machine in ["one", "without-state"] {
        let refused = shops.try_to_run(machine)?;
        let reason =
            "pipeline lost-totals has state, but its group has no offset for topic lost-totals-by_shop-repartition";
        ensure!(!refused.well && refused.text.contains(reason), "{machine}: {}", refused.text);
    }
    ensure!(shops.totals()? == before, "something was written: {:?}", shops.totals()?);
    // The way out that it names.
    let done = shops.say(&["reset", "totals.yaml", "--to", "earliest", "--yes"])?;
    ensure!(done.well, "{}", done.text);
    shops.sell(&[("b", 5)])?;
    shops.run("one")?;
    ensure!(shops.totals()? == totals([("a", 3), ("b", 15)]), "{:?}", shops.totals()?);
    // Without the guard: what it is for.
    shops.client.delete_group("lost-totals")?;
    let counted = said(&shops.running("one").env("FAILPOINTS", "worker.control.state_without_offsets=return"))?;
    ensure!(counted.well, "{}", counted.text);
    ensure!(shops.totals()? != totals([("a", 3), ("b", 15)]), "the guard is not what keeps sums right");
    Ok(())
}

fn topics_are_worked_on_from_the_command_line() -> Result {
    let shops = Shops::on("handmade-", Broker::shared()?)?;
    let topic = shops.topic("lines");
    let made = shops.say(&["topic", "create", &topic, "-p", "2", "--retention-hours", "1", "--replication", "1"])?;
    ensure!(made.well && made.text.contains("created topic handmade-lines with 2 partitions"), "{}", made.text);
    let config = shops.client.topic_config(&topic)?;
    ensure!(config["retention.ms"] == "3600000" && config["cleanup.policy"] == "delete", "{config:?}");
    let path = shops.folder.path().join("lines");
    std::fs::write(&path, "k1:a\nk2:b\nk1:c\n").map_err(Trouble::io(path.display()))?;
    let wrote = shops.say(&["topic", "produce", &topic, "lines", "--key-separator", ":"])?;
    ensure!(wrote.well && wrote.text.contains("wrote 3 records"), "{}", wrote.text);
    let read = shops.client.read(&topic)?;
    ensure!(read.len() == 3, "{read:?}");
    // What Java clients would have chosen, by the same key.
    let foreign = shops.client.produce(&topic, &[Message::keyed("k1", "d"), Message::keyed("k2", "e")])?;
    for (key, (partition, _)) in [("k1", foreign[0]), ("k2", foreign[1])] {
        let ours = read.iter().filter(|read| read.key.as_deref() == Some(key.as_bytes()));
        ensure!(ours.clone().count() > 0 && ours.clone().all(|read| read.partition == partition), "{key}: {read:?}");
    }
    let consumed = shops.say(&["topic", "consume", &topic])?;
    let mut values: Vec<&str> = consumed.text.lines().collect();
    values.sort_unstable();
    ensure!(consumed.well && values == ["a", "b", "c", "d", "e"], "{}", consumed.text);
    // What is no text stands as it stood; only its offset is another.
    let record =
        r#""timestamp":1767225600000,"key_base64":"AP8=","value_base64":"AAAAAAH/","headers":{"h":{"base64":"/w=="}}}"#;
    std::fs::write(&path, format!("{{\"partition\":1,{record}")).map_err(Trouble::io(path.display()))?;
    let wrote = shops.say(&["topic", "produce", &topic, "lines", "--json"])?;
    ensure!(wrote.well, "{}", wrote.text);
    let again = shops.say(&["topic", "consume", &topic, "--partition", "1", "--json"])?;
    ensure!(again.text.lines().any(|line| line.ends_with(record)), "{}", again.text);
    let listed = shops.say(&["topic", "list"])?;
    ensure!(listed.well && listed.text.contains("handmade-lines"), "{}", listed.text);
    let described = shops.say(&["topic", "describe", &topic, "--json"])?;
    ensure!(described.well && described.text.contains("\"end\":"), "{}", described.text);
    let twice = shops.say(&["topic", "create", &topic])?;
    ensure!(!twice.well && twice.text.contains("handmade-lines exists already"), "{}", twice.text);
    Ok(())
}
