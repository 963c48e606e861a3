//! The graph of a topology as Mermaid and as DOT.

use std::fmt::Write;

use millstream_engine::ids::NodeId;
use millstream_engine::plan::NodeKind;

use super::nodes;
use crate::topology::Topology;

/// A box or a topic, and what it is called.
struct Vertex {
    id: String,
    label: String,
    /// The subtopology that it is in; `None` for topics.
    part: Option<usize>,
}

struct Drawing {
    vertices: Vec<Vertex>,
    edges: Vec<(String, String)>,
}

/// The graph as Mermaid's flowchart.
pub fn mermaid(topology: &Topology) -> String {
    let drawing = draw(topology);
    let mut text = String::from("flowchart LR\n");
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.part.is_none()) {
        let _ = writeln!(text, "  {}[(\"{}\")]", vertex.id, mermaid_text(&vertex.label));
    }
    for part in 0..topology.subtopologies.len() {
        let _ = writeln!(text, "  subgraph s{part}[\"subtopology {part}\"]");
        for vertex in drawing.vertices.iter().filter(|vertex| vertex.part == Some(part)) {
            let _ = writeln!(text, "    {}[\"{}\"]", vertex.id, mermaid_text(&vertex.label));
        }
        text.push_str("  end\n");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  {from} --> {to}");
    }
    text
}

/// The graph in Graphviz's DOT.
pub fn dot(topology: &Topology) -> String {
    let drawing = draw(topology);
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&topology.name));
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.part.is_none()) {
        let _ = writeln!(text, "  {} [label={}, shape=cylinder];", vertex.id, quoted(&vertex.label));
    }
    for part in 0..topology.subtopologies.len() {
        let _ = writeln!(text, "  subgraph cluster_{part} {{\n    label=\"subtopology {part}\";");
        for vertex in drawing.vertices.iter().filter(|vertex| vertex.part == Some(part)) {
            let _ = writeln!(text, "    {} [label={}];", vertex.id, quoted(&vertex.label));
        }
        text.push_str("  }\n");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  {from} -> {to};");
    }
    text.push_str("}\n");
    text
}

fn draw(topology: &Topology) -> Drawing {
    let mut drawing = Drawing { vertices: Vec::new(), edges: Vec::new() };
    let box_id = |part: usize, node: NodeId| format!("s{part}n{}", node.0);
    for (part, subtopology) in topology.subtopologies.iter().enumerate() {
        for (index, plan) in subtopology.plan.nodes.iter().enumerate() {
            let id = box_id(part, NodeId(index));
            let node = nodes::node(plan, topology);
            let label = match plan.kind {
                NodeKind::Filter(_) | NodeKind::Branch(_) => format!("{}\n{}", node.name, node.detail),
                _ => node.name,
            };
            let inputs = plan.inputs.iter().map(|(input, _)| (box_id(part, *input), id.clone()));
            drawing.edges.extend(inputs);
            drawing.vertices.push(Vertex { id, label, part: Some(part) });
        }
    }
    let topic = |drawing: &mut Drawing, name: &str| {
        let known = drawing.vertices.iter().find(|vertex| vertex.part.is_none() && vertex.label == name);
        if let Some(vertex) = known {
            return vertex.id.clone();
        }
        let id = format!("t{}", drawing.vertices.iter().filter(|vertex| vertex.part.is_none()).count());
        drawing.vertices.push(Vertex { id: id.clone(), label: name.to_owned(), part: None });
        id
    };
    for source in &topology.sources {
        let from = topic(&mut drawing, &source.topic);
        drawing.edges.push((from, box_id(source.subtopology, source.node)));
    }
    for exchange in &topology.exchanges {
        let through = topic(&mut drawing, &exchange.topic);
        drawing.edges.push((box_id(exchange.from, exchange.from_node), through.clone()));
        drawing.edges.push((through, box_id(exchange.to, exchange.to_node)));
    }
    for sink in &topology.sinks {
        let to = topic(&mut drawing, &sink.topic);
        drawing.edges.push((box_id(sink.subtopology, sink.node), to));
    }
    drawing
}

fn mermaid_text(label: &str) -> String {
    label.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('\n', "<br/>")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
