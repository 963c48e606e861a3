//! What happens to records that fail.

use millstream_engine::context::OnError;

use crate::spec::on_error::{OnError as OnErrorSpec, OnErrorWord};
use crate::topology::{FailAbove, OnErrorDef};
use crate::yaml::spanned::Spanned;

/// The policy as written; `fail` where nothing is written. How its topic is made is not looked at here.
pub(crate) fn of(spec: Option<&Spanned<OnErrorSpec>>) -> OnErrorDef {
    match spec.map(|spec| &spec.value) {
        None => OnErrorDef { policy: OnError::Fail, dead_letter: None, create: None, fail_above: None },
        Some(OnErrorSpec::Word(word)) => {
            let policy = match word.value {
                OnErrorWord::Fail => OnError::Fail,
                OnErrorWord::Skip => OnError::Skip,
            };
            OnErrorDef { policy, dead_letter: None, create: None, fail_above: None }
        }
        Some(OnErrorSpec::DeadLetter(to)) => OnErrorDef {
            policy: OnError::DeadLetter,
            dead_letter: Some(to.dead_letter.value.clone()),
            create: None,
            fail_above: to
                .fail_above
                .as_ref()
                .map(|rate| FailAbove { fraction: rate.percent / 100.0, span: rate.per.millis() }),
        },
    }
}
