//! From codes to sentences: what was tried, what the broker or the library said, and what to do about it.
//!
//! No value of a property is ever part of a sentence, save for the brokers' addresses.

use super::native::{ClientError, Code, NativeError, Severity};
use crate::log::{FailureKind, LogError};

/// What can be done about an error of the library.
pub(super) fn kind_of(error: &NativeError) -> FailureKind {
    match error.code {
        Code::FENCED | Code::PRODUCER_FENCED | Code::INVALID_PRODUCER_EPOCH => FailureKind::Fenced,
        Code::ILLEGAL_GENERATION | Code::UNKNOWN_MEMBER_ID | Code::REBALANCE_IN_PROGRESS => FailureKind::Aborted,
        code if is_refusal(code) => FailureKind::Refused,
        _ => match error.severity {
            Severity::RequiresAbort => FailureKind::Aborted,
            Severity::Fatal => FailureKind::Fatal,
            Severity::Plain | Severity::Retriable => FailureKind::Retriable,
        },
    }
}

/// Whether somebody must change something before it can go better.
fn is_refusal(code: Code) -> bool {
    [
        Code::AUTHENTICATION,
        Code::CLUSTER_AUTHORIZATION_FAILED,
        Code::FENCED_INSTANCE_ID,
        Code::GROUP_AUTHORIZATION_FAILED,
        Code::INCONSISTENT_GROUP_PROTOCOL,
        Code::INVALID_ARG,
        Code::INVALID_CONFIG,
        Code::INVALID_GROUP_ID,
        Code::INVALID_PARTITIONS,
        Code::INVALID_RECORD,
        Code::INVALID_REPLICATION_FACTOR,
        Code::INVALID_SESSION_TIMEOUT,
        Code::INVALID_TIMESTAMP,
        Code::INVALID_TOPIC,
        Code::INVALID_TRANSACTION_TIMEOUT,
        Code::MESSAGE_TOO_LARGE,
        Code::OFFSET_METADATA_TOO_LARGE,
        Code::POLICY_VIOLATION,
        Code::RECORD_LIST_TOO_LARGE,
        Code::SASL_AUTHENTICATION_FAILED,
        Code::SSL,
        Code::TOPIC_AUTHORIZATION_FAILED,
        Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        Code::UNKNOWN_TOPIC,
        Code::UNKNOWN_TOPIC_OR_PARTITION,
        Code::UNSUPPORTED_SASL_MECHANISM,
    ]
    .contains(&code)
}

/// What to do about a code, where there is something to say.
fn way_out(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TOPIC_AUTHORIZATION_FAILED => "the user lacks a right on the topic (READ for sources, WRITE for outputs)",
        Code::GROUP_AUTHORIZATION_FAILED => "the user lacks the right READ on the group",
        Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            "the user lacks the rights WRITE and DESCRIBE on the transactional id"
        }
        Code::CLUSTER_AUTHORIZATION_FAILED => {
            "the user lacks a right on the cluster (CREATE for topics, IDEMPOTENT_WRITE)"
        }
        Code::AUTHENTICATION | Code::SASL_AUTHENTICATION_FAILED => {
            "check sasl.mechanism, sasl.username and sasl.password"
        }
        Code::UNSUPPORTED_SASL_MECHANISM => "the broker does not offer this sasl.mechanism",
        Code::SSL => "check security.protocol, ssl.ca.location and the broker's certificate",
        Code::INCONSISTENT_GROUP_PROTOCOL => {
            "the group is in use by consumers of another kind: give the pipeline another name, or stop them"
        }
        Code::FENCED | Code::PRODUCER_FENCED | Code::INVALID_PRODUCER_EPOCH => {
            "another producer with the same transactional id has taken over, or the transaction took longer than \
             transaction.timeout.ms"
        }
        Code::ILLEGAL_GENERATION | Code::UNKNOWN_MEMBER_ID => "the group has gone on without this member",
        Code::INVALID_REPLICATION_FACTOR => "there are fewer brokers than copies wanted: lower the replication",
        Code::INVALID_SESSION_TIMEOUT => {
            "session.timeout.ms is not between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
        }
        Code::INVALID_TRANSACTION_TIMEOUT => "transaction.timeout.ms is above the brokers' transaction.max.timeout.ms",
        Code::OFFSET_METADATA_TOO_LARGE => "raise the brokers' offset.metadata.max.bytes",
        Code::MESSAGE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE => "raise the topic's max.message.bytes",
        Code::RESOLVE => "check the names in bootstrap.servers",
        _ => return None,
    })
}

/// An error of the library as a sentence: "cannot <doing>: <what was said> (<code>): <what to do>".
pub(super) fn failed(doing: &str, error: &NativeError) -> LogError {
    LogError::Kafka { kind: kind_of(error), message: sentence(doing, error) }
}

/// As [`failed`], where the caller knows what can be done.
pub(super) fn failed_as(kind: FailureKind, doing: &str, error: &NativeError) -> LogError {
    LogError::Kafka { kind, message: sentence(doing, error) }
}

/// An error of a producer, which is dropped for it: the next one settles what it left open. So what is neither a fence nor a
/// refusal has aborted the transaction, or the committed offsets will tell that it has not.
pub(super) fn failed_producer(doing: &str, error: &NativeError) -> LogError {
    match kind_of(error) {
        FailureKind::Retriable | FailureKind::Fatal => failed_as(FailureKind::Aborted, doing, error),
        _ => failed(doing, error),
    }
}

fn sentence(doing: &str, error: &NativeError) -> String {
    let name = error.code.name();
    let said = if error.text.is_empty() { error.code.text() } else { error.text.clone() };
    match way_out(error.code) {
        Some(way_out) => format!("cannot {doing}: {said} ({name}): {way_out}"),
        None => format!("cannot {doing}: {said} ({name})"),
    }
}

/// An error about one topic: unknown ones have their own variant.
pub(super) fn failed_topic(doing: &str, topic: &str, error: &NativeError) -> LogError {
    match error.code {
        Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC => LogError::UnknownTopic { topic: topic.to_owned() },
        Code::INVALID_TOPIC => LogError::TopicName { topic: topic.to_owned() },
        _ => failed(&format!("{doing} topic {topic}"), error),
    }
}

/// Which of the errors of a client says best why no broker answers: a refusal before anything else, then the latest that is
/// more than "all are down".
pub(super) fn telling(errors: &[ClientError]) -> Option<&ClientError> {
    let refusal = errors.iter().find(|error| is_refusal(error.code));
    let other = || errors.iter().rev().find(|error| error.code != Code::ALL_BROKERS_DOWN);
    refusal.or_else(other).or_else(|| errors.last())
}

/// No broker has answered.
pub(super) fn unreachable(brokers: &str, errors: &[ClientError]) -> LogError {
    let Some(error) = telling(errors) else {
        return LogError::Kafka {
            kind: FailureKind::Retriable,
            message: format!("no broker at {brokers} answers: check bootstrap.servers and that the brokers are up"),
        };
    };
    let name = error.code.name();
    let kind = if is_refusal(error.code) { FailureKind::Refused } else { FailureKind::Retriable };
    let way_out = way_out(error.code).unwrap_or(match error.text.contains("SSL_HANDSHAKE") {
        true => "check security.protocol: this port may not speak TLS",
        false => "check bootstrap.servers and that the brokers are up",
    });
    let what = if kind == FailureKind::Refused { "refuse us" } else { "do not answer" };
    LogError::Kafka { kind, message: format!("the brokers at {brokers} {what}: {} ({name}): {way_out}", error.text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code, severity: Severity) -> NativeError {
        NativeError { code, text: "said".to_owned(), severity }
    }

    #[test]
    fn a_right_that_is_missing_is_a_refusal_whatever_the_library_makes_of_it() {
        for severity in [Severity::Plain, Severity::RequiresAbort, Severity::Fatal] {
            let error = error(Code::TOPIC_AUTHORIZATION_FAILED, severity);
            assert_eq!(kind_of(&error), FailureKind::Refused);
        }
    }

    #[test]
    fn a_producer_whose_epoch_is_over_is_fenced() {
        for code in [Code::FENCED, Code::PRODUCER_FENCED, Code::INVALID_PRODUCER_EPOCH] {
            assert_eq!(kind_of(&error(code, Severity::Fatal)), FailureKind::Fenced);
        }
    }

    #[test]
    fn the_sentence_says_what_was_tried_and_what_to_do() {
        let error = failed("join group orders", &error(Code::INCONSISTENT_GROUP_PROTOCOL, Severity::Plain));
        let message = error.to_string();
        assert!(message.starts_with("cannot join group orders: said (INCONSISTENT_GROUP_PROTOCOL): "), "{message}");
        assert!(message.contains("another name"), "{message}");
        assert_eq!(error.kind(), FailureKind::Refused);
    }

    #[test]
    fn a_refused_password_tells_more_than_brokers_that_are_down() {
        let errors = [
            ClientError { code: Code::AUTHENTICATION, text: "bad password".to_owned() },
            ClientError { code: Code::ALL_BROKERS_DOWN, text: "1/1 brokers are down".to_owned() },
        ];
        let error = unreachable("broker:9092", &errors);
        assert_eq!(error.kind(), FailureKind::Refused);
        assert!(error.to_string().contains("bad password"), "{error}");
    }

    #[test]
    fn tls_to_a_port_that_does_not_speak_it_is_a_matter_of_settings() {
        let text = "Disconnected: SSL connection closed by peer (after 1ms in state SSL_HANDSHAKE)".to_owned();
        let error = unreachable("broker:9092", &[ClientError { code: Code::TRANSPORT, text }]);
        assert!(error.to_string().contains("check security.protocol"), "{error}");
        assert_eq!(error.kind(), FailureKind::Retriable, "a broker that dies closes connections too");
    }

    #[test]
    fn a_broker_that_is_down_may_come_back() {
        let errors = [
            ClientError { code: Code::TRANSPORT, text: "connection refused".to_owned() },
            ClientError { code: Code::ALL_BROKERS_DOWN, text: "1/1 brokers are down".to_owned() },
        ];
        let error = unreachable("broker:9092", &errors);
        assert_eq!(error.kind(), FailureKind::Retriable);
        assert!(error.to_string().contains("broker:9092") && error.to_string().contains("refused"), "{error}");
    }
}
