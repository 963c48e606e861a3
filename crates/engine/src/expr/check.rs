//! What can be said of an expression before its types are known: columns, functions, and SQL that has no place here.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Fields, Schema};
use datafusion_expr::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Spanned, Value,
    ValueWithSpan, Visit, Visitor,
};

use super::functions::{FUNCTIONS, volatile};
use super::parse::{quoted_column, too_complex};
use super::source::Source;
use super::suggest::{column_help, function_help, nearest};
use super::{ExprError, ExprErrorKind};
use crate::types::sql_name;

/// The deepest syntax tree that is compiled.
const MAX_DEPTH: usize = 64;
/// The most nodes that an expression may have once its shorthands are written out.
const MAX_NODES: usize = 50_000;

/// Checks an expression of scalars over the columns of `schema`.
pub(super) fn check(source: Source<'_>, ast: &SqlExpr, schema: &Schema) -> Result<(), ExprError> {
    let mut check = Check { source, schema, depth: 0, weights: vec![1] };
    match ast.visit(&mut check) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Refuses trees that are too deep for those who walk them later.
pub(super) fn check_depth(source: Source<'_>, ast: &SqlExpr) -> Result<(), ExprError> {
    struct Depth(usize);
    impl Visitor for Depth {
        type Break = ();
        fn pre_visit_expr(&mut self, _: &SqlExpr) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 > MAX_DEPTH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn post_visit_expr(&mut self, _: &SqlExpr) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }
    }
    match ast.visit(&mut Depth(0)) {
        ControlFlow::Break(()) => Err(too_deep(source)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn too_deep(source: Source<'_>) -> ExprError {
    let mut error = too_complex(source, &format!("the expression is more than {MAX_DEPTH} levels deep"));
    error.help = Some(
        "Split it: compute parts of it as columns in a step before, and write long chains of OR as `IN (..)`.".into(),
    );
    error
}

/// The name by which a function is looked up: unquoted names in lower case.
pub(super) fn function_name(function: &Function) -> String {
    match function.name.0.as_slice() {
        [part] => match part.as_ident() {
            Some(Ident { value, quote_style: Some(_), .. }) => value.clone(),
            Some(ident) => ident.value.to_lowercase(),
            None => function.name.to_string(),
        },
        _ => function.name.to_string(),
    }
}

struct Check<'a> {
    source: Source<'a>,
    schema: &'a Schema,
    depth: usize,
    /// For each open node the nodes that it stands for so far: some shorthands repeat what they are applied to.
    weights: Vec<usize>,
}

impl Visitor for Check<'_> {
    type Break = ExprError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<ExprError> {
        let help = "Only the row's own columns can be read here.".to_owned();
        self.refuse(query.span(), "a subquery has no place in an expression", help)
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<ExprError> {
        match &value.value {
            Value::Placeholder(name) => {
                let message = format!("`{name}` is a placeholder, and there is nothing to put in its place");
                self.refuse(value.span, message, "Values from outside are written `${env:NAME}`.".to_owned())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return ControlFlow::Break(too_deep(self.source));
        }
        self.weights.push(1);
        match expr {
            SqlExpr::Identifier(ident) => self.column(ident),
            SqlExpr::CompoundIdentifier(idents) => self.path(idents),
            SqlExpr::Function(function) => self.function(function),
            SqlExpr::Subquery(_) | SqlExpr::Exists { .. } | SqlExpr::InSubquery { .. } => {
                let help = "Only the row's own columns can be read here.".to_owned();
                self.refuse(expr.span(), "a subquery has no place in an expression", help)
            }
            SqlExpr::Wildcard(_) | SqlExpr::QualifiedWildcard(..) => {
                self.refuse(expr.span(), "`*` has no place in an expression", "Name the columns.".to_owned())
            }
            SqlExpr::Interval(interval) if !matches!(*interval.value, SqlExpr::Value(_)) => {
                let help = match self.schema.index_of("interval") {
                    Ok(_) => quoted_column("interval"),
                    Err(_) => "An interval is written `interval '1 day'`.".to_owned(),
                };
                self.refuse(interval.value.span(), "an interval wants a string", help)
            }
            SqlExpr::Named { name, .. } => {
                let help = "Write `named_struct('a', x, 'b', y)`, or `{'a': x, 'b': y}`.".to_owned();
                self.refuse(name.span, "a struct's fields are not named so", help)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<ExprError> {
        self.depth -= 1;
        let weight = self.weights.pop().unwrap_or(1).saturating_mul(repeats(expr));
        let above = self.weights.last_mut().expect("the root has a weight of its own");
        *above = above.saturating_add(weight);
        if *above > MAX_NODES {
            let message = "the expression is too large once its shorthands are written out";
            return ControlFlow::Break(too_complex(self.source, message));
        }
        ControlFlow::Continue(())
    }
}

/// How often the compiler may repeat what stands in a node: `coalesce(a, b)` becomes
/// `case when a is not null then a else b end`.
fn repeats(expr: &SqlExpr) -> usize {
    match expr {
        SqlExpr::Between { .. } => 2,
        SqlExpr::InList { list, .. } if list.len() <= 3 => 3,
        SqlExpr::Function(function) => match function_name(function).as_str() {
            "coalesce" | "nvl" | "ifnull" | "nvl2" | "nullif" | "greatest" | "least" => 2,
            _ => 1,
        },
        _ => 1,
    }
}

impl Check<'_> {
    fn refuse(
        &self,
        span: datafusion_expr::sqlparser::tokenizer::Span,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> ControlFlow<ExprError> {
        let span = self.source.range(span);
        ControlFlow::Break(self.source.error(ExprErrorKind::Unsupported, span, message, help))
    }

    fn column(&self, ident: &Ident) -> ControlFlow<ExprError> {
        if self.schema.column_with_name(&ident.value).is_some() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(unknown_column(self.source, ident, self.schema))
    }

    /// `a.b.c`: a column and fields within it.
    fn path(&self, idents: &[Ident]) -> ControlFlow<ExprError> {
        let Some((first, fields)) = idents.split_first() else { return ControlFlow::Continue(()) };
        let Some((_, column)) = self.schema.column_with_name(&first.value) else {
            return ControlFlow::Break(unknown_column(self.source, first, self.schema));
        };
        let mut within = column.data_type();
        let mut path = first.value.clone();
        for field in fields {
            match within {
                DataType::Struct(members) => match members.find(&field.value) {
                    Some((_, member)) => within = member.data_type(),
                    None => return ControlFlow::Break(self.unknown_field(field, &path, members)),
                },
                // What a map holds is known at run time only.
                DataType::Map(..) => return ControlFlow::Continue(()),
                other => {
                    let message = format!("`{path}` is a {} and has no field `{}`", sql_name(other), field.value);
                    let span = self.source.range(field.span);
                    return ControlFlow::Break(self.source.error(ExprErrorKind::Type, span, message, None));
                }
            }
            path.push('.');
            path.push_str(&field.value);
        }
        ControlFlow::Continue(())
    }

    fn unknown_field(&self, field: &Ident, path: &str, members: &Fields) -> ExprError {
        let names = members.iter().map(|member| member.name().as_str()).collect::<Vec<_>>();
        let message = format!("`{path}` has no field `{}`", field.value);
        let help = column_help(&field.value, &names).map(|help| help.replace("columns here", "fields of it"));
        self.source.error(ExprErrorKind::UnknownColumn, self.source.range(field.span), message, help)
    }

    fn function(&self, function: &Function) -> ControlFlow<ExprError> {
        let name = function_name(function);
        let span = function.name.span();
        if function.over.is_some() {
            let help = "Use a window step: `over:` gives the aggregate of the rows before each row.".to_owned();
            return self.refuse(span, format!("`{name}` with OVER has no place in an expression"), help);
        }
        check_name(self.source, function)?;
        if function.filter.is_some() || !function.within_group.is_empty() || function.null_treatment.is_some() {
            let message = format!("`{name}` is not an aggregate: it takes no FILTER, WITHIN GROUP or NULLS");
            return self.refuse(span, message, None);
        }
        let FunctionArguments::List(list) = &function.args else {
            return self.refuse(span, format!("`{name}` wants parentheses"), format!("Write `{name}(..)`."));
        };
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            let message = format!("`{name}` is not an aggregate: it takes no DISTINCT or ORDER BY");
            return self.refuse(span, message, None);
        }
        let star = list.args.iter().any(|arg| {
            !matches!(
                arg,
                FunctionArg::Unnamed(FunctionArgExpr::Expr(_))
                    | FunctionArg::Named { arg: FunctionArgExpr::Expr(_), .. }
                    | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(_), .. }
            )
        });
        if star {
            return self.refuse(span, format!("`{name}` does not take `*`"), "Name the columns.".to_owned());
        }
        ControlFlow::Continue(())
    }
}

/// Refuses functions that are not there, and those that are volatile.
pub(super) fn check_name(source: Source<'_>, function: &Function) -> ControlFlow<ExprError> {
    let name = function_name(function);
    let span = function.name.span();
    if let Some(instead) = volatile(&name) {
        let message = format!("the value of `{name}` is not decided by the row");
        let error = source.error(ExprErrorKind::Volatile, source.range(span), message, Some(instead.help()));
        return ControlFlow::Break(error);
    }
    if FUNCTIONS.knows(&name) {
        return ControlFlow::Continue(());
    }
    ControlFlow::Break(unknown_function(source, function, &name))
}

pub(super) fn unknown_column(source: Source<'_>, ident: &Ident, schema: &Schema) -> ExprError {
    let names = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
    let help = match (ident.quote_style, nearest(&ident.value, names.iter().copied())) {
        (Some('"'), None) => Some(format!("Double quotes name a column; a string is written '{}'.", ident.value)),
        (Some('"'), Some(near)) => {
            Some(format!("Did you mean the column `{near}`? A string is written '{}'.", ident.value))
        }
        _ => column_help(&ident.value, &names),
    };
    let message = format!("there is no column `{}`", ident.value);
    source.error(ExprErrorKind::UnknownColumn, source.range(ident.span), message, help)
}

/// An error for a name that is no scalar function: an aggregate, or nothing at all.
fn unknown_function(source: Source<'_>, function: &Function, name: &str) -> ExprError {
    let span = source.range(function.name.span());
    let aggregates = crate::aggregate::names();
    if aggregates.contains(&name) {
        let message = format!("`{name}` is an aggregate, and a value of one row is wanted here");
        let help = "Aggregates stand under `aggregates:` of a window or aggregate step, and not within each other.";
        return source.error(ExprErrorKind::Unsupported, span, message, Some(help.to_owned()));
    }
    if name == "unnest" {
        let help = "Use an `unnest` step: it makes a row of each element.".to_owned();
        return source.error(ExprErrorKind::UnknownFunction, span, "there is no function `unnest`", help);
    }
    let known = FUNCTIONS.names().into_iter().chain(aggregates);
    let help = function_help(name, known);
    source.error(ExprErrorKind::UnknownFunction, span, format!("there is no function `{name}`"), help)
}
