//! Expressions as users write them: values, types, rows at fault, and what is said of mistakes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;
use crate::error::RecordErrorKind;

fn schema() -> SchemaRef {
    let point =
        Fields::from(vec![Field::new("lat", DataType::Float64, true), Field::new("name", DataType::Utf8, true)]);
    Arc::new(Schema::new(vec![
        Field::new("price", DataType::Float64, true),
        Field::new("qty", DataType::Int64, true),
        Field::new("small", DataType::Int32, true),
        Field::new("venue", DataType::Utf8, true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("point", DataType::Struct(point), true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        Field::new("Mixed Case", DataType::Int64, true),
        Field::new("_key", DataType::Binary, true),
        Field::new("_offset", DataType::Int64, true),
        Field::new("day", DataType::Date32, true),
    ]))
}

fn rows() -> RecordBatch {
    let schema = schema();
    let DataType::Struct(point) = schema.field(6).data_type().clone() else { unreachable!() };
    let point = StructArray::new(
        point,
        vec![
            Arc::new(Float64Array::from(vec![1.5, 2.5, 3.5, 4.5])),
            Arc::new(StringArray::from(vec!["n", "s", "e", "w"])),
        ],
        None,
    );
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), Some("b")]);
    tags.append_value([Some("c")]);
    tags.append_null();
    tags.append_value(Vec::<Option<&str>>::new());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![Some(10.0), Some(20.0), None, Some(40.0)])),
        Arc::new(Int64Array::from(vec![Some(1), Some(0), Some(i64::MAX), None])),
        Arc::new(Int32Array::from(vec![Some(1), Some(i32::MAX), Some(-3), Some(4)])),
        Arc::new(StringArray::from(vec![Some("XNAS"), Some("12"), Some("x"), None])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)])),
        Arc::new(TimestampMillisecondArray::from(vec![0, 61_000, 1_767_225_600_000, 5]).with_timezone("UTC")),
        Arc::new(point),
        Arc::new(tags.finish()),
        Arc::new(Int64Array::from(vec![7, 8, 9, 10])),
        Arc::new(BinaryArray::from(vec![b"k".as_slice(), b"l", b"m", b"n"])),
        Arc::new(Int64Array::from(vec![100, 101, 102, 103])),
        Arc::new(Date32Array::from(vec![0, 1, 2, 3])),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

fn compile(sql: &str) -> Expr {
    Expr::compile(sql, &schema()).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

fn refuse(sql: &str) -> ExprError {
    match Expr::compile(sql, &schema()) {
        Ok(expr) => panic!("{sql} should be refused, and is {expr:?}"),
        Err(error) => {
            assert!(!error.message.contains("DataFusion"), "{error:?}");
            assert!(!error.message.ends_with('.'), "{error:?}");
            let first = error.message.chars().next().unwrap();
            assert!(
                !first.is_uppercase() || error.message.split(' ').next().unwrap().chars().all(char::is_uppercase),
                "{error:?}"
            );
            if let Some(help) = &error.help {
                assert!(help.ends_with(['.', '?']), "{error:?}");
            }
            if let Some(span) = &error.span {
                assert!(sql.get(span.clone()).is_some_and(|at| !at.is_empty()), "{error:?}");
            }
            error
        }
    }
}

/// The part of the text that the error marks.
fn marked(sql: &str) -> (ExprErrorKind, &str) {
    let error = refuse(sql);
    (error.kind, error.span.map_or("", |span| &sql[span]))
}

fn texts(values: &ArrayRef) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options).unwrap();
    (0..values.len()).map(|row| formatter.value(row).to_string()).collect()
}

fn values(sql: &str) -> Vec<String> {
    let expr = compile(sql);
    let (values, faults) = expr.evaluate(&rows());
    assert_eq!(values.data_type(), expr.data_type(), "{sql}");
    assert!(faults.is_empty(), "{sql}: {faults:?}");
    texts(&values)
}

fn faults(sql: &str) -> Vec<(usize, String)> {
    let (values, faults) = compile(sql).evaluate(&rows());
    for fault in &faults {
        assert_eq!(fault.error.kind, RecordErrorKind::Expression);
        assert!(values.is_null(fault.row));
    }
    faults.into_iter().map(|fault| (fault.row, fault.error.message)).collect()
}

fn type_of(sql: &str) -> String {
    crate::types::sql_name(compile(sql).data_type())
}

#[test]
fn values_are_those_of_sql() {
    let cases: &[(&str, &[&str])] = &[
        ("price", &["10.0", "20.0", "null", "40.0"]),
        ("price * qty", &["10.0", "0.0", "null", "null"]),
        ("1", &["1", "1", "1", "1"]),
        ("upper(venue)", &["XNAS", "12", "X", "null"]),
        ("UPPER(venue) like 'X%'", &["true", "false", "true", "null"]),
        ("venue ilike 'x'", &["false", "false", "true", "null"]),
        ("coalesce(venue, 'none')", &["XNAS", "12", "x", "none"]),
        ("nvl(price, 0)", &["10.0", "20.0", "0.0", "40.0"]),
        ("point.lat", &["1.5", "2.5", "3.5", "4.5"]),
        ("point['name']", &["n", "s", "e", "w"]),
        ("tags[1]", &["a", "c", "null", "null"]),
        ("array_length(tags)", &["2", "1", "null", "0"]),
        ("price == 20", &["false", "true", "null", "false"]),
        ("named_struct('a', small)['a']", &["1", "2147483647", "-3", "4"]),
        ("[small, 1][2]", &["1", "1", "1", "1"]),
        ("named_struct('a', point).a.lat", &["1.5", "2.5", "3.5", "4.5"]),
        ("{'a': small}['a']", &["1", "2147483647", "-3", "4"]),
        ("extract(minute from ts)", &["0", "1", "0", "0"]),
        ("date_part('year', ts)", &["1970", "1970", "2026", "1970"]),
        ("date_trunc('minute', ts) = timestamp '1970-01-01T00:01:00Z'", &["false", "true", "false", "false"]),
        ("ts + interval '1 second' > ts", &["true", "true", "true", "true"]),
        ("ts >= '2026-01-01'", &["false", "false", "true", "false"]),
        ("position('N' in venue)", &["2", "0", "0", "null"]),
        ("substring(venue from 2 for 2)", &["NA", "2", "", "null"]),
        ("substr(venue, 1, 1)", &["X", "1", "x", "null"]),
        ("trim(both 'X' from venue)", &["NAS", "12", "x", "null"]),
        ("venue || '-' || qty", &["XNAS-1", "12-0", "x-9223372036854775807", "null"]),
        ("concat(venue, '!', small)", &["XNAS!1", "12!2147483647", "x!-3", "!4"]),
        ("case when ok then 'yes' else 'no' end", &["yes", "no", "no", "yes"]),
        ("case venue when 'x' then 1 when '12' then 2 end", &["null", "2", "1", "null"]),
        ("qty between 0 and 5", &["true", "true", "false", "null"]),
        ("venue in ('x', 'y')", &["false", "false", "true", "null"]),
        ("small in (1, 4)", &["true", "false", "false", "true"]),
        ("qty is null", &["false", "false", "false", "true"]),
        ("not ok", &["false", "true", "null", "false"]),
        ("ok is true", &["true", "false", "false", "true"]),
        ("\"Mixed Case\" + 1", &["8", "9", "10", "11"]),
        ("_offset % 2 = 0", &["true", "false", "true", "false"]),
        ("_key = 'k'", &["true", "false", "false", "false"]),
        ("cast(small as string)", &["1", "2147483647", "-3", "4"]),
        ("small::double / 2", &["0.5", "1073741823.5", "-1.5", "2.0"]),
        ("try_cast(venue as int)", &["null", "12", "null", "null"]),
        ("-small", &["-1", "-2147483647", "3", "-4"]),
        ("abs(small)", &["1", "2147483647", "3", "4"]),
        ("round(price / 3, 1)", &["3.3", "6.7", "null", "13.3"]),
        ("regexp_like(venue, '^X')", &["true", "false", "false", "null"]),
        ("nullif(small, 4)", &["1", "2147483647", "-3", "null"]),
        ("greatest(small, 2)", &["2", "2147483647", "2", "4"]),
        ("day + 1", &["1970-01-02", "1970-01-03", "1970-01-04", "1970-01-05"]),
    ];
    for (sql, expected) in cases {
        assert_eq!(values(sql), *expected, "{sql}");
    }
}

#[test]
fn types_hold_no_surprises() {
    let cases = [
        ("price * qty", "double"),
        ("qty + 1", "bigint"),
        ("small + 1", "int"),
        ("1 + small", "int"),
        ("small + 3000000000", "bigint"),
        ("small + qty", "bigint"),
        ("coalesce(small, 0)", "int"),
        ("case when ok then small else 0 end", "int"),
        ("case when ok then small else null end", "int"),
        ("qty / 2", "bigint"),
        ("qty / 2.0", "double"),
        ("upper(venue)", "string"),
        ("substr(venue, 2)", "string"),
        ("to_timestamp('2026-01-01T00:00:00Z')", "timestamp(us)"),
        ("cast(venue as timestamp)", "timestamp(us)"),
        ("cast(venue as timestamp(3))", "timestamp(ms)"),
        ("cast(venue as bytes)", "bytes"),
        ("cast(venue as decimal(10,2))", "decimal(10,2)"),
        ("cast(venue as float)", "float"),
        ("cast(venue as date)", "date"),
        ("date_trunc('hour', ts)", "timestamp(ms)"),
        ("ts + interval '1 hour'", "timestamp(ms)"),
        ("array_length(tags)", "bigint"),
        ("split_part(venue, 'A', 1)", "string"),
        ("tags", "array<string>"),
        ("[1, 2]", "array<bigint>"),
        ("{'a': qty}", "struct<a: bigint>"),
        ("venue = 'x'", "boolean"),
    ];
    for (sql, expected) in cases {
        assert_eq!(type_of(sql), expected, "{sql}");
    }
}

#[test]
fn rows_at_fault_stand_alone() {
    assert_eq!(faults("qty + 1"), [(2, "integer overflow: 9223372036854775807 + 1".to_owned())]);
    assert_eq!(faults("small * 2"), [(1, "integer overflow: 2147483647 * 2".to_owned())]);
    assert_eq!(faults("100 / qty"), [(1, "division by zero".to_owned())]);
    assert_eq!(faults("price / 0"), []);
    assert_eq!(faults("-(small * 0 + -2147483648)").len(), 4);
    let cast = faults("cast(venue as bigint)");
    assert_eq!(cast.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(cast[0].1, "cannot cast string 'XNAS' to bigint");
    assert_eq!(faults("1 / 0").len(), 4);
    assert_eq!(faults("small + -2147483648").len(), 1);
}

#[test]
fn a_guard_guards() {
    assert_eq!(values("case when qty = 0 then 0 else 100 / qty end"), ["100", "0", "0", "null"]);
    assert_eq!(values("case when qty < 0 then 1 / 0 else 5 end"), ["5", "5", "5", "5"]);
    assert_eq!(values("qty <> 0 and 100 / qty > 1"), ["true", "false", "false", "null"]);
    assert_eq!(values("qty = 0 or 100 / qty > 1"), ["true", "true", "false", "null"]);
    assert_eq!(faults("coalesce(price, 1 / 0)"), [(2, "division by zero".to_owned())]);
}

#[test]
fn cuts_never_change_values_or_faults() {
    let all = rows();
    for sql in [
        "qty + 1",
        "100 / qty",
        "cast(venue as int)",
        "qty <> 0 and 100 / qty > 1",
        "100 / qty > 1 and qty <> 0",
        "ok or 100 / qty > 1",
        "case when ok then 100 / qty else 1 end",
        "coalesce(price, 1 / 0)",
        "point.lat * small",
    ] {
        let expr = compile(sql);
        let (whole, whole_faults) = expr.evaluate(&all);
        for size in 1..all.num_rows() {
            let mut parts = Vec::new();
            let mut faults = Vec::new();
            for start in (0..all.num_rows()).step_by(size) {
                let part = all.slice(start, size.min(all.num_rows() - start));
                let (values, more) = expr.evaluate(&part);
                parts.extend(texts(&values));
                faults.extend(more.into_iter().map(|fault| (fault.row + start, fault.error.message)));
            }
            assert_eq!(texts(&whole), parts, "{sql} by {size}");
            let expected =
                whole_faults.iter().map(|fault| (fault.row, fault.error.message.clone())).collect::<Vec<_>>();
            assert_eq!(expected, faults, "{sql} by {size}");
        }
    }
}

#[test]
fn filters_are_never_null() {
    let (keep, faults) = compile("100 / qty >= 0").evaluate_filter(&rows());
    assert_eq!(keep, BooleanArray::from(vec![true, false, true, false]));
    assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [1]);
}

#[test]
fn columns_are_shared_and_named() {
    let rows = rows();
    let expr = compile("qty");
    assert!(Arc::ptr_eq(&expr.evaluate(&rows).0, rows.column(1)));
    assert_eq!(compile("price * qty + point.lat").columns(), BTreeSet::from([0, 1, 6]));
    assert_eq!(compile(" price * qty ").sql(), " price * qty ");
    let empty = rows.slice(0, 0);
    assert_eq!(compile("1 / 0").evaluate(&empty).0.len(), 0);
}

#[test]
fn casts_are_strict() {
    let schema = schema();
    let cast = Expr::cast(3, &DataType::Int64, &schema).unwrap();
    let (values, faults) = cast.evaluate(&rows());
    assert_eq!(texts(&values), ["null", "12", "null", "null"]);
    assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(cast.sql(), "venue");
    assert_eq!(Expr::cast(6, &DataType::Int64, &schema).unwrap_err().kind, ExprErrorKind::Type);
}

#[test]
fn mistakes_are_marked() {
    use ExprErrorKind::*;
    let cases = [
        ("prize * qty", UnknownColumn, "prize"),
        ("price * Qty", UnknownColumn, "Qty"),
        ("point.lon + 1", UnknownColumn, "lon"),
        ("qty.x", Type, "x"),
        ("uper(venue) = 'x'", UnknownFunction, "uper"),
        ("price > now()", Volatile, "now"),
        ("current_timestamp", Volatile, "current_timestamp"),
        ("ts > CURRENT_DATE", Volatile, "CURRENT_DATE"),
        ("random() < 0.5", Volatile, "random"),
        ("uuid()", Volatile, "uuid"),
        ("price > (select 1)", Unsupported, ""),
        ("price in (select 1)", Unsupported, ""),
        ("exists (select 1)", Unsupported, ""),
        ("sum(qty) > 5", Unsupported, "sum"),
        ("row_number() over (order by qty)", Unsupported, "row_number"),
        ("concat(*)", Unsupported, "concat"),
        ("qty > $1", Unsupported, "$1"),
        ("qty > ?", Unsupported, "?"),
        ("venue > 5", Type, "venue > 5"),
        ("ok and venue > 5", Type, "venue > 5"),
        ("qty = '5'", Type, "qty = '5'"),
        ("venue + 1", Type, "venue + 1"),
        ("venue + venue", Type, "venue + venue"),
        ("qty in ('a', 'b')", Type, "qty in ('a', 'b')"),
        ("venue between 1 and 2", Type, "venue between 1 and 2"),
        ("qty like '1%'", Type, "qty like '1%'"),
        ("ts > 5", Type, "ts > 5"),
        ("not qty", Type, "qty"),
        ("qty and ok", Type, "qty and ok"),
        ("upper(venue", Syntax, ""),
        ("price >", Syntax, ""),
        ("price > > 5", Syntax, ">"),
        ("qty => 5", Syntax, "=>"),
        ("struct(qty as a)", Unsupported, "a"),
        ("price qty", Syntax, "qty"),
        ("venue = 'abc", Syntax, ""),
        ("", Syntax, ""),
        ("  \n ", Syntax, ""),
        ("price; drop", Syntax, ";"),
        ("cast(venue as nothing)", Type, ""),
        ("null", Type, ""),
        ("ts > 'yesterday'", Type, "ts > 'yesterday'"),
        ("9223372036854775807 + 1", Type, "9223372036854775807 + 1"),
        ("abs(qty, 2)", Type, "abs(qty, 2)"),
        ("price > 1 and point > 2", Type, "point > 2"),
        ("date_part('fortnight', ts)", Type, "date_part('fortnight', ts)"),
        ("tags['a']", Type, "tags['a']"),
        ("regexp_like(venue, '(')", Type, "regexp_like(venue, '(')"),
        ("cast(point as int)", Type, ""),
        ("unnest(tags)", UnknownFunction, "unnest"),
        ("substr(venue)", Type, ""),
    ];
    for (sql, kind, at) in cases {
        let (found, marked) = marked(sql);
        assert_eq!(found, kind, "{sql}: {:?}", refuse(sql));
        if !at.is_empty() {
            assert_eq!(marked, at, "{sql}: {:?}", refuse(sql));
        }
    }
}

#[test]
fn help_helps() {
    assert_eq!(refuse("prize").help.unwrap(), "Did you mean `price`?");
    assert!(refuse("Qty").help.unwrap().starts_with("Did you mean `qty`?"));
    assert_eq!(refuse("uper(venue)").help.unwrap(), "Did you mean `upper`?");
    assert!(refuse("now()").help.unwrap().contains("`_timestamp`"));
    assert!(refuse("uuid()").help.unwrap().contains("`_offset`"));
    assert!(refuse("venue = \"XNAS\"").help.unwrap().contains("'XNAS'"));
    assert!(refuse("venue > 5").help.unwrap().contains("cast(venue as bigint)"));
    assert_eq!(refuse("venue > 5").message, "cannot compare string with bigint");
    assert_eq!(refuse("regexp_like(venue, '(')").message, "not a regular expression: unclosed group");
    assert_eq!(refuse("date_part('fortnight', ts)").message, "date part 'fortnight' not supported");
    assert_eq!(refuse("abs(venue)").message, "`abs` does not take (string)");
    assert_eq!(refuse("abs(venue)").help.unwrap(), "It is written `abs(numeric_expression)`.");
    assert_eq!(refuse("cast(point as int)").message, "cannot cast struct<lat: double, name: string> to int");
    assert_eq!(refuse("price >").message, "the expression ends where an expression is expected");
    assert_eq!(refuse("a\n+ prize").span.unwrap(), 0..1);
    assert_eq!(refuse("qty\n+ 'é' || prize").span.map(|span| span.start), Some("qty\n+ 'é' || ".len()));
}

fn aggregate(sql: &str) -> AggregateExpr {
    AggregateExpr::compile(sql, &schema()).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

fn refuse_aggregate(sql: &str) -> (ExprErrorKind, &str, ExprError) {
    let error = AggregateExpr::compile(sql, &schema()).expect_err(sql);
    (error.kind, error.span.clone().map_or("", |span| &sql[span]), error)
}

#[test]
fn aggregates_are_taken_out() {
    let sum = aggregate("sum(qty)");
    assert_eq!((sum.calls.len(), sum.calls[0].function.name.as_str()), (1, "sum"));
    assert_eq!(sum.calls[0].args[0].sql(), "qty");
    assert_eq!(sum.result.columns(), BTreeSet::from([0]));
    assert_eq!(sum.sql(), "sum(qty)");

    let count = aggregate("count(*)");
    assert!(count.calls[0].args.is_empty());
    assert_eq!(count.result.data_type(), &DataType::Int64);

    let mean = aggregate("sum(price * qty) / sum(qty) + SUM(qty)");
    assert_eq!(mean.calls.len(), 2, "equal calls are one");
    assert_eq!(mean.calls[0].args[0].sql(), "price * qty");
    assert_eq!(mean.result.data_type(), &DataType::Float64);
    let values: Vec<ArrayRef> =
        vec![Arc::new(Float64Array::from(vec![6.0, 1.0])), Arc::new(Int64Array::from(vec![3, 0]))];
    let fields = Schema::new(vec![Field::new("a", DataType::Float64, true), Field::new("b", DataType::Int64, true)]);
    let (values, faults) = mean.result.evaluate(&RecordBatch::try_new(Arc::new(fields), values).unwrap());
    assert_eq!(texts(&values), ["5.0", "inf"]);
    assert!(faults.is_empty());

    let buys = aggregate("sum(qty) filter (where venue = 'buy')");
    assert_eq!(buys.calls[0].filter.as_ref().unwrap().sql(), "venue = 'buy'");
    assert_eq!(aggregate("sum(qty) - sum(qty) filter (where ok)").calls.len(), 2);
    assert_eq!(aggregate("coalesce(max(price), 0) + 1").calls.len(), 1);
    assert_eq!(aggregate("last(point).lat").result.data_type(), &DataType::Float64);
    assert_eq!(aggregate("case when count(*) > 1 then 'many' else 'one' end").result.data_type(), &DataType::Utf8);
}

#[test]
fn mistakes_in_aggregates_are_marked() {
    use ExprErrorKind::*;
    let cases = [
        ("sum(venue)", Type, ""),
        ("sum(prize)", UnknownColumn, "prize"),
        ("prize", UnknownColumn, "prize"),
        ("sun(qty)", UnknownFunction, "sun"),
        ("sum(qty) + price", Unsupported, "price"),
        ("qty", Unsupported, "qty"),
        ("1 + 1", Unsupported, ""),
        ("sum(count(*))", Unsupported, "count"),
        ("sum(*)", Type, "sum"),
        ("sum(qty) over ()", Unsupported, "sum"),
        ("sum(qty) filter (venue = 'buy')", Syntax, "venue"),
        ("sum(qty) filter (where venue)", Type, "venue"),
        ("first(qty order by ts)", Unsupported, "first"),
        ("sum(qty) > 'a'", Type, "sum(qty) > 'a'"),
        ("count(*) + now()", Volatile, "now"),
        ("sum(venue + 1)", Type, "venue + 1"),
    ];
    for (sql, kind, at) in cases {
        let (found, marked, error) = refuse_aggregate(sql);
        assert_eq!(found, kind, "{sql}: {error:?}");
        if !at.is_empty() {
            assert_eq!(marked, at, "{sql}: {error:?}");
        }
    }
    let (_, _, bare) = refuse_aggregate("sum(qty) + price");
    assert_eq!(bare.help.unwrap(), "Put it in `by`, or say which: `first(price)`, `last(price)`.");
    let (_, _, filter) = refuse_aggregate("sum(qty) filter (venue = 'buy')");
    assert_eq!(filter.help.as_deref(), Some("Write `filter (where ..)`."), "{filter:?}");
}

#[test]
fn no_text_overflows_or_hangs() {
    let deep = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let mut texts = Vec::new();
    for (times, flaw) in [8, 30, 300, 20_000].into_iter().flat_map(|times| [(times, ""), (times, " qty qty")]) {
        texts.push(deep("(", &format!("{}{flaw}", "qty"), ")", times));
        texts.push(deep("not ", &format!("{}{flaw}", "ok"), "", times));
        texts.push(deep("- ", &format!("{}{flaw}", "qty"), "", times));
        texts.push(deep("abs(", &format!("{}{flaw}", "qty"), ")", times));
        texts.push(deep("coalesce(", &format!("{}{flaw}", "qty"), ", 1)", times));
        texts.push(deep("case when ok then ", &format!("{}{flaw}", "qty"), " end", times));
        texts.push(deep("[", &format!("{}{flaw}", "qty"), "]", times));
        texts.push(deep("{'a': ", &format!("{}{flaw}", "qty"), "}", times));
        texts.push(deep("", &format!("{}{flaw}", "qty"), "::int", times));
        texts.push(deep("", &format!("{}{flaw}", "ok"), " is null", times));
        texts.push(deep("", &format!("{}{flaw}", "tags"), "[1]", times));
        texts.push(deep("", &format!("{}{flaw}", "point"), ".a", times));
        texts.push(deep("1 + ", &format!("{}{flaw}", "qty"), "", times));
        texts.push(deep("ok or ", &format!("{}{flaw}", "ok"), "", times));
        texts.push(deep("qty between ", &format!("{}{flaw}", "1"), " and 2", times));
        texts.push(deep("(ok between ", &format!("{}{flaw}", "ok"), " and ok)", times));
        texts.push(deep("interval ", &format!("{}{flaw}", "'1 day'"), "", times));
        texts.push(deep("extract(year from ", &format!("{}{flaw}", "ts"), ")", times));
        texts.push(deep("array[", &format!("{}{flaw}", "1"), "]", times));
        texts.push(deep("struct(", &format!("{}{flaw}", "1"), ")", times));
        texts.push(deep("trim(", &format!("{}{flaw}", "venue"), ")", times));
        texts.push(deep("cast(", &format!("{}{flaw}", "qty"), " as int)", times));
        texts.push(deep("array<", &format!("{}{flaw}", "int"), ">", times));
        texts.push(format!("cast(qty as {})", deep("array<", &format!("{}{flaw}", "int"), ">", times)));
        texts.push(format!("cast(qty as {})", deep("struct<a ", &format!("{}{flaw}", "int"), ">", times)));
    }
    texts.push(format!("qty in ({})", vec!["1"; 20_000].join(", ")));
    texts.push(format!("concat({})", vec!["venue"; 5_000].join(", ")));
    texts.push(format!("case {} end", "when qty = 1 then 2 ".repeat(100)));
    for text in &texts {
        let short = &text[..text.len().min(60)];
        let _ = Expr::compile(text, &schema()).map(|expr| expr.evaluate(&rows()));
        let _ = AggregateExpr::compile(&format!("sum({text})"), &schema());
        let _ = AggregateExpr::compile(text, &schema());
        println!("{} {short}", text.len());
    }
}

/// A generator that is the same everywhere.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn garbage_is_refused_and_never_panics() {
    const WORDS: &[&str] = &[
        "price",
        "qty",
        "small",
        "venue",
        "ok",
        "ts",
        "point",
        "tags",
        "(",
        ")",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "||",
        "=",
        "<>",
        "<",
        ">=",
        "and",
        "or",
        "not",
        "is",
        "null",
        "true",
        "in",
        "between",
        "like",
        "case",
        "when",
        "then",
        "else",
        "end",
        "cast",
        "as",
        "int",
        "string",
        "timestamp",
        "::",
        ".",
        ":",
        "1",
        "2.5",
        "-1",
        "99999999999999999999",
        "'a'",
        "'1'",
        "\"price\"",
        "interval '1 day'",
        "upper",
        "abs",
        "coalesce",
        "date_trunc",
        "substr",
        "struct",
        "extract",
        "from",
        "position",
        "array_length",
        "regexp_replace",
        "sum",
        "count",
        "distinct",
        "filter",
        "where",
        "over",
        "select",
        "exists",
        "any",
        "all",
        "@>",
        "->",
        "->>",
        "#",
        "$1",
        "?",
        "`",
        "'",
        "\"",
        "--",
        "/*",
        "\n",
        "\u{e9}",
        "\0",
        ";",
        "map",
        "make_map",
        "@x",
        "e'\\x'",
        "x'00'",
        "at time zone 'UTC'",
        "within group",
        "order by",
        "unnest",
        "to_timestamp",
        "round",
        "split_part",
        "repeat",
        "lpad",
        "array",
        "trim",
    ];
    let seed = 0x5eed_1234_abcd_0001;
    let mut random = Seeded(seed);
    let rows = rows();
    let mut compiled = 0;
    for case in 0..4_000 {
        let length = 1 + random.below(12);
        let words = (0..length).map(|_| WORDS[random.below(WORDS.len())]).collect::<Vec<_>>();
        let text = words.join(if random.below(4) == 0 { "" } else { " " });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = AggregateExpr::compile(&text, &schema());
            Expr::compile(&text, &schema()).map(|expr| expr.evaluate(&rows))
        }));
        match outcome {
            Ok(Ok((values, _))) => {
                assert_eq!(values.len(), rows.num_rows(), "seed {seed:#x}, case {case}: {text}");
                compiled += 1;
            }
            Ok(Err(error)) => {
                let inside = error.span.as_ref().is_none_or(|span| text.get(span.clone()).is_some());
                assert!(inside, "seed {seed:#x}, case {case}: {text}: {error:?}");
            }
            Err(_) => panic!("seed {seed:#x}, case {case}: {text}"),
        }
    }
    assert!(compiled > 50, "only {compiled} compiled");
}
