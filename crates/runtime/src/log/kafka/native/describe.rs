//! Questions that change nothing: which topics there are and what may be done with them, who is in a group, what the cluster
//! allows. Each waits for its own answer.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::admin::Options;
use super::client::{Client, millis};
use super::error::{Code, NativeError, c_string, text};
use super::ffi;

/// What a user may do with something (Kafka's operations of access-control lists).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// READ.
    Read,
    /// WRITE.
    Write,
    /// CREATE.
    Create,
    /// DELETE.
    Delete,
    /// DESCRIBE.
    Describe,
    /// DESCRIBE_CONFIGS.
    DescribeConfigs,
    /// One that does not matter here.
    Other,
}

/// A topic as the brokers describe it.
#[derive(Debug, Clone)]
pub(in crate::log::kafka) struct TopicDescription {
    pub(in crate::log::kafka) name: String,
    /// `NONE`, or why it is not described.
    pub(in crate::log::kafka) code: Code,
    pub(in crate::log::kafka) partitions: u32,
    /// `None` if the brokers do not tell.
    pub(in crate::log::kafka) rights: Option<Vec<Right>>,
}

/// A group as its coordinator describes it.
#[derive(Debug, Clone)]
pub(in crate::log::kafka) struct GroupDescription {
    /// `Empty`, `Stable`, `Dead` and so on.
    pub(in crate::log::kafka) state: String,
    /// The ids of its members, with their client ids and hosts.
    pub(in crate::log::kafka) members: Vec<(String, (String, String))>,
    /// `None` if the brokers do not tell.
    pub(in crate::log::kafka) rights: Option<Vec<Right>>,
}

/// The cluster as it describes itself.
#[derive(Debug, Clone)]
pub(in crate::log::kafka) struct ClusterDescription {
    pub(in crate::log::kafka) brokers: usize,
    /// `None` if the brokers do not tell.
    pub(in crate::log::kafka) rights: Option<Vec<Right>>,
}

/// Describes topics, those that are not there too.
pub(in crate::log::kafka) fn topics(
    client: &Client,
    names: &[String],
    wait: Duration,
) -> Result<Vec<TopicDescription>, NativeError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let strings = names.iter().map(|name| c_string(name)).collect::<Result<Vec<CString>, _>>()?;
    let mut pointers: Vec<*const c_char> = strings.iter().map(|name| name.as_ptr()).collect();
    let question = Question::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, wait)?;
    // SAFETY: the names are copied into the collection, which is ours, copied by the library and destroyed once.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let (rk, options, queue) = question.parts();
        sys::rd_kafka_DescribeTopics(rk, collection, options, queue);
        sys::rd_kafka_TopicCollection_destroy(collection);
    }
    let answer = question.answer(sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT)?;
    // SAFETY: the event is of that kind and lives as long as `answer`; there are as many topics as the count says.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.event());
        let found = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        Ok((0..count).map(|index| read_topic(*found.add(index))).collect())
    }
}

/// # Safety
/// `topic` is a description of an event that is not destroyed yet.
unsafe fn read_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> TopicDescription {
    // SAFETY: the caller's promise; rights are as many as the count says, or null.
    unsafe {
        let (mut partitions, mut count) = (0, 0);
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let rights = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        TopicDescription {
            name: text(sys::rd_kafka_TopicDescription_name(topic)),
            code: code_of(sys::rd_kafka_TopicDescription_error(topic)),
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            rights: read_rights(rights, count),
        }
    }
}

/// Describes a group; one that is not there is dead.
pub(in crate::log::kafka) fn group(
    client: &Client,
    name: &str,
    wait: Duration,
) -> Result<GroupDescription, NativeError> {
    let name = c_string(name)?;
    let mut names = [name.as_ptr()];
    let question = Question::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, wait)?;
    // SAFETY: the name is copied by the library.
    unsafe {
        let (rk, options, queue) = question.parts();
        sys::rd_kafka_DescribeConsumerGroups(rk, names.as_mut_ptr(), names.len(), options, queue);
    }
    let answer = question.answer(sys::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT)?;
    // SAFETY: the event is of that kind and lives as long as `answer`; there are as many groups and members as the counts
    // say.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.event());
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        if count == 0 {
            return Err(NativeError::of(Code::GROUP_ID_NOT_FOUND));
        }
        let group = *groups;
        NativeError::check(code_of(sys::rd_kafka_ConsumerGroupDescription_error(group)).0)?;
        let members = (0..sys::rd_kafka_ConsumerGroupDescription_member_count(group)).map(|index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
            let client = text(sys::rd_kafka_MemberDescription_client_id(member));
            let id = text(sys::rd_kafka_MemberDescription_consumer_id(member));
            (id, (client, text(sys::rd_kafka_MemberDescription_host(member))))
        });
        let mut rights_count = 0;
        let rights = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &mut rights_count);
        let state = sys::rd_kafka_ConsumerGroupDescription_state(group);
        Ok(GroupDescription {
            state: text(sys::rd_kafka_consumer_group_state_name(state)),
            members: members.collect(),
            rights: read_rights(rights, rights_count),
        })
    }
}

/// Describes the cluster.
pub(in crate::log::kafka) fn cluster(client: &Client, wait: Duration) -> Result<ClusterDescription, NativeError> {
    let question = Question::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER, wait)?;
    // SAFETY: client, options and queue are valid.
    unsafe {
        let (rk, options, queue) = question.parts();
        sys::rd_kafka_DescribeCluster(rk, options, queue);
    }
    let answer = question.answer(sys::RD_KAFKA_EVENT_DESCRIBECLUSTER_RESULT)?;
    // SAFETY: the event is of that kind and lives as long as `answer`.
    unsafe {
        let (mut brokers, mut count) = (0, 0);
        let result = sys::rd_kafka_event_DescribeCluster_result(answer.event());
        sys::rd_kafka_DescribeCluster_result_nodes(result, &mut brokers);
        let rights = sys::rd_kafka_DescribeCluster_result_authorized_operations(result, &mut count);
        Ok(ClusterDescription { brokers, rights: read_rights(rights, count) })
    }
}

/// # Safety
/// `error` is null or an error object of an event that is not destroyed yet.
unsafe fn code_of(error: *const sys::rd_kafka_error_t) -> Code {
    // SAFETY: the caller's promise.
    if error.is_null() { Code::NONE } else { Code(unsafe { ffi::rd_kafka_error_code(error) }) }
}

/// # Safety
/// `rights` is null or points to `count` operations.
unsafe fn read_rights(rights: *const sys::rd_kafka_AclOperation_t, count: usize) -> Option<Vec<Right>> {
    use sys::rd_kafka_AclOperation_t as Operation;
    if rights.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; the library makes the list from bits and leaves out those that it does not know.
    let rights = unsafe { std::slice::from_raw_parts(rights, count) };
    Some(
        rights
            .iter()
            .map(|right| match right {
                Operation::RD_KAFKA_ACL_OPERATION_READ => Right::Read,
                Operation::RD_KAFKA_ACL_OPERATION_WRITE => Right::Write,
                Operation::RD_KAFKA_ACL_OPERATION_CREATE => Right::Create,
                Operation::RD_KAFKA_ACL_OPERATION_DELETE => Right::Delete,
                Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE => Right::Describe,
                Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Right::DescribeConfigs,
                _ => Right::Other,
            })
            .collect(),
    )
}

/// A question to the cluster, and the queue on which its answer comes.
struct Question<'a> {
    client: &'a Client,
    options: Options,
    queue: NonNull<sys::rd_kafka_queue_t>,
    wait: Duration,
}

impl<'a> Question<'a> {
    /// A question that asks for rights too.
    fn new(
        client: &'a Client,
        operation: sys::rd_kafka_admin_op_t,
        wait: Duration,
    ) -> Result<Question<'a>, NativeError> {
        let options = Options::new(client, operation, wait);
        // SAFETY: the options are valid; the error is ours. The queue is made for a valid client; the function aborts the
        // process when there is no memory.
        let queue = unsafe {
            let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.as_ptr(), 1);
            NativeError::take(refused)?;
            sys::rd_kafka_queue_new(client.as_ptr())
        };
        let queue = NonNull::new(queue).expect("the library aborts when there is no memory");
        Ok(Question { client, options, queue, wait })
    }

    fn parts(&self) -> (*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t) {
        (self.client.as_ptr(), self.options.as_ptr().cast_const(), self.queue.as_ptr())
    }

    fn answer(&self, kind: i32) -> Result<Answer, NativeError> {
        let until = Instant::now() + self.wait + Duration::from_secs(1);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // SAFETY: the queue is valid; the event is ours.
            let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), millis(left)) };
            let Some(event) = NonNull::new(event) else {
                return Err(NativeError::new(Code::TIMED_OUT, "no broker has answered in time"));
            };
            let answer = Answer(event);
            // SAFETY: the event is valid as long as `answer`.
            unsafe {
                if sys::rd_kafka_event_type(event.as_ptr()) != kind {
                    continue;
                }
                match Code(ffi::rd_kafka_event_error(event.as_ptr())) {
                    Code::NONE => return Ok(answer),
                    code => {
                        return Err(NativeError::new(code, text(sys::rd_kafka_event_error_string(event.as_ptr()))));
                    }
                }
            }
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and destroyed once, before the client, which is borrowed.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// An event with an answer.
struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    fn event(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours and destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
