//! From syntax to something that computes: names resolved, types converted, constants folded, overflow made an error.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, Result, ScalarValue, TableReference, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::sqlparser::ast::{
    DataType as SqlType, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, Visit,
    Visitor,
};
use datafusion_expr::{AggregateUDF, Expr as Logical, HigherOrderUDF, Operator, ScalarUDF, TableSource, WindowUDF};
use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::expressions::{self, BinaryExpr, Column, Literal, NegativeExpr};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};

use super::check::function_name;
use super::functions::FUNCTIONS;
use super::message::in_our_words;
use super::source::Source;
use super::{Code, Expr, ExprError, ExprErrorKind, casts, literals, rules};
use crate::types::sql_name;

/// The columns that an expression may name.
#[derive(Debug)]
pub(super) struct Scope {
    schema: SchemaRef,
    names: DFSchemaRef,
}

impl Scope {
    pub(super) fn new(schema: &SchemaRef) -> Result<Scope, ExprError> {
        let names = DFSchema::try_from(Arc::clone(schema)).map_err(|error| ExprError {
            kind: ExprErrorKind::Unsupported,
            message: format!("the columns cannot be told apart: {}", in_our_words(&error)),
            span: None,
            help: None,
        })?;
        Ok(Scope { schema: Arc::clone(schema), names: Arc::new(names) })
    }
}

/// Why a part of an expression cannot be compiled.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ExprErrorKind,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Whether the message was written here, and is better than what can be said of the place.
    pub(super) ours: bool,
}

impl Fault {
    /// Types that do not fit.
    pub(super) fn types(message: String, help: Option<String>) -> Fault {
        Fault { kind: ExprErrorKind::Type, message, help, ours: true }
    }

    /// What the library says.
    pub(super) fn of(error: &DataFusionError) -> Fault {
        let kind = match error.find_root() {
            DataFusionError::NotImplemented(_) => ExprErrorKind::Unsupported,
            _ => ExprErrorKind::Type,
        };
        Fault { kind, message: in_our_words(error), help: None, ours: false }
    }
}

/// Compiles an expression that has been checked.
pub(super) fn compile(source: Source<'_>, ast: &SqlExpr, scope: &Scope) -> Result<Expr, ExprError> {
    match plan(ast, scope) {
        Ok(mut expr) => {
            expr.sql = source.text_of(ast).into();
            Ok(expr)
        }
        Err(fault) => Err(locate(source, ast, scope, fault)),
    }
}

/// `expr` cast to `target`; a value that cannot be cast is an error of its row.
pub(super) fn cast(expr: &Expr, target: &DataType, schema: &SchemaRef) -> Result<Expr, ExprError> {
    if expr.data_type() == target {
        return Ok(expr.clone());
    }
    let refused = |help: Option<String>| ExprError {
        kind: ExprErrorKind::Type,
        message: format!("cannot cast {} to {}", sql_name(expr.data_type()), sql_name(target)),
        span: None,
        help,
    };
    if !can_cast_types(expr.data_type(), target) {
        return Err(refused(None));
    }
    let inner = match &expr.code {
        Code::Column(index) => Arc::new(Column::new(schema.field(*index).name(), *index)) as Arc<dyn PhysicalExpr>,
        Code::Physical(physical) => Arc::clone(physical),
    };
    let physical = casts::physical(inner, expr.data_type(), target, schema)
        .map_err(|error| refused(Some(in_our_words(&error))))?;
    Ok(Expr { sql: Arc::clone(&expr.sql), data_type: target.clone(), code: Code::Physical(physical) })
}

/// The value of an expression that is a literal.
pub(super) fn literal(expr: &Expr) -> Option<ScalarValue> {
    match &expr.code {
        Code::Column(_) => None,
        Code::Physical(physical) => physical.downcast_ref::<Literal>().map(|literal| literal.value().clone()),
    }
}

/// The physical form of a logical expression whose types fit, with overflow as an error.
pub(super) fn physical_of(expr: &Logical, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let physical = create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    strict(physical, schema.as_arrow())
}

fn plan(ast: &SqlExpr, scope: &Scope) -> Result<Expr, Fault> {
    // The planner is a library's: what it does not expect must not take the process down.
    catch_unwind(AssertUnwindSafe(|| plan_unguarded(ast, scope))).unwrap_or_else(|_| {
        Err(Fault {
            kind: ExprErrorKind::Unsupported,
            message: "this expression is not supported".to_owned(),
            help: None,
            ours: false,
        })
    })
}

fn plan_unguarded(ast: &SqlExpr, scope: &Scope) -> Result<Expr, Fault> {
    let fault = |error: DataFusionError| Fault::of(&error);
    let names = scope.names.as_ref();
    let planner = SqlToRel::new_with_options(&*PROVIDER, options());
    let logical = planner.sql_to_expr(ast.clone(), names, &mut PlannerContext::new()).map_err(fault)?;
    let logical = literals::fit_decimals(logical, names).map_err(fault)?;
    rules::check(&logical, names)?;
    let logical = rules::narrow_literals(logical, names).map_err(fault)?;
    let logical = logical.rewrite(&mut TypeCoercionRewriter::new(names)).data().map_err(fault)?;
    rules::check_constants(&logical)?;
    let logical = casts::ours(logical, names).map_err(fault)?;
    let context = SimplifyContext::builder().with_schema(Arc::clone(&scope.names)).build();
    // Without reordering: what a user wrote first guards what comes after it.
    let simplifier = ExprSimplifier::new(context).with_canonicalize(false);
    let logical = simplifier.simplify(logical).map_err(fault)?;
    let physical = physical_of(&logical, names).map_err(fault)?;
    let data_type = physical.data_type(&scope.schema).map_err(fault)?;
    try_out(&physical, &scope.schema)?;
    let code = match physical.downcast_ref::<Column>() {
        Some(column) => Code::Column(column.index()),
        None => Code::Physical(physical),
    };
    let expr = Expr { sql: Arc::from(""), data_type, code };
    let plain = plain_type(expr.data_type());
    match expr.code {
        Code::Column(_) => Ok(expr),
        Code::Physical(_) => {
            let refused =
                |error: ExprError| Fault { kind: error.kind, message: error.message, help: error.help, ours: true };
            let expr = cast(&expr, &plain, &scope.schema).map_err(refused)?;
            match &expr.code {
                Code::Physical(physical) if expr.columns().is_empty() => rules::check_value(physical)?,
                Code::Physical(_) | Code::Column(_) => {}
            }
            Ok(expr)
        }
    }
}

/// Finds what the types do not show, such as `date_part('fortnight', ts)`: what fails without any row fails with all.
/// Arithmetic is left alone, for a guard may stand before it.
fn try_out(physical: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<(), Fault> {
    match physical.evaluate(&RecordBatch::new_empty(Arc::clone(schema))) {
        Err(error) => match error.find_root() {
            // Kernels may want at least one row, but types that they do not know they never do.
            DataFusionError::ArrowError(kind, _) => match &**kind {
                ArrowError::NotYetImplemented(_) => Err(Fault::of(&error)),
                ArrowError::InvalidArgumentError(why) if why.starts_with("Invalid comparison operation") => {
                    Err(Fault::of(&error))
                }
                _ => Ok(()),
            },
            DataFusionError::Internal(_) => Err(Fault::of(&error)),
            _ => Err(Fault { ours: true, ..Fault::of(&error) }),
        },
        Ok(_) => Ok(()),
    }
}

/// The type under which values of `data_type` leave an expression: one of those that a pipeline can name.
fn plain_type(data_type: &DataType) -> DataType {
    let item = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain_type(field.data_type())));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second | TimeUnit::Millisecond => TimeUnit::Millisecond,
                TimeUnit::Microsecond | TimeUnit::Nanosecond => TimeUnit::Microsecond,
            };
            DataType::Timestamp(unit, Some(zone.clone().unwrap_or_else(|| UTC.into())))
        }
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::List(item(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(item).collect()),
        other => other.clone(),
    }
}

const UTC: &str = "UTC";

/// Makes integer arithmetic fail where it would wrap.
fn strict(physical: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    physical
        .transform_up(|node| {
            if let Some(binary) = node.downcast_ref::<BinaryExpr>()
                && matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply)
            {
                return Ok(Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as _));
            }
            if let Some(negative) = node.downcast_ref::<NegativeExpr>()
                && let Ok(data_type) = negative.arg().data_type(schema)
                && data_type.is_integer()
            {
                return Ok(Transformed::yes(negated(negative, &data_type)?));
            }
            Ok(Transformed::no(node))
        })
        .data()
}

/// `-x` as `0 - x`, which can fail.
fn negated(negative: &NegativeExpr, data_type: &DataType) -> Result<Arc<dyn PhysicalExpr>> {
    let zero = expressions::lit(ScalarValue::new_zero(data_type)?);
    let difference = BinaryExpr::new(zero, Operator::Minus, Arc::clone(negative.arg()));
    Ok(Arc::new(difference.with_fail_on_overflow(true)))
}

/// Finds the smallest part of an expression that cannot be compiled on its own, and says what is wrong with it.
fn locate(source: Source<'_>, ast: &SqlExpr, scope: &Scope, whole: Fault) -> ExprError {
    struct Locate<'a>(&'a Scope);
    impl Visitor for Locate<'_> {
        type Break = (SqlExpr, Fault);
        fn post_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Self::Break> {
            match plan(expr, self.0) {
                Ok(_) => ControlFlow::Continue(()),
                Err(fault) => ControlFlow::Break((expr.clone(), fault)),
            }
        }
    }
    let (at, fault) = match ast.visit(&mut Locate(scope)) {
        ControlFlow::Break(found) => found,
        ControlFlow::Continue(()) => (ast.clone(), whole),
    };
    let fault = if fault.ours { fault } else { describe(&at, scope, fault) };
    source.error(fault.kind, source.range_of(&at), fault.message, fault.help)
}

/// A better message than the library's, from the types of the parts.
fn describe(ast: &SqlExpr, scope: &Scope, fault: Fault) -> Fault {
    let type_of = |part: &SqlExpr| plan(part, scope).ok().map(|expr| sql_name(expr.data_type()));
    if fault.message.contains("regular expression") {
        return fault;
    }
    match ast {
        SqlExpr::BinaryOp { left, op, right } => match (type_of(left), type_of(right)) {
            (Some(left), Some(right)) => Fault::types(format!("`{op}` does not take {left} and {right}"), None),
            _ => fault,
        },
        SqlExpr::UnaryOp { op, expr } => match type_of(expr) {
            Some(operand) => Fault::types(format!("`{op}` does not take {operand}"), None),
            None => fault,
        },
        SqlExpr::Function(function) => match argument_types(function, type_of) {
            Some(types) => {
                let name = function_name(function);
                let message = match types.len() {
                    0 => format!("`{name}` wants arguments"),
                    _ => format!("`{name}` does not take ({})", types.join(", ")),
                };
                let syntax = FUNCTIONS.scalar(&name).and_then(|known| known.documentation());
                let help = syntax.map(|known| format!("It is written `{}`.", known.syntax_example));
                Fault::types(message, help)
            }
            None => fault,
        },
        SqlExpr::Cast { expr, data_type, .. } => {
            let name = data_type.to_string().to_lowercase();
            let mut of_null = ast.clone();
            if let SqlExpr::Cast { expr, .. } = &mut of_null {
                **expr = SqlExpr::Value(Value::Null.into());
            }
            match type_of(expr) {
                Some(from) if type_of(&of_null).is_some() => {
                    Fault::types(format!("cannot cast {from} to {name}"), None)
                }
                _ => Fault { kind: ExprErrorKind::Type, message: format!("there is no type `{name}` here"), ..fault },
            }
        }
        SqlExpr::Substring { .. } => Fault::types(
            "`substring` wants a string, where to start, and perhaps how many characters".to_owned(),
            Some("It is written `substr(text, start, length)`, and the first character is 1.".to_owned()),
        ),
        SqlExpr::Case { conditions, else_result, .. } => {
            let values = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            let types = values.filter_map(type_of).collect::<Vec<_>>();
            Fault::types(format!("the values of CASE do not fit each other: {}", types.join(", ")), None)
        }
        _ => fault,
    }
}

fn argument_types(function: &Function, type_of: impl Fn(&SqlExpr) -> Option<String>) -> Option<Vec<String>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => type_of(arg),
            _ => None,
        })
        .collect()
}

fn options() -> ParserOptions {
    ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(false)
        .with_parse_float_as_decimal(true)
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| Provider {
    options: ConfigOptions::default(),
    planners: vec![
        Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
        Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
        Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
        Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
        Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
    ],
    types: Arc::new(Types),
});

/// What the planner may know: functions and types, no tables.
#[derive(Debug)]
struct Provider {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
    types: Arc<dyn TypePlanner>,
}

impl ContextProvider for Provider {
    fn get_table_source(&self, _name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("there are no tables here")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        FUNCTIONS.scalar(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.names().into_iter().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// SQL's names of types where they mean something else here than in the dialect.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let data_type = match sql_type {
            SqlType::Timestamp(Some(0..=3), _) => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            SqlType::Timestamp(..) | SqlType::Datetime(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
            }
            SqlType::Bytes(_) => DataType::Binary,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
