//! What ends a test early: it cannot run here, or something is not as it must be. It never tells one as the other.

use std::fmt::Display;
use std::io;
use std::time::Duration;

/// Shorthand for what the harness returns.
pub type Result<T = ()> = std::result::Result<T, Trouble>;

/// Why a test ends early.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The machine lacks what the test needs; the test is counted as skipped, never as passed.
    #[error("skipped: {reason}")]
    Skip {
        /// What is lacking.
        reason: String,
    },
    /// The machine refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// Something did not come in time.
    #[error("{what} did not come within {within:?}; last seen: {last}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// How things stood at the last look.
        last: String,
    },
    /// The foreign client reports an error, as `<class>: <message>`.
    #[error("foreign client: {op}: {message}")]
    Foreign {
        /// What it was asked.
        op: String,
        /// What it said.
        message: String,
    },
    /// Anything else that is not as it must be.
    #[error("{0}")]
    Wrong(String),
}

impl Trouble {
    /// A skip with its reason.
    pub fn skip(reason: impl Display) -> Trouble {
        Trouble::Skip { reason: reason.to_string() }
    }

    /// For `map_err`: what was being done when the machine refused.
    pub fn io(doing: impl Display) -> impl FnOnce(io::Error) -> Trouble {
        move |source| Trouble::Io { doing: doing.to_string(), source }
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Trouble {
        Trouble::Wrong(message)
    }
}

impl From<&str> for Trouble {
    fn from(message: &str) -> Trouble {
        Trouble::Wrong(message.to_owned())
    }
}

/// Ends the test with a message unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Trouble::Wrong(format!($($message)+)));
        }
    };
}
