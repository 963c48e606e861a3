//! Which requests a proxy does something to, and what.

use std::time::Duration;

/// A kind of request, with Kafka's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
#[repr(i16)]
pub enum Api {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DeleteRecords = 21,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
}

impl Api {
    pub(crate) fn key(self) -> i16 {
        self as i16
    }
}

/// What is done to a request. "The client" is whoever sent it, "the broker" whoever it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the broker, and everything behind it on its connection, so much later.
    Delay(Duration),
    /// It goes on to the broker, and everything behind it on its connection, when [`crate::Proxy::release`] says so or this time
    /// has passed.
    Hold(Duration),
    /// It never arrives, and the client waits until its time-out.
    DropRequest,
    /// It never arrives, and the client's connection breaks.
    CutRequest,
    /// It arrives; the answer does not, and the client waits until its time-out.
    DropAnswer,
    /// It arrives; instead of the answer, the client's connection breaks.
    CutAnswer,
    /// The client's connection breaks at once; the request arrives later, when [`crate::Proxy::release`] says so or this time
    /// has passed, on the connection that the broker believes to be open.
    Strand(Duration),
}

/// A kind of request, how many of them pass first, how many are acted on, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The kind.
    pub api: Api,
    /// How many pass untouched first.
    pub after: u64,
    /// How many are acted on then.
    pub times: u64,
    /// How.
    pub action: Action,
}

impl Rule {
    /// Acts on the next request of a kind, once.
    pub fn once(api: Api, action: Action) -> Rule {
        Rule { api, after: 0, times: 1, action }
    }

    /// Acts on every request of a kind.
    pub fn always(api: Api, action: Action) -> Rule {
        Rule { api, after: 0, times: u64::MAX, action }
    }

    /// The same after so many have passed.
    #[must_use]
    pub fn after(self, passed: u64) -> Rule {
        Rule { after: passed, ..self }
    }
}
