//! What has been fetched of one partition and not been read yet. Records stay in order, none is handed over twice.

use millstream_engine::ids::Offset;
use millstream_engine::time::Millis;

use super::native::{Code, Message};
use crate::log::{Header, ReadLimit, Records};

/// The records of one partition between what the worker has read and what the consumer has fetched.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    records: Records,
    /// The number of the first record in `records` that is not read yet.
    first: usize,
    /// Bytes of the records before `first`.
    read_bytes: usize,
    /// The offset behind everything that was fetched, gaps included.
    next: i64,
    /// The offset behind everything that was read, gaps included: where the next read begins.
    unread: i64,
    /// Whether anything has come since the partition was assigned, if only that there is nothing.
    pub(super) is_known: bool,
    /// Whether the partition was at its end when it was fetched last.
    at_end: bool,
    /// Why nothing more comes.
    pub(super) fault: Option<Fault>,
    /// Whether the consumer has been told to stop for a while.
    pub(super) is_paused: bool,
}

/// Why nothing more comes of a partition.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) text: String,
}

impl Fault {
    /// Whether the brokers have lost what was read (KIP-320). The library has a code for it, and tells it in the text of
    /// another.
    pub(super) fn is_truncation(&self) -> bool {
        self.code == Code::AUTO_OFFSET_RESET && self.text.contains(&Code::LOG_TRUNCATION.text())
    }
}

/// Whether anybody wants the headers of a topic's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderUse {
    /// They are kept with the records.
    Read,
    /// Nobody wants them.
    PassedOver,
}

impl Buffer {
    /// Nothing yet, from `offset` on.
    pub(super) fn new(offset: Offset) -> Buffer {
        Buffer { next: offset.0, unread: offset.0, ..Buffer::default() }
    }

    /// The offset at which the consumer goes on.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// The offset of the first thing that was not read.
    pub(super) fn unread(&self) -> Offset {
        Offset(self.unread)
    }

    /// Whether the partition was at its end when it was fetched last, and nothing of it waits to be read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end && self.unread_len() == 0
    }

    /// Where the partition ended, if the last that was fetched was its end.
    pub(super) fn end(&self) -> Option<i64> {
        self.at_end.then_some(self.next)
    }

    /// Records that are not read.
    pub(super) fn unread_len(&self) -> usize {
        self.records.len() - self.first
    }

    /// Bytes that are not read.
    pub(super) fn unread_bytes(&self) -> usize {
        self.records.byte_len() - self.read_bytes
    }

    /// Takes a message, or what stands in its place.
    pub(super) fn take(&mut self, message: &Message<'_>, headers: HeaderUse) {
        self.is_known = true;
        match message.code() {
            Code::NONE => self.push(message, headers),
            Code::PARTITION_EOF => self.end_at(message.offset()),
            code => self.fault = Some(Fault { code, text: message.error_text() }),
        }
    }

    fn push(&mut self, message: &Message<'_>, headers: HeaderUse) {
        let offset = message.offset();
        // After a pause the library may bring again what was taken while it stopped.
        if offset < self.next {
            return;
        }
        let mut record = self.records.begin(Offset(offset), Millis(message.timestamp()));
        record.key(message.key());
        record.value(message.value());
        match headers {
            HeaderUse::Read => message.headers(|name, value| record.header(Header { name, value })),
            HeaderUse::PassedOver => {}
        }
        self.next = offset + 1;
        self.at_end = false;
    }

    /// Everything before `offset` has been fetched.
    pub(super) fn reach(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    fn end_at(&mut self, offset: i64) {
        if offset >= self.next {
            self.next = offset;
            self.at_end = true;
        }
    }

    /// Passes over what is before `offset`; says whether what is left begins there. If not, the partition must be fetched
    /// anew.
    pub(super) fn skip_to(&mut self, offset: Offset) -> bool {
        while self.first < self.records.len() && self.records.get(self.first).offset < offset {
            self.pass_over_one();
        }
        let is_here = (self.unread..=self.next).contains(&offset.0);
        if is_here {
            self.unread = offset.0;
        }
        is_here
    }

    /// Hands over what is there, up to `limit`, and says the offset to go on at.
    pub(super) fn read(&mut self, limit: ReadLimit, into: &mut Records) -> Offset {
        let fits = self.records.len() <= limit.records && self.records.byte_len() <= limit.bytes.saturating_mul(2);
        if into.is_empty() && self.first == 0 && fits {
            std::mem::swap(&mut self.records, into);
        } else {
            self.copy(limit, into);
        }
        if self.unread_len() == 0 {
            self.unread = self.next;
            // The memory is kept for the next.
            self.records.clear();
            self.first = 0;
            self.read_bytes = 0;
        } else if self.first > self.records.len() / 2 {
            self.let_go();
        }
        Offset(self.unread)
    }

    /// Gives up the memory of what was read. A buffer into which as much comes as is read is never empty.
    fn let_go(&mut self) {
        let mut left = Records::new();
        (self.first..self.records.len()).for_each(|index| left.push_view(self.records.get(index)));
        self.records = left;
        self.first = 0;
        self.read_bytes = 0;
    }

    fn copy(&mut self, limit: ReadLimit, into: &mut Records) {
        let (records_before, bytes_before) = (into.len(), into.byte_len());
        while self.first < self.records.len() {
            let read = into.len() - records_before;
            if read > 0 && (read >= limit.records || into.byte_len() - bytes_before >= limit.bytes) {
                break;
            }
            into.push_view(self.records.get(self.first));
            self.pass_over_one();
        }
    }

    fn pass_over_one(&mut self) {
        let record = self.records.get(self.first);
        let headers = record.headers.map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len));
        self.read_bytes +=
            record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers.sum::<usize>();
        self.unread = record.offset.0 + 1;
        self.first += 1;
    }

    #[cfg(test)]
    fn push_record(&mut self, offset: i64, value: &[u8]) {
        let record = crate::log::NewRecord { key: None, value: Some(value), timestamp: Millis(offset), headers: &[] };
        self.records.push(Offset(offset), record);
        self.next = offset + 1;
        self.at_end = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ReadLimit = ReadLimit { records: 100, bytes: 1 << 20 };

    fn offsets(records: &Records) -> Vec<i64> {
        records.iter().map(|record| record.offset.0).collect()
    }

    fn buffer(from: i64, offsets: &[i64]) -> Buffer {
        let mut buffer = Buffer::new(Offset(from));
        offsets.iter().for_each(|&offset| buffer.push_record(offset, b"value"));
        buffer
    }

    #[test]
    fn reading_goes_on_behind_the_last_record_or_at_the_end_behind_a_gap() {
        let mut buffer = buffer(10, &[10, 11, 14]);
        let mut into = Records::new();
        assert_eq!(buffer.read(ALL, &mut into), Offset(15));
        assert_eq!(offsets(&into), [10, 11, 14]);
        assert!(!buffer.is_at_end());
        buffer.end_at(16);
        assert_eq!(buffer.read(ALL, &mut into), Offset(16));
        assert!(buffer.is_at_end() && buffer.end() == Some(16));
    }

    #[test]
    fn an_end_behind_unread_records_is_reached_with_them() {
        let mut buffer = buffer(0, &[0, 1]);
        buffer.end_at(5);
        assert!(!buffer.is_at_end());
        let mut into = Records::new();
        let one = ReadLimit { records: 1, bytes: 1 << 20 };
        assert_eq!(buffer.read(one, &mut into), Offset(1));
        assert_eq!(buffer.read(one, &mut into), Offset(5));
        assert_eq!(offsets(&into), [0, 1]);
    }

    #[test]
    fn a_small_limit_is_kept_exactly() {
        let mut buffer = buffer(0, &(0..10).collect::<Vec<_>>());
        let mut into = Records::new();
        for expected in 1..=10 {
            let next = buffer.read(ReadLimit { records: 1, bytes: 1 << 20 }, &mut into);
            assert_eq!((next.0, into.len()), (expected, expected as usize));
        }
        assert_eq!(buffer.unread_bytes(), 0);
    }

    #[test]
    fn a_buffer_that_is_never_empty_does_not_grow() {
        let mut buffer = buffer(0, &[0, 1]);
        let one = ReadLimit { records: 1, bytes: 1 << 20 };
        for offset in 2..1_000 {
            buffer.push_record(offset, b"value");
            let mut into = Records::new();
            buffer.read(one, &mut into);
            assert_eq!(offsets(&into), [offset - 2]);
            assert_eq!((buffer.unread_len(), buffer.unread_bytes()), (2, 10));
            assert!(buffer.records.len() <= 5, "{} records are kept for 2", buffer.records.len());
        }
    }

    #[test]
    fn a_limit_of_bytes_brings_one_record_at_least() {
        let mut buffer = buffer(0, &[0, 1, 2]);
        let mut into = Records::new();
        assert_eq!(buffer.read(ReadLimit { records: 100, bytes: 1 }, &mut into), Offset(1));
        assert_eq!(buffer.unread_len(), 2);
        assert_eq!(buffer.unread_bytes(), 10);
    }

    #[test]
    fn records_before_the_place_are_passed_over() {
        let mut buffer = buffer(0, &[0, 1, 5, 6]);
        assert!(buffer.skip_to(Offset(3)));
        let mut into = Records::new();
        assert_eq!(buffer.read(ALL, &mut into), Offset(7));
        assert_eq!(offsets(&into), [5, 6]);
    }

    #[test]
    fn a_place_before_or_behind_the_buffer_is_not_in_it() {
        let mut buffer = buffer(3, &[3, 4]);
        assert!(!buffer.skip_to(Offset(2)));
        assert!(!buffer.skip_to(Offset(6)));
        // What was passed over on the way there is gone, so only the end is left.
        assert!(buffer.skip_to(Offset(5)));
    }

    #[test]
    fn swapping_gives_the_emptied_memory_back() {
        let mut buffer = buffer(0, &[0]);
        let mut into = Records::new();
        buffer.read(ALL, &mut into);
        into.clear();
        buffer.push_record(1, b"second");
        assert_eq!(buffer.read(ALL, &mut into), Offset(2));
        assert_eq!(into.get(0).value, Some(&b"second"[..]));
    }

    #[test]
    fn an_end_that_is_found_later_is_reached_from_where_reading_was() {
        let mut buffer = buffer(0, &[0]);
        let mut into = Records::new();
        assert_eq!(buffer.read(ALL, &mut into), Offset(1));
        buffer.end_at(4);
        assert!(buffer.skip_to(Offset(1)));
        assert_eq!(buffer.read(ALL, &mut into), Offset(4));
        buffer.push_record(7, b"later");
        assert!(buffer.skip_to(Offset(4)));
        assert_eq!(buffer.read(ALL, &mut into), Offset(8));
        assert_eq!(offsets(&into), [0, 7]);
    }

    #[test]
    fn an_end_that_was_overtaken_says_nothing() {
        let mut buffer = buffer(0, &[0, 1, 2]);
        buffer.end_at(1);
        assert_eq!((buffer.end(), buffer.next()), (None, 3));
    }
}
