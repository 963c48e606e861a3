//! Many records in one arena: bytes in one buffer, everything else as ranges into it, no allocation per record.

use millstream_engine::ids::Offset;
use millstream_engine::time::Millis;

/// A header of a record: a name and perhaps a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name; names may repeat.
    pub name: &'a str,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// A record on its way into a log.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's timestamp.
    pub timestamp: Millis,
    /// The headers, in order.
    pub headers: &'a [Header<'a>],
}

/// Bytes beside name and value that a header takes at most: the lengths of both.
const HEADER_OVERHEAD: usize = 10;

impl NewRecord<'_> {
    /// Bytes of key, value and headers.
    pub fn byte_len(&self) -> usize {
        let headers = self.headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len));
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }

    /// How much the record takes of what its topic allows ([`RecordLimits`](super::RecordLimits)): whoever asks whether
    /// it fits, and whoever refuses it, must count the same.
    pub fn size(&self) -> usize {
        self.byte_len() + HEADER_OVERHEAD * self.headers.len()
    }
}

/// The timestamp of a record that has no time of its own: where a log keeps its own time, it is that.
pub const UNTIMED: Millis = Millis(i64::MIN);

/// As much of each vector's memory is kept whatever was in it.
const KEPT_BYTES: usize = 1 << 20;

/// A record as it stands in a log, borrowed from [`Records`].
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// Its position in its partition.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: Millis,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Headers<'a>,
}

/// The headers of one record: an iterator in the order in which they were written.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    spans: &'a [HeaderSpan],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let (first, rest) = self.spans.split_first()?;
        self.spans = rest;
        let name = first.name.of(self.bytes).unwrap_or_default();
        Some(Header {
            name: std::str::from_utf8(name).expect("names are pushed as str and never cut"),
            value: first.value.of(self.bytes),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.spans.len(), Some(self.spans.len()))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Records of one partition, in the order of their offsets.
#[derive(Debug, Clone, Default)]
pub struct Records {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<HeaderSpan>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: Offset,
    timestamp: Millis,
    key: Span,
    value: Span,
    /// Where the record's headers begin in `Records::headers`; they end where the next record's begin.
    headers: usize,
}

#[derive(Debug, Clone, Copy)]
struct HeaderSpan {
    name: Span,
    value: Span,
}

/// A range of the arena, or nothing.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    /// `usize::MAX` for nothing.
    len: usize,
}

impl Span {
    const NONE: Span = Span { start: 0, len: usize::MAX };

    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        (self.len != usize::MAX).then(|| &bytes[self.start..self.start + self.len])
    }
}

impl Records {
    /// No records.
    pub fn new() -> Records {
        Records::default()
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the records and keeps the memory for the next, but for what these were far from needing: one burst would be
    /// paid for ever.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        clear(&mut self.bytes);
        clear(&mut self.entries);
        clear(&mut self.headers);
    }

    /// Record number `index`, from 0.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn get(&self, index: usize) -> RecordView<'_> {
        let entry = self.entries[index];
        let headers_end = self.entries.get(index + 1).map_or(self.headers.len(), |next| next.headers);
        RecordView {
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: entry.key.of(&self.bytes),
            value: entry.value.of(&self.bytes),
            headers: Headers { bytes: &self.bytes, spans: &self.headers[entry.headers..headers_end] },
        }
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordView<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Copies a record to the end.
    pub fn push(&mut self, offset: Offset, record: NewRecord<'_>) {
        let mut building = self.begin(offset, record.timestamp);
        building.key(record.key);
        building.value(record.value);
        for header in record.headers {
            building.header(*header);
        }
    }

    /// Copies a record of another arena to the end.
    pub fn push_view(&mut self, record: RecordView<'_>) {
        let mut building = self.begin(record.offset, record.timestamp);
        building.key(record.key);
        building.value(record.value);
        for header in record.headers {
            building.header(header);
        }
    }

    /// Begins a record without key, value and headers at the end.
    pub(crate) fn begin(&mut self, offset: Offset, timestamp: Millis) -> RecordBuilder<'_> {
        self.entries.push(Entry { offset, timestamp, key: Span::NONE, value: Span::NONE, headers: self.headers.len() });
        RecordBuilder { records: self }
    }

    /// Takes away the records from number `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(entry) = self.entries.get(len) {
            self.headers.truncate(entry.headers);
            self.entries.truncate(len);
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        write(&mut self.bytes);
        Span { start, len: self.bytes.len() - start }
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Span {
        bytes.map_or(Span::NONE, |bytes| self.write(|arena| arena.extend_from_slice(bytes)))
    }
}

/// Empties a vector; of its memory stays what is worth keeping.
fn clear<T>(vec: &mut Vec<T>) {
    let needed = vec.len();
    vec.clear();
    if vec.capacity() > (KEPT_BYTES / size_of::<T>()).max(4 * needed) {
        vec.shrink_to(2 * needed);
    }
}

/// The last record of [`Records`], while it is being filled.
pub(crate) struct RecordBuilder<'a> {
    records: &'a mut Records,
}

impl RecordBuilder<'_> {
    pub(crate) fn key(&mut self, key: Option<&[u8]>) {
        let span = self.records.copy(key);
        self.last().key = span;
    }

    pub(crate) fn value(&mut self, value: Option<&[u8]>) {
        let span = self.records.copy(value);
        self.last().value = span;
    }

    /// Lets `write` append the key to the arena; it must only append.
    pub(crate) fn key_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let span = self.records.write(write);
        self.last().key = span;
    }

    /// Lets `write` append the value to the arena; it must only append.
    pub(crate) fn value_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let span = self.records.write(write);
        self.last().value = span;
    }

    pub(crate) fn header(&mut self, header: Header<'_>) {
        let name = self.records.copy(Some(header.name.as_bytes()));
        let value = self.records.copy(header.value);
        self.records.headers.push(HeaderSpan { name, value });
    }

    fn last(&mut self) -> &mut Entry {
        self.records.entries.last_mut().expect("begin has pushed it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(records: &mut Records, values: usize) {
        for offset in 0..values {
            let record = NewRecord { key: None, value: Some(&[7; 100]), timestamp: Millis(0), headers: &[] };
            records.push(Offset(offset as i64), record);
        }
    }

    #[test]
    fn memory_is_kept_for_the_next_unless_these_were_far_from_needing_it() {
        let mut records = Records::new();
        fill(&mut records, 100_000);
        records.clear();
        let of_many = records.bytes.capacity();
        assert!(of_many >= 10_000_000, "as many may come again");
        records.clear();
        assert_eq!(records.bytes.capacity(), of_many, "nothing came, which says nothing");
        fill(&mut records, 50_000);
        records.clear();
        assert_eq!(records.bytes.capacity(), of_many);
        fill(&mut records, 10);
        records.clear();
        assert!(records.bytes.capacity() < KEPT_BYTES && records.entries.capacity() < 100);
        fill(&mut records, 5_000);
        records.clear();
        let of_some = records.bytes.capacity();
        fill(&mut records, 1);
        records.clear();
        assert_eq!(records.bytes.capacity(), of_some, "little is kept anyway");
    }
}
