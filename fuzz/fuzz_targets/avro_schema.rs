//! Any two texts as Avro schemas: parsing, comparing and resolving them neither panics nor hangs.
#![no_main]

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::avro::{AvroRead, AvroSchema, Framing, compatibility};
use millstream_formats::{DecodeFormat, Decoder};

fuzz_target!(|texts: (&str, &str)| {
    let (Ok(reader), Ok(writer)) = (AvroSchema::parse(texts.0, &[]), AvroSchema::parse(texts.1, &[])) else { return };
    compatibility(&reader, &writer);
    let columns: Fields = reader.columns().fields.into();
    let read = AvroRead { framing: Framing::Bare(writer), readers: vec![reader], types: None };
    let _ = Decoder::new(DecodeFormat::Avro(read), Arc::new(Schema::new(columns)));
});
