//! The properties with which clients are made: our defaults, the user's over them, and over both what the guarantee needs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::settings::{Guarantee, KafkaLogSettings};
use crate::crash;

pub(super) type Properties = BTreeMap<String, String>;

/// For every client.
const COMMON: &[(&str, &str)] = &[
    // A broker that does not answer is given up soon enough for a transaction to go on at another.
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // A broker that comes back is found again within a second, not ten.
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    // New partitions of a source are noticed within this.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // Connections that were idle are closed by brokers all the time.
    ("log.connection.close", "false"),
    // What the library would tell the brokers about itself, at the price of a wait when a client ends.
    ("enable.metrics.push", "false"),
];

/// What no user may change, for every client.
const COMMON_FORCED: &[(&str, &str)] = &[("allow.auto.create.topics", "false")];

const CONSUMER: &[(&str, &str)] = &[
    // How long the others wait for a member that died without a word. Brokers allow no less than 6 s by default.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
    // The library's queue holds at most this; what is behind it is bounded by partition. What is taken from it soon is still in
    // the processor's caches; the same holds for small answers.
    ("queued.max.messages.kbytes", "4096"),
    ("max.partition.fetch.bytes", "262144"),
    ("fetch.queue.backoff.ms", "2"),
    // An empty answer says that a partition has ended, so it may not be long in coming.
    ("fetch.wait.max.ms", "100"),
];

/// What no user may change, for consumers.
const CONSUMER_FORCED: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // An offset that is gone is an error to be shown, not a place to be chosen in silence.
    ("auto.offset.reset", "error"),
    // Says where a partition ends when what is before the end are markers and aborted records.
    ("enable.partition.eof", "true"),
    ("group.protocol", "classic"),
    ("partition.assignment.strategy", "range"),
];

/// For the consumer that reads changelogs: few, large answers.
const RESTORE: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "65536"),
    ("max.partition.fetch.bytes", "8388608"),
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.wait.max.ms", "10"),
];

const PRODUCER: &[(&str, &str)] = &[
    // Whole batches for four partitions. More would only take memory: what waits here is sent no sooner.
    ("queue.buffering.max.messages", "40000"),
    // Behind "concurrent transactions" and the like, which a broker says while the markers of the last are being written.
    ("retry.backoff.ms", "20"),
    // A call that waits for a group's coordinator which has died goes on only when the state of some connection changes
    // (librdkafka's issue 5511): so connections that nobody uses do not stay as they are.
    ("connections.max.idle.ms", "9000"),
];

/// What no user may change, for producers.
const PRODUCER_FORCED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    // A report for every record would cost more than the record.
    ("delivery.report.only.error", "true"),
];

/// Two names of one property, and the one that is used here: else a default of ours under the one would stand beside the user's
/// value under the other, and the library would take whichever it is given last.
const ALIASES: &[(&str, &str)] = &[
    ("auto.commit.enable", "enable.auto.commit"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
];

/// Records are sent when nothing else is at hand, and by commits (`pushes.rs`). Until then fewer, larger batches are better, and
/// more than that: while one batch of a partition is on its way and the time of the next is up, the library's thread does nothing
/// but look again. So the time is one that is not up where a broker is slow or an epoch long.
const LINGER_MS: u64 = 5_000;
/// How long a transaction may stay open. An instance that dies and does not come back leaves its transaction open for so
/// long (and up to ten seconds more, until the coordinator looks), and nobody who reads committed records gets past it; a
/// broker that dies without a word is replaced after nine seconds by default, and a transaction should outlive that.
const TRANSACTION_TIMEOUT_MS: u64 = 15_000;
/// A record that no broker has taken within this part of the transaction's time fails, and the transaction with it.
const MESSAGE_TIMEOUT_PERCENT: u64 = 80;
/// Without a transaction, how long a record may take.
const MESSAGE_TIMEOUT_MS: u64 = 60_000;
/// What a topic takes where nobody has said otherwise (Kafka's default for `max.message.bytes`).
pub(super) const TOPIC_MESSAGE_BYTES: usize = 1_048_588;
/// Bytes beside key, value and headers that a record and its batch take at most, headers not counted.
pub(super) const RECORD_OVERHEAD: usize = 128;
/// Batches are made no larger than this, even for topics that take more.
const BATCH_BYTES: usize = 1_000_000;

/// The producer's queue; larger where one record may be larger, which would never have room else.
const QUEUE_BYTES: usize = 16 << 20;

/// How large records and batches of the topics that are written to may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimits {
    /// The least that a topic takes.
    pub(super) least: usize,
    /// The most.
    pub(super) most: usize,
}

fn put(properties: &mut Properties, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        properties.insert((*name).to_owned(), (*value).to_owned());
    }
}

fn common(settings: &KafkaLogSettings, defaults: &[(&str, &str)], suffix: &str) -> Properties {
    let mut properties = Properties::new();
    put(&mut properties, COMMON);
    put(&mut properties, defaults);
    properties.insert("client.id".to_owned(), format!("{}{suffix}", settings.client_id));
    properties.extend(users(settings));
    put(&mut properties, COMMON_FORCED);
    properties
}

/// The user's properties, each under the name that is used here.
fn users(settings: &KafkaLogSettings) -> Properties {
    let used = |name: &String| {
        let alias = ALIASES.iter().find(|(alias, _)| alias == name);
        alias.map_or_else(|| name.clone(), |(_, used)| (*used).to_owned())
    };
    settings.properties.iter().map(|(name, value)| (used(name), value.clone())).collect()
}

/// A test's switch: what was aborted is read too.
fn take_guard_away(properties: &mut Properties) {
    if crash::control("log.control.read_uncommitted") {
        put(properties, &[("isolation.level", "read_uncommitted")]);
    }
}

/// For the consumer that is the member of the group.
pub(super) fn member(settings: &KafkaLogSettings) -> Properties {
    let mut properties = common(settings, CONSUMER, "");
    put(&mut properties, CONSUMER_FORCED);
    take_guard_away(&mut properties);
    properties.insert("group.id".to_owned(), settings.group.clone());
    properties
}

/// For the consumer that reads what is not assigned. It names the group, as the library wants one, and never joins it.
pub(super) fn restore(settings: &KafkaLogSettings) -> Properties {
    let mut properties = common(settings, RESTORE, "-restore");
    put(&mut properties, CONSUMER_FORCED);
    take_guard_away(&mut properties);
    properties.insert("group.id".to_owned(), settings.group.clone());
    properties
}

/// For the client that asks the cluster.
pub(super) fn control(settings: &KafkaLogSettings) -> Properties {
    let mut properties = common(settings, &[], "-control");
    put(&mut properties, CONSUMER_FORCED);
    properties.insert("group.id".to_owned(), settings.group.clone());
    properties
}

/// For the client that asks where partitions end, uncommitted records included.
pub(super) fn probe(settings: &KafkaLogSettings) -> Properties {
    let mut properties = common(settings, &[], "-probe");
    put(&mut properties, CONSUMER_FORCED);
    if !crash::control("log.control.committed_end") {
        put(&mut properties, &[("isolation.level", "read_uncommitted")]);
    }
    properties.insert("group.id".to_owned(), settings.group.clone());
    properties
}

/// How long a record may take, by a producer's properties.
pub(super) fn message_timeout(producer: &Properties) -> Duration {
    Duration::from_millis(number(producer, "message.timeout.ms").unwrap_or(MESSAGE_TIMEOUT_MS))
}

/// For the producer of the guarantee.
pub(super) fn producer(settings: &KafkaLogSettings, limits: BatchLimits) -> Properties {
    let mut properties = plain_producer(settings, limits);
    if settings.guarantee == Guarantee::ExactlyOnce {
        let transaction = number(&properties, "transaction.timeout.ms").unwrap_or(TRANSACTION_TIMEOUT_MS);
        let longest = transaction * MESSAGE_TIMEOUT_PERCENT / 100;
        let users = users(settings);
        let message = number(&users, "message.timeout.ms").unwrap_or(longest);
        // The library wants a request to end before the transaction does.
        let socket = number(&properties, "socket.timeout.ms").unwrap_or(transaction);
        properties.insert("socket.timeout.ms".to_owned(), socket.min(transaction).max(10).to_string());
        properties.insert("transaction.timeout.ms".to_owned(), transaction.to_string());
        properties.insert("message.timeout.ms".to_owned(), message.clamp(1, longest.max(1)).to_string());
        properties.insert("transactional.id".to_owned(), settings.transactional_id.clone());
        linger(&users, &mut properties);
    }
    properties
}

/// The library wants records to have more time than they linger.
fn linger(users: &Properties, producer: &mut Properties) {
    if !users.contains_key("linger.ms") {
        let linger = LINGER_MS.min(message_timeout(producer).as_millis() as u64 / 2);
        producer.insert("linger.ms".to_owned(), linger.to_string());
    }
}

/// For the producer outside all transactions.
pub(super) fn plain_producer(settings: &KafkaLogSettings, limits: BatchLimits) -> Properties {
    let mut properties = common(settings, PRODUCER, "");
    let message = number(&properties, "message.timeout.ms").unwrap_or(MESSAGE_TIMEOUT_MS);
    properties.insert("message.timeout.ms".to_owned(), message.to_string());
    linger(&users(settings), &mut properties);
    let batch = number(&properties, "batch.size").map_or(BATCH_BYTES, |bytes| bytes as usize);
    properties.insert("batch.size".to_owned(), batch.min(BATCH_BYTES).min(limits.least).max(1).to_string());
    properties.insert("message.max.bytes".to_owned(), limits.most.clamp(1_000, 1_000_000_000).to_string());
    let queue = number(&properties, "queue.buffering.max.kbytes").map_or(QUEUE_BYTES, |kbytes| (kbytes as usize) << 10);
    let queue = queue.max(limits.most + RECORD_OVERHEAD).div_ceil(1 << 10).min(i32::MAX as usize);
    properties.insert("queue.buffering.max.kbytes".to_owned(), queue.to_string());
    properties.remove("transactional.id");
    put(&mut properties, PRODUCER_FORCED);
    properties
}

fn number(properties: &Properties, name: &str) -> Option<u64> {
    properties.get(name).and_then(|value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::kafka::native::{Client, ClientKind};

    fn settings(properties: &[(&str, &str)]) -> KafkaLogSettings {
        let mut all = Properties::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        put(&mut all, properties);
        KafkaLogSettings {
            properties: all,
            group: "orders".to_owned(),
            transactional_id: "orders-0".to_owned(),
            client_id: "millstream".to_owned(),
            guarantee: Guarantee::ExactlyOnce,
            output_topics: Vec::new(),
            headerless_topics: Default::default(),
        }
    }

    const LIMITS: BatchLimits = BatchLimits { least: 500_000, most: 8 << 20 };

    #[test]
    fn records_linger_for_longer_than_a_broker_takes_unless_the_user_says_otherwise() {
        for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
            let settings = |pairs| KafkaLogSettings { guarantee, ..settings(pairs) };
            assert_eq!(producer(&settings(&[]), LIMITS)["linger.ms"], "5000");
            assert_eq!(producer(&settings(&[("linger.ms", "3")]), LIMITS)["linger.ms"], "3");
            // The library wants records to have more time than they linger.
            assert_eq!(producer(&settings(&[("message.timeout.ms", "60")]), LIMITS)["linger.ms"], "30");
        }
        assert_eq!(plain_producer(&settings(&[("message.timeout.ms", "60")]), LIMITS)["linger.ms"], "30");
    }

    #[test]
    fn the_library_takes_all_of_them() {
        let settings = settings(&[]);
        for properties in [member(&settings), restore(&settings), probe(&settings)] {
            Client::new(ClientKind::Consumer, &properties).map(drop).expect("a consumer");
        }
        let short = self::settings(&[("transaction.timeout.ms", "2000")]);
        for properties in [producer(&settings, LIMITS), producer(&short, LIMITS), plain_producer(&settings, LIMITS)] {
            Client::new(ClientKind::Producer, &properties).map(drop).expect("a producer");
        }
    }

    #[test]
    fn a_user_changes_defaults_and_not_what_the_guarantee_needs() {
        let settings = settings(&[
            ("session.timeout.ms", "30000"),
            ("isolation.level", "read_uncommitted"),
            ("group.id", "another"),
            ("acks", "1"),
            ("transactional.id", "another"),
        ]);
        let consumer = member(&settings);
        assert_eq!(consumer["session.timeout.ms"], "30000");
        assert_eq!(consumer["isolation.level"], "read_committed");
        assert_eq!(consumer["group.id"], "orders");
        let producer = producer(&settings, LIMITS);
        assert_eq!(producer["acks"], "all");
        assert_eq!(producer["transactional.id"], "orders-0");
        assert!(!plain_producer(&settings, LIMITS).contains_key("transactional.id"));
    }

    #[test]
    fn a_property_has_one_value_whichever_of_its_names_the_user_knows() {
        let settings = settings(&[
            ("auto.commit.enable", "true"),
            ("delivery.timeout.ms", "5000"),
            ("fetch.message.max.bytes", "1000000"),
            ("queue.buffering.max.ms", "7"),
            ("request.required.acks", "1"),
        ]);
        let (consumer, producer) = (member(&settings), producer(&settings, LIMITS));
        assert_eq!(consumer["max.partition.fetch.bytes"], "1000000");
        assert_eq!(consumer["enable.auto.commit"], "false");
        assert_eq!((producer["message.timeout.ms"].as_str(), producer["linger.ms"].as_str()), ("5000", "7"));
        assert_eq!(producer["acks"], "all");
        for properties in [consumer, producer] {
            assert!(ALIASES.iter().all(|(alias, _)| !properties.contains_key(*alias)), "{properties:?}");
        }
    }

    #[test]
    fn a_record_fails_before_its_transaction_is_over() {
        for pairs in [&[][..], &[("message.timeout.ms", "600000")], &[("transaction.timeout.ms", "2000")]] {
            let producer = producer(&settings(pairs), LIMITS);
            let (message, transaction) =
                (number(&producer, "message.timeout.ms"), number(&producer, "transaction.timeout.ms"));
            assert!(message < transaction, "{message:?} {transaction:?}");
            Client::new(ClientKind::Producer, &producer).map(drop).expect("a producer");
        }
    }

    #[test]
    fn batches_fit_the_topic_that_takes_least() {
        assert_eq!(producer(&settings(&[]), LIMITS)["batch.size"], "500000");
        assert_eq!(producer(&settings(&[("batch.size", "16384")]), LIMITS)["batch.size"], "16384");
        assert_eq!(producer(&settings(&[]), LIMITS)["message.max.bytes"], "8388608");
    }

    #[test]
    fn the_queue_has_room_for_the_largest_record() {
        let kbytes = |pairs, most| {
            let properties = producer(&settings(pairs), BatchLimits { most, ..LIMITS });
            Client::new(ClientKind::Producer, &properties).map(drop).expect("a producer");
            number(&properties, "queue.buffering.max.kbytes").expect("a number")
        };
        assert_eq!(kbytes(&[], 1 << 20), 16 << 10);
        assert_eq!(kbytes(&[("queue.buffering.max.kbytes", "65536")], 1 << 20), 64 << 10);
        assert_eq!(kbytes(&[("queue.buffering.max.kbytes", "1024")], 8 << 20), (8 << 10) + 1);
        assert_eq!(kbytes(&[], 100 << 20), (100 << 10) + 1);
    }
}
