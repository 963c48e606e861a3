//! Codes about schemas outside the pipeline: files and registries.

use super::{Code, Entry, Group};

codes! { "Schemas":
    SCHEMA_UNKNOWN = "MS1001" "schema-unknown",
        "a schema that only a registry knows",
        "The columns of the source stand in a schema registry, and none was named. Name it by `--registry URL`, by \
         `SCHEMA_REGISTRY_URL` or in the settings (`schema_registry: {urls: [..]}`), or put the schema beside the pipeline: \
         `schema: {file: trades.avsc}`.",
        "sources:\n  trades: {format: avro}";

    SCHEMA_UNAVAILABLE = "MS1002" "schema-unavailable",
        "a schema that could not be had",
        "The file is not there, the registry has no such subject or version, or it did not answer.",
        "schema: {file: no-such-file.avsc}";

    SCHEMA_INVALID = "MS1003" "schema-invalid",
        "a schema that is none",
        "",
        "schema: {text: '{\"type\": \"recrod\"}'}";

    UNREADABLE_FIELD = "MS1004" "unreadable-field",
        "a field of a schema that cannot be a column",
        "The other fields can be read. A record that holds itself is of no finite depth, and columns are.",
        "";

    SCHEMA_OPTIONS = "MS1005" "schema-options",
        "settings of a schema that do not go together",
        "",
        "sources:\n  trades: {format: json, framing: none, schema: {price: double}}";

    UNKNOWN_TYPE = "MS1006" "unknown-record-type",
        "there is no such record type",
        "Types are named in full, with their namespace or package.",
        "types: [OrderPlaced]";

    SCHEMA_MISMATCH = "MS1007" "schema-mismatch",
        "columns and schema do not fit",
        "",
        "sink: {topic: t, format: avro, schema: {file: other.avsc}}";

    INCOMPATIBLE_SCHEMA = "MS1008" "incompatible-schema",
        "a schema that would break somebody",
        "The registry keeps the versions of a subject compatible, and this one is not. The message names the field, what it \
         was, what it would be, and the rule. Give the field its old type, give a new field a default, or write to another \
         subject.",
        "";

    NOT_REGISTERED = "MS1009" "not-registered",
        "the schema of a sink is not in the registry",
        "By default it must be there before the pipeline runs. Register it by your build, or let the pipeline do it when it \
         starts: `register: true`.",
        "";
}
