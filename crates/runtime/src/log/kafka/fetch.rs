//! Fetching: a consumer, and a buffer for each partition that it fetches. Reading takes from the buffers alone and never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::ops::Range;
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};

use super::buffer::{Buffer, Fault, HeaderUse};
use super::error::failed;
use super::native::{Code, Consumer, List, NativeError};
use crate::log::{LogError, ReadLimit, Records, TopicPartition};

/// All buffers together hold about so many bytes before the fullest are not filled any more.
const BUFFERED_BYTES: usize = 16 << 20;
/// A buffer may hold at least this.
const BUFFER_LEAST_BYTES: usize = 1 << 20;
/// A buffer holds about so many records at most.
const BUFFER_RECORDS: usize = 65_536;

/// A consumer and what it has fetched.
pub(super) struct Fetcher {
    partitions: Vec<Fetched>,
    /// Where in `partitions` each is: by topic, then by number.
    places: BTreeMap<Vec<u8>, BTreeMap<i32, usize>>,
    consumer: Consumer,
    headerless_topics: BTreeSet<String>,
}

struct Fetched {
    topic: String,
    /// The topic's name for the library.
    name: CString,
    partition: i32,
    headers: HeaderUse,
    buffer: Buffer,
    /// Nothing from this offset on is wanted.
    until: i64,
}

/// Something that the consumer said about no partition that is fetched.
#[derive(Debug)]
pub(super) struct Remark {
    pub(super) topic: String,
    pub(super) code: Code,
    pub(super) text: String,
}

/// What a read found.
pub(super) enum Read {
    /// Read up to this offset.
    To(Offset),
    /// The partition is not fetched, or not from there.
    Elsewhere,
    /// The partition cannot be read on.
    Faulty(Fault),
}

impl Fetcher {
    /// Fetches nothing yet; records of `headerless_topics` will be without their headers.
    pub(super) fn new(consumer: Consumer, headerless_topics: BTreeSet<String>) -> Fetcher {
        Fetcher { partitions: Vec::new(), places: BTreeMap::new(), consumer, headerless_topics }
    }

    pub(super) fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    pub(super) fn consumer_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }

    /// Fetches exactly these partitions from now on. What is buffered and still wanted is kept.
    pub(super) fn assign(&mut self, at: &BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
        self.resume_all()?;
        let mut partitions = Vec::with_capacity(at.len());
        let mut places: BTreeMap<Vec<u8>, BTreeMap<i32, usize>> = BTreeMap::new();
        let mut list = List::new();
        for ((topic, partition), &offset) in at {
            let number = partition.0 as i32;
            let kept =
                self.place(topic.as_bytes(), number).map(|place| std::mem::take(&mut self.partitions[place].buffer));
            let kept = kept.filter(|kept| kept.fault.is_none());
            let kept = kept.and_then(|mut kept| kept.skip_to(offset).then_some(kept));
            let buffer = kept.unwrap_or_else(|| Buffer::new(offset));
            list.add(topic, number, buffer.next()).map_err(|error| failed("fetch", &error))?;
            places.entry(topic.as_bytes().to_vec()).or_default().insert(number, partitions.len());
            let name = CString::new(topic.as_str()).map_err(|_| LogError::TopicName { topic: topic.clone() })?;
            let headers = match self.headerless_topics.contains(topic) {
                true => HeaderUse::PassedOver,
                false => HeaderUse::Read,
            };
            partitions.push(Fetched {
                topic: topic.clone(),
                name,
                partition: number,
                headers,
                buffer,
                until: i64::MAX,
            });
        }
        self.partitions = partitions;
        self.places = places;
        self.consumer.assign(&list).map_err(|error| failed("fetch the partitions that the group gave", &error))
    }

    /// Fetches exactly these stretches of partitions from now on.
    pub(super) fn assign_stretches(
        &mut self,
        stretches: &BTreeMap<TopicPartition, Range<Offset>>,
    ) -> Result<(), LogError> {
        self.assign(&stretches.iter().map(|(place, stretch)| (place.clone(), stretch.start)).collect())?;
        for (fetched, stretch) in self.partitions.iter_mut().zip(stretches.values()) {
            fetched.until = stretch.end.0;
        }
        Ok(())
    }

    /// Fetches one more partition from another place; the others go on.
    pub(super) fn fetch_from(&mut self, topic: &str, partition: PartitionId, offset: Offset) -> Result<(), LogError> {
        let mut at = self.places_now();
        at.insert((topic.to_owned(), partition), offset);
        self.assign(&at)
    }

    /// Fetches nothing any more and forgets what was fetched.
    pub(super) fn release(&mut self) -> Result<(), LogError> {
        self.resume_all()?;
        self.partitions.clear();
        self.places.clear();
        self.consumer.unassign().map_err(|error| failed("give partitions back", &error))
    }

    fn places_now(&self) -> BTreeMap<TopicPartition, Offset> {
        let place = |fetched: &Fetched| {
            let partition = PartitionId(fetched.partition as u32);
            ((fetched.topic.clone(), partition), fetched.buffer.unread())
        };
        self.partitions.iter().map(place).collect()
    }

    fn place(&self, topic: &[u8], partition: i32) -> Option<usize> {
        self.places.get(topic)?.get(&partition).copied()
    }

    fn buffer(&self, topic: &str, partition: PartitionId) -> Option<&Fetched> {
        self.place(topic.as_bytes(), partition.0 as i32).map(|place| &self.partitions[place])
    }

    /// Whether the partition is fetched.
    pub(super) fn has(&self, topic: &str, partition: PartitionId) -> bool {
        self.buffer(topic, partition).is_some()
    }

    /// Where reading a partition that is fetched goes on.
    pub(super) fn next(&self, topic: &str, partition: PartitionId) -> Option<Offset> {
        self.buffer(topic, partition).map(|fetched| fetched.buffer.unread())
    }

    /// Whether the partition was at its end when it was fetched last, and all of it has been read.
    pub(super) fn is_at_end(&self, topic: &str, partition: PartitionId) -> bool {
        self.buffer(topic, partition).is_some_and(|fetched| fetched.buffer.is_at_end())
    }

    /// The earliest and the end of a partition that is fetched, as they were when it was fetched last: without asking a
    /// broker. `None` before that. One that cannot be fetched any more ends behind what was fetched: reading says why.
    pub(super) fn extent(&self, topic: &str, partition: PartitionId) -> Option<(i64, i64)> {
        let fetched = self.buffer(topic, partition).filter(|fetched| fetched.buffer.is_known)?;
        if fetched.buffer.fault.is_some() {
            return Some((fetched.buffer.unread().0, fetched.buffer.next() + 1));
        }
        let (low, high) = self.consumer.watermarks(&fetched.name, fetched.partition)?;
        // The end of what is committed is where fetching found it; before, at most where anything ends.
        let end = fetched.buffer.end().unwrap_or(high.max(fetched.buffer.next()));
        Some((low.min(end), end))
    }

    /// Whether a read of the partition from `from` on would find something, or why it cannot.
    pub(super) fn has_beyond(&self, topic: &str, partition: PartitionId, from: Offset) -> bool {
        let beyond = |fetched: &Fetched| fetched.buffer.next() > from.0 || fetched.buffer.fault.is_some();
        self.buffer(topic, partition).is_some_and(beyond)
    }

    /// Whether any partition has something that is wanted and was not read.
    pub(super) fn has_any(&self) -> bool {
        let is_wanted = |Fetched { buffer, until, .. }: &Fetched| buffer.unread().0 < buffer.next().min(*until);
        self.partitions.iter().any(is_wanted)
    }

    /// The topics of the partitions that are fetched.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.places.keys().filter_map(|topic| std::str::from_utf8(topic).ok())
    }

    /// Bytes that are fetched and not read.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.partitions.iter().map(|fetched| fetched.buffer.unread_bytes()).sum()
    }

    /// Takes what the consumer has, waiting for the first of it no longer than `wait`. Says what else it had to say.
    pub(super) fn take(&mut self, wait: Duration) -> Vec<Remark> {
        let (partitions, places) = (&mut self.partitions, &self.places);
        let mut remarks = Vec::new();
        let mut last = None;
        self.consumer.take(wait, |message| {
            let run = message.run();
            let place = match last {
                Some((same, place)) if same == run => place,
                _ => places.get(message.topic()).and_then(|topic| topic.get(&message.partition()).copied()),
            };
            last = Some((run, place));
            match place {
                // An error of the whole topic comes with partition 0 and no offset; of a partition whose log was cut off there is
                // none either, and nothing more comes of it.
                Some(place) if message.offset() >= 0 || message.code() == Code::AUTO_OFFSET_RESET => {
                    let fetched = &mut partitions[place];
                    if message.code() == Code::NONE && message.offset() >= fetched.until {
                        fetched.buffer.reach(fetched.until);
                    } else {
                        fetched.buffer.take(message, fetched.headers);
                    }
                }
                _ if matches!(message.code(), Code::NONE | Code::PARTITION_EOF) => {}
                _ => remarks.push(Remark {
                    topic: String::from_utf8_lossy(message.topic()).into_owned(),
                    code: message.code(),
                    text: message.error_text(),
                }),
            }
        });
        remarks
    }

    /// Stops fetching for partitions whose buffers are full, and for those of which nothing more is wanted.
    pub(super) fn pause_full(&mut self) -> Result<(), LogError> {
        let bound = self.bytes_bound();
        self.pause(|Fetched { buffer, until, .. }| {
            buffer.unread_bytes() > bound || buffer.unread_len() > BUFFER_RECORDS || buffer.next() >= *until
        })
    }

    /// Stops fetching for partitions of which nothing more is wanted.
    pub(super) fn pause_done(&mut self) -> Result<(), LogError> {
        self.pause(|fetched| fetched.buffer.next() >= fetched.until)
    }

    fn pause(&mut self, is_to_pause: impl Fn(&Fetched) -> bool) -> Result<(), LogError> {
        let mut list = List::new();
        let mut any = false;
        for fetched in &mut self.partitions {
            let is_to_pause = is_to_pause(fetched);
            let buffer = &mut fetched.buffer;
            if is_to_pause && !buffer.is_paused {
                buffer.is_paused = true;
                any = true;
                list.add(&fetched.topic, fetched.partition, buffer.next()).map_err(|error| failed("pause", &error))?;
            }
        }
        let paused = if any { self.consumer.pause(&list) } else { Ok(()) };
        paused.map_err(|error| failed("pause partitions whose records wait to be read", &error))
    }

    fn bytes_bound(&self) -> usize {
        (BUFFERED_BYTES / self.partitions.len().max(1)).max(BUFFER_LEAST_BYTES)
    }

    /// Hands over what is buffered of a partition from `from` on.
    pub(super) fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Read, LogError> {
        let Some(place) = self.place(topic.as_bytes(), partition.0 as i32) else { return Ok(Read::Elsewhere) };
        let bound = self.bytes_bound();
        let fetched = &mut self.partitions[place];
        let buffer = &mut fetched.buffer;
        if !buffer.skip_to(from) {
            return Ok(Read::Elsewhere);
        }
        if buffer.unread_len() == 0
            && let Some(fault) = buffer.fault.clone()
        {
            return Ok(Read::Faulty(fault));
        }
        let next = buffer.read(limit, into);
        let is_drained = buffer.next() < fetched.until
            && buffer.unread_bytes() <= bound / 2
            && buffer.unread_len() <= BUFFER_RECORDS / 2;
        if buffer.is_paused && is_drained {
            self.resume(place)?;
        }
        Ok(Read::To(next.max(from)))
    }

    /// Goes on fetching a partition, from where its buffer ends. The library's own idea of that place may be wrong: behind a
    /// partition's end it is one too far.
    fn resume(&mut self, place: usize) -> Result<(), LogError> {
        let fetched = &mut self.partitions[place];
        fetched.buffer.is_paused = false;
        let mut list = List::new();
        let listed = list.add(&fetched.topic, fetched.partition, fetched.buffer.next());
        let resumed = listed.and_then(|()| self.consumer.seek(&list)).and_then(|()| self.consumer.resume(&list));
        if let Err(error) = resumed {
            tracing::debug!(topic = fetched.topic, partition = fetched.partition, %error, "assigning anew to resume");
            let at = self.places_now();
            return self.assign(&at);
        }
        Ok(())
    }

    /// A pause would outlive the assignment that it was meant for.
    fn resume_all(&mut self) -> Result<(), LogError> {
        let mut list = List::new();
        let mut any = false;
        for fetched in self.partitions.iter_mut().filter(|fetched| fetched.buffer.is_paused) {
            fetched.buffer.is_paused = false;
            any = true;
            list.add(&fetched.topic, fetched.partition, -1001).map_err(|error| failed("resume", &error))?;
        }
        let resumed: Result<(), NativeError> = if any { self.consumer.resume(&list) } else { Ok(()) };
        resumed.map_err(|error| failed("resume partitions", &error))
    }
}
