//! What the library calls us with: it is written down where the owner of the client finds it, and never acted upon.
//!
//! The one exception: while a consumer closes, partitions that are asked back are given back at once, or it would wait for ever.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::addr_of;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka_sys as sys;

use super::error::{Code, text};
use super::exchanges::{BrokerTimes, Exchanges};
use super::ffi;
use super::list::{Entry, entries_of};
use super::producer::FailedDelivery;

/// What the callbacks of one client write down. It lives at one place of the heap for as long as the client.
#[derive(Default)]
pub(super) struct Shared {
    errors: Mutex<VecDeque<ClientError>>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Who this member was when the group last gave it partitions.
    membership: Mutex<Option<Membership>>,
    closing: AtomicBool,
    /// It was closed, and the coordinator has not answered.
    stranded: AtomicBool,
    failed: Mutex<Option<FailedDelivery>>,
    transaction: Requests,
    exchanges: Exchanges,
}

/// Something that went wrong at a client, of no particular call: a broker that is gone, a refused password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log::kafka) struct ClientError {
    pub(in crate::log::kafka) code: Code,
    pub(in crate::log::kafka) text: String,
}

/// What the group wants, not yet answered.
#[derive(Debug)]
pub(in crate::log::kafka) enum Rebalance {
    /// These partitions are ours.
    Assign(Vec<Entry>),
    /// These are asked back.
    Revoke(Vec<Entry>),
    /// These are another's already.
    Lost(Vec<Entry>),
}

/// Who a member of a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) generation: i32,
    pub(super) member: CString,
}

/// What became of the requests of a transaction.
#[derive(Default)]
struct Requests {
    sent: AtomicU32,
    /// Two for each answer: the library tells of it in the thread of the broker, and again where it handles it.
    tellings: AtomicU32,
    failed: AtomicU32,
    ends: AtomicU32,
}

/// Whether the requests of a transaction have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::kafka) struct Answers {
    /// Requests that went out whole.
    pub(in crate::log::kafka) sent: u32,
    /// Those that a broker answered, whatever it answered, and whose answers have been handled.
    pub(in crate::log::kafka) answered: u32,
    /// Whether the library gave one up: a time-out, or a connection that broke.
    pub(in crate::log::kafka) failed: u32,
    /// How many times the end of the transaction was asked for.
    pub(in crate::log::kafka) ends: u32,
}

/// How many errors of a client are kept until somebody asks.
const ERRORS_KEPT: usize = 16;

/// AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit: a broker that gets one of them late may apply it to a later
/// transaction of the same producer.
const TRANSACTION_REQUESTS: [i16; 4] = [24, 25, END_TXN, 28];
const END_TXN: i16 = 26;
/// The request that brings records. Its answer is told once.
const PRODUCE: i16 = 0;

/// A callback that panicked would end the process, so locks are taken whatever happened to them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn take_errors(&self) -> Vec<ClientError> {
        lock(&self.errors).drain(..).collect()
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }

    pub(super) fn membership(&self) -> Option<Membership> {
        lock(&self.membership).clone()
    }

    pub(super) fn forget_membership(&self) {
        *lock(&self.membership) = None;
    }

    pub(super) fn has_rebalance(&self) -> bool {
        !lock(&self.rebalances).is_empty()
    }

    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(super) fn strand(&self) {
        self.stranded.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stranded(&self) -> bool {
        self.stranded.load(Ordering::Relaxed)
    }

    pub(super) fn take_failed(&self) -> Option<FailedDelivery> {
        lock(&self.failed).take()
    }

    pub(super) fn take_times(&self) -> BrokerTimes {
        self.exchanges.take()
    }

    pub(super) fn answers(&self) -> Answers {
        Answers {
            sent: self.transaction.sent.load(Ordering::Acquire),
            answered: self.transaction.tellings.load(Ordering::Acquire) / 2,
            failed: self.transaction.failed.load(Ordering::Acquire),
            ends: self.transaction.ends.load(Ordering::Acquire),
        }
    }

    pub(super) fn forget_answers(&self) {
        self.transaction.sent.store(0, Ordering::Release);
        self.transaction.tellings.store(0, Ordering::Release);
        self.transaction.failed.store(0, Ordering::Release);
        self.transaction.ends.store(0, Ordering::Release);
    }
}

/// The library's log lines. Runs in any of its threads.
pub(super) extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    let (facility, line) = (text(facility), text(line));
    // SAFETY: a client that speaks is valid; there is none yet where a configuration does.
    let name = if client.is_null() { String::new() } else { text(unsafe { sys::rd_kafka_name(client) }) };
    let (pipeline, thread) = owner(&name).unzip();
    // Who has named the clients otherwise knows them by that name.
    let client = (pipeline.is_none() && !name.is_empty()).then_some(name.as_str());
    match level {
        // One set of properties serves consumers and producers; that each passes over the other's is no news.
        _ if facility == "CONFWARN" => {
            tracing::debug!(target: "librdkafka", pipeline, thread, client, "{facility}: {line}");
        }
        0..=3 => tracing::error!(target: "librdkafka", pipeline, thread, client, "{facility}: {line}"),
        4 => tracing::warn!(target: "librdkafka", pipeline, thread, client, "{facility}: {line}"),
        5 | 6 => tracing::info!(target: "librdkafka", pipeline, thread, client, "{facility}: {line}"),
        _ => tracing::debug!(target: "librdkafka", pipeline, thread, client, "{facility}: {line}"),
    }
}

/// The pipeline and the worker thread that a client of the daemon is named after: `millstream-<pipeline>-<thread>`, perhaps with a
/// word for what it is for, and with what the library adds.
fn owner(client: &str) -> Option<(&str, u64)> {
    let id = client.split('#').next()?.strip_prefix("millstream-")?;
    let numbered =
        |id: &'_ str| id.rsplit_once('-').and_then(|(name, number)| Some((name.len(), number.parse().ok()?)));
    let (len, thread) = numbered(id).or_else(|| numbered(id.rsplit_once('-')?.0))?;
    Some((&id[..len], thread))
}

/// Errors of no particular call. Runs in the thread that polls.
pub(super) extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque is the client's `Shared`, which outlives it.
    let shared = unsafe { shared(opaque) };
    let error = ClientError { code: Code(code), text: text(reason) };
    let mut errors = lock(&shared.errors);
    // The same over and over would push out what says why.
    errors.retain(|known| *known != error);
    if errors.len() == ERRORS_KEPT {
        errors.pop_front();
    }
    errors.push_back(error);
}

/// A broker holds the client's requests back. Runs in the thread that polls.
pub(super) extern "C" fn on_throttle(
    _: *mut sys::rd_kafka_t,
    _: *const c_char,
    _: i32,
    ms: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the client's `Shared`, which outlives it.
    unsafe { shared(opaque) }.exchanges.throttled(u64::try_from(ms).unwrap_or(0));
}

/// The group gives or takes. Runs in the thread that polls the consumer.
pub(super) extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    code: sys::rd_kafka_resp_err_t,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the client's `Shared`; the list and the client are valid while the callback runs.
    unsafe {
        let shared = shared(opaque);
        if shared.closing.load(Ordering::Relaxed) {
            ffi::rd_kafka_assign(client, std::ptr::null());
            return;
        }
        let entries = entries_of(partitions);
        let rebalance = match Code(code as i32) {
            Code::ASSIGN_PARTITIONS => {
                *lock(&shared.membership) = membership_of(client);
                Rebalance::Assign(entries)
            }
            Code::REVOKE_PARTITIONS if sys::rd_kafka_assignment_lost(client) == 0 => Rebalance::Revoke(entries),
            _ => Rebalance::Lost(entries),
        };
        lock(&shared.rebalances).push_back(rebalance);
    }
}

/// Who the member is now; `None` where the group has put it out already.
///
/// # Safety
/// The client is a valid consumer.
unsafe fn membership_of(client: *mut sys::rd_kafka_t) -> Option<Membership> {
    // SAFETY: the caller's promise; the metadata is ours and destroyed once, behind the use of the name that it lends.
    unsafe {
        let group = sys::rd_kafka_consumer_group_metadata(client);
        if group.is_null() {
            return None;
        }
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(group);
        let member = sys::rd_kafka_consumer_group_metadata_member_id(group);
        let member = if member.is_null() { CString::default() } else { CStr::from_ptr(member).to_owned() };
        sys::rd_kafka_consumer_group_metadata_destroy(group);
        (generation >= 0 && !member.is_empty()).then_some(Membership { generation, member })
    }
}

/// A record that no broker took. Runs in the thread that polls the producer; records that were taken are not reported.
pub(super) extern "C" fn on_delivery(
    _: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the client's `Shared`; the message is valid while the callback runs, its topic too. The code is read
    // as an integer, without making a reference to the message.
    unsafe {
        let code = Code(addr_of!((*message).err).cast::<i32>().read());
        if code == Code::NONE {
            return;
        }
        let topic =
            if (*message).rkt.is_null() { String::new() } else { text(sys::rd_kafka_topic_name((*message).rkt)) };
        let failed = FailedDelivery { topic, partition: (*message).partition, code };
        // The first says why; those behind it often only that it failed.
        lock(&shared(opaque).failed).get_or_insert(failed);
    }
}

/// Hooks the interceptors of a producer into it, while it is made.
pub(super) extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> sys::rd_kafka_resp_err_t {
    let name = c"millstream".as_ptr();
    // SAFETY: the client is being made and valid; the opaque is its `Shared`.
    unsafe {
        let added = [
            sys::rd_kafka_interceptor_add_on_request_sent(client, name, Some(on_request_sent), opaque),
            sys::rd_kafka_interceptor_add_on_response_received(client, name, Some(on_response), opaque),
            sys::rd_kafka_interceptor_add_on_acknowledgement(client, name, Some(on_acknowledgement), opaque),
        ];
        let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        added.into_iter().find(|code| *code != none).unwrap_or(none)
    }
}

/// A request has gone out whole. Runs in the thread of a broker.
extern "C" fn on_request_sent(
    _: *mut sys::rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    api_key: i16,
    _: i16,
    _: i32,
    _: usize,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    if TRANSACTION_REQUESTS.contains(&api_key) {
        // SAFETY: the opaque is the client's `Shared`.
        let requests = &unsafe { shared(opaque) }.transaction;
        requests.sent.fetch_add(1, Ordering::Release);
        if api_key == END_TXN {
            requests.ends.fetch_add(1, Ordering::Release);
        }
    }
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// A request is over: answered by a broker (no code), or given up by the library. Runs in the thread of a broker and then in
/// the library's main thread.
extern "C" fn on_response(
    _: *mut sys::rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    api_key: i16,
    _: i16,
    _: i32,
    _: usize,
    micros: i64,
    code: sys::rd_kafka_resp_err_t,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the opaque is the client's `Shared`.
    let shared = unsafe { shared(opaque) };
    if api_key == PRODUCE && code == none {
        shared.exchanges.answered(micros);
    }
    if TRANSACTION_REQUESTS.contains(&api_key) {
        let requests = &shared.transaction;
        let counter = if code == none { &requests.tellings } else { &requests.failed };
        counter.fetch_add(1, Ordering::Release);
    }
    none
}

/// A record has its offset, or has failed. Runs in the thread of a broker, for every record: it must stay small.
extern "C" fn on_acknowledgement(
    _: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    _: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the message is valid while the callback runs. Its opaque is null or the counter that was given with it, which
    // the producer keeps until it is destroyed.
    unsafe {
        let end = (*message)._private.cast::<AtomicI64>();
        if !end.is_null() {
            let failed = addr_of!((*message).err).cast::<i32>().read() != 0;
            let offset = (*message).offset;
            // No offset is told for a record that was there already: then the end is not known.
            let behind = if failed || offset < 0 { i64::MAX } else { offset + 1 };
            (*end).fetch_max(behind, Ordering::AcqRel);
        }
    }
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
/// `opaque` is the address of a `Shared` that lives for `'a`.
unsafe fn shared<'a>(opaque: *mut c_void) -> &'a Shared {
    // SAFETY: the caller's promise.
    unsafe { &*opaque.cast::<Shared>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_whose_it_is() {
        for (client, whose) in [
            ("millstream-rooms-0#consumer-1", Some(("rooms", 0))),
            ("millstream-rooms-by-2-11-restore#consumer-4", Some(("rooms-by-2", 11))),
            ("millstream-cli#consumer-1", None),
            ("millstream-topic-control#consumer-1", None),
            ("mine-0#producer-2", None),
            ("", None),
        ] {
            assert_eq!(owner(client), whose, "{client}");
        }
    }
}
