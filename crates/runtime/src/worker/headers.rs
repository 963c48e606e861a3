//! The headers of a sink's records: those that are set, as text in one buffer for each, or those that a row was read with.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use millstream_engine::context::Output;
use millstream_engine::text::Cells;
use millstream_formats::Encoded;

use crate::log::Header;

/// Makes the headers of one sink's records. Where there are none, neither it nor what it lends allocates.
#[derive(Debug)]
pub(super) struct HeaderWriter {
    /// Index of the column `_headers`, if it is those that are written.
    kept: Option<usize>,
    /// The texts of each header that is set; used again for the next rows.
    texts: Vec<Encoded>,
}

/// The headers of the rows of one output.
pub(super) struct RowHeaders<'a> {
    set: Vec<Set<'a>>,
    kept: Option<Kept<'a>>,
    /// Those of the row that was asked for last.
    row: Vec<Header<'a>>,
}

/// One header that is set.
struct Set<'a> {
    name: &'a str,
    values: &'a ArrayRef,
    texts: &'a Encoded,
}

/// The column `_headers`.
struct Kept<'a> {
    rows: &'a arrow::array::MapArray,
    names: &'a StringArray,
    values: &'a BinaryArray,
}

impl HeaderWriter {
    /// With the column whose headers are kept, if there is one.
    pub(super) fn new(kept: Option<usize>) -> HeaderWriter {
        HeaderWriter { kept, texts: Vec::new() }
    }

    /// The headers of the rows of `output`.
    pub(super) fn of<'a>(&'a mut self, output: &'a Output) -> RowHeaders<'a> {
        self.texts.resize_with(output.headers.len(), Encoded::default);
        for (texts, (_, values)) in self.texts.iter_mut().zip(&output.headers) {
            write_texts(values, texts);
        }
        let named = output.headers.iter().zip(&self.texts);
        RowHeaders {
            set: named.map(|((name, values), texts)| Set { name, values, texts }).collect(),
            kept: self.kept.and_then(|column| Kept::of(output.batch.rows.column(column))),
            row: Vec::new(),
        }
    }
}

impl<'a> RowHeaders<'a> {
    /// Those of row `row`, in order.
    pub(super) fn at(&mut self, row: usize) -> &[Header<'a>] {
        self.row.clear();
        if let Some(kept) = &self.kept {
            kept.add(row, &mut self.row);
        }
        let set = self.set.iter().filter(|set| set.values.is_valid(row));
        self.row.extend(set.map(|set| Header { name: set.name, value: Some(set.texts.payload(row)) }));
        &self.row
    }
}

impl<'a> Kept<'a> {
    fn of(column: &'a ArrayRef) -> Option<Kept<'a>> {
        let rows = column.as_map_opt()?;
        Some(Kept { rows, names: rows.keys().as_string_opt()?, values: rows.values().as_binary_opt()? })
    }

    fn add(&self, row: usize, headers: &mut Vec<Header<'a>>) {
        if self.rows.is_null(row) {
            return;
        }
        let offsets = self.rows.value_offsets();
        headers.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|entry| Header {
            name: self.names.value(entry),
            value: self.values.is_valid(entry).then(|| self.values.value(entry)),
        }));
    }
}

/// The plain texts of `values`.
fn write_texts(values: &ArrayRef, texts: &mut Encoded) {
    texts.clear();
    let cells = Cells::new(values);
    for row in 0..values.len() {
        cells.write_text(row, &mut texts.bytes);
        texts.ends.push(texts.bytes.len());
    }
}
