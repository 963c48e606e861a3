//! A producer: sends records and ends transactions; it never decides whether a transaction is to be committed.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rdkafka_sys as sys;

use super::callbacks::Answers;
use super::client::{Client, ClientKind, millis};
use super::consumer::Consumer;
use super::error::{Code, NativeError, Severity, c_string};
use super::ffi;
use super::list::List;
use crate::log::Header;

/// A producer.
pub(in crate::log::kafka) struct Producer {
    topics: Vec<NonNull<sys::rd_kafka_topic_t>>,
    /// What `AckedEnd`s point to: never moved, and kept until the client is destroyed.
    ends: Vec<Arc<AtomicI64>>,
    vectors: Vec<sys::rd_kafka_vu_t>,
    names: Vec<CString>,
    client: Option<Client>,
}

// SAFETY: the handles may be used from any thread, one at a time here, as everything that uses them needs `&mut`; `vectors`
// holds no pointers between calls.
unsafe impl Send for Producer {}
// SAFETY: `&Producer` gives access to the client and to atomics alone.
unsafe impl Sync for Producer {}

/// A topic of one producer, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::kafka) struct TopicHandle(usize);

/// Where one producer writes down how far a partition's records have been taken, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::kafka) struct AckedEnd(usize);

/// A record on its way.
pub(in crate::log::kafka) struct Outgoing<'a> {
    pub(in crate::log::kafka) topic: TopicHandle,
    pub(in crate::log::kafka) partition: i32,
    pub(in crate::log::kafka) end: AckedEnd,
    pub(in crate::log::kafka) key: Option<&'a [u8]>,
    pub(in crate::log::kafka) value: Option<&'a [u8]>,
    /// Milliseconds; 0 stands for now.
    pub(in crate::log::kafka) timestamp: i64,
    pub(in crate::log::kafka) headers: &'a [Header<'a>],
}

/// The first record of a transaction that no broker took.
#[derive(Debug, Clone)]
pub(in crate::log::kafka) struct FailedDelivery {
    pub(in crate::log::kafka) topic: String,
    pub(in crate::log::kafka) partition: i32,
    pub(in crate::log::kafka) code: Code,
}

impl Producer {
    pub(in crate::log::kafka) fn new(properties: &BTreeMap<String, String>) -> Result<Producer, NativeError> {
        let client = Some(Client::polled(ClientKind::Producer, properties)?);
        Ok(Producer { topics: Vec::new(), ends: Vec::new(), vectors: Vec::new(), names: Vec::new(), client })
    }

    pub(in crate::log::kafka) fn client(&self) -> &Client {
        self.client.as_ref().expect("a producer has its client until it is dropped")
    }

    fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client().as_ptr()
    }

    /// A handle of a topic, to be kept and used for all its records.
    pub(in crate::log::kafka) fn topic(&mut self, name: &str) -> Result<TopicHandle, NativeError> {
        let c_name = c_string(name)?;
        // SAFETY: the client is valid and the name copied; the handle is destroyed in our drop, before the client.
        let topic = unsafe { sys::rd_kafka_topic_new(self.as_ptr(), c_name.as_ptr(), null_mut()) };
        let invalid = || NativeError::new(Code::INVALID_TOPIC, format!("{name:?} is not a name for a topic"));
        self.topics.push(NonNull::new(topic).ok_or_else(invalid)?);
        Ok(TopicHandle(self.topics.len() - 1))
    }

    /// A place to learn how far a partition's records have been taken.
    pub(in crate::log::kafka) fn new_end(&mut self) -> AckedEnd {
        self.ends.push(Arc::new(AtomicI64::new(-1)));
        AckedEnd(self.ends.len() - 1)
    }

    /// Forgets how far a partition's records have been taken. To be called when none are on their way.
    pub(in crate::log::kafka) fn forget_end(&self, end: AckedEnd) {
        self.ends[end.0].store(-1, Ordering::Release);
    }

    /// The offset behind the last record that was taken since it was forgotten; `None` if that is not known.
    pub(in crate::log::kafka) fn acked_end(&self, end: AckedEnd) -> Option<i64> {
        Some(self.ends[end.0].load(Ordering::Acquire)).filter(|end| (0..i64::MAX).contains(end))
    }

    /// Copies a record into the producer's queue.
    ///
    /// # Errors
    /// `QUEUE_FULL` when there is no room: drain a little and try again.
    pub(in crate::log::kafka) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), NativeError> {
        type Kind = sys::rd_kafka_vtype_t;
        let topic = self.topics[record.topic.0].as_ptr();
        let end = Arc::as_ptr(&self.ends[record.end.0]);
        self.names.clear();
        for header in record.headers {
            self.names.push(c_string(header.name)?);
        }
        let vectors = &mut self.vectors;
        vectors.clear();
        vectors.push(vector(Kind::RD_KAFKA_VTYPE_RKT, |u| u.rkt = topic));
        vectors.push(vector(Kind::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = record.partition));
        vectors.push(vector(Kind::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = sys::RD_KAFKA_MSG_F_COPY as c_int));
        vectors.push(vector(Kind::RD_KAFKA_VTYPE_TIMESTAMP, |u| u.i64_ = record.timestamp));
        vectors.push(vector(Kind::RD_KAFKA_VTYPE_OPAQUE, |u| u.ptr = end.cast_mut().cast()));
        if let Some(key) = record.key {
            vectors.push(vector(Kind::RD_KAFKA_VTYPE_KEY, |u| u.mem = memory(key)));
        }
        if let Some(value) = record.value {
            vectors.push(vector(Kind::RD_KAFKA_VTYPE_VALUE, |u| u.mem = memory(value)));
        }
        for (name, header) in self.names.iter().zip(record.headers) {
            vectors.push(vector(Kind::RD_KAFKA_VTYPE_HEADER, |u| u.header = header_of(name, header.value)));
        }
        let client = self.client.as_ref().expect("a producer has its client until it is dropped").as_ptr();
        // SAFETY: client and handle are valid; key, value and headers are copied before the call returns. The opaque
        // is the address of a counter that lives until the client is destroyed.
        let result = unsafe { NativeError::take(sys::rd_kafka_produceva(client, vectors.as_ptr(), vectors.len())) };
        vectors.clear();
        result
    }

    /// Sends what waits, without lingering, and waits until nothing is on its way any more, no longer than `wait`.
    pub(in crate::log::kafka) fn flush(&self, wait: Duration) {
        // SAFETY: the client is valid.
        unsafe { ffi::rd_kafka_flush(self.as_ptr(), millis(wait)) };
    }

    /// How many records wait or are on their way. What brokers have refused is taken note of.
    pub(in crate::log::kafka) fn queued(&self) -> u64 {
        // SAFETY: the client is valid.
        let queued = unsafe {
            sys::rd_kafka_poll(self.as_ptr(), 0);
            sys::rd_kafka_outq_len(self.as_ptr())
        };
        u64::try_from(queued).unwrap_or(0)
    }

    /// The first record that no broker took, since the last time that somebody asked. Drain first.
    pub(in crate::log::kafka) fn take_failed(&self) -> Option<FailedDelivery> {
        self.client().shared().take_failed()
    }

    pub(in crate::log::kafka) fn init_transactions(&self, wait: Duration) -> Result<(), NativeError> {
        // SAFETY: the client is valid; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_init_transactions(self.as_ptr(), millis(wait))) }
    }

    pub(in crate::log::kafka) fn begin_transaction(&self) -> Result<(), NativeError> {
        self.client().shared().forget_answers();
        // SAFETY: the client is valid; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_begin_transaction(self.as_ptr())) }
    }

    /// Puts offsets of the consumer's group, in the generation that gave it its partitions, into the transaction.
    pub(in crate::log::kafka) fn send_offsets(
        &self,
        offsets: &List,
        consumer: &Consumer,
        wait: Duration,
    ) -> Result<(), NativeError> {
        let (client, offsets) = (self.as_ptr(), offsets.as_ptr());
        // SAFETY: client, list and group metadata are valid for the call, which copies them; the error is ours.
        let sent = consumer.with_group(|group| unsafe {
            NativeError::take(sys::rd_kafka_send_offsets_to_transaction(client, offsets, group, millis(wait)))
        });
        let none = NativeError {
            severity: Severity::RequiresAbort,
            ..NativeError::new(Code::UNKNOWN_MEMBER_ID, "not a member any more")
        };
        sent.unwrap_or(Err(none))
    }

    /// Commits the transaction; to be called again after a retriable error, which goes on where it was.
    pub(in crate::log::kafka) fn commit_transaction(&self, wait: Duration) -> Result<(), NativeError> {
        // SAFETY: the client is valid; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_commit_transaction(self.as_ptr(), millis(wait))) }
    }

    /// Aborts the transaction and drops its records; to be called again after a retriable error.
    pub(in crate::log::kafka) fn abort_transaction(&self, wait: Duration) -> Result<(), NativeError> {
        // SAFETY: the client is valid; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_abort_transaction(self.as_ptr(), millis(wait))) }
    }

    /// Whether the requests of the transaction have been answered.
    pub(in crate::log::kafka) fn answers(&self) -> Answers {
        self.client().shared().answers()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // SAFETY: the handles are ours and destroyed once, before the client. What is still queued is given up, so that
        // the library does not warn of it: whoever drops a producer has decided so. The counters go last.
        unsafe {
            sys::rd_kafka_purge(self.as_ptr(), (sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT) as c_int);
            sys::rd_kafka_poll(self.as_ptr(), 0);
            for topic in self.topics.drain(..) {
                sys::rd_kafka_topic_destroy(topic.as_ptr());
            }
        }
        drop(self.client.take());
        self.ends.clear();
    }
}

fn vector(vtype: sys::rd_kafka_vtype_t, set: impl FnOnce(&mut sys::rd_kafka_vu_s__bindgen_ty_1)) -> sys::rd_kafka_vu_t {
    let mut u = sys::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    set(&mut u);
    sys::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: &[u8]) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    // An empty slice has an address too, as the library takes null for nothing.
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() }
}

fn header_of(name: &CStr, value: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
    let val: *const c_void = value.map_or(std::ptr::null(), |value| value.as_ptr().cast());
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
        name: name.as_ptr(),
        val,
        size: value.map_or(0, |value| value.len() as isize),
    }
}
