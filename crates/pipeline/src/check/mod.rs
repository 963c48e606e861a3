//! The rules that a pipeline has to keep, one file each: what they find, never what becomes of it.

pub(crate) mod aggregate_names;
pub(crate) mod column_names;
pub(crate) mod create;
pub(crate) mod csv_dialect;
pub(crate) mod emit;
pub(crate) mod expression;
pub(crate) mod finding;
pub(crate) mod form;
pub(crate) mod group_keys;
pub(crate) mod kafka_properties;
pub(crate) mod merge_columns;
pub(crate) mod on_error;
pub(crate) mod sink_columns;
pub(crate) mod sink_contract;
pub(crate) mod sink_headers;
pub(crate) mod sink_key;
pub(crate) mod source_contract;
pub(crate) mod source_schema;
pub(crate) mod state_ids;
pub(crate) mod test_section;
pub(crate) mod topics;
pub(crate) mod unused;
pub(crate) mod window_spans;
pub(crate) mod words;

pub(crate) use finding::Findings;
