//! Functions of librdkafka that return or take codes of brokers, declared with plain integers.
//!
//! The bindings declare them with an enum, and a broker of a later version may answer with a code that the enum does not
//! have: to read such a value as the enum would be undefined behaviour. They are the same functions otherwise, never others.

use std::ffi::{c_char, c_int, c_void};

use rdkafka_sys::{
    rd_kafka_ConfigResource_t, rd_kafka_error_t, rd_kafka_event_t, rd_kafka_metadata as metadata_t, rd_kafka_t,
    rd_kafka_topic_partition_list_t, rd_kafka_topic_result_t, rd_kafka_topic_t,
};

// SAFETY: the names and types are those of rdkafka.h of the library that rdkafka-sys builds and links; the enum of codes is
// a C enum with negative values, so an int.
unsafe extern "C" {
    pub(super) fn rd_kafka_err2name(code: c_int) -> *const c_char;
    pub(super) fn rd_kafka_err2str(code: c_int) -> *const c_char;
    pub(super) fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> c_int;
    pub(super) fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> c_int;
    pub(super) fn rd_kafka_topic_result_error(result: *const rd_kafka_topic_result_t) -> c_int;
    pub(super) fn rd_kafka_ConfigResource_error(resource: *const rd_kafka_ConfigResource_t) -> c_int;
    pub(super) fn rd_kafka_metadata(
        client: *mut rd_kafka_t,
        all_topics: c_int,
        only: *mut rd_kafka_topic_t,
        metadata: *mut *const metadata_t,
        timeout_ms: c_int,
    ) -> c_int;
    pub(super) fn rd_kafka_query_watermark_offsets(
        client: *mut rd_kafka_t,
        topic: *const c_char,
        partition: i32,
        low: *mut i64,
        high: *mut i64,
        timeout_ms: c_int,
    ) -> c_int;
    pub(super) fn rd_kafka_get_watermark_offsets(
        client: *mut rd_kafka_t,
        topic: *const c_char,
        partition: i32,
        low: *mut i64,
        high: *mut i64,
    ) -> c_int;
    pub(super) fn rd_kafka_offsets_for_times(
        client: *mut rd_kafka_t,
        offsets: *mut rd_kafka_topic_partition_list_t,
        timeout_ms: c_int,
    ) -> c_int;
    pub(super) fn rd_kafka_subscribe(client: *mut rd_kafka_t, topics: *const rd_kafka_topic_partition_list_t) -> c_int;
    pub(super) fn rd_kafka_assign(client: *mut rd_kafka_t, partitions: *const rd_kafka_topic_partition_list_t)
    -> c_int;
    pub(super) fn rd_kafka_pause_partitions(
        client: *mut rd_kafka_t,
        partitions: *mut rd_kafka_topic_partition_list_t,
    ) -> c_int;
    pub(super) fn rd_kafka_resume_partitions(
        client: *mut rd_kafka_t,
        partitions: *mut rd_kafka_topic_partition_list_t,
    ) -> c_int;
    pub(super) fn rd_kafka_commit(
        client: *mut rd_kafka_t,
        offsets: *const rd_kafka_topic_partition_list_t,
        is_async: c_int,
    ) -> c_int;
    pub(super) fn rd_kafka_message_headers(message: *const c_void, headers: *mut *mut c_void) -> c_int;
    pub(super) fn rd_kafka_header_get_all(
        headers: *const c_void,
        index: usize,
        name: *mut *const c_char,
        value: *mut *const c_void,
        size: *mut usize,
    ) -> c_int;
    pub(super) fn rd_kafka_flush(client: *mut rd_kafka_t, timeout_ms: c_int) -> c_int;
}
