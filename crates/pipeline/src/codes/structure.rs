//! Codes about the structure of a pipeline.

use super::{Code, Entry, Group};

codes! { "Structure":
    UNKNOWN_KEY = "MS0201" "unknown-key",
        "a key is not known here",
        "Unknown keys are errors, for a mistyped one would silently do nothing.",
        "sources:\n  trades: {topc: trades, format: json}";

    MISSING_KEY = "MS0202" "missing-key",
        "a required key is missing",
        "",
        "sources:\n  trades: {topic: trades}";

    WRONG_SHAPE = "MS0203" "wrong-shape",
        "a list, mapping or single value stands where another is expected",
        "",
        "steps: {filter: a > 0}";

    WRONG_TYPE = "MS0204" "wrong-type",
        "a value is of the wrong type",
        "Numbers and booleans are written without quotes: `count: 100`, `close: true`.",
        "version: one";

    UNKNOWN_WORD = "MS0205" "unknown-word",
        "a word is none of those that are possible here",
        "",
        "on_error: ignore";

    UNKNOWN_STEP = "MS0206" "unknown-step",
        "there is no such step",
        "",
        "steps:\n  - fliter: price > 0";

    NOT_YET = "MS0207" "not-yet",
        "this part of the language is not supported yet",
        "It has a place in the language, and comes in a later version.",
        "steps:\n  - join: {with: drivers}";

    NO_VALUE = "MS0208" "no-value",
        "a key has no value",
        "A key without a value is most often a line that was forgotten or indented wrongly. Leave the key out \
         to get its default.",
        "sink:\n  topic:";

    EMPTY = "MS0209" "empty",
        "a list or mapping is empty",
        "",
        "steps:\n  - map: {}";

    ONE_KEY = "MS0210" "one-key",
        "exactly one key is expected",
        "A step is a mapping with one key, its name. Begin each step with a dash of its own.",
        "steps:\n  - filter: a > 0\n    map: {b: a}";

    OUT_OF_RANGE = "MS0211" "out-of-range",
        "a number is out of range",
        "",
        "window: {count: -1}";
}
