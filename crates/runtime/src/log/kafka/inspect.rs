//! Looking without touching: topics, groups and rights as the brokers tell them, for plans and for those that move a group by
//! hand. Nothing here joins a group or changes anything, save for [`KafkaLog::move_group`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_engine::ids::Offset;

use super::error::failed;
use super::native::{Code, NativeError, describe};
use super::{KafkaLog, offsets_list};
use crate::log::{CommittedOffset, LogError, TopicPartition};

pub use super::native::describe::Right;

/// How long a question may take.
const WAIT: Duration = Duration::from_secs(10);

/// How long it is before a question is asked again.
const PAUSE: Duration = Duration::from_millis(200);

fn is_coordinator_moving(code: Code) -> bool {
    [Code::COORDINATOR_LOAD_IN_PROGRESS, Code::COORDINATOR_NOT_AVAILABLE, Code::NOT_COORDINATOR].contains(&code)
}

/// A topic, and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    /// How many partitions it has.
    pub partitions: u32,
    /// What the user may do with it; `None` if the brokers do not tell.
    pub rights: Option<Vec<Right>>,
}

/// Whether a topic is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicStanding {
    /// It is.
    There(TopicFacts),
    /// It is not.
    Missing,
    /// It is not for the user to know.
    Hidden,
}

/// A group, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupFacts {
    /// What the coordinator calls its state: `Empty`, `Stable`, `Dead` and so on.
    pub state: String,
    /// The client ids and hosts of its members.
    pub members: Vec<(String, String)>,
    /// The names that the coordinator gave them.
    pub member_ids: Vec<String>,
    /// What the user may do with it; `None` if the brokers do not tell.
    pub rights: Option<Vec<Right>>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// How many brokers there are.
    pub brokers: usize,
    /// What the user may do with the cluster; `None` if the brokers do not tell.
    pub rights: Option<Vec<Right>>,
}

impl KafkaLog {
    /// What the brokers tell of topics, by name.
    ///
    /// # Errors
    /// If they do not answer.
    pub fn topic_facts(&self, names: &[String]) -> Result<BTreeMap<String, TopicStanding>, LogError> {
        let described = describe::topics(self.client(), names, WAIT);
        let described = described.map_err(|error| failed("describe topics", &error))?;
        described
            .into_iter()
            .map(|topic| {
                let standing = match topic.code {
                    Code::NONE => {
                        TopicStanding::There(TopicFacts { partitions: topic.partitions, rights: topic.rights })
                    }
                    Code::UNKNOWN_TOPIC_OR_PARTITION => TopicStanding::Missing,
                    Code::TOPIC_AUTHORIZATION_FAILED => TopicStanding::Hidden,
                    code => {
                        let error = NativeError::new(code, code.text());
                        return Err(failed(&format!("describe topic {}", topic.name), &error));
                    }
                };
                Ok((topic.name, standing))
            })
            .collect()
    }

    /// What the coordinator tells of a group. One that nobody has ever used is `Dead`.
    ///
    /// # Errors
    /// If it does not answer, or may not.
    pub fn group_facts(&self, group: &str) -> Result<GroupFacts, LogError> {
        let until = Instant::now() + WAIT;
        loop {
            match describe::group(self.client(), group, WAIT) {
                Ok(found) => {
                    let (member_ids, members) = found.members.into_iter().unzip();
                    return Ok(GroupFacts { state: found.state, members, member_ids, rights: found.rights });
                }
                Err(error) if error.code == Code::GROUP_ID_NOT_FOUND => {
                    return Ok(GroupFacts { state: "Dead".to_owned(), ..GroupFacts::default() });
                }
                // A coordinator that has just been chosen is not ready at once.
                Err(error) if is_coordinator_moving(error.code) && Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(failed(&format!("describe group {group}"), &error)),
            }
        }
    }

    /// The user's own name for clients (`client.id`), if there is one.
    pub fn own_client_name(&self) -> Option<&str> {
        self.settings.properties.get("client.id").map(String::as_str)
    }

    /// What the cluster tells of itself.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn cluster_facts(&self) -> Result<ClusterFacts, LogError> {
        let found = describe::cluster(self.client(), WAIT).map_err(|error| failed("describe the cluster", &error))?;
        // Who may not describe the cluster is told of no right at all.
        let rights = found.rights.filter(|rights| rights.contains(&Right::Describe));
        Ok(ClusterFacts { brokers: found.brokers, rights })
    }

    /// The settings of a topic by name; `None` if they may not be asked for.
    ///
    /// # Errors
    /// If no broker answers, or if there is no such topic.
    pub fn settings_of(&self, topic: &str) -> Result<Option<BTreeMap<String, String>>, LogError> {
        match super::cluster::settings(self.client(), topic) {
            Ok(config) => Ok(Some(config.into_iter().collect())),
            Err(error) if error.code == Code::TOPIC_AUTHORIZATION_FAILED => Ok(None),
            Err(error) => Err(failed(&format!("ask for the settings of topic {topic}"), &error)),
        }
    }

    /// Commits offsets for the log's group from outside. The brokers refuse that while the group has members.
    ///
    /// # Errors
    /// If the coordinator refuses, or does not answer.
    pub fn move_group(&mut self, offsets: &BTreeMap<TopicPartition, CommittedOffset>) -> Result<(), LogError> {
        let Some(list) = offsets_list(offsets)? else { return Ok(()) };
        let doing = format!("move group {}", self.settings.group);
        self.fetcher.consumer().commit(&list).map_err(|error| failed(&doing, &error))
    }

    /// Gives up the records of partitions before the offsets, and waits until that is done.
    ///
    /// # Errors
    /// If the brokers refuse for one of them: those before it may be trimmed.
    pub fn trim_now(&mut self, before: &BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
        super::cluster::trim_and_wait(self.client(), before)
    }
}
