//! What a rule finds: collected while checking goes on, so that all mistakes are reported at once.

use std::ops::Range;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::suggest::nearest;
use crate::yaml::source_map::SourceMap;
use crate::yaml::span::Span;

/// One thing that a rule found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// The code by which it can be looked up.
    pub(crate) code: Code,
    /// Where.
    pub(crate) span: Span,
    /// Which bytes of the text of the value at `span`, where not all of it.
    pub(crate) within: Option<Range<usize>>,
    /// What, in lower case, without a final stop.
    pub(crate) message: String,
    /// What to do about it, in full sentences.
    pub(crate) help: Option<String>,
    /// What would be right instead of what stands there.
    pub(crate) meant: Option<String>,
    /// Another place that belongs to it, and what is there.
    pub(crate) related: Option<(Span, String)>,
}

impl Finding {
    /// Says what to do about it.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Finding {
        self.help = Some(help.into());
        self
    }

    /// Says what to do about it: to write the nearest of `names`, if one is near, else what `otherwise` says.
    pub(crate) fn help_nearest<'a>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'a str> + Clone,
        otherwise: &str,
    ) -> &mut Finding {
        if let Some(name) = nearest(wrong, names.clone()) {
            self.meant = Some(name.to_owned());
            return self;
        }
        let all = names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        self.help(format!("{otherwise} {all}."))
    }

    /// Points to another place.
    pub(crate) fn related(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.related = Some((span, message.into()));
        self
    }

    /// As it is shown, with its place in the file.
    pub(crate) fn diagnostic(self, map: &SourceMap) -> Diagnostic {
        let span = self.within.map_or(self.span, |within| map.within(self.span, within));
        let mut diagnostic = match self.severity {
            Severity::Error => Diagnostic::error(self.code, span, self.message),
            Severity::Warning => Diagnostic::warning(self.code, span, self.message),
        };
        if let Some(help) = self.help {
            diagnostic = diagnostic.help(help);
        }
        if let Some(meant) = self.meant {
            diagnostic = diagnostic.suggest(span, meant);
        }
        match self.related {
            Some((place, what)) => diagnostic.also(place, what),
            None => diagnostic,
        }
    }
}

/// All that was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// In the order of finding.
    pub(crate) all: Vec<Finding>,
}

impl Findings {
    /// A mistake that keeps the pipeline from running.
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, code, span, message.into())
    }

    /// Something that is hardly meant.
    pub(crate) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Warning, code, span, message.into())
    }

    /// Whether there is a mistake that keeps the pipeline from running.
    pub(crate) fn any_error(&self) -> bool {
        self.all.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn push(&mut self, severity: Severity, code: Code, span: Span, message: String) -> &mut Finding {
        self.all.push(Finding { severity, code, span, within: None, message, help: None, meant: None, related: None });
        self.all.last_mut().expect("one was pushed")
    }
}
