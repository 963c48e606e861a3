//! Sinks as the last nodes of the graph.

use super::builder::{Builder, SinkDraft};
use super::columns::{Columns, SystemColumns};
use super::graph::Op;
use super::spread::RecordKey;
use super::stream::{Retracted, Stream};
use crate::check::create::Keys;
use crate::check::expression;
use crate::check::form::Form;
use crate::check::sink_columns::{self, Written};
use crate::check::sink_contract::{self, Shape};
use crate::check::sink_headers::{self, HeadersDraft};
use crate::check::sink_key::{self, KeyDraft};
use crate::check::topics::Use;
use crate::codes;
use crate::found::Writing;
use crate::spec::format::{Format, FormatOptions, JsonOptions};
use crate::spec::sink::Sink;
use crate::topology::{SinkRole, SinkSchema};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

impl<'a> Builder<'a> {
    /// Adds a node for each sink of the file. Implied sinks (late rows) come behind them in the list.
    pub(crate) fn add_sinks(&mut self, form: Form) {
        let pipeline = self.pipeline;
        let implied = std::mem::take(&mut self.sinks);
        let linear = pipeline.sink.iter().filter(|_| form == Form::Linear);
        for sink in linear.chain(pipeline.sinks.iter()) {
            self.topics.check(&sink.topic, Use::Sink, &mut self.findings);
            let stream = self.stream_of(sink, form);
            if let Some(stream) = stream {
                self.add_sink(sink, stream);
            }
        }
        let shift = self.sinks.len();
        self.sinks.extend(implied);
        self.shift_late_sinks(shift);
    }

    /// The stream that a sink writes, if it is known.
    fn stream_of(&mut self, sink: &Spanned<Sink>, form: Form) -> Option<Stream> {
        match (&sink.from, form) {
            (None, Form::Linear) => self.streams.get("steps").cloned().flatten(),
            (Some(from), Form::Linear) => {
                self.findings
                    .error(codes::MIXED_FORMS, from.span, "the sink of the linear form writes what the last step gives")
                    .help("Remove `from`, or write `streams:` and `sinks:`.");
                None
            }
            (Some(from), Form::Graph) => self.streams.get(from.as_str()).cloned().flatten(),
            (None, Form::Graph) => {
                self.findings
                    .error(codes::NO_FROM, sink.span, "this sink does not say what it writes")
                    .help("Add `from: <source or stream>`.");
                None
            }
        }
    }

    fn add_sink(&mut self, sink: &Spanned<Sink>, stream: Stream) {
        let columns = self.columns(&stream);
        let at = sink.format.as_ref().map_or(sink.span, Format::span);
        let format = self.written(sink, at, &columns);
        let key = match &sink.key {
            Some(key) => sink_key::check(sink, key, &stream, &columns, self.found, &mut self.findings),
            None => self.default_key(sink, &stream),
        };
        let partition_by =
            sink.partition_by.as_ref().map(|names| sink_key::partition_by(names, &columns, &mut self.findings));
        if let Some(key) = &key {
            self.retractions_need_windows(sink, &stream, key);
        }
        let headers = sink_headers::check(sink.headers.as_ref(), &columns, &mut self.findings);
        let timestamp = sink.timestamp.as_ref().map(|of| expression::timestamp(of, &columns, &mut self.findings));
        let keys = if key == Some(KeyDraft::None) { Keys::None } else { Keys::Perhaps };
        self.creates.check(&sink.topic, sink.create.as_ref(), keys, &mut self.findings);
        let (Some((format, schema)), Some(key), Some(headers)) = (format, key, headers) else { return };
        let name = self.sink_name(&sink.topic);
        let node = format!("sinks.{name}");
        let visible = columns.names().map(str::to_owned).collect();
        let set = match &headers {
            HeadersDraft::Set(headers) => headers.clone(),
            HeadersDraft::Kept => Vec::new(),
        };
        let op = Op::Sink { sink: self.sinks.len(), timestamp: timestamp.flatten(), headers: set };
        self.append(node, stream.edge, columns, op);
        self.sinks.push(SinkDraft {
            name,
            topic: sink.topic.value.clone(),
            format,
            schema,
            visible,
            key,
            partition_by: partition_by.flatten(),
            headers,
            role: SinkRole::User,
        });
    }

    fn written(&mut self, sink: &Spanned<Sink>, at: Span, columns: &Columns) -> Option<(Written, Option<SinkSchema>)> {
        if let Some(writing) = Writing::of_value(sink) {
            if columns.visible.iter().any(|column| column.data_type.is_none()) {
                // The mistake that hides a type has been told.
                return None;
            }
            let columns = columns.project(columns.names());
            let (write, schema) =
                sink_contract::check(&writing, &Shape::Record, &columns, self.found, &mut self.findings)?;
            return Some((write, Some(schema)));
        }
        let options = sink.format.as_ref().map_or(FormatOptions::Json(JsonOptions::default()), Format::options);
        sink_contract::only_with_schema(sink, &options, &mut self.findings);
        let format = sink_columns::check(sink.format.as_ref(), at, columns, &mut self.findings)?;
        Some((format, None))
    }

    /// The key of the last keyed step, else the source's own.
    fn default_key(&mut self, sink: &Spanned<Sink>, stream: &Stream) -> Option<KeyDraft> {
        match &stream.key {
            RecordKey::Source if self.columns(stream).system == SystemColumns::AtHand => Some(KeyDraft::Source),
            RecordKey::Source => Some(KeyDraft::None),
            RecordKey::Columns(columns) if columns.is_empty() => Some(KeyDraft::None),
            RecordKey::Columns(columns) => Some(KeyDraft::Columns(columns.clone())),
            RecordKey::Lost(column) => {
                self.findings
                    .error(
                        codes::KEY_LOST,
                        sink.topic.span,
                        format!("the key column `{column}` is gone before this sink"),
                    )
                    .help("Keep the column, or say what the key is: `key: <column>` or `key: none`.");
                None
            }
            RecordKey::Mixed => {
                self.findings
                    .error(codes::KEY_MIXED, sink.topic.span, "the streams that were merged have different keys")
                    .help("Say what the key is: `key: <column>` or `key: none`.");
                None
            }
        }
    }

    /// A session merged away is retracted by its key, which must then tell sessions apart.
    fn retractions_need_windows(&mut self, sink: &Spanned<Sink>, stream: &Stream, key: &KeyDraft) {
        let retracted = stream.changes.as_ref().filter(|changes| changes.retracted == Retracted::ByTombstone);
        let Some(changes) = retracted else { return };
        if matches!(key, KeyDraft::Windowed(..)) {
            return;
        }
        let what = format!(
            "`{}` emits changes of sessions, which are retracted by key: the key must hold the window",
            changes.step
        );
        let columns = match key {
            KeyDraft::None | KeyDraft::Source => "..".to_owned(),
            key => key.reads().join(", "),
        };
        self.findings
            .error(codes::CHANGES_NEED_KEY, sink.topic.span, what)
            .help(format!("Write `key: {{columns: [{columns}], windowed: true}}`, or let the step say `emit: final`."));
    }

    /// The topic, with a number where several sinks write it.
    fn sink_name(&self, topic: &str) -> String {
        match self.sinks.iter().filter(|sink| sink.topic == topic).count() {
            0 => topic.to_owned(),
            before => format!("{topic}.{}", before + 1),
        }
    }

    fn shift_late_sinks(&mut self, shift: usize) {
        for node in &mut self.graph.nodes {
            if let Op::Group(grouping) = &mut node.op
                && let Some(late) = grouping.window.as_mut().and_then(|window| window.late.as_mut())
            {
                *late += shift;
            }
        }
    }
}
