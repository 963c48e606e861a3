//! Requests to brokers about topics and groups; each is answered on a queue of its own, or given up after its time.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::client::{Client, millis};
use super::error::{Code, ErrorText, NativeError, c_string, text};
use super::ffi;
use super::list::{Entry, List, entries_of};
use crate::crash;

/// Requests over a client that it borrows for each, and the queue of their answers.
pub(in crate::log::kafka) struct Admin {
    queue: NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: the queue may be used from any thread.
unsafe impl Send for Admin {}
// SAFETY: as above; the library locks its queues.
unsafe impl Sync for Admin {}

/// A topic to be made.
pub(in crate::log::kafka) struct TopicRequest<'a> {
    pub(in crate::log::kafka) name: &'a str,
    pub(in crate::log::kafka) partitions: u32,
    /// `None` for what the cluster does by default.
    pub(in crate::log::kafka) replication: Option<u16>,
    pub(in crate::log::kafka) config: &'a [(String, String)],
}

/// An answer to a request.
#[derive(Debug)]
pub(in crate::log::kafka) enum AdminReply {
    /// The topic was made or grew, or not.
    Created(Result<(), NativeError>),
    /// Records were deleted, partition by partition, or not.
    Deleted(Vec<Entry>),
    /// A topic's settings by name.
    Config(Result<Vec<(String, String)>, NativeError>),
    /// The offsets of a group.
    Offsets(Result<Vec<Entry>, NativeError>),
}

pub(super) struct Options(NonNull<sys::rd_kafka_AdminOptions_t>);

impl Options {
    pub(super) fn new(client: &Client, operation: sys::rd_kafka_admin_op_t, wait: Duration) -> Options {
        // SAFETY: the client is valid; the function aborts the process when there is no memory.
        let options = unsafe { sys::rd_kafka_AdminOptions_new(client.as_ptr(), operation) };
        let options = Options(NonNull::new(options).expect("the operation is one that the library knows"));
        let mut why = ErrorText::new();
        // SAFETY: the options are ours; the text is written within its length. A time that is out of range is not set.
        unsafe {
            let (this, size) = (options.0.as_ptr(), ErrorText::len());
            sys::rd_kafka_AdminOptions_set_request_timeout(this, millis(wait), why.as_mut_ptr(), size);
        }
        options
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_AdminOptions_t {
        self.0.as_ptr()
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are ours and destroyed once.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

impl Admin {
    pub(in crate::log::kafka) fn new(client: &Client) -> Admin {
        // SAFETY: the client is valid; the function aborts the process when there is no memory.
        let queue = unsafe { sys::rd_kafka_queue_new(client.as_ptr()) };
        Admin { queue: NonNull::new(queue).expect("the library aborts when there is no memory") }
    }

    /// Waits for the next answer, whichever request it belongs to.
    pub(in crate::log::kafka) fn next_reply(&self, wait: Duration) -> Option<AdminReply> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // SAFETY: the queue is valid; the event is ours, read before it is destroyed, and destroyed once.
            let reply = unsafe {
                let event = sys::rd_kafka_queue_poll(self.queue.as_ptr(), millis(left));
                if event.is_null() {
                    return None;
                }
                let reply = read_reply(event);
                sys::rd_kafka_event_destroy(event);
                reply
            };
            if reply.is_some() {
                return reply;
            }
        }
    }

    /// Asks for a topic to be made, and for the answer to wait until its partitions are.
    pub(in crate::log::kafka) fn create_topic(
        &self,
        client: &Client,
        topic: &TopicRequest<'_>,
        wait: Duration,
    ) -> Result<(), NativeError> {
        let name = c_string(topic.name)?;
        let settings: Result<Vec<_>, NativeError> =
            topic.config.iter().map(|(name, value)| Ok((c_string(name)?, c_string(value)?))).collect();
        let settings = settings?;
        let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, wait);
        let replication = topic.replication.map_or(-1, c_int::from);
        let partitions = c_int::try_from(topic.partitions).unwrap_or(c_int::MAX);
        let mut why = ErrorText::new();
        // SAFETY: all strings are copied; the request is ours and destroyed once, as the library copies it.
        unsafe {
            let size = ErrorText::len();
            sys::rd_kafka_AdminOptions_set_operation_timeout(options.0.as_ptr(), millis(wait), why.as_mut_ptr(), size);
            let (partitions, replicas) = (partitions, replication);
            let mut new = sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, why.as_mut_ptr(), size);
            if new.is_null() {
                return Err(NativeError::new(Code::INVALID_ARG, why.read()));
            }
            for (name, value) in &settings {
                sys::rd_kafka_NewTopic_set_config(new, name.as_ptr(), value.as_ptr());
            }
            let (rk, queue) = (client.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_CreateTopics(rk, &mut new, 1, options.0.as_ptr(), queue);
            sys::rd_kafka_NewTopic_destroy(new);
        }
        Ok(())
    }

    /// Asks for a topic to have so many partitions.
    pub(in crate::log::kafka) fn grow_topic(
        &self,
        client: &Client,
        topic: &str,
        partitions: u32,
        wait: Duration,
    ) -> Result<(), NativeError> {
        let topic = c_string(topic)?;
        let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, wait);
        let mut why = ErrorText::new();
        // SAFETY: the name is copied into the request, which is ours, copied by the library and destroyed once; the text is
        // written within its length.
        unsafe {
            let size = ErrorText::len();
            sys::rd_kafka_AdminOptions_set_operation_timeout(options.0.as_ptr(), millis(wait), why.as_mut_ptr(), size);
            let count = partitions as usize;
            let mut request = sys::rd_kafka_NewPartitions_new(topic.as_ptr(), count, why.as_mut_ptr(), size);
            if request.is_null() {
                return Err(NativeError::new(Code::INVALID_ARG, why.read()));
            }
            let (rk, queue) = (client.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_CreatePartitions(rk, &mut request, 1, options.0.as_ptr(), queue);
            sys::rd_kafka_NewPartitions_destroy(request);
        }
        Ok(())
    }

    /// Asks for the records before the offsets to be deleted.
    pub(in crate::log::kafka) fn delete_records(&self, client: &Client, before: &List, wait: Duration) {
        let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS, wait);
        // SAFETY: the list is copied into the request, which is ours, copied by the library and destroyed once.
        unsafe {
            let mut request = sys::rd_kafka_DeleteRecords_new(before.as_ptr());
            let (rk, queue) = (client.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_DeleteRecords(rk, &mut request, 1, options.0.as_ptr(), queue);
            sys::rd_kafka_DeleteRecords_destroy(request);
        }
    }

    /// Asks for the settings of a topic.
    pub(in crate::log::kafka) fn describe_topic(
        &self,
        client: &Client,
        topic: &str,
        wait: Duration,
    ) -> Result<(), NativeError> {
        let topic = c_string(topic)?;
        let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, wait);
        // SAFETY: the name is copied into the request, which is ours, copied by the library and destroyed once.
        unsafe {
            let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let mut request = sys::rd_kafka_ConfigResource_new(kind, topic.as_ptr());
            if request.is_null() {
                return Err(NativeError::of(Code::INVALID_ARG));
            }
            let (rk, queue) = (client.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_DescribeConfigs(rk, &mut request, 1, options.0.as_ptr(), queue);
            sys::rd_kafka_ConfigResource_destroy(request);
        }
        Ok(())
    }

    /// Asks for the offsets that a group has committed: of these partitions, or of all that have some. Partitions with
    /// offsets of open transactions have the code `UNSTABLE_OFFSET_COMMIT`, but a broker that is asked for all leaves out those
    /// that have no others.
    ///
    /// The client must have a group: the library looks for its coordinator through it when the group's has moved.
    pub(in crate::log::kafka) fn group_offsets(
        &self,
        client: &Client,
        group: &str,
        partitions: Option<&List>,
        wait: Duration,
    ) -> Result<(), NativeError> {
        let group = c_string(group)?;
        let partitions = partitions.map_or(std::ptr::null_mut(), List::as_ptr);
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        let options = Options::new(client, operation, wait);
        let only_stable = i32::from(!crash::control("log.control.unstable_offsets"));
        // SAFETY: name and list are copied into the request, which is ours, copied by the library and destroyed once; null
        // asks for all partitions.
        unsafe {
            let stable = sys::rd_kafka_AdminOptions_set_require_stable_offsets(options.0.as_ptr(), only_stable);
            NativeError::take(stable)?;
            let mut request = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), partitions);
            let (rk, queue) = (client.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_ListConsumerGroupOffsets(rk, &mut request, 1, options.0.as_ptr(), queue);
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
        Ok(())
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and destroyed once; its owner drops it before the client.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// # Safety
/// `event` is a valid event.
unsafe fn read_reply(event: *mut sys::rd_kafka_event_t) -> Option<AdminReply> {
    // SAFETY: the caller's promise; each result is read from an event of its type and lives as long as the event.
    unsafe {
        let failed = match Code(ffi::rd_kafka_event_error(event)) {
            Code::NONE => Ok(()),
            code => Err(NativeError::new(code, text(sys::rd_kafka_event_error_string(event)))),
        };
        match sys::rd_kafka_event_type(event) {
            sys::RD_KAFKA_EVENT_CREATETOPICS_RESULT => {
                let result = sys::rd_kafka_event_CreateTopics_result(event);
                let mut count = 0;
                let topics = sys::rd_kafka_CreateTopics_result_topics(result, &mut count);
                Some(AdminReply::Created(failed.and_then(|()| read_topics(topics, count))))
            }
            sys::RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT => {
                let result = sys::rd_kafka_event_CreatePartitions_result(event);
                let mut count = 0;
                let topics = sys::rd_kafka_CreatePartitions_result_topics(result, &mut count);
                Some(AdminReply::Created(failed.and_then(|()| read_topics(topics, count))))
            }
            sys::RD_KAFKA_EVENT_DELETERECORDS_RESULT => Some(AdminReply::Deleted(match failed {
                Ok(()) => {
                    let result = sys::rd_kafka_event_DeleteRecords_result(event);
                    entries_of(sys::rd_kafka_DeleteRecords_result_offsets(result))
                }
                Err(error) => vec![Entry {
                    topic: String::new(),
                    partition: -1,
                    offset: -1,
                    metadata: String::new(),
                    code: error.code,
                }],
            })),
            sys::RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT => {
                Some(AdminReply::Config(failed.and_then(|()| read_config(event))))
            }
            sys::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                Some(AdminReply::Offsets(failed.and_then(|()| read_offsets(event))))
            }
            _ => None,
        }
    }
}

/// # Safety
/// `topics` points to `count` results of an event that is not destroyed yet.
unsafe fn read_topics(topics: *mut *const sys::rd_kafka_topic_result_t, count: usize) -> Result<(), NativeError> {
    // SAFETY: the caller's promise.
    unsafe {
        for index in 0..count {
            let topic = *topics.add(index);
            let code = Code(ffi::rd_kafka_topic_result_error(topic));
            if code != Code::NONE {
                return Err(NativeError::new(code, text(sys::rd_kafka_topic_result_error_string(topic))));
            }
        }
    }
    Ok(())
}

/// # Safety
/// `event` is a valid event with the settings of one resource.
unsafe fn read_config(event: *mut sys::rd_kafka_event_t) -> Result<Vec<(String, String)>, NativeError> {
    // SAFETY: the caller's promise; there are as many resources and entries as the counts say, and names and values end
    // with a zero.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeConfigs_result(event);
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        let mut config = Vec::new();
        for index in 0..count {
            let resource = *resources.add(index);
            let code = Code(ffi::rd_kafka_ConfigResource_error(resource));
            if code != Code::NONE {
                return Err(NativeError::new(code, text(sys::rd_kafka_ConfigResource_error_string(resource))));
            }
            let mut entries_count = 0;
            let entries = sys::rd_kafka_ConfigResource_configs(resource, &mut entries_count);
            for entry in (0..entries_count).map(|index| *entries.add(index)) {
                let value = sys::rd_kafka_ConfigEntry_value(entry);
                if !value.is_null() {
                    let name = CStr::from_ptr(sys::rd_kafka_ConfigEntry_name(entry));
                    let value = CStr::from_ptr(value).to_string_lossy();
                    config.push((name.to_string_lossy().into_owned(), value.into_owned()));
                }
            }
        }
        Ok(config)
    }
}

/// # Safety
/// `event` is a valid event with the offsets of one group.
unsafe fn read_offsets(event: *mut sys::rd_kafka_event_t) -> Result<Vec<Entry>, NativeError> {
    // SAFETY: the caller's promise; there are as many groups as the count says.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        let mut entries = Vec::new();
        for index in 0..count {
            let group = *groups.add(index);
            let error = sys::rd_kafka_group_result_error(group);
            if !error.is_null() {
                let code = Code(ffi::rd_kafka_error_code(error));
                return Err(NativeError::new(code, text(sys::rd_kafka_error_string(error))));
            }
            entries.extend(entries_of(sys::rd_kafka_group_result_partitions(group)));
        }
        Ok(entries)
    }
}
