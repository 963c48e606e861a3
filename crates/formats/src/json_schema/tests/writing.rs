//! Rows as JSON objects of a schema that was made from their columns, or that was given.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::*;
use crate::json_schema::{JsonSchemaWrite, RowValidation};
use crate::testing::{Random, batch, flat_columns, nested_columns};
use crate::{EncodeFormat, Encoded, Encoder};

fn encoder(schema: &JsonSchema, validation: RowValidation, rows: &RecordBatch) -> Result<Encoder, FormatError> {
    let write = JsonSchemaWrite { schema: schema.clone(), id: Some(SchemaId(7)), validation };
    Encoder::new(EncodeFormat::JsonSchema(write), &rows.schema())
}

#[test]
fn rows_keep_to_the_schema_made_from_their_columns_and_read_back() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut columns = flat_columns(20, &mut random);
        columns.extend(nested_columns(20, &mut random));
        let rows = batch(columns);
        let schema = JsonSchema::of_columns("Order", rows.schema().fields()).unwrap();
        assert_eq!(JsonSchema::of_columns("Order", rows.schema().fields()).unwrap().text(), schema.text());
        assert_eq!(schema.title(), Some("Order"));
        let mut encoded = Encoded::default();
        let faults = encoder(&schema, RowValidation::EachRow, &rows).unwrap().encode(&rows, &mut encoded);
        assert_eq!(faults, [], "seed {seed}");
        let mut unchecked = Encoded::default();
        encoder(&schema, RowValidation::Off, &rows).unwrap().encode(&rows, &mut unchecked);
        assert_eq!((&encoded.bytes, &encoded.ends), (&unchecked.bytes, &unchecked.ends));
        let mut decoder = decoder(JsonFraming::Registry, Validation::Writer, rows.schema().fields().clone()).unwrap();
        decoder.add_writer(SchemaId(7), &WriterSchema::Json(schema)).unwrap();
        let payloads = (0..encoded.len()).map(|row| encoded.payload(row).to_vec()).collect::<Vec<_>>();
        let decoded = decode(&mut decoder, &payloads);
        assert_eq!(decoded.faults, []);
        assert_eq!(decoded.rows, rows, "seed {seed}");
    }
}

#[test]
fn columns_and_the_properties_that_are_made_of_them_have_the_same_types() {
    let mut columns = flat_columns(1, &mut Random::new(1));
    // What JSON has only one word for: decimals are numbers there, and times have one unit.
    columns.retain(|(field, _)| !["money", "ms"].contains(&field.name().as_str()));
    let rows = batch(columns);
    let schema = JsonSchema::of_columns("T", rows.schema().fields()).unwrap();
    let mut own = rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>();
    own.sort_by(|a, b| a.name().cmp(b.name()));
    let mut found = schema.columns().fields;
    found.sort_by(|a, b| a.name().cmp(b.name()));
    assert_eq!(found, own);
}

fn orders() -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] =
        [("a", Arc::new(Int64Array::from(vec![5, 0, 6]))), ("s", Arc::new(StringArray::from(vec!["xx", "x", "y"])))];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn a_row_that_breaks_the_schema_harms_only_itself() {
    let rows = orders();
    let mut encoded = Encoded::default();
    let faults = encoder(&positive(), RowValidation::EachRow, &rows).unwrap().encode(&rows, &mut encoded);
    let faults = faults.into_iter().map(|fault| format!("{}: {}", fault.row, fault.error.message)).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            "1: /a: breaks its schema: 0 is less than the minimum of 1",
            "2: /s: breaks its schema: \"y\" does not match \"^x+$\"",
        ]
    );
    assert_eq!(encoded.payload(0), framed(7, r#"{"a":5,"s":"xx"}"#));
    assert_eq!((encoded.payload(1), encoded.payload(2)), (&b""[..], &b""[..]));
}

#[test]
fn columns_that_the_schema_has_no_place_for_are_refused_at_once() {
    let rows = orders();
    let refused = |json: serde_json::Value| {
        encoder(&schema(&json), RowValidation::Off, &rows).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        refused(json!({"properties": {"a": {}}, "additionalProperties": false})),
        Err("column s: the schema has no such property, and allows no others".to_owned())
    );
    assert_eq!(
        refused(json!({"$ref": "#/$defs/x", "$defs": {"x": {"required": ["b"]}}})),
        Err("column b: the schema requires this property, and there is no such column".to_owned())
    );
    assert_eq!(refused(json!({"properties": {"a": {}}})), Ok(()));
}
