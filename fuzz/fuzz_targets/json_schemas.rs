//! Any two texts as JSON Schemas: comparing them neither panics nor hangs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_formats::json_schema::{JsonSchema, compatibility};

fuzz_target!(|texts: (&str, &str)| {
    let (Ok(reader), Ok(writer)) = (JsonSchema::parse(texts.0, &[]), JsonSchema::parse(texts.1, &[])) else { return };
    compatibility(&reader, &writer);
});
