//! A client of the library and the calls that any client can make; never one that waits without a bound.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{NonNull, addr_of};
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as sys;

use super::callbacks::{self, ClientError, Shared};
use super::error::{Code, ErrorText, NativeError, Severity, c_string};
use super::exchanges::BrokerTimes;
use super::ffi;
use super::list::List;

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// It reads, perhaps as a member of a group.
    Consumer,
    /// It writes.
    Producer,
}

impl ClientKind {
    /// All kinds.
    pub const ALL: [ClientKind; 2] = [ClientKind::Consumer, ClientKind::Producer];

    /// The kind's name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientKind::Consumer => "consumer",
            ClientKind::Producer => "producer",
        }
    }
}

/// A client: connections to brokers, and threads of the library that serve them.
pub(in crate::log::kafka) struct Client {
    client: NonNull<sys::rd_kafka_t>,
    /// At one address, which the callbacks have, and shared with them until the client is destroyed.
    shared: Arc<Shared>,
}

// SAFETY: the library lets a client be used from any thread, and `Shared` is made of locks and atomics.
unsafe impl Send for Client {}
// SAFETY: as above; the library locks what several threads may touch.
unsafe impl Sync for Client {}

/// A topic as the brokers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log::kafka) struct TopicMetadata {
    pub(in crate::log::kafka) name: String,
    pub(in crate::log::kafka) partitions: u32,
    /// How many copies the partition with the fewest has.
    pub(in crate::log::kafka) replicas: u16,
    /// How many partitions have a leader.
    pub(in crate::log::kafka) led: u32,
    pub(in crate::log::kafka) code: Code,
}

/// How long a call may take, in the library's unit; never its "for ever", which is -1.
pub(super) fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}

impl Client {
    /// Makes a client for questions, which need not be polled. It connects in the background.
    ///
    /// # Errors
    /// If a property is unknown, has no such value, or does not go with the others.
    pub(in crate::log::kafka) fn new(
        kind: ClientKind,
        properties: &BTreeMap<String, String>,
    ) -> Result<Client, NativeError> {
        let shared = Arc::<Shared>::default();
        Client::of(kind, Conf::new(kind, properties, &shared)?, shared)
    }

    /// The same for a client that is polled all the time: it hears of brokers that hold its requests back.
    pub(super) fn polled(kind: ClientKind, properties: &BTreeMap<String, String>) -> Result<Client, NativeError> {
        let shared = Arc::<Shared>::default();
        let conf = Conf::new(kind, properties, &shared)?;
        // SAFETY: the configuration is ours.
        unsafe { sys::rd_kafka_conf_set_throttle_cb(conf.0.as_ptr(), Some(callbacks::on_throttle)) };
        Client::of(kind, conf, shared)
    }

    fn of(kind: ClientKind, conf: Conf, shared: Arc<Shared>) -> Result<Client, NativeError> {
        let has_interceptors = kind == ClientKind::Producer;
        let mut why = ErrorText::new();
        let kind = match kind {
            ClientKind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            ClientKind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        // SAFETY: the configuration is ours and valid; if the client is made, it owns the configuration from then on.
        let client = unsafe { sys::rd_kafka_new(kind, conf.0.as_ptr(), why.as_mut_ptr(), ErrorText::len()) };
        let Some(client) = NonNull::new(client) else {
            // The library has freed the interceptors of a client that it could not make, and would again with the configuration.
            if has_interceptors {
                std::mem::forget(conf);
            }
            return Err(NativeError::new(Code::INVALID_ARG, why.read()));
        };
        std::mem::forget(conf);
        Ok(Client { client, shared })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What went wrong at no particular call since the last time that somebody asked. Serve the client first.
    pub(in crate::log::kafka) fn take_errors(&self) -> Vec<ClientError> {
        self.shared.take_errors()
    }

    /// How brokers have answered since somebody asked last.
    pub(in crate::log::kafka) fn take_times(&self) -> BrokerTimes {
        self.shared.take_times()
    }

    /// Asks the brokers about one topic.
    pub(in crate::log::kafka) fn topic(&self, name: &str, wait: Duration) -> Result<TopicMetadata, NativeError> {
        let c_name = c_string(name)?;
        // SAFETY: the client is valid and the name is copied; the handle is destroyed below, before the client.
        let topic = unsafe { sys::rd_kafka_topic_new(self.as_ptr(), c_name.as_ptr(), std::ptr::null_mut()) };
        if topic.is_null() {
            return Err(NativeError::new(Code::INVALID_TOPIC, format!("{name:?} is not a name for a topic")));
        }
        let found = self.metadata(0, topic, wait);
        // SAFETY: the handle is ours and destroyed once.
        unsafe { sys::rd_kafka_topic_destroy(topic) };
        let unknown = NativeError::of(Code::UNKNOWN_TOPIC_OR_PARTITION);
        found?.into_iter().find(|topic| topic.name == name).ok_or(unknown)
    }

    /// Waits until a broker answers.
    pub(in crate::log::kafka) fn ping(&self, wait: Duration) -> Result<(), NativeError> {
        self.metadata(0, std::ptr::null_mut(), wait).map(drop)
    }

    /// Asks the brokers about all topics.
    pub(in crate::log::kafka) fn topics(&self, wait: Duration) -> Result<Vec<TopicMetadata>, NativeError> {
        self.metadata(1, std::ptr::null_mut(), wait)
    }

    fn metadata(
        &self,
        all_topics: c_int,
        only: *mut sys::rd_kafka_topic_t,
        wait: Duration,
    ) -> Result<Vec<TopicMetadata>, NativeError> {
        let mut metadata: *const sys::rd_kafka_metadata = std::ptr::null();
        // SAFETY: the client is valid, `only` is null or a valid handle of it, and `metadata` is written when there is no
        // error; it is read while it is ours and destroyed once. Codes are read as integers.
        unsafe {
            let code = ffi::rd_kafka_metadata(self.as_ptr(), all_topics, only, &mut metadata, millis(wait));
            NativeError::check(code)?;
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
            let topics = (0..count).map(|index| read_topic((*metadata).topics.add(index))).collect();
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(topics)
        }
    }

    /// Asks the leader of a partition where it begins and ends. What the end is depends on the client's
    /// `isolation.level`: committed records only, or all.
    pub(in crate::log::kafka) fn query_watermarks(
        &self,
        topic: &str,
        partition: i32,
        wait: Duration,
    ) -> Result<(i64, i64), NativeError> {
        let topic = c_string(topic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client and the pointers are valid for the call.
        let code = unsafe {
            let (client, name) = (self.as_ptr(), topic.as_ptr());
            ffi::rd_kafka_query_watermark_offsets(client, name, partition, &mut low, &mut high, millis(wait))
        };
        NativeError::check(code).map(|()| (low, high))
    }

    /// Asks for the first offset at or behind each time; a negative offset means that there is none.
    pub(in crate::log::kafka) fn offsets_for_times(&self, times: &List, wait: Duration) -> Result<(), NativeError> {
        // SAFETY: the client and the list are valid; the list is changed in place.
        NativeError::check(unsafe { ffi::rd_kafka_offsets_for_times(self.as_ptr(), times.as_ptr(), millis(wait)) })
    }

    /// The error that has made the client useless, if there is one.
    pub(in crate::log::kafka) fn fatal_error(&self) -> Option<NativeError> {
        let mut why = ErrorText::new();
        // SAFETY: the client is valid; the text is written within its length. Fatal errors are among the codes that the
        // library gives itself or knows.
        let code = unsafe { sys::rd_kafka_fatal_error(self.as_ptr(), why.as_mut_ptr(), ErrorText::len()) };
        let code = Code(code as i32);
        (code != Code::NONE).then(|| NativeError { code, text: why.read(), severity: Severity::Fatal })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.begin_closing();
        let doomed = Doomed { client: self.client, shared: Arc::clone(&self.shared) };
        if self.shared.is_stranded() {
            // The library waits some seconds more for an answer that has not come; nobody else has to.
            let _ = std::thread::Builder::new().spawn(move || drop(doomed));
        }
    }
}

/// A client whose owner is gone: dropping it destroys it, without leaving its group.
struct Doomed {
    client: NonNull<sys::rd_kafka_t>,
    /// The callbacks have its address until the client is destroyed.
    shared: Arc<Shared>,
}

// SAFETY: as for `Client`, of which it is what is left.
unsafe impl Send for Doomed {}

impl Drop for Doomed {
    fn drop(&mut self) {
        debug_assert!(self.shared.is_closing());
        // SAFETY: the client is valid and destroyed once; all that was made of it is destroyed before, as its owners hold
        // the client as their last field or destroy what they made in their own drop.
        unsafe { sys::rd_kafka_destroy_flags(self.client.as_ptr(), sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// # Safety
/// `topic` points to a topic of metadata that is not destroyed yet.
unsafe fn read_topic(topic: *const sys::rd_kafka_metadata_topic) -> TopicMetadata {
    // SAFETY: the caller's promise; `partitions` has `partition_cnt` elements.
    unsafe {
        let count = usize::try_from((*topic).partition_cnt).unwrap_or(0);
        let partitions = (0..count).map(|index| (*topic).partitions.add(index));
        let replicas = partitions.clone().map(|partition| (*partition).replica_cnt).min().unwrap_or(0);
        TopicMetadata {
            name: CStr::from_ptr((*topic).topic).to_string_lossy().into_owned(),
            partitions: count as u32,
            replicas: u16::try_from(replicas).unwrap_or(0),
            led: partitions.filter(|&partition| (*partition).leader >= 0).count() as u32,
            code: Code(addr_of!((*topic).err).cast::<i32>().read()),
        }
    }
}

/// A configuration that is ours until a client takes it over.
struct Conf(NonNull<sys::rd_kafka_conf_t>);

impl Conf {
    fn new(kind: ClientKind, properties: &BTreeMap<String, String>, shared: &Arc<Shared>) -> Result<Conf, NativeError> {
        // SAFETY: the function has no preconditions and aborts the process when there is no memory.
        let conf = unsafe { sys::rd_kafka_conf_new() };
        let conf = Conf(NonNull::new(conf).expect("the library aborts when there is no memory"));
        for (name, value) in properties {
            conf.set(name, value)?;
        }
        let opaque: *mut c_void = Arc::as_ptr(shared).cast_mut().cast();
        let this = conf.0.as_ptr();
        // SAFETY: the configuration is ours. The callbacks only read through the opaque, which lives as long as the client.
        unsafe {
            sys::rd_kafka_conf_set_opaque(this, opaque);
            sys::rd_kafka_conf_set_log_cb(this, Some(callbacks::on_log));
            sys::rd_kafka_conf_set_error_cb(this, Some(callbacks::on_error));
            match kind {
                ClientKind::Consumer => sys::rd_kafka_conf_set_rebalance_cb(this, Some(callbacks::on_rebalance)),
                ClientKind::Producer => {
                    sys::rd_kafka_conf_set_dr_msg_cb(this, Some(callbacks::on_delivery));
                    let name = c"millstream".as_ptr();
                    sys::rd_kafka_conf_interceptor_add_on_new(this, name, Some(callbacks::on_new), opaque);
                }
            }
        }
        Ok(conf)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), NativeError> {
        let (c_name, c_value) = (c_string(name)?, c_string(value).map_err(|_| zero_byte(name))?);
        let mut why = ErrorText::new();
        // SAFETY: the configuration is ours, the strings are copied, and the text is written within its length.
        let result = unsafe {
            sys::rd_kafka_conf_set(
                self.0.as_ptr(),
                c_name.as_ptr(),
                c_value.as_ptr(),
                why.as_mut_ptr(),
                ErrorText::len(),
            )
        };
        if result == sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            return Ok(());
        }
        // The library may repeat the value, which may be a secret.
        let why = if value.is_empty() { why.read() } else { why.read().replace(value, "..") };
        Err(NativeError::new(Code::INVALID_ARG, format!("property {name}: {why}")))
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: the configuration is ours: a client that took it over made us forget it.
        unsafe { sys::rd_kafka_conf_destroy(self.0.as_ptr()) }
    }
}

fn zero_byte(name: &str) -> NativeError {
    NativeError::new(Code::INVALID_ARG, format!("property {name}: its value has a zero byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ClientKind, properties: &[(&str, &str)]) -> NativeError {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Client::new(kind, &properties).err().expect("refused")
    }

    #[test]
    fn an_unknown_property_is_named() {
        let error = refusal(ClientKind::Producer, &[("no.such.property", "1")]);
        assert!(error.text.contains("no.such.property"), "{}", error.text);
    }

    #[test]
    fn a_refused_value_is_not_repeated() {
        let error = refusal(ClientKind::Consumer, &[("session.timeout.ms", "canary")]);
        assert!(error.text.contains("session.timeout.ms"), "{}", error.text);
        assert!(!error.text.contains("canary"), "{}", error.text);
    }

    #[test]
    fn properties_that_do_not_go_together_are_refused() {
        let error = refusal(ClientKind::Producer, &[("transactional.id", "t"), ("enable.idempotence", "false")]);
        assert!(!error.text.is_empty());
    }

    /// It fails late, when the library has hooked the interceptors in.
    #[test]
    fn a_keystore_that_is_not_there_is_named() {
        for kind in [ClientKind::Producer, ClientKind::Consumer] {
            let keystore = [("security.protocol", "ssl"), ("ssl.keystore.location", "/not/there")];
            let error = refusal(kind, &keystore);
            assert!(error.text.contains("ssl.keystore.location"), "{}", error.text);
        }
    }

    #[test]
    fn a_client_without_a_broker_is_made_and_dropped() {
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let client = Client::new(ClientKind::Consumer, &properties).expect("made");
        assert!(client.topics(Duration::from_millis(50)).is_err());
        assert!(client.fatal_error().is_none());
    }
}
