//! From text to syntax; no text may overflow the stack or take long, so its size and depth are bounded here.

use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion_expr::sqlparser::ast::{
    AccessExpr, Expr as SqlExpr, FunctionArguments, ObjectNamePart, Subscript, Value, VisitMut, VisitorMut,
};
use datafusion_expr::sqlparser::dialect::GenericDialect;
use datafusion_expr::sqlparser::keywords::Keyword;
use datafusion_expr::sqlparser::parser::{Parser, ParserError};
use datafusion_expr::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::literals::Approximate;
use super::source::Source;
use super::{ExprError, ExprErrorKind};

/// The longest text that is looked at.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// The stack on which expressions are compiled, in bytes: what fits the bounds below, with room to spare, however large
/// the compiler makes a call's frame.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// How deep the parser may go by parentheses, calls and prefix operators.
const MAX_NESTING: usize = 50;
/// How many brackets may be open at a time.
const MAX_BRACKETS: usize = 32;
/// How many of the open brackets may follow a keyword, as in `cast(`, or be a `case`: the parser reads what is within
/// twice where it finds a mistake, so its time doubles with each.
const MAX_KEYWORD_BRACKETS: usize = 8;
/// How many tokens may stand on the way from the outermost expression to an innermost one: a bound on the depth of
/// the syntax tree, for `1 + 1 + 1 + ..` is nested too.
const MAX_TOKENS_DEEP: usize = 2000;

/// Runs a compilation where deep recursion finds the stack that it needs. The memory is touched only as it is used.
pub(super) fn with_deep_stack<T>(compile: impl FnOnce() -> T) -> T {
    stacker::grow(STACK_BYTES, compile)
}

/// Parses one expression over the columns of `schema`, and nothing after it.
pub(super) fn parse(source: Source<'_>, schema: &Schema) -> Result<SqlExpr, ExprError> {
    if source.sql().len() > MAX_BYTES {
        return Err(too_complex(source, "the expression is longer than 64 KiB"));
    }
    let mut tokens = Tokenizer::new(&DIALECT, source.sql())
        .tokenize_with_location()
        .map_err(|error| syntax(source, &error.message, Some(error.location)))?;
    if !tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_))) {
        return Err(source.error(ExprErrorKind::Syntax, None, "the expression is empty", None));
    }
    if too_deep(&tokens) {
        return Err(too_complex(source, "the expression is too deeply nested"));
    }
    name_units(&mut tokens);
    let mut ast = parse_tokens(source, tokens.clone()).map_err(|mut error| {
        if error.kind == ExprErrorKind::Syntax {
            error.help = quoted_columns(source, tokens, schema).or(error.help);
        }
        error
    })?;
    let _ = VisitMut::visit(&mut ast, &mut FieldsByName);
    let _ = VisitMut::visit(&mut ast, &mut Approximate);
    let _ = VisitMut::visit(&mut ast, &mut ColumnsFirst(schema));
    Ok(ast)
}

const DIALECT: GenericDialect = GenericDialect {};

fn parse_tokens(source: Source<'_>, tokens: Vec<TokenWithSpan>) -> Result<SqlExpr, ExprError> {
    let mut parser = Parser::new(&DIALECT).with_recursion_limit(MAX_NESTING).with_tokens_with_locations(tokens);
    let ast = parser.parse_expr().map_err(|error| refused(source, error))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let message = format!("unexpected {} after the expression", quoted(&rest.token.to_string()));
        let mut error = source.error(ExprErrorKind::Syntax, source.range(rest.span), message, None);
        error.help = help_after(source, &rest);
        return Err(error);
    }
    Ok(ast)
}

/// Writes `timestamp(ms)`, as the type is called everywhere else, as `timestamp(3)`, and `timestamp(us)` as `timestamp(6)`.
fn name_units(tokens: &mut [TokenWithSpan]) {
    let written = |token: &&mut TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let mut tokens = tokens.iter_mut().filter(written).collect::<Vec<_>>();
    for at in 3..tokens.len() {
        let digits = match [&tokens[at - 3].token, &tokens[at - 2].token, &tokens[at - 1].token, &tokens[at].token] {
            [Token::Word(name), Token::LParen, Token::Word(unit), Token::RParen]
                if name.keyword == Keyword::TIMESTAMP =>
            {
                match unit.value.as_str() {
                    "ms" => "3",
                    "us" => "6",
                    _ => continue,
                }
            }
            _ => continue,
        };
        tokens[at - 1].token = Token::Number(digits.to_owned(), false);
    }
}

/// What to do about an expression that is SQL once words of SQL that are columns are taken for columns.
fn quoted_columns(source: Source<'_>, mut tokens: Vec<TokenWithSpan>, schema: &Schema) -> Option<String> {
    let mut first = None;
    for token in &mut tokens {
        let Token::Word(word) = &mut token.token else { continue };
        if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() && schema.index_of(&word.value).is_ok() {
            word.keyword = Keyword::NoKeyword;
            word.quote_style = Some('"');
            first.get_or_insert_with(|| word.value.clone());
        }
    }
    let name = first?;
    parse_tokens(source, tokens).ok()?;
    Some(quoted_column(&name))
}

/// What to do about a column whose name is a word of SQL.
pub(super) fn quoted_column(name: &str) -> String {
    format!("`{name}` is a word of SQL: write the column in double quotes, `\"{name}\"`.")
}

/// Takes `user` and its like, which are functions without parentheses, for columns where there are such.
struct ColumnsFirst<'a>(&'a Schema);

impl VisitorMut for ColumnsFirst<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Function(function) = expr
            && matches!(function.args, FunctionArguments::None)
            && let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
            && self.0.index_of(&name.value).is_ok()
        {
            *expr = SqlExpr::Identifier(name.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Writes `f(x).lat` as `f(x)['lat']`: the names of fields are no columns.
struct FieldsByName;

impl VisitorMut for FieldsByName {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        let SqlExpr::CompoundFieldAccess { access_chain, .. } = expr else { return ControlFlow::Continue(()) };
        for access in access_chain {
            if let AccessExpr::Dot(SqlExpr::Identifier(name)) = access {
                let name = Value::SingleQuotedString(name.value.clone()).with_span(name.span);
                *access = AccessExpr::Subscript(Subscript::Index { index: SqlExpr::Value(name) });
            }
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn too_complex(source: Source<'_>, message: &str) -> ExprError {
    let help = "Split it: compute parts of it as columns in a step before.".to_owned();
    source.error(ExprErrorKind::Unsupported, None, message, help)
}

/// How many types may have types within, as in `array<int>`: the parser does not bound them.
const MAX_NESTED_TYPES: usize = 16;

/// An open bracket.
#[derive(Default)]
struct Open {
    /// Tokens since it was opened, or since the last comma in it.
    tokens: usize,
    after_keyword: bool,
}

/// Whether the tokens nest deeper than the parser may be trusted with.
fn too_deep(tokens: &[TokenWithSpan]) -> bool {
    let mut open = vec![Open::default()];
    let mut keyword_before = false;
    let mut nested_types = 0;
    let mut deep = 0;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(Open { tokens: 0, after_keyword: keyword_before });
            }
            Token::Word(word) if word.keyword == Keyword::CASE => open.push(Open { tokens: 0, after_keyword: true }),
            Token::Word(word) if word.keyword == Keyword::END && open.len() > 1 => {
                deep -= open.pop().map_or(0, |closed| closed.tokens);
            }
            Token::RParen | Token::RBracket | Token::RBrace if open.len() > 1 => {
                deep -= open.pop().map_or(0, |closed| closed.tokens);
            }
            Token::Comma => deep -= open.last_mut().map_or(0, |here| std::mem::take(&mut here.tokens)),
            _ => {
                deep += 1;
                if let Some(here) = open.last_mut() {
                    here.tokens += 1;
                }
            }
        }
        let after_keyword = open.iter().filter(|open| open.after_keyword).count();
        nested_types += usize::from(keyword_before && token.token == Token::Lt);
        if nested_types > MAX_NESTED_TYPES
            || deep > MAX_TOKENS_DEEP
            || open.len() > MAX_BRACKETS
            || after_keyword > MAX_KEYWORD_BRACKETS
        {
            return true;
        }
        keyword_before = matches!(&token.token, Token::Word(word) if word.keyword != Keyword::NoKeyword);
    }
    false
}

fn refused(source: Source<'_>, error: ParserError) -> ExprError {
    match error {
        ParserError::RecursionLimitExceeded => too_complex(source, "the expression is too deeply nested"),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let (message, at) = split_location(&message);
            syntax(source, message, at)
        }
    }
}

fn syntax(source: Source<'_>, message: &str, at: Option<Location>) -> ExprError {
    let start = at.and_then(|at| source.byte(at)).filter(|&start| start < source.sql().len());
    let span = start.map(|start| start..start + token_length(&source.sql()[start..]));
    let at_the_end = at.is_none() || start.is_none();
    let (message, mut help) = in_our_words(message, at_the_end);
    let before = source.sql()[..start.unwrap_or(0)].trim_end().strip_suffix('(').map(str::trim_end);
    if before.is_some_and(|before| before.to_ascii_lowercase().ends_with("timestamp")) {
        help = Some("A time is a `timestamp(ms)` or a `timestamp(us)`.".to_owned());
    }
    let span = span.or_else(|| {
        let end = source.sql().trim_end().len();
        let last = source.sql()[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        (last < end).then_some(last..end)
    });
    source.error(ExprErrorKind::Syntax, span, message, help)
}

/// The parser's "Expected: x, found: y" in our words.
fn in_our_words(message: &str, at_the_end: bool) -> (String, Option<String>) {
    if let Some(rest) = message.strip_prefix("Expected: ") {
        let (expected, found) = rest.split_once(", found: ").unwrap_or((rest, ""));
        let filter = expected.eq_ignore_ascii_case("where");
        let expected = match expected {
            "an expression" | "an expression:" => "an expression",
            "literal int" => "a whole number",
            other => other,
        };
        let message = if found == "EOF" || (found.is_empty() && at_the_end) {
            format!("the expression ends where {expected} is expected")
        } else {
            format!("expected {expected}, found {}", quoted(found))
        };
        let help = filter.then(|| "Write `filter (where ..)`.".to_owned());
        return (message, help);
    }
    if message.starts_with("Unterminated string literal") {
        return ("the string has no end".to_owned(), Some("Close it with a single quote.".to_owned()));
    }
    let mut characters = message.trim_end_matches('.').chars();
    let lower = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    (lower.unwrap_or_else(|| "this is not SQL".to_owned()), None)
}

/// What people write that is not SQL.
fn help_after(source: Source<'_>, rest: &TokenWithSpan) -> Option<String> {
    let start = source.byte(rest.span.start)?;
    let text = &source.sql()[start..];
    let before = source.sql()[..start].trim_end();
    let before = before.strip_suffix('(').map(str::trim_end).unwrap_or_default();
    if before.to_ascii_lowercase().ends_with("filter") {
        return Some("Write `filter (where ..)`.".to_owned());
    }
    if text.starts_with("&&") {
        return Some("Write `AND`.".to_owned());
    }
    if text.to_ascii_lowercase().starts_with("as ") {
        return Some("The name of a column is its key in the step, not part of the expression.".to_owned());
    }
    None
}

fn quoted(token: &str) -> String {
    match token {
        "EOF" => "the end".to_owned(),
        token => format!("`{token}`"),
    }
}

fn token_length(text: &str) -> usize {
    let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if word > 0 { word } else { text.chars().next().map_or(0, char::len_utf8) }
}

/// Takes the parser's " at Line: 1, Column: 5" off a message.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    (text, location)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::super::testing::{compile, refused, rows, values};
    use super::*;
    use crate::types::sql_name;

    /// A column of each of these names, with one row.
    fn columns(names: &[&'static str]) -> RecordBatch {
        let one: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        rows(names.iter().map(|name| (*name, Arc::clone(&one))).collect())
    }

    #[test]
    fn columns_go_before_functions_without_parentheses() {
        let rows = columns(&["user", "current_catalog", "current_date", "session_user"]);
        for sql in ["user", "current_catalog", "current_date", "session_user", "user + 0", "\"user\"", "abs(user)"] {
            assert_eq!(values(sql, &rows), ["7"], "{sql}");
        }
        let without = columns(&["n"]);
        assert_eq!(refused("current_date", &without).kind, ExprErrorKind::Volatile);
        assert_eq!(refused("user", &without).kind, ExprErrorKind::UnknownFunction);
    }

    #[test]
    fn words_of_sql_that_are_columns_want_quotes() {
        let rows = columns(&["interval", "trim", "exists", "struct", "n"]);
        for name in ["interval", "trim", "exists", "struct"] {
            for sql in [name.to_owned(), format!("{name} > 5"), format!("n + {name}")] {
                let error = refused(&sql, &rows);
                let help = format!("`{name}` is a word of SQL: write the column in double quotes, `\"{name}\"`.");
                assert_eq!((error.kind, error.help), (ExprErrorKind::Syntax, Some(help)), "{sql}");
            }
            assert_eq!(values(&format!("\"{name}\" + n"), &rows), ["14"]);
        }
        let help = "`interval` is a word of SQL: write the column in double quotes, `\"interval\"`.";
        assert_eq!(refused("interval + 1", &rows).help.as_deref(), Some(help));
        assert_eq!(refused("n n", &rows).help, None);
        assert_eq!(refused("trim n n", &rows).help, None);
    }

    #[test]
    fn types_of_times_have_the_names_that_they_have_elsewhere() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T00:00:00.000001Z"]));
        let rows = rows(vec![("s", text)]);
        for sql in ["cast(s as timestamp(ms))", "s::timestamp(us)", "try_cast(s as TIMESTAMP ( ms ))"] {
            let unit = if sql.contains("us)") { "timestamp(us)" } else { "timestamp(ms)" };
            assert_eq!(sql_name(compile(sql, &rows).data_type()), unit, "{sql}");
        }
        let error = refused("cast(s as timestamp(ns))", &rows);
        assert_eq!(error.message, "expected a whole number, found `ns`");
        assert_eq!(error.help.as_deref(), Some("A time is a `timestamp(ms)` or a `timestamp(us)`."));
    }
}
