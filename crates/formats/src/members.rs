//! The columns of a row, or the fields of a struct, found by name.

use std::collections::BTreeMap;

use arrow::datatypes::FieldRef;

use crate::column::Column;
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};

/// Columns by name.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) columns: Vec<Column>,
    by_name: BTreeMap<String, usize>,
    /// The number of complete rows.
    pub(crate) rows: usize,
}

impl Members {
    /// Empty columns for `fields`.
    ///
    /// # Errors
    /// If no format of messages has values of a field's type.
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = &'a FieldRef>) -> Result<Members, FormatError> {
        let columns = fields.into_iter().map(Column::new).collect::<Result<Vec<_>, _>>()?;
        let by_name = columns.iter().enumerate().map(|(i, column)| (column.field.name().clone(), i)).collect();
        Ok(Members { columns, by_name, rows: 0 })
    }

    /// The index of the column `name`. `next` is where it stands if the members come in the columns' order.
    #[inline]
    pub(crate) fn find(&self, name: &str, next: usize) -> Option<usize> {
        if self.columns.get(next).is_some_and(|column| column.field.name() == name) {
            return Some(next);
        }
        self.by_name.get(name).copied()
    }

    /// Whether the row under construction has a value for column `index` already.
    #[inline]
    pub(crate) fn has(&self, index: usize) -> bool {
        self.columns[index].len() > self.rows
    }

    /// Completes the row: what has no value is null.
    pub(crate) fn end_row(&mut self) -> Fallible<()> {
        for column in &mut self.columns {
            if column.len() == self.rows {
                column.push_missing("nothing").map_err(|fault| fault.in_member(column.field.name()))?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Appends a row without values, as below a struct that is null.
    pub(crate) fn push_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.rows += 1;
    }

    /// Takes back everything behind the first `len` rows.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.rows = self.rows.min(len);
        for column in &mut self.columns {
            column.truncate(len);
        }
    }

    pub(crate) fn reserve(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.reserve(rows);
        }
    }

    /// The fault of a name that stands twice in one object.
    pub(crate) fn repeated(name: &str) -> Box<Fault> {
        Fault::value("stands twice in one object").in_member(name)
    }
}
