//! One pipeline (`tests/kafka/torture.yaml`) on a broker, its input, its daemons and its oracle, apart from all other scenarios.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_harness::admin::Which;
use millstream_harness::daemon::DaemonCommand;
use millstream_harness::load::{Events, Load, Shape};
use millstream_harness::oracle::Settled;
use millstream_harness::{Broker, Client, Cluster, Daemon, Oracle, Result, Trouble, ports, process, repository, wait};

/// How many partitions input and output topics have.
pub(crate) const PARTITIONS: u32 = 4;

/// How long a daemon may take until it is ready.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// How long everything may take until it is settled.
pub(crate) const SETTLED: Duration = Duration::from_secs(120);

/// Changelogs are written anew all the time, so that every restore is one of a changelog that has been cut.
pub(crate) const SHORT_CYCLES: &str = "worker.control.short_cycles=return";

/// A transaction that nobody ends holds readers up for so long.
pub(crate) const TRANSACTION_TIMEOUT: &str = "8s";

/// Records go out before the commit, so that faults find something of a transaction at the brokers.
const LINGER_MS: &str = "1";

/// A pipeline with its input, daemons and oracle.
pub(crate) struct Scenario {
    pub(crate) prefix: String,
    /// The foreign client; it never goes through a proxy.
    pub(crate) client: Client,
    pub(crate) oracle: Oracle,
    bootstrap: String,
    events: Option<Events>,
    folder: tempfile::TempDir,
}

impl Scenario {
    /// With topics of its own on the shared broker.
    pub(crate) fn new(name: &str) -> Result<Scenario> {
        Scenario::on(name, Broker::shared()?)
    }

    /// With topics of its own on this broker.
    pub(crate) fn on(name: &str, broker: &Broker) -> Result<Scenario> {
        Scenario::with(name, broker.client(), &broker.bootstrap())
    }

    /// With topics of its own on this cluster.
    pub(crate) fn on_cluster(name: &str, cluster: &Cluster) -> Result<Scenario> {
        Scenario::with(name, cluster.client(), &cluster.bootstrap())
    }

    fn with(name: &str, client: Client, bootstrap: &str) -> Result<Scenario> {
        let prefix = format!("{name}-");
        let folder = process::temp_folder(name)?;
        let pipeline = repository().join("tests/kafka/torture.yaml");
        let text = std::fs::read_to_string(&pipeline).map_err(Trouble::io(pipeline.display()))?;
        let scenario = Scenario {
            oracle: Oracle::new(&prefix),
            client,
            bootstrap: bootstrap.to_owned(),
            events: Some(Events::new(seed_of(name), Shape::default())),
            folder,
            prefix,
        };
        scenario.set_pipeline(&text)?;
        for topic in Oracle::topics().chain(["events"]) {
            scenario.client.create_topic(&scenario.topic(topic), PARTITIONS)?;
        }
        Ok(scenario)
    }

    /// Other events than by default, from the beginning.
    pub(crate) fn shape(mut self, seed: u64, shape: Shape) -> Scenario {
        self.events = Some(Events::new(seed, shape));
        self
    }

    /// The same pipeline, which promises at least once, and an oracle that asks for no more.
    pub(crate) fn at_least_once(mut self) -> Result<Scenario> {
        let path = self.pipeline();
        let text = std::fs::read_to_string(&path).map_err(Trouble::io(path.display()))?;
        self.set_pipeline(&(text + "\nguarantee: at_least_once\n"))?;
        self.oracle = Oracle::new(&self.prefix).at_least_once();
        Ok(self)
    }

    /// The daemons that start from now on run this text; `PREFIX` in it is replaced.
    pub(crate) fn set_pipeline(&self, text: &str) -> Result {
        let path = self.pipeline();
        std::fs::write(&path, text.replace("PREFIX", &self.prefix)).map_err(Trouble::io(path.display()))
    }

    pub(crate) fn pipeline(&self) -> PathBuf {
        self.folder.path().join("torture.yaml")
    }

    /// The pipeline's name, and its group's.
    pub(crate) fn group(&self) -> String {
        self.topic("torture")
    }

    /// A topic by its name in the pipeline.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The folder of an instance's state.
    pub(crate) fn state(&self, instance: &str) -> PathBuf {
        self.folder.path().join(format!("state-{instance}"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An instance of the daemon by name: the same name has the same folder of state.
    pub(crate) fn daemon(&self, instance: &str) -> DaemonCommand {
        self.daemon_at(instance, &self.bootstrap)
    }

    /// The same, with brokers at another address: a proxy's.
    pub(crate) fn daemon_at(&self, instance: &str, bootstrap: &str) -> DaemonCommand {
        let port = ports::free();
        DaemonCommand::new(env!("CARGO_BIN_EXE_millstream"), instance, self.folder())
            .args(["run", "torture.yaml"])
            .env("KAFKA_BROKER_ADDRESS", bootstrap)
            .env("MILLSTREAM_STATE_DIR", self.state(instance).display().to_string())
            .env("MILLSTREAM_HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("FAILPOINTS", SHORT_CYCLES)
            .env("MILLSTREAM_TRANSACTION_TIMEOUT", TRANSACTION_TIMEOUT)
            .env("MILLSTREAM_KAFKA__LINGER_MS", LINGER_MS)
            .env("MILLSTREAM_CHECKPOINT_INTERVAL", "300ms")
            .env("MILLSTREAM_RESTART__BACKOFF", "200ms")
            .env("MILLSTREAM_RESTART__MAX_BACKOFF", "1s")
            .env("MILLSTREAM_KAFKA__SESSION_TIMEOUT_MS", "6000")
            .env("MILLSTREAM_KAFKA__HEARTBEAT_INTERVAL_MS", "500")
            .http_port(port)
    }

    /// Starts an instance and waits until it is ready.
    pub(crate) fn start(&self, instance: &str) -> Result<Daemon> {
        let mut daemon = self.daemon(instance).start()?;
        daemon.wait_until_ready(READY)?;
        Ok(daemon)
    }

    /// Writes events and waits until the broker has them.
    pub(crate) fn write(&mut self, count: usize) -> Result {
        let events = self.events.as_mut().ok_or("a load is on")?.take(count);
        let messages: Vec<_> = events.iter().map(|event| event.message()).collect();
        self.client.produce(&self.topic("events"), &messages)?;
        self.oracle.written(events);
        Ok(())
    }

    /// Begins to write so many events a second.
    pub(crate) fn begin_load(&mut self, rate: u32) -> Result<Load> {
        let events = self.events.take().ok_or("a load is on")?;
        Ok(Load::start(&self.client, &self.topic("events"), events, rate))
    }

    /// Ends a load.
    pub(crate) fn end_load(&mut self, load: Load) -> Result {
        let (written, events) = load.stop()?;
        self.oracle.written(written);
        self.events = Some(events);
        Ok(())
    }

    /// Writes what closes all windows, and waits until everything is readable, once and right.
    pub(crate) fn settle(&mut self) -> Result<Settled> {
        self.settle_within(SETTLED)
    }

    pub(crate) fn settle_within(&mut self, within: Duration) -> Result<Settled> {
        let ending = self.events.as_mut().ok_or("a load is on")?.ending(PARTITIONS);
        let messages: Vec<_> = ending.iter().map(|event| event.message()).collect();
        self.client.produce(&self.topic("events"), &messages)?;
        self.oracle.ended(ending);
        self.oracle.settle(&self.client, within)
    }

    /// Waits until the group has committed all input that there is.
    pub(crate) fn wait_for_input(&self) -> Result {
        let topic = self.topic("events");
        let left = || {
            let ends = self.client.offsets(&topic, Which::Latest)?;
            let committed = self.client.group_offsets(&self.group())?.remove(&topic).unwrap_or_default();
            Ok(ends.iter().map(|(partition, end)| end - committed.get(partition).copied().unwrap_or(0)).sum::<i64>())
        };
        wait::until("all input to be committed", READY, left, |left| *left == 0).map(drop)
    }
}

/// Another world for each test, the same in each run.
pub(crate) fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
