//! One node of the graph in words: SQL where it is written in SQL, settings as in a pipeline.

use arrow::datatypes::Schema;
use millstream_engine::plan::{
    Emit, Late, NamedAggregate, NodeKind, NodePlan, Otherwise, SinkPlan, SourcePlan, WindowKind, WindowPlan,
};

use super::{PlanNode, columns};
use crate::spec::duration::Duration;
use crate::topology::{SinkDef, SinkKey, Topology, WindowedBounds};

/// A node of the graph.
pub(super) fn node(node: &NodePlan, topology: &Topology) -> PlanNode {
    let (kind, detail) = describe(node, topology);
    PlanNode {
        name: node.name.clone(),
        kind,
        detail,
        inputs: node.inputs.iter().map(|(input, _)| input.0).collect(),
        columns: columns(&node.schema),
    }
}

fn describe(node: &NodePlan, topology: &Topology) -> (&'static str, String) {
    match &node.kind {
        NodeKind::Source(plan) => ("source", source(plan, topology)),
        NodeKind::ExchangeSource(id) => {
            let exchange = &topology.exchanges[id.0];
            ("repartitioned", format!("from subtopology {} by {}", exchange.from, exchange.topic))
        }
        NodeKind::Filter(condition) => ("filter", condition.sql().to_owned()),
        NodeKind::KeyBy(key) => ("key_by", names(key, &node.schema)),
        NodeKind::Project(exprs) => {
            let computed = node.schema.fields().iter().zip(exprs).filter_map(|(field, expr)| {
                let sql = expr.sql();
                (sql.trim_matches('"') != field.name()).then(|| format!("{} = {sql}", field.name()))
            });
            let computed = computed.collect::<Vec<_>>();
            ("columns", if computed.is_empty() { "keeps".to_owned() } else { computed.join(", ") })
        }
        NodeKind::Unnest(plan) => ("unnest", node.schema.field(plan.column).name().clone()),
        NodeKind::Branch(plan) => {
            let mut arms = plan.arms.iter().map(|arm| arm.sql().to_owned()).collect::<Vec<_>>();
            if plan.otherwise == Otherwise::LastOutput {
                arms.push("otherwise".to_owned());
            }
            ("branch", arms.join(" | "))
        }
        NodeKind::Merge => ("merge", String::new()),
        NodeKind::Exchange(plan) => {
            let exchange = &topology.exchanges[plan.exchange.0];
            let by = names(&plan.keys, &exchange.columns);
            let by = if by.is_empty() { "into one partition".to_owned() } else { format!("by {by}") };
            ("repartition", format!("{by} to subtopology {}", exchange.to))
        }
        NodeKind::Window(plan) => ("window", window(plan, &node.schema)),
        NodeKind::Aggregate(plan) => {
            let by = first_names(plan.keys.len(), &node.schema);
            ("aggregate", format!("{by}{}, {}", emit(plan.emit), aggregates(&plan.aggregates)))
        }
        NodeKind::Sink(plan) => ("sink", sink(plan, &topology.sinks[plan.sink.0])),
    }
}

fn sink(plan: &SinkPlan, sink: &SinkDef) -> String {
    let mut detail = format!("to {}", sink.topic);
    if let Some(timestamp) = &plan.timestamp {
        detail += &format!(", timestamp {}", timestamp.sql());
    }
    if sink.kept_headers.is_some() {
        detail += ", headers those of the source";
    }
    if !plan.headers.is_empty() {
        let set = plan.headers.iter().map(|(name, value)| format!("{name}: {}", value.sql()));
        detail += &format!(", headers {}", set.collect::<Vec<_>>().join(", "));
    }
    detail
}

fn source(plan: &SourcePlan, topology: &Topology) -> String {
    let time = plan.event_time.as_ref().map_or("the record's timestamp", |time| time.sql());
    let mut detail = format!("topic {}, event time {time}", topology.sources[plan.source].topic);
    if plan.out_of_order.0 > 0 {
        detail += &format!(", {} out of order", Duration(plan.out_of_order));
    }
    detail
}

fn window(plan: &WindowPlan, schema: &Schema) -> String {
    let span = |span| Duration(span).to_string();
    let offset = |offset: millstream_engine::time::Millis| match offset.0 {
        0 => String::new(),
        _ => format!(" offset {}", span(offset)),
    };
    let kind = match plan.kind {
        WindowKind::Tumbling { size, offset: by } => format!("tumbling {}{}", span(size), offset(by)),
        WindowKind::Hopping { size, every, offset: by } => {
            format!("hopping {} every {}{}", span(size), span(every), offset(by))
        }
        WindowKind::Sliding(length) => format!("sliding {}", span(length)),
        WindowKind::Over(length) => format!("over {}", span(length)),
        WindowKind::Session(gap) => format!("session {}", span(gap)),
        WindowKind::Count(rows) => format!("count {rows}"),
    };
    let by = first_names(plan.keys.len(), schema);
    let grace = if plan.grace.0 > 0 { format!(", grace {}", span(plan.grace)) } else { String::new() };
    let late = match plan.late {
        Late::Drop => "",
        Late::To(_) => ", late rows kept",
    };
    format!("{by}{kind}{grace}, {}{late}, {}", emit(plan.emit), aggregates(&plan.aggregates))
}

fn emit(emit: Emit) -> String {
    match emit {
        Emit::Final => "emit final".to_owned(),
        Emit::Changes => "emit changes".to_owned(),
        Emit::Every(span) => format!("emit every {}", Duration(span)),
        Emit::Arrival => "emit arrival".to_owned(),
    }
}

fn aggregates(aggregates: &[NamedAggregate]) -> String {
    let each = aggregates.iter().map(|aggregate| format!("{} = {}", aggregate.name, aggregate.expr.sql()));
    each.collect::<Vec<_>>().join(", ")
}

/// `by a, b, `: the key columns come first.
fn first_names(count: usize, schema: &Schema) -> String {
    match count {
        0 => "one group, ".to_owned(),
        _ => format!("by {}, ", names(&(0..count).collect::<Vec<_>>(), schema)),
    }
}

fn names(indices: &[usize], schema: &Schema) -> String {
    indices.iter().map(|&index| schema.field(index).name().as_str()).collect::<Vec<_>>().join(", ")
}

/// How a key is made.
pub(super) fn key(key: &SinkKey, schema: &Schema) -> String {
    match key {
        SinkKey::None => "none".to_owned(),
        SinkKey::Column(column) => schema.field(*column).name().clone(),
        SinkKey::Object(columns) => {
            let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            format!("{{{}}}", names.join(", "))
        }
        SinkKey::Joined { columns, separator } => format!("{} joined by {separator:?}", names(columns, schema)),
        SinkKey::Encoded(key) => {
            let names = key.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            format!("{} as {}", names.join(", "), key.format.name())
        }
        SinkKey::Windowed { key: inner, bounds } => {
            let bounds = match bounds {
                WindowedBounds::Start { .. } => "start",
                WindowedBounds::EndStart { .. } => "end and start",
            };
            format!("{} with the window's {bounds}", self::key(inner, schema))
        }
        SinkKey::SourceKey(_) => "that of the source".to_owned(),
    }
}
