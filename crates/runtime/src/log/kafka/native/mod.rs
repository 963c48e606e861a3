//! The bridge to librdkafka: the only unsafe code of the workspace, behind safe types that own what they point to.
//!
//! It knows pointers, lifetimes and codes, never what a transaction, a group or a topic means to the log above. What all of it
//! rests on, as the library documents it:
//! - A client (`rd_kafka_t`) may be used from any thread, until it is destroyed; then none of its callbacks runs any more.
//! - What a `.._new` or `.._get` returned is ours until the matching `.._destroy`, which happens once, before the client's.
//! - Strings and lists that are passed in are copied before the call returns.
//! - Codes that brokers send are read as plain integers: a broker may know codes that the bindings' enum does not.

#![allow(unsafe_code)]

mod admin;
mod callbacks;
mod client;
mod consumer;
pub(super) mod describe;
mod error;
mod exchanges;
mod ffi;
mod list;
mod producer;

pub(super) use admin::{Admin, AdminReply, TopicRequest};
pub(super) use callbacks::{Answers, ClientError, Rebalance};
pub use client::ClientKind;
pub(super) use client::{Client, TopicMetadata};
pub(super) use consumer::{Consumer, Message};
pub(super) use error::{Code, NativeError, Severity};
pub use exchanges::BrokerTimes;
pub(super) use list::{Entry, List};
pub(super) use producer::{AckedEnd, FailedDelivery, Outgoing, Producer, TopicHandle};
