//! unnest: the element of a list in its place.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;

use super::Place;
use crate::check::{column_names, group_keys};
use crate::lower::builder::Builder;
use crate::lower::columns::Column;
use crate::lower::graph::Op;
use crate::lower::spread::RecordKey;
use crate::lower::stream::Stream;
use crate::spec::steps::Unnest;

impl Builder<'_> {
    /// One row for each element of a list.
    pub(crate) fn unnest(&mut self, stream: Stream, unnest: &Unnest, place: &Place) -> Option<Stream> {
        let mut columns = self.columns(&stream);
        let (list, element) = (unnest.column(), unnest.element());
        let Some(index) = columns.visible.iter().position(|column| column.name == list.value) else {
            group_keys::unknown(list, &columns, &mut self.findings);
            return None;
        };
        column_names::check(element, &mut self.findings);
        if element.value != list.value && columns.get(element).is_some() {
            self.findings
                .error(codes::COLUMN_CLASH, element.span, format!("there is a column `{element}` already"))
                .help("Choose another name under `as`.");
            return None;
        }
        let item = match &columns.visible[index].data_type {
            None => None,
            Some(DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) => {
                Some(item.data_type().clone())
            }
            Some(other) => {
                let what = format!("`{list}` is {}, not a list", a(other));
                self.findings.error(codes::NOT_A_LIST, list.span, what).help("Unnest a column of type `array<..>`.");
                None
            }
        };
        columns.visible[index] = Column { name: element.value.clone(), data_type: item };
        let op = Op::Unnest { list: list.value.clone(), element: element.value.clone() };
        let edge = self.append(place.name.clone(), stream.edge, columns, op);
        let key = match stream.key {
            RecordKey::Columns(columns) if columns.contains(&list.value) => RecordKey::Lost(list.value.clone()),
            key => key,
        };
        Some(Stream { edge, key, spread: stream.spread.without(list), ..stream })
    }
}
