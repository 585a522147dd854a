//! Names of hosts and guests. A name is printable text of 1 to 253 characters without leading or
//! trailing space, as libvirt accepts it for a domain. Names are shared: a copy of one is cheap.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::shorten;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{0}`, expected a name of 1 to 253 printable characters")]
pub struct NameError(String);

/// Whether the text is a name.
pub(crate) fn accept(text: &str) -> Result<Arc<str>, NameError> {
    let ok = !text.is_empty()
        && text.chars().count() <= 253
        && text.trim() == text
        && !text.chars().any(char::is_control);
    if ok {
        Ok(text.into())
    } else {
        Err(NameError(shorten(text)))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                accept(&text).map(Self)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                accept(text).map(Self)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A guest's name, unique in its cluster.
    GuestName
);
name!(
    /// A host's name, unique in its cluster.
    HostName
);
