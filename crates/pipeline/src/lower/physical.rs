//! The graph cut into subtopologies, with only the columns that are read, and every expression compiled over those.

use arrow::datatypes::SchemaRef;

use millstream_engine::expr::{AggregateExpr, Expr, ExprError};
use millstream_engine::ids::{ExchangeId, NodeId, SinkId};
use millstream_engine::plan::{
    AggregatePlan, BranchPlan, Emit, ExchangePlan, Late, NamedAggregate, NodeKind, NodePlan, SinkPlan, SourcePlan,
    UnnestPlan, WindowKind, WindowPlan,
};
use millstream_engine::time::Millis;

use super::columns::Columns;
use super::graph::{Checked, Edge, Graph, Grouping, Node, NodeIndex, Op, Value};
use super::liveness::Liveness;
use crate::topology::{ExchangeDef, ExchangePartitions};

/// Where a node of the graph has come to stand.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// The subtopology that its rows leave in.
    pub(crate) subtopology: usize,
    /// The node there that they leave.
    pub(crate) node: NodeId,
    /// The columns that leave it.
    pub(crate) columns: Vec<String>,
}

/// What a source needs to know to become a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceNumbers {
    /// Its index in the topology.
    pub(crate) source: usize,
    /// How far rows may be out of order.
    pub(crate) out_of_order: Millis,
}

/// The subtopologies while they are made.
pub(crate) struct Physical<'a> {
    graph: &'a Graph,
    liveness: &'a Liveness,
    /// For each node of the graph its subtopology; for a repartition that of its receiver.
    parts: &'a [Option<usize>],
    pipeline: &'a str,
    /// The nodes of each subtopology.
    pub(crate) nodes: Vec<Vec<NodePlan>>,
    /// For each node of the graph where it stands; `None` for those that nothing depends on.
    pub(crate) placed: Vec<Option<Placed>>,
    /// The repartitions.
    pub(crate) exchanges: Vec<ExchangeDef>,
}

impl<'a> Physical<'a> {
    /// Places every node that anything depends on.
    ///
    /// # Errors
    /// If an expression that has been checked does not compile again: a mistake of ours.
    pub(crate) fn place(
        graph: &'a Graph,
        liveness: &'a Liveness,
        parts: &'a [Option<usize>],
        pipeline: &'a str,
        sources: &[Option<SourceNumbers>],
    ) -> Result<Physical<'a>, ExprError> {
        let count = parts.iter().flatten().max().map_or(0, |last| last + 1);
        let mut physical = Physical {
            graph,
            liveness,
            parts,
            pipeline,
            nodes: vec![Vec::new(); count],
            placed: vec![None; graph.nodes.len()],
            exchanges: Vec::new(),
        };
        for (index, _) in parts.iter().enumerate().filter(|(_, part)| part.is_some()) {
            let placed = physical.place_node(index, sources)?;
            physical.placed[index] = Some(placed);
        }
        Ok(physical)
    }

    fn place_node(&mut self, index: NodeIndex, sources: &[Option<SourceNumbers>]) -> Result<Placed, ExprError> {
        let node = &self.graph.nodes[index];
        if let Op::Source { source, event_time } = &node.op {
            let columns = self.liveness.columns(self.graph, index);
            let schema = node.columns.project(columns.iter().map(String::as_str));
            let event_time = event_time.as_ref().map(|time| Expr::compile(&time.sql, &schema)).transpose()?;
            let numbers = sources[*source].expect("a source that is read is in the topology");
            let plan = SourcePlan { source: numbers.source, event_time, out_of_order: numbers.out_of_order };
            return Ok(self.push(index, Vec::new(), columns, NodeKind::Source(plan)));
        }
        if let Op::Merge = node.op {
            return self.merge(index, node);
        }
        let input = self.input(node.inputs[0]);
        let schema = self.schema(node.inputs[0].node, &input.columns);
        let compile = |checked: &Checked| Expr::compile(&checked.sql, &schema);
        match &node.op {
            Op::Filter(condition) => {
                let kind = NodeKind::Filter(compile(condition)?);
                Ok(self.push(index, vec![edge(&input, node.inputs[0])], input.columns, kind))
            }
            Op::KeyBy(key) => {
                let kind = NodeKind::KeyBy(key.iter().map(|column| position(&input.columns, column)).collect());
                Ok(self.push(index, vec![edge(&input, node.inputs[0])], input.columns, kind))
            }
            Op::Project(outputs) => self.project(index, node, outputs, &input, &schema),
            Op::Unnest { list, element } => {
                let column = position(&input.columns, list);
                let mut columns = input.columns.clone();
                columns[column] = element.clone();
                let kind = NodeKind::Unnest(UnnestPlan { column });
                Ok(self.push(index, vec![edge(&input, node.inputs[0])], columns, kind))
            }
            Op::Branch(arms, otherwise) => {
                let arms = arms.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
                let kind = NodeKind::Branch(BranchPlan { arms, otherwise: *otherwise });
                Ok(self.push(index, vec![edge(&input, node.inputs[0])], input.columns, kind))
            }
            Op::Exchange { step, keys } => Ok(self.exchange(index, node, step, keys)),
            Op::Group(grouping) => self.group(index, node, grouping, &input, &schema),
            Op::Sink { sink, timestamp, headers } => {
                let timestamp = timestamp.as_ref().map(compile).transpose()?;
                let headers = headers.iter().map(|(name, value)| Ok((name.clone(), compile(value)?)));
                let headers = headers.collect::<Result<Vec<_>, _>>()?;
                let kind = NodeKind::Sink(SinkPlan { sink: SinkId(*sink), timestamp, headers });
                Ok(self.push(index, vec![edge(&input, node.inputs[0])], input.columns, kind))
            }
            Op::Source { .. } | Op::Merge => unreachable!("they have returned"),
        }
    }

    fn project(
        &mut self,
        index: NodeIndex,
        node: &Node,
        outputs: &[(String, Value)],
        input: &Placed,
        schema: &SchemaRef,
    ) -> Result<Placed, ExprError> {
        let columns = self.liveness.columns(self.graph, index);
        let exprs = columns.iter().map(|name| match outputs.iter().find(|(output, _)| output == name) {
            None => Ok(Expr::column(position(&input.columns, name), schema)),
            Some((_, Value::Column(from))) => Ok(Expr::column(position(&input.columns, from), schema)),
            Some((_, Value::Cast(from, to))) => Expr::cast(position(&input.columns, from), to, schema),
            Some((_, Value::Computed(checked))) => Expr::compile(&checked.sql, schema),
        });
        let kind = NodeKind::Project(exprs.collect::<Result<Vec<_>, _>>()?);
        Ok(self.push(index, vec![edge(input, node.inputs[0])], columns, kind))
    }

    /// All inputs of a merge must bring the same columns in the same order.
    fn merge(&mut self, index: NodeIndex, node: &Node) -> Result<Placed, ExprError> {
        let columns = self.liveness.columns(self.graph, index);
        let mut inputs = Vec::new();
        for (port, &input) in node.inputs.iter().enumerate() {
            let name = format!("{}.{port}.columns", node.name);
            inputs.push(self.narrowed(name, input, &columns));
        }
        Ok(self.push(index, inputs, columns, NodeKind::Merge))
    }

    /// Both ends of a repartition.
    fn exchange(&mut self, index: NodeIndex, node: &Node, step: &str, keys: &[String]) -> Placed {
        let mut columns = self.liveness.columns(self.graph, index);
        // A key that nothing behind reads must travel all the same to be sent by.
        columns.extend(keys.iter().filter(|key| !self.liveness.is_read(index, key)).cloned());
        let key_indices = keys.iter().map(|key| position(&columns, key)).collect::<Vec<_>>();
        let from = self.input(node.inputs[0]).subtopology;
        let sent = self.narrowed(format!("{}.columns", node.name), node.inputs[0], &columns);
        let id = ExchangeId(self.exchanges.len());
        let schema = self.schema(index, &columns);
        let plan = ExchangePlan { exchange: id, keys: key_indices.clone() };
        let sender = NodePlan {
            name: node.name.clone(),
            inputs: vec![sent],
            schema: schema.clone(),
            kind: NodeKind::Exchange(plan),
        };
        self.nodes[from].push(sender);
        let from_node = NodeId(self.nodes[from].len() - 1);
        let received = self.push(index, Vec::new(), columns, NodeKind::ExchangeSource(id));
        self.nodes[received.subtopology][received.node.0].name = format!("{}ed", node.name);
        self.exchanges.push(ExchangeDef {
            topic: format!("{}-{step}-repartition", self.pipeline),
            step: step.to_owned(),
            columns: schema,
            from,
            from_node,
            to: received.subtopology,
            to_node: received.node,
            partitions: match key_indices.is_empty() {
                true => ExchangePartitions::One,
                false => ExchangePartitions::LikeSenders,
            },
            keys: key_indices,
        });
        received
    }

    fn group(
        &mut self,
        index: NodeIndex,
        node: &Node,
        grouping: &Grouping,
        input: &Placed,
        schema: &SchemaRef,
    ) -> Result<Placed, ExprError> {
        let aggregates = grouping.aggregates.iter().map(|(name, checked)| {
            Ok(NamedAggregate { name: name.clone(), expr: AggregateExpr::compile(&checked.sql, schema)? })
        });
        let aggregates = aggregates.collect::<Result<Vec<_>, ExprError>>()?;
        let keys = grouping.keys.iter().map(|key| position(&input.columns, key)).collect();
        let (id, emit) = (grouping.id.clone(), grouping.emit);
        let kind = match &grouping.window {
            None => NodeKind::Aggregate(AggregatePlan { id, keys, emit, aggregates }),
            Some(window) => NodeKind::Window(WindowPlan {
                id,
                keys,
                kind: window.kind,
                grace: window.grace,
                emit,
                late: window.late.map_or(Late::Drop, |sink| Late::To(SinkId(sink))),
                aggregates,
            }),
        };
        let columns = node.columns.names().map(str::to_owned).collect();
        Ok(self.push(index, vec![edge(input, node.inputs[0])], columns, kind))
    }

    /// An input with exactly these columns: as it is, or behind a projection.
    fn narrowed(&mut self, name: String, input: Edge, columns: &[String]) -> (NodeId, usize) {
        let placed = self.input(input);
        if placed.columns == columns {
            return edge(&placed, input);
        }
        let before = self.schema(input.node, &placed.columns);
        let exprs = columns.iter().map(|name| Expr::column(position(&placed.columns, name), &before)).collect();
        let schema = self.schema(input.node, columns);
        let nodes = &mut self.nodes[placed.subtopology];
        nodes.push(NodePlan { name, inputs: vec![edge(&placed, input)], schema, kind: NodeKind::Project(exprs) });
        (NodeId(nodes.len() - 1), 0)
    }

    fn push(&mut self, index: NodeIndex, inputs: Vec<(NodeId, usize)>, columns: Vec<String>, kind: NodeKind) -> Placed {
        let subtopology = self.parts[index].expect("only nodes with a subtopology are placed");
        let node = &self.graph.nodes[index];
        let schema = self.schema(index, &columns);
        self.nodes[subtopology].push(NodePlan { name: node.name.clone(), inputs, schema, kind });
        Placed { subtopology, node: NodeId(self.nodes[subtopology].len() - 1), columns }
    }

    fn input(&self, edge: Edge) -> Placed {
        self.placed[edge.node].clone().expect("the inputs of a placed node are placed")
    }

    /// The schema of these columns of a node. What a filter passes on may include columns that only it reads.
    fn schema(&self, node: NodeIndex, columns: &[String]) -> SchemaRef {
        let of: &Columns = &self.graph.nodes[node].columns;
        of.project(columns.iter().map(String::as_str))
    }
}

/// Whether a node's results depend on the order in which its inputs are read.
pub(crate) fn is_order_sensitive(node: &NodePlan) -> bool {
    match &node.kind {
        NodeKind::Window(window) => {
            matches!(window.kind, WindowKind::Count(_))
                || matches!((window.kind, window.emit), (WindowKind::Over(_), Emit::Arrival))
        }
        _ => false,
    }
}

fn edge(placed: &Placed, edge: Edge) -> (NodeId, usize) {
    (placed.node, edge.output)
}

fn position(columns: &[String], name: &str) -> usize {
    columns.iter().position(|column| column == name).expect("what is read is live, and so a column of the input")
}
