//! The text of an expression, and where in it things stand: from lines and columns to bytes.

use std::ops::Range;

use datafusion_expr::sqlparser::ast::{Expr as SqlExpr, Spanned};
use datafusion_expr::sqlparser::tokenizer::{Location, Span};

use super::{ExprError, ExprErrorKind};

/// The text of an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    sql: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(sql: &'a str) -> Source<'a> {
        Source { sql }
    }

    /// The whole text.
    pub(super) fn sql(&self) -> &'a str {
        self.sql
    }

    /// The byte range of a span; `None` where the parser does not know it.
    pub(super) fn range(&self, span: Span) -> Option<Range<usize>> {
        let start = self.byte(span.start)?;
        let end = self.byte(span.end)?;
        (start < end && end <= self.sql.len()).then_some(start..end)
    }

    /// The byte range of an expression; `None` where the parser does not know it.
    pub(super) fn range_of(&self, ast: &SqlExpr) -> Option<Range<usize>> {
        let range = self.range(ast.span())?;
        Some(self.with_brackets(range))
    }

    /// The text of an expression as written, or as the parser would write it.
    pub(super) fn text_of(&self, ast: &SqlExpr) -> String {
        self.range_of(ast).map_or_else(|| ast.to_string(), |range| self.sql[range].to_owned())
    }

    /// The byte at which the character at a line and column (both from 1, columns in characters) begins.
    pub(super) fn byte(&self, at: Location) -> Option<usize> {
        let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
        let mut start = 0;
        for _ in 0..line {
            start += self.sql[start..].find('\n')? + 1;
        }
        let mut characters = self.sql[start..].char_indices().map(|(byte, _)| byte);
        match characters.by_ref().nth(column) {
            Some(byte) => Some(start + byte),
            None => Some(self.sql.len()),
        }
    }

    /// The parser leaves closing brackets out of its spans: takes in those that are missing.
    fn with_brackets(&self, range: Range<usize>) -> Range<usize> {
        let inside = &self.sql[range.clone()];
        let missing =
            |open: char, close: char| inside.matches(open).count().saturating_sub(inside.matches(close).count());
        let mut missing = [(')', missing('(', ')')), (']', missing('[', ']')), ('}', missing('{', '}'))];
        let mut end = range.end;
        loop {
            let rest = self.sql[end..].trim_start();
            let next = missing.iter_mut().find(|(close, left)| *left > 0 && rest.starts_with(*close));
            let Some((_, left)) = next else { return range.start..end };
            *left -= 1;
            end = self.sql.len() - rest.len() + 1;
        }
    }

    /// An error at a place in the text.
    pub(super) fn error(
        &self,
        kind: ExprErrorKind,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> ExprError {
        ExprError { kind, message: message.into(), span, help: help.into() }
    }
}
