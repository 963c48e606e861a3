//! Codes about windows, aggregates and keys.

use super::{Code, Entry, Group};

codes! { "Windows, aggregates and keys":
    WINDOW_KIND = "MS0701" "window-kind",
        "a window has exactly one kind",
        "One of `tumbling`, `hopping`, `sliding`, `over`, `session`, `count`.",
        "window: {tumbling: 1m, session: 5m}";

    MISSING_ID = "MS0702" "missing-id",
        "a stateful step needs an id",
        "The id names its state, so that the steps around it can change without losing it.",
        "window: {tumbling: 1m}";

    DUPLICATE_ID = "MS0703" "duplicate-id",
        "two steps have one id",
        "",
        "window: {id: a}\naggregate: {id: a}";

    BAD_ID = "MS0704" "bad-id",
        "an id names state",
        "It has lower-case letters, digits, `-` and `_`, and begins with a letter or digit.",
        "id: My State";

    ZERO_SPAN = "MS0705" "zero-span",
        "a span is 0",
        "",
        "tumbling: 0";

    LONG_SPAN = "MS0706" "long-span",
        "a span is too long",
        "",
        "tumbling: 5000000d";

    HOPPING_GAPS = "MS0707" "hopping-gaps",
        "windows of a grid leave gaps",
        "`every` is at most `size`: rows between two windows would be in none.",
        "hopping: {size: 1m, every: 5m}";

    HOPPING_MANY = "MS0708" "hopping-many",
        "a row would be in very many windows",
        "",
        "hopping: {size: 365d, every: 1ms}";

    WINDOW_OFFSET = "MS0709" "window-offset",
        "the offset is not less than the grid",
        "",
        "tumbling: {size: 1m, offset: 5m}";

    ZERO_COUNT = "MS0710" "zero-count",
        "a count is 0",
        "",
        "count: 0";

    LONG_COUNT = "MS0711" "long-count",
        "a count is too great",
        "",
        "count: 99999999999";

    COUNT_GRACE = "MS0712" "count-grace",
        "`count` knows no grace",
        "It counts rows as they arrive: none is late.",
        "window: {count: 3, grace: 5s}";

    COUNT_LATE = "MS0713" "count-late",
        "`count` knows no late rows",
        "It counts rows as they arrive: none is late.",
        "window: {count: 3, late: {to: t}}";

    EMIT_KIND = "MS0714" "emit-kind",
        "this step cannot emit so",
        "",
        "aggregate: {emit: final}";

    NO_KEY = "MS0715" "no-key",
        "a grouping step has no key",
        "Write `by:`, or `key_by` before it; `by: []` puts all rows into one group.",
        "window: {tumbling: 1m}";

    FLOAT_KEY = "MS0716" "float-key",
        "a floating-point number is a poor key",
        "0.1 + 0.2 is not 0.3, so rows that look alike would not meet. Cast it to decimal or text.",
        "by: price";

    KEY_TYPE = "MS0717" "key-type",
        "a column of this type cannot be a key",
        "",
        "by: tags";

    NO_AGGREGATES = "MS0718" "no-aggregates",
        "there is nothing to aggregate",
        "",
        "aggregates: {}";

    KEY_NOT_WINDOWED = "MS0720" "key-not-windowed",
        "a windowed key needs a window",
        "The stream that the sink writes must come from a window.",
        "key: {columns: a, windowed: true}";

    KEY_OPTIONS = "MS0721" "key-options",
        "the options of the key do not go together",
        "",
        "key: {columns: [a, b], join: \"_\", windowed: true}";

    CHANGES_NEED_KEY = "MS0722" "changes-need-key",
        "changes of sessions need a windowed key",
        "A session that merges into another retracts its result by a tombstone, which needs a key of its own.",
        "window: {session: 5m, emit: changes}";

    GROUP_OF_CHANGES = "MS0724" "group-of-changes",
        "results that change cannot be grouped again",
        "What `emit: changes` writes depends on when commits fall, and so would everything made of it. Let the first \
         step say `emit: final`.",
        "- aggregate: {id: a, by: x}\n- window: {id: b, by: x, tumbling: 1m}";

    KEY_LOST = "MS0725" "key-lost",
        "a key column is gone",
        "The key of a sink is that of the last step that has one. Keep its columns, or write another `key`.",
        "- key_by: user\n- drop: user";

    KEY_MIXED = "MS0726" "key-mixed",
        "merged streams have different keys",
        "Say which key is to be written.",
        "- merge: [by_user, by_region]";

    ORDER_OF_RESULTS = "MS0727" "order-of-results",
        "results are counted among rows behind a repartition",
        "A window lets its results out when time has come, and behind a repartition a task hears of time with its rows and with \
         commits. Which row a result comes behind then depends on when commits fall, and so does what `count` and `over` make of \
         both.",
        "- merge: [repartitioned, sums_of_repartitioned]\n- window: {id: c, by: x, count: 3}";

    INTERNAL = "MS0799" "internal",
        "a mistake of Millstream",
        "Please report it, with the pipeline.",
        "";
}
