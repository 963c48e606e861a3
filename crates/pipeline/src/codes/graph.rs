//! Codes about sources, streams and sinks.

use super::{Code, Entry, Group};

codes! { "Sources, streams and sinks":
    VERSION = "MS0501" "version",
        "this version of the language is not known",
        "There is version 1 only.",
        "version: 2";

    PIPELINE_NAME = "MS0502" "pipeline-name",
        "a pipeline's name names topics and state",
        "It has lower-case letters, digits, `-`, `_` and `.`, and begins with a letter or digit.",
        "pipeline: My Pipeline";

    MIXED_FORMS = "MS0503" "mixed-forms",
        "a pipeline is either linear or a graph",
        "The linear form has `steps` and `sink`; a graph has `streams` and `sinks`. To give one stream a name \
         is to write a graph.",
        "steps: []\nstreams: {a: {from: b}}";

    NO_SOURCE = "MS0504" "no-source",
        "a pipeline reads something",
        "",
        "sources: {}";

    MANY_SOURCES = "MS0505" "many-sources",
        "the linear form reads one source",
        "With several sources, begin with `- merge: [a, b]` or write a graph with `streams`.",
        "sources: {a: .., b: ..}\nsteps: []";

    NO_SINK = "MS0506" "no-sink",
        "a pipeline writes something",
        "",
        "version: 1\npipeline: nothing";

    UNKNOWN_STREAM = "MS0507" "unknown-stream",
        "there is no such source or stream",
        "",
        "from: tredes";

    DUPLICATE_NAME = "MS0508" "duplicate-name",
        "two streams have one name",
        "Sources, streams and the streams that a branch names share one set of names.",
        "sources: {a: ..}\nstreams: {a: ..}";

    CYCLE = "MS0509" "cycle",
        "streams read each other in a circle",
        "A row would run round for ever. Read a topic of its own if that is meant.",
        "streams:\n  a: {from: b}\n  b: {from: a}";

    NO_FROM = "MS0510" "no-from",
        "a stream does not say what it reads",
        "Write `from:`, or begin its steps with `merge`.",
        "streams:\n  a: {steps: []}";

    BRANCH_NOT_LAST = "MS0511" "branch-not-last",
        "`branch` is the last step of a stream",
        "The rows go to the streams that it names: go on there.",
        "steps:\n  - branch: {a: x > 0}\n  - filter: y > 0";

    MERGE_NOT_FIRST = "MS0512" "merge-not-first",
        "`merge` is the first step of a stream, which then has no `from`",
        "",
        "steps:\n  - filter: x > 0\n  - merge: [a, b]";

    BRANCH_READ = "MS0513" "branch-read",
        "a stream that ends in `branch` has no rows of its own",
        "Read one of the streams that the branch names.",
        "sinks:\n  - {from: sorted, topic: t}";

    UNUSED_SOURCE = "MS0514" "unused-source",
        "nothing reads this source",
        "",
        "sources: {a: .., b: ..}\nstreams: {s: {from: a}}";

    UNUSED_STREAM = "MS0515" "unused-stream",
        "nothing reads this stream",
        "",
        "streams:\n  a: {from: trades}";

    UNUSED_BRANCH = "MS0516" "unused-branch",
        "nothing reads this branch",
        "Its rows would be lost without a count. Read it, or leave the arm out: then they are counted as \
         filtered.",
        "- branch: {a: x > 0, b: x < 0}";

    TOPIC_NAME = "MS0517" "topic-name",
        "a name of a topic is not valid",
        "Topics have letters, digits, `.`, `_` and `-`, and at most 249 of them.",
        "topic: my topic";

    TOPIC_LOOP = "MS0518" "topic-loop",
        "a topic is read and written by one pipeline",
        "Each row written would be read again.",
        "sources: {a: {topic: t}}\nsink: {topic: t}";

    TOPIC_CLASH = "MS0519" "topic-clash",
        "a topic is written in two ways",
        "",
        "sinks:\n  - {from: a, topic: t}\n  - {from: b, topic: t}";

    TOPIC_READ_TWICE = "MS0520" "topic-read-twice",
        "two sources read one topic",
        "Read it once and let several streams read that source.",
        "sources: {a: {topic: t}, b: {topic: t}}";

    INTERNAL_TOPIC = "MS0521" "internal-topic",
        "a topic has the name of an internal one",
        "",
        "sink: {topic: __millstream}";

    NO_SCHEMA = "MS0522" "no-schema",
        "the columns of the source are not declared",
        "`json` and `csv` need a schema: names and types of the columns.",
        "sources: {a: {format: json}}";

    CSV_DIALECT = "MS0523" "csv-dialect",
        "the csv options do not go together",
        "Delimiter and quote are one ASCII character each, and two different ones; the text of null holds neither, nor the end of a line.",
        "format: {csv: {delimiter: \"::\"}}";

    CSV_NESTED = "MS0524" "csv-nested",
        "csv has no nested values",
        "Fields of csv are single values: no structs, arrays or maps.",
        "format: csv\nschema: {a: array<int>}";

    RAW_COLUMNS = "MS0525" "raw-columns",
        "raw has one column",
        "It is a string or bytes.",
        "format: raw\nschema: {a: int, b: int}";

    EVENT_TIME_TYPE = "MS0526" "event-time-type",
        "the event time is no time",
        "It is a timestamp, or a whole number of milliseconds since 1970 (bigint).",
        "event_time: symbol";

    MERGE_COLUMNS = "MS0527" "merge-columns",
        "merged streams have different columns",
        "All streams of a `merge` have the same columns with the same types.",
        "- merge: [trades, quotes]";

    NO_COLUMNS = "MS0528" "no-columns",
        "no column would be left",
        "",
        "- drop: [the_only_one]";

    NO_HEADERS = "MS0529" "no-headers",
        "there are no headers to keep",
        "A result over many records has no headers of its own. Only rows that stem from one record each, by `filter`, `map` and \
         the like, have its headers.",
        "steps:\n  - window: {..}\nsink: {topic: out, headers: keep}";

    HEADER_NAME = "MS0530" "header-name",
        "a header cannot be named so",
        "",
        "headers: {\"\": symbol}";

    HEADER_TYPE = "MS0531" "header-type",
        "a value of this type has no text",
        "",
        "headers: {age: ts - last_ts}";

    TIMESTAMP_TYPE = "MS0532" "timestamp-type",
        "the timestamp of a record is no time",
        "It is a timestamp, or a whole number of milliseconds since 1970 (bigint).",
        "sink: {topic: out, timestamp: symbol}";

    UNWRITABLE = "MS0533" "unwritable-column",
        "a column of this type cannot be written",
        "Expressions may make intervals, durations, times of day and decimals of more than 38 digits; messages have none.",
        "steps:\n  - map: {age: ts - last_ts}\nsink: {topic: out}";
}
