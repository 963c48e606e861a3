//! A plan as text.

use std::fmt;

use super::{
    Created, Plan, PlanColumn, PlanKafka, PlanNode, PlanSchema, PlanSource, PlanStore, PlanSubtopology, PlanTopic,
    visible,
};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline {}", self.pipeline)?;
        if let Some(description) = &self.description {
            write!(f, ": {}", description.trim())?;
        }
        writeln!(f)?;
        for source in &self.sources {
            write_source(source, f)?;
        }
        for part in &self.subtopologies {
            write_part(part, f)?;
        }
        writeln!(f, "\ntopics")?;
        for topic in &self.topics {
            write_topic(topic, f)?;
        }
        if !self.stores.is_empty() {
            writeln!(f, "\nstate (fingerprint {})", self.fingerprint)?;
        }
        for store in &self.stores {
            write_store(store, f)?;
        }
        self.kafka.as_ref().map_or(Ok(()), |kafka| write_kafka(kafka, f))
    }
}

fn write_source(source: &PlanSource, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let partitions = match source.partitions {
        None => String::new(),
        Some(1) => ", 1 partition".to_owned(),
        Some(count) => format!(", {count} partitions"),
    };
    writeln!(f, "\nsource {}: topic {}, {}{partitions}", source.name, source.topic, source.format)?;
    if !source.schema.is_empty() {
        writeln!(f, "  schema {}", source.schema.join(", "))?;
    }
    writeln!(f, "  reads {}", list(source.reads.iter()))?;
    if !source.skips.is_empty() {
        writeln!(f, "  skips {}", source.skips.join(", "))?;
    }
    Ok(())
}

fn write_part(part: &PlanSubtopology, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let tasks = match (part.tasks_known, part.tasks) {
        (false, _) => "as many tasks as partitions".to_owned(),
        (true, 1) => "1 task".to_owned(),
        (true, tasks) => format!("{tasks} tasks"),
    };
    let reading = match part.reading {
        "as it comes" => String::new(),
        order => format!(", reads {order}"),
    };
    writeln!(f, "\nsubtopology {}: {tasks}{reading}", part.number)?;
    for (number, node) in part.nodes.iter().enumerate() {
        write_node(number, node, f)?;
    }
    Ok(())
}

fn write_node(number: usize, node: &PlanNode, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let inputs = node.inputs.iter().map(|input| format!("#{input}")).collect::<Vec<_>>().join(", ");
    let inputs = if inputs.is_empty() { inputs } else { format!(" <- {inputs}") };
    writeln!(f, "  #{number} {}{inputs}", node.name)?;
    let detail = node.detail.split_whitespace().collect::<Vec<_>>().join(" ");
    writeln!(f, "       {}", format!("{} {detail}", node.kind).trim_end())?;
    match node.kind {
        "sink" | "repartition" => Ok(()),
        _ => writeln!(f, "       -> {}", list(node.columns.iter())),
    }
}

fn write_topic(topic: &PlanTopic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "  {}: {}", topic.name, topic.role)?;
    if let Some(key) = &topic.key {
        write!(f, ", key {key}")?;
    }
    let partitions = match topic.partitions {
        None if topic.created == Created::WhenMissing => "as many partitions as the widest source".to_owned(),
        None => "as many partitions as tasks".to_owned(),
        Some(1) => "1 partition".to_owned(),
        Some(count) => format!("{count} partitions"),
    };
    match topic.created {
        Created::ByPipeline | Created::WhenMissing => {
            let when = if topic.created == Created::WhenMissing { " if it is missing" } else { "" };
            write!(f, "; created{when} with {partitions}")?;
            for (name, value) in &topic.settings {
                write!(f, ", {name}={value}")?;
            }
        }
        Created::Outside if topic.partitions.is_some() => write!(f, "; {partitions}")?,
        Created::Outside => {}
    }
    writeln!(f)?;
    topic.schema.as_ref().map_or(Ok(()), |schema| write_schema("schema", schema, f))?;
    topic.key_schema.as_ref().map_or(Ok(()), |schema| write_schema("schema of keys", schema, f))
}

fn write_schema(what: &str, schema: &PlanSchema, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "       {what} {}", schema.origin)?;
    match (&schema.subject, schema.version, schema.id) {
        (None, ..) => write!(f, ", messages without ids")?,
        (Some(subject), Some(version), Some(id)) => write!(f, ", is {subject} version {version} (id {id})")?,
        (Some(subject), ..) if schema.register => write!(f, ", subject {subject}; registered if it is not there")?,
        (Some(subject), ..) => write!(f, ", subject {subject}; must be there")?,
    }
    writeln!(f)
}

fn write_store(store: &PlanStore, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "  {}: {}", store.id, store.shape)?;
    write!(f, "       about {} bytes for each {}", store.bytes, store.unit)?;
    match store.units_per_key {
        None => writeln!(f),
        Some(units) => {
            let million = store.bytes as u64 * units;
            writeln!(f, "; a million keys with {units} at once take about {million} MB")
        }
    }
}

fn write_kafka(kafka: &PlanKafka, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "\nover Kafka")?;
    writeln!(f, "  group {}, {}", kafka.group, kafka.guarantee)?;
    if !kafka.transactional_ids.is_empty() {
        writeln!(f, "  transactional ids {}", kafka.transactional_ids.join(", "))?;
    }
    kafka.properties.iter().try_for_each(|(name, value)| writeln!(f, "  {name}={value}"))
}

/// `a string, b bigint`, hidden columns in brackets.
fn list<'a>(columns: impl Iterator<Item = &'a PlanColumn> + Clone) -> String {
    let all = columns.cloned().collect::<Vec<_>>();
    let mut shown = visible(&all).map(|column| format!("{} {}", column.name, column.sql_type)).collect::<Vec<_>>();
    let hidden = all.iter().filter(|column| crate::topology::is_hidden(&column.name));
    shown.extend(hidden.map(|column| format!("({})", column.name)));
    if shown.is_empty() { "no columns".to_owned() } else { shown.join(", ") }
}
