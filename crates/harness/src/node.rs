//! One KRaft node: its folder, its settings, its process. It knows nothing of other nodes but their addresses.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::jars::{Jars, Lifetime};
use crate::process::{Output, Process, Signal};
use crate::tls::{PASSWORD, Tls};
use crate::{Result, Trouble, ports, wait};

/// How long a node may take from its start to its first answer.
const READY: Duration = Duration::from_secs(60);

const CLUSTER_ID: &str = "bWlsbHN0cmVhbS10ZXN0cw";

/// What a broker is asked to be, beyond a plain one.
#[derive(Debug, Clone, Default)]
pub struct BrokerOptions {
    /// Listeners with TLS: `SSL`, and `SASL_SSL` if there are users too.
    pub tls: Option<Tls>,
    /// Users and passwords of the SASL listeners (PLAIN; SCRAM users are added by the admin).
    pub users: Vec<(String, String)>,
    /// Whether access is checked. Who comes without a name, as the harness does, may do everything; others what ACLs allow.
    pub access: Access,
    /// Where the data is kept, for a broker that is to find it again; otherwise a folder that is deleted.
    pub folder: Option<PathBuf>,
    /// The port of the plain listener; otherwise a free one.
    pub port: Option<u16>,
    /// Further lines of `server.properties`.
    pub properties: BTreeMap<String, String>,
    /// What it is started for.
    pub lifetime: Lifetime,
}

/// Whether a broker checks who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Everybody may do everything.
    #[default]
    Open,
    /// By ACLs.
    Checked,
}

/// The ports of a node, all on 127.0.0.1.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) controller: u16,
    /// The listener behind the proxy, and the port that it says it has: the proxy's.
    pub(crate) behind_proxy: u16,
    pub(crate) proxy: u16,
    pub(crate) tls: u16,
    pub(crate) sasl: u16,
    pub(crate) sasl_tls: u16,
}

impl Ports {
    pub(crate) fn free() -> Ports {
        Ports {
            plain: ports::free(),
            controller: ports::free(),
            behind_proxy: ports::free(),
            proxy: ports::free(),
            tls: ports::free(),
            sasl: ports::free(),
            sasl_tls: ports::free(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) ports: Ports,
    folder: PathBuf,
    heap_mb: u32,
    lifetime: Lifetime,
    process: Option<Process>,
    /// What it said since it was formatted.
    output: Output,
}

impl Node {
    /// Formats a folder for a node of a cluster whose controllers are at `voters` (node number, controller port).
    pub(crate) fn format(
        id: u32,
        ports: Ports,
        folder: &Path,
        voters: &[(u32, u16)],
        options: &BrokerOptions,
    ) -> Result<Node> {
        fs::create_dir_all(folder).map_err(Trouble::io(folder.display()))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Trouble::io(path.display()))
        };
        write("log4j2.properties", LOGGING.to_owned())?;
        write("server.properties", properties(id, &ports, folder, voters, options))?;
        let node = Node {
            id,
            ports,
            folder: folder.to_owned(),
            heap_mb: match options.lifetime {
                Lifetime::Long => 1024,
                Lifetime::Short if voters.len() > 1 => 400,
                Lifetime::Short => 512,
            },
            lifetime: options.lifetime,
            process: None,
            output: Output::in_folder(folder, "kafka"),
        };
        if !folder.join("data/meta.properties").exists() {
            let mut format = Jars::find()?.java(256, Lifetime::Short);
            format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
            format.arg(folder.join("server.properties"));
            let output = Output::in_folder(folder, "format");
            let mut format = Process::start("kafka-storage format", format, &output)?;
            let status = format.wait(READY)?;
            if !status.success() {
                return Err(format!("kafka-storage format: {}", output.tail(20)).into());
            }
        }
        Ok(node)
    }

    pub(crate) fn start(&mut self) -> Result {
        let mut java = Jars::find()?.java(self.heap_mb, self.lifetime);
        java.arg(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        java.arg("kafka.Kafka").arg(self.folder.join("server.properties"));
        let name = format!("kafka node {}", self.id);
        self.process = Some(Process::start(&name, java, &self.output)?);
        Ok(())
    }

    /// Waits until it listens to clients, which it does when it has caught up with the cluster's metadata.
    pub(crate) fn wait_until_it_listens(&mut self) -> Result {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.plain));
        let process = self.process.as_mut().ok_or("the node was not started")?;
        process.wait_for("the broker's port", READY, || {
            Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
        })
    }

    /// As a power cut.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to stop, and waits; a node that does not is killed.
    pub(crate) fn stop(&mut self) -> Result {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(Duration::from_secs(60))?;
        }
        Ok(())
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// Waits for its port to be free again, for which the system may take a moment after a kill.
    pub(crate) fn wait_for_free_port(&self) -> Result {
        let port = self.ports.plain;
        wait::until_true("the broker's port to be free", Duration::from_secs(20), || {
            Ok(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok())
        })
    }

    pub(crate) fn log_tail(&self, lines: usize) -> String {
        self.output.tail(lines)
    }
}

const LOGGING: &str = "\
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} %m%n
";

fn properties(id: u32, ports: &Ports, folder: &Path, voters: &[(u32, u16)], options: &BrokerOptions) -> String {
    let copies = voters.len().to_string();
    let in_sync = if voters.len() > 1 { "2" } else { "1" }.to_owned();
    let voters: Vec<String> = voters.iter().map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    set("process.roles", "broker,controller".to_owned());
    set("node.id", id.to_string());
    set("controller.quorum.voters", voters.join(","));
    set("controller.listener.names", "CONTROLLER".to_owned());
    set("inter.broker.listener.name", "PLAIN".to_owned());
    set("log.dirs", folder.join("data").display().to_string());
    for key in ["default", "offsets.topic", "transaction.state.log"] {
        set(&format!("{key}.replication.factor"), copies.clone());
    }
    for key in ["min.insync.replicas", "transaction.state.log.min.isr"] {
        set(key, in_sync.clone());
    }
    set("offsets.topic.num.partitions", "4".to_owned());
    set("transaction.state.log.num.partitions", "4".to_owned());
    set("group.initial.rebalance.delay.ms", "0".to_owned());
    set("auto.create.topics.enable", "false".to_owned());
    set("group.min.session.timeout.ms", "1000".to_owned());
    // Transactions whose producer is gone for good are a test's concern too: look for them every second.
    set("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000".to_owned());
    set("log.retention.check.interval.ms", "1000".to_owned());
    set("log.segment.delete.delay.ms", "1000".to_owned());
    set("broker.session.timeout.ms", "3000".to_owned());
    set("broker.heartbeat.interval.ms", "500".to_owned());
    set("controlled.shutdown.enable", "true".to_owned());
    set("log.cleaner.dedupe.buffer.size", "8388608".to_owned());

    let mut listeners = vec![
        ("PLAIN", "PLAINTEXT", ports.plain, ports.plain),
        ("PROXIED", "PLAINTEXT", ports.behind_proxy, ports.proxy),
    ];
    if let Some(tls) = &options.tls {
        listeners.push(("TLS", "SSL", ports.tls, ports.tls));
        set("ssl.keystore.location", tls.keystore.display().to_string());
        set("ssl.truststore.location", tls.truststore.display().to_string());
        for store in ["keystore", "truststore"] {
            set(&format!("ssl.{store}.type"), "PKCS12".to_owned());
            set(&format!("ssl.{store}.password"), PASSWORD.to_owned());
        }
        set("ssl.client.auth", "requested".to_owned());
    }
    if !options.users.is_empty() {
        listeners.push(("SASL", "SASL_PLAINTEXT", ports.sasl, ports.sasl));
        if options.tls.is_some() {
            listeners.push(("SASLTLS", "SASL_SSL", ports.sasl_tls, ports.sasl_tls));
        }
        set("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned());
        let users: String = options.users.iter().map(|(name, word)| format!(" user_{name}=\"{word}\"")).collect();
        let package = "org.apache.kafka.common.security";
        for listener in ["sasl", "sasltls"] {
            let mut login = |mechanism: &str, module: String| {
                set(&format!("listener.name.{listener}.{mechanism}.sasl.jaas.config"), format!("{package}.{module};"));
            };
            login("plain", format!("plain.PlainLoginModule required{users}"));
            login("scram-sha-256", "scram.ScramLoginModule required".to_owned());
            login("scram-sha-512", "scram.ScramLoginModule required".to_owned());
            login("oauthbearer", "oauthbearer.OAuthBearerLoginModule required".to_owned());
        }
    }
    if options.access == Access::Checked {
        set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned());
        set("super.users", "User:ANONYMOUS".to_owned());
    }
    let join = |entries: Vec<String>| entries.join(",");
    let own = join(listeners.iter().map(|(name, _, port, _)| format!("{name}://127.0.0.1:{port}")).collect());
    set("listeners", format!("{own},CONTROLLER://127.0.0.1:{}", ports.controller));
    set(
        "advertised.listeners",
        join(listeners.iter().map(|(name, _, _, port)| format!("{name}://127.0.0.1:{port}")).collect()),
    );
    let protocols = join(listeners.iter().map(|(name, protocol, ..)| format!("{name}:{protocol}")).collect());
    set("listener.security.protocol.map", format!("{protocols},CONTROLLER:PLAINTEXT"));
    all.extend(options.properties.clone());
    all.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}
