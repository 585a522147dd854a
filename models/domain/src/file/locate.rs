//! Finds the line and column of a node in a YAML text. Used only once a fault is known, so it may
//! parse the text again.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

/// One step into a document.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Into a mapping, by a key that the format defines.
    Key(&'static str),
    /// Into a mapping, by a key that the user chose.
    Name(String),
    /// Into a sequence.
    Index(usize),
}

/// Line and column, from 1, of the node that the steps lead to, or of the last one that exists on
/// the way.
pub(super) fn locate(text: &str, steps: &[Step]) -> Option<(u64, u64)> {
    let root: Spanned<Node> =
        serde_yaml::from_str_with_options(text, super::text::options(text.len())).ok()?;
    let mut at = &root;
    for step in steps {
        let next = match (step, &at.value) {
            (Step::Index(i), Node::Sequence(items)) => items.get(*i),
            (Step::Key(key), Node::Mapping(entries)) => {
                entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
            }
            (Step::Name(key), Node::Mapping(entries)) => {
                entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
            }
            _ => None,
        };
        match next {
            Some(node) => at = node,
            None => break,
        }
    }
    Some((at.referenced.line(), at.referenced.column())).filter(|(line, _)| *line > 0)
}

enum Node {
    Scalar,
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        Node::deserialize(d)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}
