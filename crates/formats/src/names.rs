//! The name of each row's schema: few names, many rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::datatypes::DataType;

const NONE: u32 = u32::MAX;

/// The names of the schemas that rows were written by, kept only where somebody wants them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: Vec<String>,
    rows: Vec<u32>,
    pub(crate) wanted: bool,
}

impl Names {
    /// The number of `name`.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        let known = self.all.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.all.push(name.to_owned());
            self.all.len() - 1
        }) as u32
    }

    /// Says that the next row is of name `number`.
    #[inline]
    pub(crate) fn push(&mut self, number: u32) {
        if self.wanted {
            self.rows.push(number);
        }
    }

    /// Says that the next row's schema has no name.
    pub(crate) fn push_none(&mut self) {
        self.push(NONE);
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    /// The names of `rows` rows; none is kept afterwards.
    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        if self.rows.len() != rows {
            return new_null_array(&DataType::Utf8, rows);
        }
        let names = self.rows.drain(..).map(|number| self.all.get(number as usize).map(String::as_str));
        Arc::new(names.collect::<StringArray>())
    }
}
