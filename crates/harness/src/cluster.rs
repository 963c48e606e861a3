//! Three nodes with every partition on all of them, two of which must agree: a cluster that survives any one of its nodes.

use std::time::Duration;

use tempfile::TempDir;

use crate::foreign::Client;
use crate::node::{BrokerOptions, Node, Ports};
use crate::process::{self, Signal};
use crate::proxy::Proxy;
use crate::{Result, wait};

/// How many nodes there are, numbered from 1.
pub const NODES: u32 = 3;

/// A running cluster; deleted when dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// Kept for its end.
    _folder: TempDir,
}

impl Cluster {
    /// Starts three nodes and waits until they have found each other.
    ///
    /// # Errors
    /// A skip if there is no Java or no jars; trouble if it does not come up.
    pub fn start() -> Result<Cluster> {
        Cluster::format(&BrokerOptions::default())?.run()
    }

    /// The same with a proxy before each node, in the order of their numbers, through which the other nodes go (clients do
    /// not): they replicate and tell how transactions end by way of these.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_behind_proxies() -> Result<(Cluster, Vec<Proxy>)> {
        let between = ("inter.broker.listener.name".to_owned(), "PROXIED".to_owned());
        let cluster = Cluster::format(&BrokerOptions { properties: [between].into(), ..BrokerOptions::default() })?;
        let ports = cluster.nodes.iter().map(|node| (node.ports.proxy, node.ports.behind_proxy));
        let proxies = ports.map(|(port, target)| Proxy::between(port, target)).collect::<Result<_>>()?;
        Ok((cluster.run()?, proxies))
    }

    /// Nodes that do not run yet.
    fn format(options: &BrokerOptions) -> Result<Cluster> {
        let folder = process::temp_folder("kafka-cluster")?;
        let ports: Vec<(u32, Ports)> = (1..=NODES).map(|id| (id, Ports::free())).collect();
        let voters: Vec<(u32, u16)> = ports.iter().map(|(id, ports)| (*id, ports.controller)).collect();
        let mut nodes = Vec::new();
        for (id, ports) in ports {
            nodes.push(Node::format(id, ports, &folder.path().join(id.to_string()), &voters, options)?);
        }
        Ok(Cluster { nodes, _folder: folder })
    }

    fn run(mut self) -> Result<Cluster> {
        self.nodes.iter_mut().try_for_each(Node::start)?;
        self.nodes.iter_mut().try_for_each(Node::wait_until_it_listens)?;
        self.wait_for_nodes(NODES)?;
        Ok(self)
    }

    /// `bootstrap.servers` with all three.
    pub fn bootstrap(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports.plain)).collect();
        all.join(",")
    }

    /// The foreign client.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// The node that leads a partition now; `None` if nobody does.
    ///
    /// # Errors
    /// If the cluster does not say.
    pub fn leader_of(&self, topic: &str, partition: u32) -> Result<Option<u32>> {
        let partitions = self.client().describe_topic(topic)?;
        Ok(partitions.iter().find(|info| info.partition == partition).and_then(|info| info.leader))
    }

    /// Waits until so many nodes are in the cluster.
    ///
    /// # Errors
    /// If they are not within a minute.
    pub fn wait_for_nodes(&self, count: u32) -> Result {
        let client = self.client();
        wait::until("nodes in the cluster", Duration::from_secs(60), || client.nodes(), |nodes| *nodes == count)?;
        Ok(())
    }

    /// Waits until every partition of the topics has all its replicas in sync again.
    ///
    /// # Errors
    /// If they have not within a minute.
    pub fn wait_for_replicas(&self, topics: &[&str]) -> Result {
        let client = self.client();
        wait::until_true("all replicas in sync", Duration::from_secs(60), || {
            for topic in topics {
                let partitions = client.describe_topic(topic)?;
                if partitions.iter().any(|info| info.leader.is_none() || info.in_sync < info.replicas) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Kills a node as a power cut does.
    pub fn kill(&mut self, node: u32) {
        self.node(node).kill();
    }

    /// Stops a node in an orderly way: it hands its partitions over first.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn stop(&mut self, node: u32) -> Result {
        self.node(node).stop()
    }

    /// Starts a node again with its data, stopping it first if it runs.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn restart(&mut self, node: u32) -> Result {
        let node = self.node(node);
        node.stop()?;
        node.wait_for_free_port()?;
        node.start()?;
        node.wait_until_it_listens()
    }

    /// Freezes a node (SIGSTOP).
    pub fn pause(&mut self, node: u32) {
        self.node(node).signal(Signal::STOP);
    }

    /// Lets a node go on (SIGCONT).
    pub fn resume(&mut self, node: u32) {
        self.node(node).signal(Signal::CONT);
    }

    /// The last lines that a node logged.
    pub fn log_tail(&mut self, node: u32, lines: usize) -> String {
        self.node(node).log_tail(lines)
    }

    fn node(&mut self, id: u32) -> &mut Node {
        let at = id.checked_sub(1).filter(|at| *at < NODES).expect("nodes are numbered 1 to 3");
        &mut self.nodes[at as usize]
    }
}
