//! Codes about the tests of a pipeline.

use super::{Code, Entry, Group};

codes! { "Tests":
    UNKNOWN_SOURCE = "MS0801" "unknown-source",
        "there is no such source to put rows in",
        "",
        "in: {tredes: []}";

    UNKNOWN_TOPIC = "MS0802" "unknown-topic",
        "the pipeline writes no such topic",
        "",
        "out: {candels: []}";

    UNKNOWN_COUNT = "MS0803" "unknown-count",
        "there is no such step or count in the ledger",
        "",
        "ledger: {ohlc: {dropped: 1}}";

    TEST_ROW = "MS0804" "test-row",
        "a row of a test does not fit the source",
        "",
        "in: {trades: [{prise: 1}]}";
}
