//! Who lays claim to a guest: a controller's lease, and managers that run guests by themselves.
//!
//! Both stand in the metadata of the guest's domain, which goes where the guest goes. A lease is
//! `<lease xmlns="urn:vmpack:lease:1" holder="…" since="2026-01-05T00:00:00Z" until="…"/>`: a second
//! controller, on another machine with a journal of its own, sees it and leaves the guest alone.
//! Two that write at the same moment both read what stands there afterwards, and libvirt itself
//! has one migration of a guest at a time.

use roxmltree::Document;
use vmpack_domain::load::jiff_serde::Timestamp;

use crate::libvirt::METADATA;

/// The namespace of a lease in a domain's metadata.
pub const LEASE: &str = "urn:vmpack:lease:1";

/// A controller's claim on a guest that it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which controller: its machine and its journal.
    pub holder: String,
    /// When it was laid.
    pub since: Timestamp,
    /// When the claim ends by itself, by the wall clock.
    pub until: Timestamp,
}

impl Lease {
    /// As an element of a domain's metadata, without its namespace, as `virDomainSetMetadata` takes it.
    #[must_use]
    pub fn element(&self) -> String {
        let escaped: String = self
            .holder
            .chars()
            .filter(|c| !c.is_control())
            .map(|c| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '"' => "&quot;".to_owned(),
                other => other.to_string(),
            })
            .collect();
        format!(
            "<lease holder=\"{escaped}\" since=\"{}\" until=\"{}\"/>",
            self.since.0, self.until.0
        )
    }
}

/// Who lays claim to a guest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// The controller that moves it.
    pub lease: Option<Lease>,
    /// The manager that it belongs to, such as `OpenStack`.
    pub manager: Option<String>,
}

/// Namespaces by which managers mark their guests. Pacemaker leaves no mark of its own: there the
/// operator says so, by the attribute `manager` in vmpack's metadata.
const MANAGERS: &[(&str, &str)] = &[
    ("http://openstack.org/xmlns/libvirt/nova/", "OpenStack"),
    ("http://ovirt.org/vm/", "oVirt"),
    ("http://kubevirt.io", "KubeVirt"),
];

/// The claims in a domain's XML. A lease that cannot be read counts as none: it was not written by
/// any version of vmpack.
///
/// # Errors
/// When the XML cannot be parsed.
pub fn claims(xml: &str) -> Result<Claims, String> {
    let document = Document::parse(xml).map_err(|e| format!("its XML cannot be read: {e}"))?;
    let mut found = Claims::default();
    let metadata = document
        .root_element()
        .children()
        .find(|n| n.has_tag_name("metadata"));
    for node in metadata.iter().flat_map(|m| m.children()) {
        let space = node.tag_name().namespace().unwrap_or_default();
        if space == LEASE {
            let time = |name| node.attribute(name)?.parse().map(Timestamp).ok();
            found.lease = node.attribute("holder").and_then(|holder| {
                Some(Lease {
                    holder: holder.to_owned(),
                    since: time("since")?,
                    until: time("until")?,
                })
            });
        } else if space == METADATA {
            found.manager = node
                .attribute("manager")
                .map(str::to_owned)
                .or(found.manager);
        } else if let Some((_, name)) = MANAGERS
            .iter()
            .find(|(prefix, _)| space.starts_with(prefix))
        {
            found.manager.get_or_insert_with(|| (*name).to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        let lease = Lease {
            holder: "ops \"1\" & <2>:/var/lib/vmpack/journal.db".to_owned(),
            since: Timestamp("2026-01-04T23:00:00Z".parse().unwrap()),
            until: Timestamp("2026-01-05T00:00:00Z".parse().unwrap()),
        };
        let element = lease.element().replacen("<lease", "<l:lease", 1);
        let xml = format!("<domain><metadata xmlns:l=\"{LEASE}\">{element}</metadata></domain>");
        assert_eq!(claims(&xml).unwrap().lease, Some(lease));
        let torn = xml.replace("2026", "twenty");
        assert_eq!(claims(&torn).unwrap(), Claims::default());
    }

    #[test]
    fn managers_are_known_by_their_marks() {
        let manager = |inside: &str| {
            let xml = format!("<domain><metadata>{inside}</metadata></domain>");
            claims(&xml).unwrap().manager
        };
        let nova = "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'/>";
        assert_eq!(manager(nova).as_deref(), Some("OpenStack"));
        let ovirt = "<o:vm xmlns:o='http://ovirt.org/vm/1.0'/>";
        assert_eq!(manager(ovirt).as_deref(), Some("oVirt"));
        let named = format!("<v:guest xmlns:v='{METADATA}' manager='Pacemaker'/>");
        assert_eq!(manager(&named).as_deref(), Some("Pacemaker"));
        let libosinfo = "<l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'/>";
        assert_eq!(manager(libosinfo), None);
    }
}
