//! What is wrong with one message, with the place where it is wrong.

use millstream_engine::error::{RecordError, RecordErrorKind};

/// Boxed, so that the result of reading a value stays small.
pub(crate) type Fallible<T> = Result<T, Box<Fault>>;

/// Why a message is not a document of the format and schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes are not of the format at all.
    Syntax(String),
    /// A value is not of its column's type.
    Value {
        /// The column, with fields (`.city`) and items (`[3]`) below it.
        path: String,
        /// What was expected and what was found.
        message: String,
    },
}

/// Whether a message has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyIs {
    There,
    Missing,
}

impl Fault {
    pub(crate) fn syntax(message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault::Syntax(message.into()))
    }

    /// A fault of the value that is being read; whoever reads what it stands in adds the path.
    pub(crate) fn value(message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault::Value { path: String::new(), message: message.into() })
    }

    /// The fault, seen from the member `name` of an object.
    pub(crate) fn in_member(mut self: Box<Self>, name: &str) -> Box<Self> {
        if let Fault::Value { path, .. } = self.as_mut() {
            let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("{name}{separator}{path}");
        }
        self
    }

    /// The fault, seen from item `index` of an array.
    pub(crate) fn in_item(mut self: Box<Self>, index: usize) -> Box<Self> {
        if let Fault::Value { path, .. } = self.as_mut() {
            let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("[{index}]{separator}{path}");
        }
        self
    }

    /// The fault, said of a message's key, which the message has or has not.
    pub(crate) fn in_key(self, key: KeyIs) -> Box<Self> {
        let message = self.into_error().message;
        Fault::syntax(match key {
            KeyIs::There => format!("the key: {message}"),
            KeyIs::Missing => format!("a message without a key: {message}"),
        })
    }

    /// The fault as the engine counts and reports it.
    pub(crate) fn into_error(self) -> RecordError {
        let message = match self {
            Fault::Syntax(message) => message,
            Fault::Value { path, message } if path.is_empty() => message,
            Fault::Value { path, message } => format!("column {path}: {message}"),
        };
        RecordError { kind: RecordErrorKind::Decode, message }
    }
}

/// At most 40 characters of `text`, so that a message never repeats a megabyte of payload.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
