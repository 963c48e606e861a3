//! window and aggregate: rows grouped by key, behind a repartition where their partitions do not follow that key.

use crate::codes;
use arrow::datatypes::{DataType, TimeUnit};
use millstream_engine::plan::{Emit, WindowKind};
use millstream_engine::time::Millis;

use super::Place;
use crate::check::aggregate_names::{self, Bounds};
use crate::check::create::Keys;
use crate::check::sink_columns::{self, Written};
use crate::check::sink_headers::HeadersDraft;
use crate::check::sink_key::KeyDraft;
use crate::check::topics::Use;
use crate::check::{emit, expression, group_keys, window_spans};
use crate::lower::builder::{Builder, SinkDraft};
use crate::lower::columns::{Column, Columns, SystemColumns};
use crate::lower::graph::{Checked, Edge, Grouping, Op, Windowing};
use crate::lower::spread::RecordKey;
use crate::lower::stream::{Changes, Keyed, Retracted, Stream, WindowColumns, WindowedBy};
use crate::spec::entries::Entries;
use crate::spec::names::{Name, Names};
use crate::spec::steps::{Aggregate, Late, Window};
use crate::spec::text::Expression;
use crate::topology::SinkRole;
use crate::yaml::spanned::Spanned;

/// What window and aggregate have in common.
struct Common<'s> {
    id: Option<String>,
    by: Vec<Name>,
    aggregates: &'s Spanned<Entries<Expression>>,
    bounds: Bounds,
    emit: Emit,
}

impl Builder<'_> {
    /// Aggregates by key and window.
    pub(crate) fn window(&mut self, stream: Stream, window: &Window, place: &Place) -> Stream {
        let id = self.ids.check(window.id.as_ref(), place.span, "window", &mut self.findings);
        let kind = window_spans::check(window, place.span, &mut self.findings);
        let shapes = window.shapes();
        let shape = shapes.first().copied().filter(|_| shapes.len() == 1);
        let emit = emit::of_window(window.emit.as_ref(), shape, &mut self.findings);
        let by = self.by(&stream, window.by.as_ref(), place);
        let common = Common { id, by, aggregates: &window.aggregates, bounds: Bounds::Shown, emit };
        let late = self.late(window.late.as_ref(), &stream, common.id.as_deref());
        let windowing = kind.map(|kind| {
            let grace = window.grace.as_ref().map_or(Millis(0), |grace| grace.millis());
            Windowing { kind, grace, late }
        });
        self.group(stream, common, windowing, place)
    }

    /// Aggregates by key, for ever.
    pub(crate) fn aggregate(&mut self, stream: Stream, aggregate: &Aggregate, place: &Place) -> Stream {
        let id = self.ids.check(aggregate.id.as_ref(), place.span, "aggregate", &mut self.findings);
        let emit = emit::of_aggregate(aggregate.emit.as_ref(), &mut self.findings);
        let by = self.by(&stream, aggregate.by.as_ref(), place);
        let common = Common { id, by, aggregates: &aggregate.aggregates, bounds: Bounds::Absent, emit };
        self.group(stream, common, None, place)
    }

    fn group(&mut self, stream: Stream, common: Common<'_>, window: Option<Windowing>, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        self.not_behind_changes(&stream, place);
        aggregate_names::check(&common.by, common.bounds, common.aggregates, &mut self.findings);
        let keys = common.by.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
        let results = common
            .aggregates
            .iter()
            .map(|(name, sql)| (name.value.clone(), expression::aggregate(sql, &columns, &mut self.findings)));
        let results = results.collect::<Vec<(String, Option<Checked>)>>();
        let output = output_columns(&columns, &keys, common.bounds, &results);
        let name = common.id.clone().unwrap_or_else(|| place.name.clone());
        let before = self.repartition_for(stream, &name, &keys);
        self.not_among_results(before.edge, window.as_ref(), common.emit, place);
        let behind = behind(&before, &keys, common.bounds, window.as_ref(), common.emit, &name);
        let aggregates = results.into_iter().filter_map(|(name, checked)| Some((name, checked?))).collect();
        let grouping = Grouping { id: name.clone(), keys, window, emit: common.emit, aggregates };
        let edge = self.append(name, before.edge, output, Op::Group(grouping));
        Stream { edge, ..behind }
    }

    /// The columns to group by: those written, else those of the `key_by` before.
    fn by(&mut self, stream: &Stream, by: Option<&Names>, place: &Place) -> Vec<Name> {
        let columns = self.columns(stream);
        match by {
            Some(names) => {
                group_keys::check(names.as_slice(), &columns, &mut self.findings);
                names.as_slice().to_vec()
            }
            None if stream.keyed == Keyed::KeyBy => match &stream.key {
                RecordKey::Columns(names) => {
                    let names = names.iter().map(|name| Spanned::new(name.clone(), place.span)).collect::<Vec<_>>();
                    group_keys::check(&names, &columns, &mut self.findings);
                    names
                }
                RecordKey::Lost(column) => {
                    self.findings
                        .error(
                            codes::KEY_LOST,
                            place.span,
                            format!("the key column `{column}` is gone before this step"),
                        )
                        .help("Keep the column, or say what to group by: `by: [..]`.");
                    Vec::new()
                }
                RecordKey::Mixed => {
                    self.findings
                        .error(codes::KEY_MIXED, place.span, "the streams that were merged have different keys")
                        .help("Say what to group by: `by: [..]`, or `by: []` if one group is meant.");
                    Vec::new()
                }
                RecordKey::Source => Vec::new(),
            },
            None => {
                self.findings
                    .warning(
                        codes::NO_KEY,
                        place.span,
                        "this step does not say what to group by: all rows are one group",
                    )
                    .help("Write `by: <column>`, or `by: []` if one group is meant.");
                Vec::new()
            }
        }
    }

    /// Results that change from commit to commit cannot be grouped again: the outcome would depend on when commits fall.
    fn not_behind_changes(&mut self, stream: &Stream, place: &Place) {
        if let Some(changes) = &stream.changes {
            let what =
                format!("the results of `{}` change from commit to commit and cannot be grouped again", changes.step);
            self.findings
                .error(codes::GROUP_OF_CHANGES, place.span, what)
                .help(format!("Let `{}` say `emit: final`, or group before it.", changes.step));
        }
    }

    /// Where the order of rows counts, results that come among them come at a place that depends on commits.
    fn not_among_results(&mut self, edge: Edge, window: Option<&Windowing>, emit: Emit, place: &Place) {
        let step = match window.map(|window| window.kind) {
            Some(WindowKind::Count(_)) => "count",
            Some(WindowKind::Over(_)) if emit == Emit::Arrival => "over",
            _ => return,
        };
        if let Some(results) = self.graph.results_among_rows(edge) {
            let what = format!(
                "which row a result of `{results}` comes behind depends on when commits fall, and `{step}` takes both as they come"
            );
            self.findings.warning(codes::ORDER_OF_RESULTS, place.span, what).help(
                "Take the results apart from the rows, or write both to a topic and read that by another pipeline.",
            );
        }
    }

    /// The sink of late rows.
    fn late(&mut self, late: Option<&Spanned<Late>>, stream: &Stream, id: Option<&str>) -> Option<usize> {
        let Some(Late::To(to)) = late.map(|late| &late.value) else { return None };
        self.topics.check(&to.to, Use::Late, &mut self.findings);
        let columns = self.columns(stream);
        sink_columns::have_text(to.to.span, &columns, &mut self.findings);
        let key = match &stream.key {
            RecordKey::Source if columns.system == SystemColumns::AtHand => KeyDraft::Source,
            RecordKey::Columns(names) if !names.is_empty() => KeyDraft::Columns(names.clone()),
            _ => KeyDraft::None,
        };
        let keys = if key == KeyDraft::None { Keys::None } else { Keys::Perhaps };
        self.creates.check(&to.to, to.create.as_ref(), keys, &mut self.findings);
        self.sinks.push(SinkDraft {
            name: to.to.value.clone(),
            topic: to.to.value.clone(),
            format: Written::Json,
            schema: None,
            visible: columns.names().map(str::to_owned).collect(),
            key,
            partition_by: None,
            headers: HeadersDraft::Set(Vec::new()),
            role: SinkRole::Late { step: id.unwrap_or_default().to_owned() },
        });
        Some(self.sinks.len() - 1)
    }
}

/// The columns of the results: the keys, the bounds, the aggregates.
fn output_columns(
    columns: &Columns,
    keys: &[String],
    bounds: Bounds,
    results: &[(String, Option<Checked>)],
) -> Columns {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut visible =
        keys.iter().map(|key| Column { name: key.clone(), data_type: columns.type_of(key) }).collect::<Vec<_>>();
    let bound = |name: &&str| Column { name: (*name).to_owned(), data_type: Some(timestamp.clone()) };
    visible.extend(bounds.names().iter().map(bound));
    visible.extend(results.iter().map(|(name, checked)| Column {
        name: name.clone(),
        data_type: checked.as_ref().map(|checked| checked.data_type.clone()),
    }));
    Columns { visible, system: SystemColumns::Gone }
}

/// What is known of the results.
fn behind(
    before: &Stream,
    keys: &[String],
    bounds: Bounds,
    window: Option<&Windowing>,
    emit: Emit,
    step: &str,
) -> Stream {
    let sessions = matches!(window.map(|window| window.kind), Some(WindowKind::Session(_)));
    let changes = matches!(emit, Emit::Changes | Emit::Every(_)).then(|| Changes {
        step: step.to_owned(),
        retracted: if sessions { Retracted::ByTombstone } else { Retracted::Never },
    });
    let window = (bounds == Bounds::Shown).then(|| WindowColumns {
        start: "window_start".to_owned(),
        end: "window_end".to_owned(),
        kind: if sessions { WindowedBy::Gap } else { WindowedBy::Span },
    });
    Stream {
        edge: before.edge,
        key: RecordKey::Columns(keys.to_vec()),
        keyed: Keyed::Grouping,
        spread: before.spread.clone(),
        window,
        changes,
    }
}
