//! What a topic's settings say that its records must be.

use std::time::Duration;

use millstream_engine::time::Millis;

use super::defaults::{RECORD_OVERHEAD, TOPIC_MESSAGE_BYTES};
use crate::log::{KeyRule, RecordLimits};

/// Clocks of brokers are not ours: what is so near a bound counts as beyond, or a tenth of the bound where that is less.
const SKEW: Duration = Duration::from_secs(60);

/// What of a topic's settings limits its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicLimits {
    /// How large a batch it takes (`max.message.bytes`).
    pub(super) message_bytes: usize,
    /// How far times may be behind and ahead of the broker's clock, in milliseconds; `None` for any.
    before_ms: Option<i64>,
    after_ms: Option<i64>,
    keys: KeyRule,
}

impl TopicLimits {
    /// Where nothing is known but what brokers do by default about sizes.
    pub(super) const UNKNOWN: TopicLimits =
        TopicLimits { message_bytes: TOPIC_MESSAGE_BYTES, before_ms: None, after_ms: None, keys: KeyRule::Optional };

    /// As the settings say, by name and value.
    pub(super) fn of(config: &[(String, String)]) -> TopicLimits {
        let setting = |name: &str| config.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let number = |name: &str| setting(name).and_then(|value| value.parse::<i64>().ok());
        let keeps_own_time = setting("message.timestamp.type") == Some("LogAppendTime");
        // Brokers before 3.6 have one bound for both sides.
        let bound = |name: &str| {
            let found = number(name).or_else(|| number("message.timestamp.difference.max.ms"));
            found.filter(|ms| *ms < i64::MAX && !keeps_own_time)
        };
        let is_compacted = setting("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
        TopicLimits {
            message_bytes: number("max.message.bytes")
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(TOPIC_MESSAGE_BYTES),
            before_ms: bound("message.timestamp.before.max.ms"),
            after_ms: bound("message.timestamp.after.max.ms"),
            keys: if is_compacted { KeyRule::Needed } else { KeyRule::Optional },
        }
    }

    /// What they mean for a record that is written `now`.
    pub(super) fn at(&self, now: Millis) -> RecordLimits {
        let within = |ms: i64| ms - (ms / 10).min(SKEW.as_millis() as i64);
        let first = self.before_ms.map_or(i64::MIN, |ms| now.0.saturating_sub(within(ms)));
        let last = self.after_ms.map_or(i64::MAX, |ms| now.0.saturating_add(within(ms)));
        RecordLimits {
            bytes: Some(self.message_bytes.saturating_sub(RECORD_OVERHEAD)),
            times: (self.before_ms.is_some() || self.after_ms.is_some()).then_some((Millis(first), Millis(last))),
            keys: self.keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &[(&str, &str)]) -> RecordLimits {
        let config: Vec<_> = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TopicLimits::of(&config).at(Millis(10_000_000))
    }

    const ANY: &str = "9223372036854775807";

    #[test]
    fn times_are_bound_as_the_topic_says() {
        let kafka_4 = [("message.timestamp.before.max.ms", ANY), ("message.timestamp.after.max.ms", "3600000")];
        assert_eq!(of(&kafka_4).times, Some((Millis(i64::MIN), Millis(10_000_000 + 3_540_000))));
        let old = [("message.timestamp.difference.max.ms", "1000")];
        assert_eq!(of(&old).times, Some((Millis(10_000_000 - 900), Millis(10_000_000 + 900))));
        assert_eq!(
            of(&[("message.timestamp.before.max.ms", ANY), ("message.timestamp.after.max.ms", ANY)]).times,
            None
        );
        let own = [("message.timestamp.type", "LogAppendTime"), ("message.timestamp.after.max.ms", "3600000")];
        assert_eq!(of(&own).times, None);
    }

    #[test]
    fn compacted_topics_need_keys_and_sizes_are_read() {
        assert_eq!(of(&[("cleanup.policy", "compact,delete")]).keys, KeyRule::Needed);
        assert_eq!(of(&[("cleanup.policy", "delete")]).keys, KeyRule::Optional);
        assert_eq!(of(&[("max.message.bytes", "2000")]).bytes, Some(2000 - RECORD_OVERHEAD));
        assert_eq!(of(&[]).bytes, Some(TOPIC_MESSAGE_BYTES - RECORD_OVERHEAD));
    }
}
