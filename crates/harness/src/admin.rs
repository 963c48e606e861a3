//! What a test sets up and looks up in a cluster, through the foreign client; it never asks our daemon.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Result;
use crate::foreign::{Client, Positions, positions};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: u32,
    /// The node that leads it, if any.
    pub leader: Option<u32>,
    /// How many replicas there are.
    pub replicas: u32,
    /// How many of them are in sync.
    pub in_sync: u32,
}

/// Which end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The oldest record that is left.
    Earliest,
    /// Behind the last record, committed or not.
    Latest,
    /// Behind the last record that a reader of committed ones is shown.
    Committed,
}

/// A group as its coordinator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `Empty`, `Dead`, …
    pub state: String,
    /// The node that coordinates it.
    pub coordinator: u32,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As the client calls itself.
    pub client_id: String,
    /// What it was given.
    pub partitions: Vec<(String, u32)>,
}

/// What an ACL speaks of; its names are Kafka's (`topic`, `group`, `transactional_id`, `cluster`; `read`, `write`, …).
#[derive(Debug, Clone, Copy)]
pub struct Acl<'a> {
    /// Who.
    pub user: &'a str,
    /// What kind of thing.
    pub resource: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What is done to it.
    pub operation: &'a str,
}

impl Acl<'_> {
    fn request(&self) -> Value {
        json!({"user": self.user, "resource": self.resource, "name": self.name, "operation": self.operation})
    }
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap_or(0) as u32
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Every method fails as the foreign client does: with Java's exception and its message.
#[allow(clippy::missing_errors_doc)]
impl Client {
    /// How many nodes are in the cluster.
    pub fn nodes(&self) -> Result<u32> {
        self.ask("cluster", json!({})).map(|cluster| number(&cluster["nodes"]))
    }

    /// Makes a topic with the cluster's replication. It keeps its records for ever, however old they say that they are.
    pub fn create_topic(&self, topic: &str, partitions: u32) -> Result {
        self.create_topic_with(topic, partitions, &[("retention.ms", "-1")])
    }

    /// Makes a topic with settings (`retention.ms`, `cleanup.policy`, …).
    pub fn create_topic_with(&self, topic: &str, partitions: u32, configs: &[(&str, &str)]) -> Result {
        let configs: BTreeMap<_, _> = configs.iter().copied().collect();
        self.ask("create_topic", json!({"topic": topic, "partitions": partitions, "configs": configs})).map(drop)
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) -> Result {
        self.ask("delete_topic", json!({"topic": topic})).map(drop)
    }

    /// Deletes all topics whose names begin so.
    pub fn delete_topics(&self, prefix: &str) -> Result {
        self.ask("delete_topics", json!({"prefix": prefix})).map(drop)
    }

    /// Gives a topic more partitions, `partitions` in all.
    pub fn add_partitions(&self, topic: &str, partitions: u32) -> Result {
        self.ask("add_partitions", json!({"topic": topic, "partitions": partitions})).map(drop)
    }

    /// The names of all topics.
    pub fn topics(&self) -> Result<Vec<String>> {
        let topics = self.ask("topics", json!({}))?;
        Ok(list(&topics).iter().map(text).collect())
    }

    /// The partitions of a topic.
    pub fn describe_topic(&self, topic: &str) -> Result<Vec<PartitionInfo>> {
        let partitions = self.ask("describe_topic", json!({"topic": topic}))?;
        let info = |info: &Value| PartitionInfo {
            partition: number(&info["partition"]),
            leader: info["leader"].as_u64().map(|leader| leader as u32),
            replicas: number(&info["replicas"]),
            in_sync: number(&info["isr"]),
        };
        Ok(list(&partitions).iter().map(info).collect())
    }

    /// All settings of a topic.
    pub fn topic_config(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let configs = self.ask("topic_config", json!({"topic": topic}))?;
        Ok(configs.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// Changes settings of a topic.
    pub fn set_topic_config(&self, topic: &str, configs: &[(&str, &str)]) -> Result {
        let configs: BTreeMap<_, _> = configs.iter().copied().collect();
        self.ask("set_topic_config", json!({"topic": topic, "configs": configs})).map(drop)
    }

    /// An end of every partition of a topic.
    pub fn offsets(&self, topic: &str, which: Which) -> Result<Positions> {
        let which = match which {
            Which::Earliest => "earliest",
            Which::Latest => "latest",
            Which::Committed => "committed",
        };
        self.ask("offsets", json!({"topic": topic, "which": which})).map(|offsets| positions(&offsets))
    }

    /// Deletes the records of a partition before an offset (-1: all).
    pub fn delete_records(&self, topic: &str, partition: u32, before: i64) -> Result {
        self.ask("delete_records", json!({"topic": topic, "partition": partition, "before": before})).map(drop)
    }

    /// A group's state and members.
    pub fn group(&self, group: &str) -> Result<Group> {
        let found = self.ask("group", json!({"group": group}))?;
        let member = |member: &Value| Member {
            client_id: text(&member["client_id"]),
            partitions: list(&member["partitions"]).iter().map(|p| (text(&p[0]), number(&p[1]))).collect(),
        };
        let members = list(&found["members"]).iter().map(member).collect();
        Ok(Group { state: text(&found["state"]), coordinator: number(&found["coordinator"]), members })
    }

    /// The names of all groups.
    pub fn groups(&self) -> Result<Vec<String>> {
        let groups = self.ask("groups", json!({}))?;
        Ok(list(&groups).iter().map(text).collect())
    }

    /// What a group has committed, by topic.
    pub fn group_offsets(&self, group: &str) -> Result<BTreeMap<String, Positions>> {
        let offsets = self.ask("group_offsets", json!({"group": group}))?;
        Ok(offsets.as_object().into_iter().flatten().map(|(topic, at)| (topic.clone(), positions(at))).collect())
    }

    /// Moves a group that is empty.
    pub fn set_group_offset(&self, group: &str, topic: &str, partition: u32, offset: i64) -> Result {
        let request = json!({"group": group, "topic": topic, "partition": partition, "offset": offset});
        self.ask("set_group_offset", request).map(drop)
    }

    /// Deletes a group that is empty.
    pub fn delete_group(&self, group: &str) -> Result {
        self.ask("delete_group", json!({"group": group})).map(drop)
    }

    /// The transactional ids that the cluster knows, with their states (`Ongoing`, `CompleteCommit`, …).
    pub fn transactions(&self) -> Result<BTreeMap<String, String>> {
        let transactions = self.ask("transactions", json!({}))?;
        Ok(list(&transactions).iter().map(|t| (text(&t["transactional_id"]), text(&t["state"]))).collect())
    }

    /// Fences whoever uses a transactional id now.
    pub fn fence(&self, transactional_id: &str) -> Result {
        self.ask("fence", json!({"transactional_id": transactional_id})).map(drop)
    }

    /// Allows something.
    pub fn allow(&self, acl: Acl<'_>) -> Result {
        self.ask("allow", acl.request()).map(drop)
    }

    /// Forbids something, whatever else allows it.
    pub fn deny(&self, acl: Acl<'_>) -> Result {
        self.ask("deny", acl.request()).map(drop)
    }

    /// Takes back what [`Client::deny`] said.
    pub fn undeny(&self, acl: Acl<'_>) -> Result {
        self.ask("undeny", acl.request()).map(drop)
    }

    /// Lets clients of this id produce so many bytes a second to each broker; those that send more are told to wait.
    pub fn set_producer_quota(&self, client_id: &str, bytes_per_second: f64) -> Result {
        self.ask("producer_quota", json!({"client_id": client_id, "bytes": bytes_per_second})).map(drop)
    }

    /// Makes a SCRAM user, or changes its password; `mechanism` is `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub fn set_scram_user(&self, user: &str, password: &str, mechanism: &str) -> Result {
        self.ask("scram_user", json!({"user": user, "password": password, "mechanism": mechanism})).map(drop)
    }
}
