//! The columns of a stream while it is checked: names, types, and those whose type a mistake has hidden.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::plan::HIDDEN;

use crate::topology::hidden_type;

/// A visible column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type; `None` when the mistake that hides it has been reported, so that what reads it is not blamed too.
    pub(crate) data_type: Option<DataType>,
}

/// Whether the system columns of the message are still at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemColumns {
    /// Every row stems from one message.
    AtHand,
    /// Rows are results over many messages.
    Gone,
}

/// The columns of a stream: the visible ones in order, then the hidden ones where they are at hand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Columns {
    /// The visible columns.
    pub(crate) visible: Vec<Column>,
    /// The hidden ones.
    pub(crate) system: SystemColumns,
}

impl Columns {
    /// Columns of known types.
    pub(crate) fn new(visible: Vec<(String, DataType)>, system: SystemColumns) -> Columns {
        let visible =
            visible.into_iter().map(|(name, data_type)| Column { name, data_type: Some(data_type) }).collect();
        Columns { visible, system }
    }

    /// All columns whose type is known, as a schema: visible ones, then hidden ones.
    pub(crate) fn schema(&self) -> SchemaRef {
        let visible = self.visible.iter().filter_map(|column| Some(field(&column.name, column.data_type.clone()?)));
        let hidden = self.hidden().iter().filter_map(|name| Some(field(name, hidden_type(name)?)));
        Arc::new(Schema::new(visible.chain(hidden).collect::<Vec<_>>()))
    }

    /// The names of the hidden columns that are at hand.
    pub(crate) fn hidden(&self) -> &'static [&'static str] {
        match self.system {
            SystemColumns::AtHand => HIDDEN,
            SystemColumns::Gone => &[],
        }
    }

    /// The visible column of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Column> {
        self.visible.iter().find(|column| column.name == name)
    }

    /// The type of a column, visible or hidden, if it is there and known.
    pub(crate) fn type_of(&self, name: &str) -> Option<DataType> {
        match self.get(name) {
            Some(column) => column.data_type.clone(),
            None if self.hidden().contains(&name) => hidden_type(name),
            None => None,
        }
    }

    /// The names of the visible columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.visible.iter().map(|column| column.name.as_str())
    }

    /// Whether an expression names a column whose type a reported mistake has hidden.
    pub(crate) fn hides_mistake(&self, sql: &str) -> bool {
        self.visible.iter().any(|column| column.data_type.is_none() && has_word(sql, &column.name))
    }

    /// The schema of the named columns, in that order; names that are not there are left out.
    pub(crate) fn project<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> SchemaRef {
        let fields = names.into_iter().filter_map(|name| Some(field(name, self.type_of(name)?)));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A column as every schema of a topology holds it: nullable.
pub(crate) fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// Whether `word` stands in `text` as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part_of_word)
            && !text[at + word.len()..].chars().next().is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_reads_a_mistaken_column_is_known() {
        let mut columns = Columns::new(vec![("a".into(), DataType::Int64)], SystemColumns::AtHand);
        columns.visible.push(Column { name: "b".into(), data_type: None });
        assert!(columns.hides_mistake("a + b"));
        assert!(!columns.hides_mistake("a + bb"));
        assert_eq!(columns.schema().fields().len(), 1 + HIDDEN.len());
        assert_eq!(columns.type_of("_key"), Some(DataType::Binary));
    }
}
