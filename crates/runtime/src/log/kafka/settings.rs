//! What a Kafka log is connected with: the user's properties, who it is, what it promises.

use std::collections::{BTreeMap, BTreeSet};

pub use millstream_pipeline::topology::Guarantee;

use crate::log::{Cleanup, TopicKind, TopicSettings};

/// What a Kafka log is connected with.
#[derive(Clone)]
pub struct KafkaLogSettings {
    /// Properties of librdkafka (`bootstrap.servers`, `sasl.*`, `ssl.*`, ..), over our defaults. Those on which the
    /// guarantee rests are ours whatever stands here.
    pub properties: BTreeMap<String, String>,
    /// The consumer group: the pipeline's name.
    pub group: String,
    /// Names the producer across restarts: the same for the same instance and thread, never the same for two that live.
    pub transactional_id: String,
    /// What brokers call this client in their logs and quotas.
    pub client_id: String,
    /// What a commit promises.
    pub guarantee: Guarantee,
    /// The topics that will be written to. The least `max.message.bytes` among them bounds the producer's batches.
    pub output_topics: Vec<String>,
    /// The topics whose records are read without their headers, as nobody wants them: to find out that a record has none
    /// takes librdkafka an allocation, which costs more than to copy the record.
    pub headerless_topics: BTreeSet<String>,
}

/// The properties may hold secrets, so only their names are shown.
impl std::fmt::Debug for KafkaLogSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLogSettings")
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("group", &self.group)
            .field("transactional_id", &self.transactional_id)
            .field("client_id", &self.client_id)
            .field("guarantee", &self.guarantee)
            .field("output_topics", &self.output_topics)
            .field("headerless_topics", &self.headerless_topics)
            .finish()
    }
}

/// The largest batch that an internal topic takes.
pub(super) const INTERNAL_MESSAGE_BYTES: usize = 8 << 20;

/// The settings that a topic is created with, as Kafka names them, by name. What is not among them is the cluster's
/// default: `min.insync.replicas` above all.
pub fn topic_config(settings: &TopicSettings) -> Vec<(String, String)> {
    let mut config = Vec::new();
    let mut set = |name: &str, value: String| config.push((name.to_owned(), value));
    let policy = match settings.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactAndDelete => "compact,delete",
    };
    set("cleanup.policy", policy.to_owned());
    if settings.kind == TopicKind::Internal {
        set("max.message.bytes", INTERNAL_MESSAGE_BYTES.to_string());
    }
    let unlimited = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
    set("retention.bytes", unlimited(settings.retention.bytes));
    set("retention.ms", unlimited(settings.retention.age_ms));
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Retention;

    #[test]
    fn internal_topics_keep_everything_until_it_is_trimmed() {
        let config = topic_config(&TopicSettings::internal(3));
        let shown: Vec<String> = config.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["cleanup.policy=delete", "max.message.bytes=8388608", "retention.bytes=-1", "retention.ms=-1"]
        );
    }

    #[test]
    fn output_topics_say_what_the_pipeline_says() {
        let settings = TopicSettings {
            retention: Retention { age_ms: Some(60_000), bytes: None },
            cleanup: Cleanup::Compact,
            ..TopicSettings::user(1)
        };
        let config = topic_config(&settings);
        assert!(config.contains(&("cleanup.policy".to_owned(), "compact".to_owned())));
        assert!(config.contains(&("retention.ms".to_owned(), "60000".to_owned())));
        assert!(config.iter().all(|(name, _)| name != "max.message.bytes"));
    }

    #[test]
    fn values_of_properties_are_not_shown() {
        let settings = KafkaLogSettings {
            properties: BTreeMap::from([("sasl.password".to_owned(), "canary".to_owned())]),
            group: "g".to_owned(),
            transactional_id: "t".to_owned(),
            client_id: "c".to_owned(),
            guarantee: Guarantee::ExactlyOnce,
            output_topics: Vec::new(),
            headerless_topics: Default::default(),
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("canary"), "{shown}");
    }
}
