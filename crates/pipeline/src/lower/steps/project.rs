//! map, select, drop, rename and cast: the columns of a stream replaced.

use crate::codes;
use std::collections::BTreeSet;

use crate::check::words::a;
use arrow::datatypes::DataType;
use millstream_engine::expr::{Expr, ExprErrorKind};
use millstream_engine::types::sql_name;

use super::Place;
use crate::check::{column_names, expression, group_keys};
use crate::lower::builder::Builder;
use crate::lower::columns::{Column, Columns};
use crate::lower::graph::{Op, Value};
use crate::lower::stream::Stream;
use crate::spec::names::Name;
use crate::spec::steps::{Cast, Drop, Map, Rename, Select};
use crate::spec::text::Expression;

/// The columns behind a projection: name, type where it is known, and how it is made.
type Outputs = Vec<(String, Option<DataType>, Option<Value>)>;

impl Builder<'_> {
    /// Adds or replaces columns.
    pub(crate) fn map(&mut self, stream: Stream, map: &Map, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let mut outputs = unchanged(&columns);
        for (name, sql) in map.0.iter() {
            let output = self.computed(name, sql, &columns);
            match outputs.iter_mut().find(|(before, ..)| *before == name.value) {
                Some(before) => *before = output,
                None => outputs.push(output),
            }
        }
        self.project(stream, columns, outputs, place)
    }

    /// Keeps only what is named.
    pub(crate) fn select(&mut self, stream: Stream, select: &Select, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let outputs = match select {
            Select::Columns(names) => {
                let mut outputs: Outputs = Vec::new();
                for name in names {
                    if outputs.iter().any(|(before, ..)| *before == name.value) {
                        let what = format!("`{name}` stands twice");
                        self.findings.error(codes::DUPLICATE_COLUMN, name.span, what).help("Remove one.");
                        continue;
                    }
                    outputs.push(self.selected(name, &columns));
                }
                outputs
            }
            Select::Expressions(entries) => {
                entries.iter().map(|(name, sql)| self.computed(name, sql, &columns)).collect()
            }
        };
        if outputs.is_empty() {
            self.findings
                .error(codes::NO_COLUMNS, place.span, "`select` names no column")
                .help("Name at least one: rows without columns cannot be written.");
        }
        self.project(stream, columns, outputs, place)
    }

    /// Removes columns.
    pub(crate) fn drop_columns(&mut self, stream: Stream, drop: &Drop, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let mut dropped = BTreeSet::new();
        for name in drop.0.iter() {
            if columns.get(name).is_none() {
                group_keys::unknown(name, &columns, &mut self.findings);
            } else if !dropped.insert(name.as_str()) {
                self.findings
                    .error(codes::DUPLICATE_COLUMN, name.span, format!("`{name}` stands twice"))
                    .help("Remove one.");
            }
        }
        let mut outputs = unchanged(&columns);
        outputs.retain(|(name, ..)| !dropped.contains(name.as_str()));
        if outputs.is_empty() {
            self.findings
                .error(codes::NO_COLUMNS, place.span, "no column is left")
                .help("Keep at least one: rows without columns cannot be written.");
        }
        self.project(stream, columns, outputs, place)
    }

    /// Gives columns other names.
    pub(crate) fn rename(&mut self, stream: Stream, rename: &Rename, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let mut outputs = unchanged(&columns);
        for (old, new) in rename.0.iter() {
            column_names::check(new, &mut self.findings);
            match columns.visible.iter().position(|column| column.name == old.value) {
                Some(index) => outputs[index].0 = new.value.clone(),
                None => group_keys::unknown(old, &columns, &mut self.findings),
            }
        }
        for (old, new) in rename.0.iter().filter(|(old, _)| columns.get(old).is_some()) {
            if outputs.iter().filter(|(name, ..)| *name == new.value).count() > 1 {
                self.findings
                    .error(codes::COLUMN_CLASH, new.span, format!("two columns would be named `{new}`"))
                    .help(format!("Give `{old}` another name, or drop the other column before."));
            }
        }
        let mut seen = BTreeSet::new();
        outputs.retain(|(name, ..)| seen.insert(name.clone()));
        self.project(stream, columns, outputs, place)
    }

    /// Changes the types of columns.
    pub(crate) fn cast(&mut self, stream: Stream, cast: &Cast, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let schema = columns.schema();
        let mut outputs = unchanged(&columns);
        for (name, to) in cast.0.iter() {
            let Some(index) = columns.visible.iter().position(|column| column.name == name.value) else {
                group_keys::unknown(name, &columns, &mut self.findings);
                continue;
            };
            let Some(from) = &columns.visible[index].data_type else { continue };
            let target = to.data_type().clone();
            outputs[index].1 = Some(target.clone());
            if *from == target {
                continue;
            }
            outputs[index].2 = Some(Value::Cast(name.value.clone(), target.clone()));
            if let Err(error) = schema.index_of(name).map_or(Ok(()), |at| Expr::cast(at, &target, &schema).map(drop)) {
                debug_assert_eq!(error.kind, ExprErrorKind::Type);
                let what = format!("`{name}`, {}, cannot be cast to {}", a(from), sql_name(&target));
                let help = error.help.unwrap_or_else(|| "Choose another type, or compute it by `map`.".to_owned());
                self.findings.error(codes::BAD_CAST, to.span, what).help(help);
            }
        }
        self.project(stream, columns, outputs, place)
    }

    /// A new column.
    fn computed(
        &mut self,
        name: &Name,
        sql: &Expression,
        columns: &Columns,
    ) -> (String, Option<DataType>, Option<Value>) {
        column_names::check(name, &mut self.findings);
        let checked = expression::column(sql, columns, &mut self.findings);
        let data_type = checked.as_ref().map(|checked| checked.data_type.clone());
        let value = checked.map(|checked| {
            // A column by its own name alone keeps what is known of it: how rows are spread, and their key.
            let bare = checked.sql.trim().trim_matches('"');
            let is_column = checked.reads.len() == 1 && checked.reads.contains(bare) && columns.get(bare).is_some();
            if is_column { Value::Column(bare.to_owned()) } else { Value::Computed(checked) }
        });
        (name.value.clone(), data_type, value)
    }

    fn selected(&mut self, name: &Name, columns: &Columns) -> (String, Option<DataType>, Option<Value>) {
        match columns.get(name) {
            Some(column) => unchanged_column(column),
            None => {
                if columns.hidden().contains(&name.as_str()) {
                    let visible = name.trim_start_matches('_');
                    self.findings
                        .error(
                            codes::RESERVED_COLUMN,
                            name.span,
                            format!("`{name}` is a system column and has no place here"),
                        )
                        .help(format!("Give it another name: `- select: {{{visible}: {name}}}`."));
                } else {
                    group_keys::unknown(name, columns, &mut self.findings);
                }
                (name.value.clone(), None, None)
            }
        }
    }

    fn project(&mut self, stream: Stream, before: Columns, outputs: Outputs, place: &Place) -> Stream {
        let visible =
            outputs.iter().map(|(name, data_type, _)| Column { name: name.clone(), data_type: data_type.clone() });
        let columns = Columns { visible: visible.collect(), system: before.system };
        let outputs =
            outputs.into_iter().filter_map(|(name, _, value)| Some((name, value?))).collect::<Vec<(String, Value)>>();
        let edge = self.append(place.name.clone(), stream.edge, columns, Op::Project(outputs.clone()));
        stream.through(edge, &outputs)
    }
}

fn unchanged(columns: &Columns) -> Outputs {
    columns.visible.iter().map(unchanged_column).collect()
}

fn unchanged_column(column: &Column) -> (String, Option<DataType>, Option<Value>) {
    (column.name.clone(), column.data_type.clone(), Some(Value::Column(column.name.clone())))
}
