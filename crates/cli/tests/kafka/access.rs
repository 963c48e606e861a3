//! Who may come in and what they may do: TLS, SASL, ACLs; refusals with a sentence of their own, and no secret in any of them.

use std::time::Duration;

use millstream_harness::admin::Acl;
use millstream_harness::broker::{Access, BrokerOptions};
use millstream_harness::daemon::DaemonCommand;
use millstream_harness::tls::{PASSWORD, Tls};
use millstream_harness::{Broker, Client, Daemon, Result, ensure, process, suite, tests};

use crate::scenario::{READY, Scenario};
use crate::told;

/// Properties of a client by name.
type Properties<'a> = Vec<(&'a str, &'a str)>;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![every_way_in_works, who_is_not_known_is_told_so, what_is_not_allowed_is_named]
}

/// Nobody may ever read these.
const CANARY: &str = "canary-in-the-mine";
const WRONG: &str = "canary-of-a-stranger";

/// How it is said that no time will mend it.
const REFUSED: &str = "refuse us";
/// What a user is told whose name or password is wrong,
const LOGIN: &str = "check sasl.mechanism, sasl.username and sasl.password";
/// and one who does not trust the broker.
const TRUST: &str = "check security.protocol, ssl.ca.location and the broker's certificate";

fn broker(tls: Option<Tls>, access: Access) -> Result<Broker> {
    let users = vec![("alice".to_owned(), CANARY.to_owned())];
    let broker = Broker::start_with(BrokerOptions { tls, users, access, ..BrokerOptions::default() })?;
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        broker.client().set_scram_user("alice", CANARY, mechanism)?;
    }
    Ok(broker)
}

fn with(command: DaemonCommand, properties: &[(&str, &str)]) -> DaemonCommand {
    properties.iter().fold(command, |command, (name, value)| {
        command.env(&format!("MILLSTREAM_KAFKA__{}", name.to_uppercase().replace('.', "_")), *value)
    })
}

fn every_way_in_works() -> Result {
    let folder = process::temp_folder("tls")?;
    let tls = Tls::make(folder.path())?;
    let broker = broker(Some(tls.clone()), Access::Open)?;
    let mut scenario = Scenario::on("ways-in", &broker)?;
    let (ca, store) = (tls.ca.display().to_string(), tls.client.display().to_string());
    let login = [("sasl.username", "alice"), ("sasl.password", CANARY)];
    let trust = ("ssl.ca.location", ca.as_str());
    let sasl = ("security.protocol", "SASL_PLAINTEXT");
    let sasl_tls = ("security.protocol", "SASL_SSL");
    let mechanism = |name| ("sasl.mechanism", name);
    let unsecured = [("enable.sasl.oauthbearer.unsecure.jwt", "true"), ("sasl.oauthbearer.config", "principal=alice")];
    let ways: Vec<(&str, String, Properties<'_>)> = vec![
        ("tls", broker.tls_bootstrap(), vec![("security.protocol", "SSL"), trust]),
        (
            "mutual-tls",
            broker.tls_bootstrap(),
            vec![
                ("security.protocol", "SSL"),
                trust,
                ("ssl.keystore.location", &store),
                ("ssl.keystore.password", PASSWORD),
            ],
        ),
        ("plain", broker.sasl_bootstrap(), [&[sasl, mechanism("PLAIN")], &login[..]].concat()),
        ("scram-256", broker.sasl_bootstrap(), [&[sasl, mechanism("SCRAM-SHA-256")], &login[..]].concat()),
        (
            "scram-512-tls",
            broker.sasl_tls_bootstrap(),
            [&[sasl_tls, trust, mechanism("SCRAM-SHA-512")], &login[..]].concat(),
        ),
        ("oauth", broker.sasl_bootstrap(), [&[sasl, mechanism("OAUTHBEARER")], &unsecured[..]].concat()),
    ];
    for (name, bootstrap, properties) in ways {
        let mut daemon = with(scenario.daemon_at("a", &bootstrap), &properties).start()?;
        daemon.wait_until_ready(READY).map_err(|trouble| format!("{name}: {trouble}"))?;
        scenario.write(300)?;
        scenario.settle().map_err(|trouble| format!("{name}: {trouble}"))?;
        keeps_secrets(&daemon)?;
        daemon.stop(Duration::from_secs(5))?;
    }
    Ok(())
}

/// Nothing that it says anywhere holds a password.
fn keeps_secrets(daemon: &Daemon) -> Result {
    let mut said = daemon.output.text();
    for path in ["/status", "/metrics", "/ready"] {
        said += &daemon.get(path)?.body;
    }
    for canary in [CANARY, WRONG, PASSWORD] {
        ensure!(!said.contains(canary), "a secret was told: {said}");
    }
    Ok(())
}

fn who_is_not_known_is_told_so() -> Result {
    let folder = process::temp_folder("tls")?;
    let tls = Tls::make(folder.path())?;
    let broker = broker(Some(tls.clone()), Access::Open)?;
    let scenario = Scenario::on("strangers", &broker)?;
    let wrong_ca = tls.wrong_ca.display().to_string();
    let ca = tls.ca.display().to_string();
    let stranger = |mechanism| {
        vec![
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "alice"),
            ("sasl.password", WRONG),
        ]
    };
    let strangers: Vec<(String, Properties<'_>, &str, &str)> = vec![
        (broker.sasl_bootstrap(), stranger("PLAIN"), REFUSED, LOGIN),
        (broker.sasl_bootstrap(), stranger("SCRAM-SHA-256"), REFUSED, LOGIN),
        (broker.tls_bootstrap(), vec![("security.protocol", "SSL"), ("ssl.ca.location", &wrong_ca)], REFUSED, TRUST),
        // TLS spoken to a port that does not speak it.
        (
            broker.bootstrap(),
            vec![("security.protocol", "SSL"), ("ssl.ca.location", &ca)],
            "do not answer",
            "check security.protocol: this port may not speak TLS",
        ),
    ];
    for (bootstrap, properties, how, way_out) in strangers {
        let mut daemon = with(scenario.daemon_at("a", &bootstrap), &properties).start()?;
        let what = format!("the brokers at {bootstrap} {how}: ");
        told::wait_for_error(&mut daemon, &scenario.group(), &[&what, way_out], Duration::from_secs(10))
            .map_err(|late| format!("{properties:?}: {late}"))?;
        keeps_secrets(&daemon)?;
        daemon.kill();
    }
    Ok(())
}

/// Somebody who may do what a run needs, but for what is denied.
struct Alice {
    scenario: Scenario,
    /// As nobody in particular, who may do everything.
    client: Client,
    command: DaemonCommand,
}

/// What a run needs.
const RIGHTS: [(&str, &str); 10] = [
    ("topic", "read"),
    ("topic", "write"),
    ("topic", "describe"),
    ("topic", "describe_configs"),
    ("topic", "create"),
    ("topic", "delete"),
    ("group", "read"),
    ("group", "describe"),
    ("transactional_id", "write"),
    ("transactional_id", "describe"),
];

impl Alice {
    fn on(broker: &Broker) -> Result<Alice> {
        let scenario = Scenario::on("rights", broker)?;
        let client = broker.client();
        for (resource, operation) in RIGHTS {
            client.allow(Acl { user: "alice", resource, name: "*", operation })?;
        }
        let alice = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", CANARY),
        ];
        let command = with(scenario.daemon_at("a", &broker.sasl_bootstrap()), &alice);
        Ok(Alice { scenario, client, command })
    }

    fn start(&self) -> Result<Daemon> {
        let mut daemon = self.command.start()?;
        daemon.wait_until_ready(READY)?;
        Ok(daemon)
    }

    /// The name of the producer, which is made of what the first run puts into the folder of state.
    fn transactional_id(&self) -> Result<String> {
        self.start()?.stop(Duration::from_secs(5))?;
        let transactions = self.client.transactions()?;
        let of_group = transactions.into_keys().find(|id| id.starts_with(&self.scenario.group()));
        of_group.ok_or_else(|| "the first run has left no transactional id".into())
    }

    /// The pipeline stands, and says why.
    fn is_told(&self, daemon: &mut Daemon, told: &str) -> Result {
        told::wait_for_error(daemon, &self.scenario.group(), &[told], READY)?;
        keeps_secrets(daemon)
    }

    /// It says what is missing; the right is given, and the daemon goes on by itself.
    fn is_refused_at_the_start(&mut self, acl: Acl<'_>, told: &str) -> Result {
        self.client.deny(acl)?;
        let mut daemon = self.command.start()?;
        self.scenario.write(200)?;
        self.is_told(&mut daemon, told)?;
        self.client.undeny(acl)?;
        daemon.wait_until_ready(READY)?;
        self.scenario.settle()?;
        daemon.stop(Duration::from_secs(5)).map(drop)
    }

    /// The same of a daemon that runs.
    fn is_refused_under_way(&mut self, acl: Acl<'_>, told: &str) -> Result {
        let mut daemon = self.start()?;
        self.client.deny(acl)?;
        self.scenario.write(500)?;
        // Time must pass for windows to close; otherwise nothing is written there.
        let load = self.scenario.begin_load(300)?;
        self.is_told(&mut daemon, told)?;
        self.client.undeny(acl)?;
        self.scenario.end_load(load)?;
        daemon.wait_until_ready(READY)?;
        self.scenario.settle()?;
        ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
        daemon.stop(Duration::from_secs(5)).map(drop)
    }
}

fn what_is_not_allowed_is_named() -> Result {
    let broker = broker(None, Access::Checked)?;
    let mut alice = Alice::on(&broker)?;
    let (sink, source) = (alice.scenario.topic("sums"), alice.scenario.topic("events"));
    let (group, producer) = (alice.scenario.group(), alice.transactional_id()?);
    let acl = |resource, name, operation| Acl { user: "alice", resource, name, operation };
    let may_not_write = format!("the user lacks the right WRITE on topic {sink}, to which the pipeline writes");
    let at_the_start = [
        (acl("topic", &sink, "write"), may_not_write.clone()),
        (
            acl("topic", &source, "read"),
            format!("the user lacks the right READ on topic {source}, which source events reads"),
        ),
        (acl("group", &group, "read"), format!("the user lacks the right READ on group {group}, the pipeline's name")),
        (
            acl("topic", &sink, "all"),
            format!(
                "topic {sink}, to which the pipeline writes, is not there, or the user lacks the rights DESCRIBE and WRITE"
            ),
        ),
        (acl("transactional_id", &producer, "write"), producer.clone()),
        (acl("transactional_id", &producer, "describe"), producer.clone()),
    ];
    for (acl, told) in &at_the_start {
        alice.is_refused_at_the_start(*acl, told).map_err(|trouble| format!("{acl:?}: {trouble}"))?;
    }
    let under_way =
        [(acl("topic", &sink, "write"), &may_not_write), (acl("transactional_id", &producer, "write"), &producer)];
    for (acl, told) in under_way {
        alice.is_refused_under_way(acl, told).map_err(|trouble| format!("under way, {acl:?}: {trouble}"))?;
    }
    Ok(())
}
