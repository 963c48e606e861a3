//! Codes about Kafka: properties of the client, topics that are made.

use super::{Code, Entry, Group};

codes! { "Kafka":
    UNKNOWN_PROPERTY = "MS0901" "unknown-property",
        "the Kafka client has no such property",
        "Properties are those of librdkafka; what Java clients call otherwise has another name here.",
        "kafka:\n  fetch.min.byte: 1000";

    REFUSED_PROPERTY = "MS0902" "refused-property",
        "a property of the Kafka client cannot be set",
        "What exactly-once results rest on is set by Millstream. Where the brokers are and how to sign in stands in the \
         configuration (`config/millstream.yaml`), not in pipelines.",
        "kafka:\n  isolation.level: read_uncommitted";

    BAD_PROPERTY = "MS0903" "bad-property",
        "the Kafka client refuses the value of a property",
        "",
        "kafka:\n  linger.ms: soon";

    CREATE_CONFLICT = "MS0904" "create-conflict",
        "a topic is made in two ways",
        "",
        "sinks:\n  - {from: a, topic: t, create: {partitions: 1}}\n  - {from: b, topic: t, create: {partitions: 2}}";

    RETENTION_OF_COMPACTED = "MS0905" "retention-of-compacted",
        "a compacted topic keeps the last record of each key for ever",
        "",
        "create: {cleanup: compact, retention: 7d}";

    COMPACTED_WITHOUT_KEY = "MS0906" "compacted-without-key",
        "a compacted topic refuses records without a key",
        "",
        "sink: {topic: t, key: none, create: {cleanup: compact}}";
}
