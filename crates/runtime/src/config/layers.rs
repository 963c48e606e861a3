//! Settings from several places, laid over each other key by key: each leaf of the tree remembers where it came from.

use std::collections::BTreeMap;
use std::fmt;

use millstream_pipeline::yaml::node::{Kind, Node, Scalar};
use millstream_pipeline::yaml::source_map::Style;
use millstream_pipeline::yaml::span::Span;

use super::origin::Origin;

/// The keys on the way to a setting: `["http", "listen"]`, `["kafka", "sasl.password"]`.
pub(super) type Key = Vec<String>;

/// A single setting.
#[derive(Clone)]
pub(super) struct Leaf {
    /// Its value as written.
    pub(super) value: Scalar,
    /// Where it stands in the file, if it does.
    pub(super) span: Span,
    /// Where its key stands there.
    pub(super) key: Span,
    pub(super) origin: Origin,
    /// Whether a placeholder gave its value, which may then be anything.
    pub(super) from_placeholder: bool,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// All settings that somebody gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers(BTreeMap<Key, Leaf>);

impl Layers {
    /// Lays a setting over what is there.
    pub(super) fn put(&mut self, key: Key, leaf: Leaf) {
        self.0.insert(key, leaf);
    }

    pub(super) fn get(&self, key: &[String]) -> Option<&Leaf> {
        self.0.get(key)
    }

    /// Drops what is not of this section.
    pub(super) fn keep(&mut self, section: &str) {
        self.0.retain(|key, _| key.first().is_some_and(|first| first == section));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Leaf)> {
        self.0.iter()
    }

    /// Lays the settings of a file over what is there. `origin` and `from_placeholder` say what a place in it stands for.
    pub(super) fn put_tree(
        &mut self,
        root: &Node,
        origin: &dyn Fn(Span) -> Origin,
        from_placeholder: &dyn Fn(Span) -> bool,
    ) {
        let mut path = Vec::new();
        self.put_node(root, root.span, &mut path, &|node, key, value| Leaf {
            value,
            span: node.span,
            key,
            origin: origin(node.span),
            from_placeholder: from_placeholder(node.span),
        });
    }

    fn put_node(&mut self, node: &Node, at: Span, path: &mut Key, leaf: &dyn Fn(&Node, Span, Scalar) -> Leaf) {
        match &node.kind {
            Kind::Scalar(value) => self.put(path.clone(), leaf(node, at, value.clone())),
            Kind::Mapping(entries) => {
                for (key, value) in entries {
                    path.push(key.text().unwrap_or_default().to_owned());
                    self.put_node(value, key.span, path, leaf);
                    path.pop();
                }
            }
            // The structure has been checked, and no setting is a list.
            Kind::Sequence(_) | Kind::Unknown => {}
        }
    }

    /// The settings as one tree.
    pub(super) fn tree(&self) -> Node {
        let mut root = mapping(Span::default());
        for (key, leaf) in &self.0 {
            insert(&mut root, key, Node { span: leaf.span, kind: Kind::Scalar(leaf.value.clone()) });
        }
        root
    }
}

/// A tree of one setting, for a check of its own.
pub(super) fn single(key: &[String], value: Scalar) -> Node {
    let mut root = mapping(Span::default());
    insert(&mut root, key, Node { span: Span::default(), kind: Kind::Scalar(value) });
    root
}

/// A value that was given as text alone, and may be meant as a number.
pub(super) fn text(value: &str) -> Scalar {
    Scalar { value: value.to_owned(), style: Style::Replaced }
}

fn mapping(span: Span) -> Node {
    Node { span, kind: Kind::Mapping(Vec::new()) }
}

fn insert(into: &mut Node, key: &[String], leaf: Node) {
    let Kind::Mapping(entries) = &mut into.kind else { return };
    let Some((name, rest)) = key.split_first() else { return };
    let at = match entries.iter().position(|(key, _)| key.text() == Some(name)) {
        Some(at) => at,
        None => {
            let scalar = Scalar { value: name.clone(), style: Style::DoubleQuoted };
            let key = Node { span: leaf.span, kind: Kind::Scalar(scalar) };
            entries.push((key, mapping(leaf.span)));
            entries.len() - 1
        }
    };
    match rest {
        [] => entries[at].1 = leaf,
        rest => insert(&mut entries[at].1, rest, leaf),
    }
}
