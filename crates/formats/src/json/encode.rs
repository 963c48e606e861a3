//! Rows as JSON documents: names written once when the encoder is made, values straight into one buffer.

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::text::{Cells, NotJson, key_literal};

use crate::encode::Encoded;

/// Writes one compact object a row: members in the columns' order, null where there is no value.
#[derive(Debug)]
pub(crate) struct JsonEncoder {
    /// What precedes each document.
    header: Vec<u8>,
    /// For each written column its index, its name, and `{"name":` or `,"name":`.
    columns: Vec<(usize, String, Vec<u8>)>,
}

impl JsonEncoder {
    pub(crate) fn new(fields: &[(usize, FieldRef)]) -> JsonEncoder {
        JsonEncoder::behind(Vec::new(), fields)
    }

    /// An encoder of documents that each stand behind `header`.
    pub(crate) fn behind(header: Vec<u8>, fields: &[(usize, FieldRef)]) -> JsonEncoder {
        let columns = fields
            .iter()
            .enumerate()
            .map(|(place, (index, field))| (*index, field.name().clone(), key_literal(place, field.name())));
        JsonEncoder { header, columns: columns.collect() }
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        let cells = self.columns.iter().map(|(index, _, _)| Cells::new(rows.column(*index))).collect::<Vec<_>>();
        let mut faults = Vec::new();
        for row in 0..rows.num_rows() {
            let start = out.bytes.len();
            out.bytes.extend_from_slice(&self.header);
            if let Err((name, NotJson(what))) = self.write_row(&cells, row, &mut out.bytes) {
                out.bytes.truncate(start);
                let message = format!("column {name}: {what} cannot be written as JSON");
                faults.push(RowFault { row, error: RecordError { kind: RecordErrorKind::Encode, message } });
            }
            out.ends.push(out.bytes.len());
        }
        faults
    }

    #[inline]
    fn write_row(&self, cells: &[Cells], row: usize, out: &mut Vec<u8>) -> Result<(), (&str, NotJson)> {
        if cells.is_empty() {
            out.push(b'{');
        }
        for ((_, name, literal), cells) in self.columns.iter().zip(cells) {
            out.extend_from_slice(literal);
            cells.write_json(row, out).map_err(|what| (name.as_str(), what))?;
        }
        out.push(b'}');
        Ok(())
    }
}
