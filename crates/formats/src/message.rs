//! A message as a log hands it over: borrowed bytes, never a copy.

/// One record of a partition, borrowed from whoever read it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The key; `None` for a message without one.
    pub key: Option<&'a [u8]>,
    /// The payload; `None` for a message without one (a tombstone), which is another thing than an empty payload.
    pub value: Option<&'a [u8]>,
    /// The record's timestamp in milliseconds since the epoch.
    pub timestamp: i64,
    /// The record's offset in its partition.
    pub offset: i64,
    /// The headers.
    pub headers: Headers<'a>,
}

/// The headers of a message in their order; names may repeat.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// Headers that a log keeps as owned values.
    Owned(&'a [(String, Option<Vec<u8>>)]),
    /// Headers that borrow from a client's buffer.
    Borrowed(&'a [(&'a str, Option<&'a [u8]>)]),
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers::Borrowed(&[]);

    /// The number of headers.
    pub fn len(self) -> usize {
        match self {
            Headers::Owned(headers) => headers.len(),
            Headers::Borrowed(headers) => headers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Name and value of header `index`, if there are so many.
    pub fn get(self, index: usize) -> Option<(&'a str, Option<&'a [u8]>)> {
        match self {
            Headers::Owned(headers) => headers.get(index).map(|(name, value)| (name.as_str(), value.as_deref())),
            Headers::Borrowed(headers) => headers.get(index).copied(),
        }
    }

    /// Name and value of each header, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Headers::NONE
    }
}
