//! A document: `apiVersion`, `kind`, and the body's own fields beside them. Streams through the
//! header so that errors in the body keep their place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of the formats.
pub const API_VERSION: &str = "vmpack/v1";

/// The kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hosts and guests.
    Cluster,
    /// Guests' load.
    Load,
    /// What the operator wants.
    Policy,
    /// A placement and the way to it.
    Plan,
    /// The proof of a bound.
    Certificate,
    /// A regression case: input and what is expected of it.
    Case,
    /// Edits of a cluster, its load and its policy, for what-if.
    Scenario,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Cluster,
        Self::Load,
        Self::Policy,
        Self::Plan,
        Self::Certificate,
        Self::Case,
        Self::Scenario,
    ];

    /// As the header says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Load => "Load",
            Self::Policy => "Policy",
            Self::Plan => "Plan",
            Self::Certificate => "Certificate",
            Self::Case => "Case",
            Self::Scenario => "Scenario",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// All names, for error messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// A document with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc<T> {
    /// Its kind.
    pub kind: Kind,
    /// The rest.
    pub body: T,
}

impl<T: Serialize> Serialize for Doc<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a, T> {
            #[serde(rename = "apiVersion")]
            api_version: &'static str,
            kind: &'static str,
            #[serde(flatten)]
            body: &'a T,
        }
        Flat {
            api_version: API_VERSION,
            kind: self.kind.name(),
            body: &self.body,
        }
        .serialize(s)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Doc<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(DocVisitor(PhantomData))
    }
}

struct DocVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for DocVisitor<T> {
    type Value = Doc<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a mapping that begins with `apiVersion: {API_VERSION}` and `kind: …`"
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Doc<T>, A::Error> {
        let mut header = Header::default();
        let body = T::deserialize(MapAccessDeserializer::new(Body {
            map,
            header: &mut header,
        }))?;
        match header.kind {
            Some(kind) if header.known => Ok(Doc { kind, body }),
            Some(_) => Err(de::Error::custom(format!(
                "read no `apiVersion: {API_VERSION}`, expected it"
            ))),
            None => Err(de::Error::custom(format!(
                "read no `kind`, expected one of {}",
                Kind::names()
            ))),
        }
    }
}

#[derive(Default)]
struct Header {
    /// The version is ours.
    known: bool,
    kind: Option<Kind>,
}

/// The document's entries less its header, which is kept on the way.
struct Body<'h, A> {
    map: A,
    header: &'h mut Header,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Body<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        loop {
            let Some(key) = self.map.next_key::<String>()? else {
                return Ok(None);
            };
            match key.as_str() {
                "apiVersion" => {
                    let version: String = self.map.next_value()?;
                    self.header.known = version == API_VERSION;
                }
                "kind" => {
                    let kind: String = self.map.next_value()?;
                    self.header.kind = Kind::from_name(&kind);
                }
                _ => {
                    return seed
                        .deserialize(de::value::StringDeserializer::new(key))
                        .map(Some);
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
