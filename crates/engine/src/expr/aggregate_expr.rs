//! Expressions over aggregates: the calls are taken out, what is left is a scalar expression over their values.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_expr::sqlparser::ast::{
    DuplicateTreatment, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Spanned,
    Visit, VisitMut, Visitor, VisitorMut,
};

use super::check::{check, check_depth, check_name, function_name, unknown_column};
use super::plan::{self, Scope};
use super::source::Source;
use super::{AggregateExpr, Expr, ExprError, ExprErrorKind, parse};
use crate::aggregate::{self, AggregateCall, CallSite, Distinct};
use crate::types::sql_name;

/// Compiles `sql` against `schema`; see [`AggregateExpr::compile`].
pub(super) fn compile(sql: &str, schema: &SchemaRef) -> Result<AggregateExpr, ExprError> {
    let source = Source::new(sql);
    let mut ast = parse::parse(source, schema)?;
    check_depth(source, &ast)?;
    let scope = Scope::new(schema)?;
    let mut calls = Calls { source, schema, scope, names: aggregate::names(), calls: Vec::new(), keys: Vec::new() };
    if let ControlFlow::Break(error) = VisitMut::visit(&mut ast, &mut calls) {
        return Err(error);
    }
    let Calls { calls, .. } = calls;
    if let ControlFlow::Break(error) = ast.visit(&mut BareColumns { source, schema, calls: calls.len() }) {
        return Err(error);
    }
    let values = calls
        .iter()
        .enumerate()
        .map(|(index, call)| Field::new(placeholder(index), call.function.return_type.clone(), true));
    let values: SchemaRef = Arc::new(Schema::new(values.collect::<Vec<_>>()));
    check(source, &ast, &values)?;
    if calls.is_empty() {
        let help = "Name one, such as `count(*)` or `sum(x)`.".to_owned();
        return Err(source.error(ExprErrorKind::Unsupported, None, "there is no aggregate in it", help));
    }
    let mut result = plan::compile(source, &ast, &Scope::new(&values)?)?;
    result.sql = sql.into();
    Ok(AggregateExpr { calls, result })
}

/// The name under which the value of call `index` stands in what is left: not one that anybody would give a column.
fn placeholder(index: usize) -> String {
    format!("\u{1}{index}")
}

/// Takes the aggregate calls out of an expression, outermost first, and puts names of columns in their place.
struct Calls<'a> {
    source: Source<'a>,
    schema: &'a SchemaRef,
    scope: Scope,
    names: Vec<&'static str>,
    calls: Vec<AggregateCall>,
    /// How each call reads: equal calls are computed once.
    keys: Vec<String>,
}

impl VisitorMut for Calls<'_> {
    type Break = ExprError;

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<ExprError> {
        let SqlExpr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
        let name = function_name(function);
        if !self.names.contains(&name.as_str()) {
            return check_name(self.source, function);
        }
        let filter = function.filter.as_ref().map_or_else(String::new, ToString::to_string);
        let within = function.within_group.iter().map(ToString::to_string).collect::<String>();
        let key = format!("{name}{} {within} {filter}", function.args);
        let index = match self.keys.iter().position(|known| *known == key) {
            Some(index) => index,
            None => match self.call(&name, function, expr) {
                Ok(call) => {
                    self.calls.push(call);
                    self.keys.push(key);
                    self.calls.len() - 1
                }
                Err(error) => return ControlFlow::Break(error),
            },
        };
        *expr = SqlExpr::Identifier(Ident::with_quote_and_span('"', expr.span(), placeholder(index)));
        ControlFlow::Continue(())
    }
}

impl Calls<'_> {
    fn call(&self, name: &str, function: &Function, expr: &SqlExpr) -> Result<AggregateCall, ExprError> {
        let refuse = |message: String, help: Option<String>| {
            let span = self.source.range(function.name.span());
            Err(self.source.error(ExprErrorKind::Unsupported, span, message, help))
        };
        if function.over.is_some() {
            let help = "Use a window step: `over:` gives the aggregate of the rows before each row.".to_owned();
            return refuse(format!("`{name}` with OVER has no place in an expression"), Some(help));
        }
        if function.null_treatment.is_some() || !matches!(function.parameters, FunctionArguments::None) {
            return refuse(format!("`{name}` is not written so: it takes arguments, `distinct` and `filter`"), None);
        }
        let FunctionArguments::List(list) = &function.args else {
            return refuse(format!("`{name}` wants parentheses"), Some(format!("Write `{name}(..)`.")));
        };
        if !list.clauses.is_empty() {
            let help = "Rows count in the order of their event times.".to_owned();
            return refuse(format!("`{name}` takes no ORDER BY, LIMIT or NULLS"), Some(help));
        }
        let args = self.args(name, function, &list.args)?;
        let arg_types = args.iter().map(|arg| arg.data_type().clone()).collect::<Vec<_>>();
        let literals = args.iter().map(plan::literal).collect::<Vec<_>>();
        let distinct = match list.duplicate_treatment {
            Some(DuplicateTreatment::Distinct) => Distinct::Once,
            _ => Distinct::All,
        };
        let whole = || self.source.range_of(expr);
        let located = |mut error: ExprError| {
            error.span = error.span.or_else(whole);
            error
        };
        let site = CallSite { name, distinct, arg_types: &arg_types, literals: &literals };
        let function_of = aggregate::resolve(site).map_err(located)?;
        let args = args
            .iter()
            .zip(&function_of.arg_types)
            .map(|(arg, target)| plan::cast(arg, target, self.schema).map_err(located))
            .collect::<Result<Vec<_>, _>>()?;
        let filter = function.filter.as_deref().map(|filter| self.filter(filter)).transpose()?;
        Ok(AggregateCall { function: function_of, args, filter })
    }

    /// The arguments; what stands behind WITHIN GROUP comes first.
    fn args(&self, name: &str, function: &Function, args: &[FunctionArg]) -> Result<Vec<Expr>, ExprError> {
        if let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = args
            && name == "count"
        {
            return Ok(Vec::new());
        }
        let mut exprs = Vec::new();
        for order in &function.within_group {
            if order.options.asc == Some(false) || order.options.nulls_first.is_some() || order.with_fill.is_some() {
                let message = format!("`{name}` takes WITHIN GROUP in ascending order only");
                let span = self.source.range(order.span());
                return Err(self.source.error(ExprErrorKind::Unsupported, span, message, None));
            }
            exprs.push(self.scalar(&order.expr)?);
        }
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else {
                let span = self.source.range(function.name.span());
                let message = format!("`{name}` does not take `{arg}`");
                let help = "Only `count` takes `*`, and no argument has a name.".to_owned();
                return Err(self.source.error(ExprErrorKind::Type, span, message, help));
            };
            exprs.push(self.scalar(arg)?);
        }
        Ok(exprs)
    }

    fn scalar(&self, ast: &SqlExpr) -> Result<Expr, ExprError> {
        check(self.source, ast, self.schema)?;
        plan::compile(self.source, ast, &self.scope)
    }

    fn filter(&self, ast: &SqlExpr) -> Result<Expr, ExprError> {
        let filter = self.scalar(ast)?;
        if *filter.data_type() == DataType::Boolean {
            return Ok(filter);
        }
        let message = format!("a filter must be boolean, and this is {}", sql_name(filter.data_type()));
        Err(self.source.error(ExprErrorKind::Type, self.source.range_of(ast), message, None))
    }
}

/// Refuses columns beside aggregates: of which row of the group would they be?
struct BareColumns<'a> {
    source: Source<'a>,
    schema: &'a Schema,
    calls: usize,
}

impl Visitor for BareColumns<'_> {
    type Break = ExprError;

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<ExprError> {
        let ident = match expr {
            SqlExpr::Identifier(ident) => ident,
            SqlExpr::CompoundIdentifier(idents) => match idents.first() {
                Some(ident) => ident,
                None => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        if (0..self.calls).any(|index| ident.value == placeholder(index)) {
            return ControlFlow::Continue(());
        }
        let name = &ident.value;
        if self.schema.column_with_name(name).is_none() {
            return ControlFlow::Break(unknown_column(self.source, ident, self.schema));
        }
        let message = format!("`{name}` stands outside of an aggregate, and a group has many rows");
        let help = format!("Put it in `by`, or say which: `first({name})`, `last({name})`.");
        let span = self.source.range(ident.span);
        ControlFlow::Break(self.source.error(ExprErrorKind::Unsupported, span, message, help))
    }
}
