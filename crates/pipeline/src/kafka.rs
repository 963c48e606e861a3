//! What is known of librdkafka's properties: their names, those that are not the user's, those that hold secrets.
//!
//! Names only: whether a value is right, librdkafka says itself, in the runtime.

use crate::suggest;

/// The properties that a file may name, as librdkafka 2.12 has them. Callbacks are not among them: no file can give one.
pub const PROPERTIES: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "api.version.fallback.ms",
    "api.version.request",
    "api.version.request.timeout.ms",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.num.messages",
    "batch.size",
    "bootstrap.servers",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "debug",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.metrics.push",
    "enable.partition.eof",
    "enable.random.seed",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "https.ca.location",
    "https.ca.pem",
    "internal.termination.signal",
    "isolation.level",
    "linger.ms",
    "log.connection.close",
    "log.queue",
    "log.thread.name",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.copy.max.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "offset.store.method",
    "offset.store.path",
    "offset.store.sync.interval.ms",
    "partition.assignment.strategy",
    "partitioner",
    "plugin.library.paths",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "queuing.strategy",
    "receive.message.max.bytes",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.kinit.cmd",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.grant.type",
    "sasl.oauthbearer.metadata.authentication.type",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.blocking.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.certificate.stores",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.engine.id",
    "ssl.engine.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.providers",
    "ssl.sigalgs.list",
    "statistics.interval.ms",
    "sticky.partitioning.linger.ms",
    "topic.blacklist",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
    "transaction.timeout.ms",
    "transactional.id",
];

const OFFSETS: &str = "offsets are committed with the results, in one transaction";
const ASSIGNMENT: &str = "inputs of one key must meet in one task, so partitions are given by `range`, by the classic \
                          protocol";
const DELIVERY: &str = "each record must be on every replica in sync, once and in order";
const REPORTS: &str = "what was delivered is counted before a commit";
const TIMEOUT: &str = "a record that waits longer than its transaction lives is lost with it; set `transaction_timeout` \
                       in the configuration";

/// The properties that are not the user's, and why.
const OURS: &[(&str, &str)] = &[
    ("acks", DELIVERY),
    ("allow.auto.create.topics", "topics are made only where a pipeline says so, with `create:`"),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    (
        "auto.offset.reset",
        "where a source begins is its `start:`, and an offset that is gone must never be skipped in silence",
    ),
    ("delivery.report.only.error", REPORTS),
    ("delivery.timeout.ms", TIMEOUT),
    ("enable.auto.commit", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("enable.gapless.guarantee", DELIVERY),
    ("enable.idempotence", DELIVERY),
    ("enable.partition.eof", "the log reads partitions in its own way"),
    ("group.id", "the group is the pipeline's name"),
    ("group.instance.id", "a group has several members in one process, and each would put out the other"),
    ("group.protocol", ASSIGNMENT),
    ("group.protocol.type", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
    ("isolation.level", "records of transactions that did not commit must not be read"),
    ("log.queue", "the client's log lines are Millstream's; see `log` in the configuration"),
    ("message.send.max.retries", DELIVERY),
    ("message.timeout.ms", TIMEOUT),
    ("metadata.broker.list", "it is the old name of `bootstrap.servers`"),
    ("offset.store.method", OFFSETS),
    ("offset.store.path", OFFSETS),
    ("offset.store.sync.interval.ms", OFFSETS),
    ("partition.assignment.strategy", ASSIGNMENT),
    (
        "partitioner",
        "a key's partition is that of the Java clients (murmur2); `partition_by:` of a sink chooses by what",
    ),
    ("produce.offset.report", REPORTS),
    ("queuing.strategy", DELIVERY),
    ("request.required.acks", DELIVERY),
    ("retries", DELIVERY),
    ("statistics.interval.ms", "nobody would take the client's statistics; what it does is told at `/metrics`"),
    ("transaction.timeout.ms", "set `transaction_timeout` in the configuration"),
    ("transactional.id", "it names a worker of a pipeline, and no two may share it"),
];

/// Why a property cannot be set, if it cannot.
pub fn refused(name: &str) -> Option<&'static str> {
    OURS.iter().find(|(ours, _)| *ours == name).map(|(_, why)| *why)
}

/// Whether there is such a property.
pub fn is_property(name: &str) -> bool {
    PROPERTIES.binary_search(&name).is_ok()
}

/// The properties that a file may set.
pub fn settable() -> impl Iterator<Item = &'static str> + Clone {
    PROPERTIES.iter().copied().filter(|name| refused(name).is_none())
}

/// Whether a property says where the brokers are and who we are: for the configuration, not for a pipeline.
pub fn is_connection(name: &str) -> bool {
    name == "bootstrap.servers"
        || ["security.", "sasl.", "ssl.", "https.", "enable.ssl.", "enable.sasl."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Whether a name says that its value is a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "passphrase", "secret", "token", "jaas"].iter().any(|word| name.contains(word))
        || name.contains("key") && name.ends_with("pem")
        || name == "sasl.oauthbearer.config"
}

/// Whether the value of a property of this name is a secret. Rather one too many: a name that is hardly more than a slip
/// of the pen away from a secret one counts too.
pub fn is_secret(name: &str) -> bool {
    let near = || suggest::nearest(name, PROPERTIES.iter().copied());
    sounds_secret(name) || !is_property(name) && near().is_some_and(sounds_secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_sorted_and_those_that_are_ours_are_among_them() {
        assert!(PROPERTIES.is_sorted());
        assert!(OURS.is_sorted());
        for (name, _) in OURS {
            assert!(is_property(name), "{name}");
        }
    }

    #[test]
    fn what_exactly_once_rests_on_cannot_be_set() {
        for name in [
            "isolation.level",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "transactional.id",
            "group.id",
            "enable.idempotence",
            "auto.offset.reset",
            "acks",
            "partitioner",
            "message.timeout.ms",
        ] {
            assert!(refused(name).is_some(), "{name}");
        }
        for name in ["bootstrap.servers", "sasl.password", "linger.ms", "compression.type", "session.timeout.ms"] {
            assert_eq!(refused(name), None, "{name}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_names_also_by_names_that_are_nearly_theirs() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.pasword",
            "sasl_password",
            "my.token",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["bootstrap.servers", "sasl.username", "ssl.key.location", "ssl.ca.pem", "ssl.certificate.pem"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
