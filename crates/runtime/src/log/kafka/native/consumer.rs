//! A consumer: takes messages in batches and says what the group wants; it assigns only what it is told.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, addr_of};
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::callbacks::{Membership, Rebalance};
use super::client::{Client, ClientKind, millis};
use super::error::{Code, NativeError, text};
use super::ffi;
use super::list::List;
use crate::crash;

/// How many messages one call takes at most.
const BATCH: usize = 2048;
/// A wait for messages is cut into slices of this, so that what the group wants is seen soon.
const SLICE: Duration = Duration::from_millis(20);
/// The library's own thread answers a seek, without asking a broker.
const SEEK_WAIT: Duration = Duration::from_secs(2);

/// A consumer.
pub(in crate::log::kafka) struct Consumer {
    /// The queue in which messages, errors and what the group wants arrive. Destroyed before the client.
    queue: NonNull<sys::rd_kafka_queue_t>,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    has_joined: bool,
    client: Client,
}

// SAFETY: the queue may be used from any thread, one at a time here, as taking needs `&mut`; the batch is empty between calls.
unsafe impl Send for Consumer {}
// SAFETY: `&Consumer` gives access to the client alone, which is `Sync`, and to atomics and locks.
unsafe impl Sync for Consumer {}

/// A message, or an error in the place of one, as long as it is not destroyed.
pub(in crate::log::kafka) struct Message<'a>(&'a *mut sys::rd_kafka_message_t);

impl Consumer {
    /// Makes a consumer. The properties must name a group, also where partitions are assigned by hand only.
    pub(in crate::log::kafka) fn new(properties: &BTreeMap<String, String>) -> Result<Consumer, NativeError> {
        let client = Client::polled(ClientKind::Consumer, properties)?;
        // SAFETY: the client is valid and a consumer; the queue is destroyed before it. Forwarding the main queue lets
        // one call serve everything.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.as_ptr());
            NonNull::new(sys::rd_kafka_queue_get_consumer(client.as_ptr()))
        };
        let queue =
            queue.ok_or_else(|| NativeError::new(Code::INVALID_ARG, "property group.id: a consumer needs one"))?;
        Ok(Consumer { queue, batch: vec![std::ptr::null_mut(); BATCH], has_joined: false, client })
    }

    pub(in crate::log::kafka) fn client(&self) -> &Client {
        &self.client
    }

    /// Joins the group for these topics.
    pub(in crate::log::kafka) fn subscribe(&mut self, topics: &[String]) -> Result<(), NativeError> {
        self.has_joined = true;
        let mut list = List::new();
        for topic in topics {
            list.add(topic, -1, -1001)?;
        }
        // SAFETY: client and list are valid; the list is copied.
        NativeError::check(unsafe { ffi::rd_kafka_subscribe(self.client.as_ptr(), list.as_ptr()) })
    }

    /// Fetches exactly these partitions, from their offsets. What was fetched before never arrives any more.
    pub(in crate::log::kafka) fn assign(&self, at: &List) -> Result<(), NativeError> {
        // SAFETY: client and list are valid; the list is copied.
        NativeError::check(unsafe { ffi::rd_kafka_assign(self.client.as_ptr(), at.as_ptr()) })?;
        self.settle();
        Ok(())
    }

    /// Fetches nothing any more, and gives back what the group gave.
    pub(in crate::log::kafka) fn unassign(&self) -> Result<(), NativeError> {
        self.client.shared().forget_membership();
        // SAFETY: the client is valid; null stands for nothing.
        NativeError::check(unsafe { ffi::rd_kafka_assign(self.client.as_ptr(), std::ptr::null()) })?;
        self.settle();
        Ok(())
    }

    /// Waits until the library has stopped what an assignment ended. A partition that is taken out again before it has
    /// stopped is stopped twice, and the second stop fails an assertion that ends the process
    /// (`rd_kafka_assignment_partition_stopped`). Its thread answers in order: when the first question is answered the stop
    /// has been served, and its end, which it sends to itself, stands before the second question.
    fn settle(&self) {
        for _ in 0..2 {
            let mut list = std::ptr::null_mut();
            // SAFETY: the client is valid; the list that is filled in, if any, is ours and destroyed once.
            unsafe {
                sys::rd_kafka_assignment(self.client.as_ptr(), &mut list);
                if !list.is_null() {
                    sys::rd_kafka_topic_partition_list_destroy(list);
                }
            }
        }
    }

    /// Stops fetching partitions that are assigned.
    pub(in crate::log::kafka) fn pause(&self, partitions: &List) -> Result<(), NativeError> {
        let (client, list) = (self.client.as_ptr(), partitions.as_ptr());
        // SAFETY: client and list are valid; codes in the list are changed.
        NativeError::check(unsafe { ffi::rd_kafka_pause_partitions(client, list) })?;
        check_entries(partitions)
    }

    /// Goes on fetching partitions that were paused.
    pub(in crate::log::kafka) fn resume(&self, partitions: &List) -> Result<(), NativeError> {
        let (client, list) = (self.client.as_ptr(), partitions.as_ptr());
        // SAFETY: client and list are valid; codes in the list are changed.
        NativeError::check(unsafe { ffi::rd_kafka_resume_partitions(client, list) })?;
        check_entries(partitions)
    }

    /// Fetches partitions that are assigned from the offsets in the list.
    pub(in crate::log::kafka) fn seek(&self, to: &List) -> Result<(), NativeError> {
        let (client, list) = (self.client.as_ptr(), to.as_ptr());
        // SAFETY: client and list are valid; codes in the list are changed; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_seek_partitions(client, list, millis(SEEK_WAIT)))? };
        check_entries(to)
    }

    /// Takes what is there, waiting for the first message no longer than `wait`, and lends each to `each`. Callbacks
    /// are served; a rebalance ends the wait. Says how many messages there were.
    pub(in crate::log::kafka) fn take(&mut self, wait: Duration, mut each: impl FnMut(&Message<'_>)) -> usize {
        let until = Instant::now() + wait;
        let mut taken = 0;
        while taken == 0 {
            let left = until.saturating_duration_since(Instant::now());
            taken = self.consume(left.min(SLICE), 0, 1);
            if left.is_zero() || self.client.shared().has_rebalance() {
                break;
            }
        }
        if taken == 1 {
            taken += self.consume(Duration::ZERO, 1, BATCH);
        }
        for message in &mut self.batch[..taken] {
            each(&Message(message));
            destroy(std::slice::from_mut(message));
        }
        taken
    }

    fn consume(&mut self, wait: Duration, from: usize, to: usize) -> usize {
        // SAFETY: the queue is valid.
        unsafe { take_from(self.queue.as_ptr(), wait, &mut self.batch[from..to]) }
    }

    /// What the group wants, in the order in which it came.
    pub(in crate::log::kafka) fn next_rebalance(&self) -> Option<Rebalance> {
        self.client.shared().next_rebalance()
    }

    /// Where a partition began and ended when it was fetched last, uncommitted records included; `None` before that.
    pub(in crate::log::kafka) fn watermarks(&self, topic: &CStr, partition: i32) -> Option<(i64, i64)> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client and the pointers are valid for the call.
        let code = unsafe {
            ffi::rd_kafka_get_watermark_offsets(self.client.as_ptr(), topic.as_ptr(), partition, &mut low, &mut high)
        };
        (Code(code) == Code::NONE && low >= 0 && high >= 0).then_some((low, high))
    }

    /// Commits offsets outside any transaction and waits for the answer.
    pub(in crate::log::kafka) fn commit(&self, offsets: &List) -> Result<(), NativeError> {
        // SAFETY: client and list are valid; the list is copied.
        NativeError::check(unsafe { ffi::rd_kafka_commit(self.client.as_ptr(), offsets.as_ptr(), 0) })
    }

    /// Leaves the group, for no longer than `wait`; says whether it was left in that time.
    pub(in crate::log::kafka) fn close(&mut self, wait: Duration) -> Result<bool, NativeError> {
        self.client.shared().begin_closing();
        // A rebalance that was seen and not answered is answered so.
        self.unassign()?;
        let client = self.client.as_ptr();
        // SAFETY: the client is valid; the queue, into which the library puts what is left to do, is ours, is served until the
        // consumer is closed, and is destroyed once.
        unsafe {
            let queue = sys::rd_kafka_queue_new(client);
            let mut closed = NativeError::take(sys::rd_kafka_consumer_close_queue(client, queue)).map(|()| false);
            let until = Instant::now() + wait;
            while let Ok(false) = closed {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                // Records may be left in it too: a call that only serves callbacks would end the process at one.
                let taken = take_from(queue, left.min(SLICE), &mut self.batch[..1]);
                destroy(&mut self.batch[..taken]);
                closed = Ok(sys::rd_kafka_consumer_closed(client) != 0);
            }
            sys::rd_kafka_queue_destroy(queue);
            if !matches!(closed, Ok(true)) {
                self.client.shared().strand();
            }
            closed
        }
    }

    /// The generation of the group in which this member was given its partitions, and its name there; `None` where it has none.
    pub(in crate::log::kafka) fn membership(&self) -> Option<(u32, String)> {
        let Membership { generation, member } = self.client.shared().membership()?;
        Some((u32::try_from(generation).unwrap_or(0), member.to_string_lossy().into_owned()))
    }

    /// Lends the group's generation to `with`: the one in which this member was given its partitions. What the library would
    /// say now will not do: a member that has been put out has no generation and no name, and brokers take offsets that come
    /// with neither, for the sake of old clients. `None` for a member that has nothing.
    pub(super) fn with_group<R>(
        &self,
        with: impl FnOnce(*const sys::rd_kafka_consumer_group_metadata_t) -> R,
    ) -> Option<R> {
        let membership = self.client.shared().membership();
        // SAFETY: the client is valid; the metadata, both that of now and that of the membership, are ours and destroyed
        // once, behind their use; the names are valid while they are lent.
        unsafe {
            let now = sys::rd_kafka_consumer_group_metadata(self.client.as_ptr());
            if now.is_null() {
                return None;
            }
            let result = match membership {
                Some(_) if crash::control("log.control.without_generation") => {
                    let name = sys::rd_kafka_consumer_group_metadata_group_id(now);
                    let nobody = sys::rd_kafka_consumer_group_metadata_new(name);
                    let result = (!nobody.is_null()).then(|| with(nobody));
                    sys::rd_kafka_consumer_group_metadata_destroy(nobody);
                    result
                }
                Some(Membership { generation, member }) => {
                    let group = sys::rd_kafka_consumer_group_metadata_new_with_genid(
                        sys::rd_kafka_consumer_group_metadata_group_id(now),
                        generation,
                        member.as_ptr(),
                        sys::rd_kafka_consumer_group_metadata_group_instance_id(now),
                    );
                    let result = (!group.is_null()).then(|| with(group));
                    sys::rd_kafka_consumer_group_metadata_destroy(group);
                    result
                }
                // Nobody is a member of a group that nobody has joined.
                None => (!self.has_joined).then(|| with(now)),
            };
            sys::rd_kafka_consumer_group_metadata_destroy(now);
            result
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, destroyed once, and before the client, which is dropped with the fields.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Takes messages from a queue until there is no more room or the time is over, and says how many. Serves callbacks.
///
/// # Safety
/// The queue is valid.
unsafe fn take_from(
    queue: *mut sys::rd_kafka_queue_t,
    wait: Duration,
    room: &mut [*mut sys::rd_kafka_message_t],
) -> usize {
    // SAFETY: the caller's promise; there is room for as many messages as are asked for.
    let taken = unsafe { sys::rd_kafka_consume_batch_queue(queue, millis(wait), room.as_mut_ptr(), room.len()) };
    usize::try_from(taken).unwrap_or(0)
}

/// Destroys messages that were taken, and clears their places.
fn destroy(messages: &mut [*mut sys::rd_kafka_message_t]) {
    for message in messages {
        // SAFETY: the message is ours since it was taken, and destroyed once: its place is cleared.
        unsafe { sys::rd_kafka_message_destroy(std::mem::replace(message, std::ptr::null_mut())) };
    }
}

fn check_entries(list: &List) -> Result<(), NativeError> {
    match list.entries().into_iter().find(|entry| entry.code != Code::NONE) {
        Some(entry) => Err(NativeError::of(entry.code)),
        None => Ok(()),
    }
}

impl Message<'_> {
    /// The error that stands in the place of a message; `NONE` for a message.
    pub(in crate::log::kafka) fn code(&self) -> Code {
        // SAFETY: the message is valid while it is lent. The code is read as an integer, without making a reference.
        Code(unsafe { addr_of!((**self.0).err).cast::<i32>().read() })
    }

    /// The topic's name; empty for errors of no topic.
    pub(in crate::log::kafka) fn topic(&self) -> &[u8] {
        // SAFETY: the message is valid while it is lent, and its topic with it.
        unsafe {
            let topic = (**self.0).rkt;
            if topic.is_null() { b"" } else { CStr::from_ptr(sys::rd_kafka_topic_name(topic)).to_bytes() }
        }
    }

    /// The same for messages of one partition that were taken in one batch, and for them alone.
    pub(in crate::log::kafka) fn run(&self) -> (usize, i32) {
        // SAFETY: the message is valid while it is lent.
        unsafe { ((**self.0).rkt.addr(), (**self.0).partition) }
    }

    pub(in crate::log::kafka) fn partition(&self) -> i32 {
        // SAFETY: the message is valid while it is lent.
        unsafe { (**self.0).partition }
    }

    pub(in crate::log::kafka) fn offset(&self) -> i64 {
        // SAFETY: the message is valid while it is lent.
        unsafe { (**self.0).offset }
    }

    /// Milliseconds; -1 for a message that has none.
    pub(in crate::log::kafka) fn timestamp(&self) -> i64 {
        // SAFETY: the message is valid while it is lent; nobody asks for the kind of the timestamp.
        unsafe { sys::rd_kafka_message_timestamp(*self.0, std::ptr::null_mut()) }
    }

    pub(in crate::log::kafka) fn key(&self) -> Option<&[u8]> {
        // SAFETY: the message is valid while it is lent; its key has the length that stands beside it.
        unsafe { bytes((**self.0).key, (**self.0).key_len) }
    }

    pub(in crate::log::kafka) fn value(&self) -> Option<&[u8]> {
        // SAFETY: the message is valid while it is lent; its value has the length that stands beside it.
        unsafe { bytes((**self.0).payload, (**self.0).len) }
    }

    /// What the library says about an error.
    pub(in crate::log::kafka) fn error_text(&self) -> String {
        // SAFETY: for an error of a consumer this is a text of the library's.
        text(unsafe { sys::rd_kafka_message_errstr(*self.0) })
    }

    /// Lends each header to `each`, in order.
    pub(in crate::log::kafka) fn headers(&self, mut each: impl FnMut(&str, Option<&[u8]>)) {
        let mut headers: *mut c_void = std::ptr::null_mut();
        // SAFETY: the message is valid while it is lent; its headers, if it has any, live as long as it. Names end with a
        // zero, values have the size that stands beside them.
        unsafe {
            if ffi::rd_kafka_message_headers((*self.0).cast(), &mut headers) != 0 {
                return;
            }
            let mut index = 0;
            loop {
                let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
                if ffi::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) != 0 {
                    return;
                }
                each(&CStr::from_ptr(name).to_string_lossy(), bytes(value, size));
                index += 1;
            }
        }
    }
}

/// # Safety
/// `pointer` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast(), len) })
}
