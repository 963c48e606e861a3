//! Errors as the library gives them: a code, a text, and what kind of thing is to be done; never what that means for a log.

use std::ffi::{CStr, CString, c_char};
use std::fmt;

use rdkafka_sys as sys;

use super::ffi;

/// A code of a broker (above 0) or of the library (below).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::log::kafka) struct Code(pub(in crate::log::kafka) i32);

macro_rules! codes {
    ($($name:ident = $value:literal),* $(,)?) => {
        // A vocabulary: not every word of it is used by the code itself.
        #[allow(dead_code)]
        impl Code {
            $(pub(in crate::log::kafka) const $name: Code = Code($value);)*
        }
    };
}

codes! {
    TRANSPORT = -195,
    RESOLVE = -193,
    PARTITION_EOF = -191,
    UNKNOWN_PARTITION = -190,
    UNKNOWN_TOPIC = -188,
    ALL_BROKERS_DOWN = -187,
    INVALID_ARG = -186,
    TIMED_OUT = -185,
    QUEUE_FULL = -184,
    SSL = -181,
    ASSIGN_PARTITIONS = -175,
    REVOKE_PARTITIONS = -174,
    STATE = -172,
    AUTHENTICATION = -169,
    NO_OFFSET = -168,
    PURGED_IN_QUEUE = -152,
    PURGED_IN_FLIGHT = -151,
    FENCED = -144,
    AUTO_OFFSET_RESET = -140,
    LOG_TRUNCATION = -139,
    NONE = 0,
    OFFSET_OUT_OF_RANGE = 1,
    UNKNOWN_TOPIC_OR_PARTITION = 3,
    LEADER_NOT_AVAILABLE = 5,
    NOT_LEADER_FOR_PARTITION = 6,
    REQUEST_TIMED_OUT = 7,
    MESSAGE_TOO_LARGE = 10,
    OFFSET_METADATA_TOO_LARGE = 12,
    COORDINATOR_LOAD_IN_PROGRESS = 14,
    COORDINATOR_NOT_AVAILABLE = 15,
    NOT_COORDINATOR = 16,
    INVALID_TOPIC = 17,
    RECORD_LIST_TOO_LARGE = 18,
    ILLEGAL_GENERATION = 22,
    INCONSISTENT_GROUP_PROTOCOL = 23,
    INVALID_GROUP_ID = 24,
    UNKNOWN_MEMBER_ID = 25,
    INVALID_SESSION_TIMEOUT = 26,
    REBALANCE_IN_PROGRESS = 27,
    TOPIC_AUTHORIZATION_FAILED = 29,
    GROUP_AUTHORIZATION_FAILED = 30,
    CLUSTER_AUTHORIZATION_FAILED = 31,
    INVALID_TIMESTAMP = 32,
    UNSUPPORTED_SASL_MECHANISM = 33,
    TOPIC_ALREADY_EXISTS = 36,
    INVALID_PARTITIONS = 37,
    INVALID_REPLICATION_FACTOR = 38,
    INVALID_CONFIG = 40,
    POLICY_VIOLATION = 44,
    INVALID_PRODUCER_EPOCH = 47,
    INVALID_TRANSACTION_TIMEOUT = 50,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    SASL_AUTHENTICATION_FAILED = 58,
    GROUP_ID_NOT_FOUND = 69,
    FENCED_INSTANCE_ID = 82,
    INVALID_RECORD = 87,
    UNSTABLE_OFFSET_COMMIT = 88,
    PRODUCER_FENCED = 90,
}

impl Code {
    /// The name of the code, as Kafka's documents write it.
    pub(in crate::log::kafka) fn name(self) -> String {
        // SAFETY: takes any integer and returns a string that lives for ever (for codes it does not know, one in a
        // thread-local buffer that is copied at once).
        text(unsafe { ffi::rd_kafka_err2name(self.0) })
    }

    /// What the library says about the code.
    pub(in crate::log::kafka) fn text(self) -> String {
        // SAFETY: as in `name`.
        text(unsafe { ffi::rd_kafka_err2str(self.0) })
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What the library says is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::kafka) enum Severity {
    /// Nothing in particular.
    Plain,
    /// The same call may be made again, and goes on where it was.
    Retriable,
    /// The transaction must be aborted.
    RequiresAbort,
    /// The client is of no use any more.
    Fatal,
}

/// An error of the library.
#[derive(Debug, Clone)]
pub(in crate::log::kafka) struct NativeError {
    pub(in crate::log::kafka) code: Code,
    pub(in crate::log::kafka) text: String,
    pub(in crate::log::kafka) severity: Severity,
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code.name())
    }
}

impl NativeError {
    pub(in crate::log::kafka) fn new(code: Code, text: impl Into<String>) -> NativeError {
        NativeError { code, text: text.into(), severity: Severity::Plain }
    }

    /// An error that is a code and no more.
    pub(super) fn of(code: Code) -> NativeError {
        NativeError::new(code, code.text())
    }

    /// Turns a returned code into a result.
    pub(super) fn check(code: i32) -> Result<(), NativeError> {
        match Code(code) {
            Code::NONE => Ok(()),
            code => Err(NativeError::of(code)),
        }
    }

    /// Turns a returned error object, which is ours, into a result.
    ///
    /// # Safety
    /// `error` is null or an error object that nobody else destroys.
    pub(super) unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), NativeError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: it is not null, valid by the caller's promise until it is destroyed here, once; its text is copied before.
        unsafe {
            let severity = if sys::rd_kafka_error_is_fatal(error) != 0 {
                Severity::Fatal
            } else if sys::rd_kafka_error_txn_requires_abort(error) != 0 {
                Severity::RequiresAbort
            } else if sys::rd_kafka_error_is_retriable(error) != 0 {
                Severity::Retriable
            } else {
                Severity::Plain
            };
            let taken = NativeError {
                code: Code(ffi::rd_kafka_error_code(error)),
                text: text(sys::rd_kafka_error_string(error)),
                severity,
            };
            sys::rd_kafka_error_destroy(error);
            Err(taken)
        }
    }
}

/// Copies a string of the library; nothing for null.
pub(super) fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, and every string that the library hands out ends with a zero and outlives the call that asked.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().trim().to_owned()
}

/// A string for the library.
pub(super) fn c_string(string: &str) -> Result<CString, NativeError> {
    CString::new(string).map_err(|_| NativeError::new(Code::INVALID_ARG, format!("{string:?} has a zero byte")))
}

/// A buffer for what the library has to say about a refusal.
pub(super) struct ErrorText([u8; 512]);

impl ErrorText {
    pub(super) fn new() -> ErrorText {
        ErrorText([0; 512])
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    pub(super) const fn len() -> usize {
        512
    }

    pub(super) fn read(&self) -> String {
        CStr::from_bytes_until_nul(&self.0).map(|text| text.to_string_lossy().trim().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_protocol() {
        assert_eq!(Code::UNKNOWN_TOPIC_OR_PARTITION.name(), "UNKNOWN_TOPIC_OR_PART");
        assert_eq!(Code::PRODUCER_FENCED.name(), "PRODUCER_FENCED");
        assert_eq!(Code::AUTO_OFFSET_RESET.name(), "_AUTO_OFFSET_RESET");
        assert_eq!(Code::LOG_TRUNCATION.name(), "_LOG_TRUNCATION");
        assert_eq!(Code::UNSTABLE_OFFSET_COMMIT.name(), "UNSTABLE_OFFSET_COMMIT");
    }

    #[test]
    fn a_code_that_this_version_does_not_know_is_no_more_than_a_number() {
        assert!(Code(120).name().contains("120"), "{}", Code(120).name());
        assert!(!Code(30_000).text().is_empty());
    }

    #[test]
    fn a_string_with_a_zero_byte_is_refused() {
        assert_eq!(c_string("a\0b").expect_err("refused").code, Code::INVALID_ARG);
    }
}
