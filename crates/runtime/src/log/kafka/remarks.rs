//! What the clients say of themselves, at no particular call: it ends the work, or explains why nothing moves.

use std::time::Instant;

use super::KafkaLog;
use super::error::{self, failed};
use super::fetch::Remark;
use super::native::{Client, ClientError, Code, NativeError};
use crate::log::{FailureKind, LogError};

impl KafkaLog {
    /// What went wrong last at the connections, if anything has, and when: for people to see while nothing moves.
    pub fn last_error(&self) -> Option<(Instant, String)> {
        let last = self.last_error.borrow();
        last.as_ref().map(|(at, error)| (*at, format!("{} ({})", error.text, error.code.name())))
    }

    /// What a consumer said about no partition that it fetches: about the group, or about a topic.
    pub(super) fn hear(&self, remark: Remark) -> Result<(), LogError> {
        let Remark { topic, code, text } = remark;
        let error = NativeError::new(code, text);
        match code {
            Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC if !topic.is_empty() => {
                Err(LogError::UnknownTopic { topic })
            }
            _ if error::kind_of(&error) == FailureKind::Refused => {
                let of = if topic.is_empty() { String::new() } else { format!("topic {topic} in ") };
                Err(failed(&format!("read {of}group {}", self.settings.group), &error))
            }
            _ => {
                tracing::debug!(group = self.settings.group, topic, %error, "the consumer goes on");
                self.note(ClientError { code, text: error.text });
                Ok(())
            }
        }
    }

    /// What a client had to say since it was asked last, of nothing in particular.
    pub(super) fn hear_errors(&self, client: &Client) -> Result<Vec<ClientError>, LogError> {
        let errors = client.take_errors();
        if let Some(last) = errors.last() {
            self.note(last.clone());
            if let Some(error) = client.fatal_error() {
                return Err(failed(&format!("go on in group {}", self.settings.group), &error));
            }
        }
        Ok(errors)
    }

    fn note(&self, error: ClientError) {
        *self.last_error.borrow_mut() = Some((Instant::now(), error));
    }
}
