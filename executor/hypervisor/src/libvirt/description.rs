//! What is read from a domain's XML: how it is run, what ties it to its host, and the operator's
//! own wishes in its metadata.

use roxmltree::{Document, Node};
use vmpack_domain::PostCopy;
use vmpack_domain::units::MiB;

/// The namespace of the element in a domain's metadata by which its owner opts out of moves:
/// `<guest xmlns="urn:vmpack:guest:1" movable="false" post-copy="never"/>`. Both attributes are
/// optional; `movable` is `true` or `false`, `post-copy` is `allowed` or `never`. It is set by
/// `virsh metadata GUEST --uri urn:vmpack:guest:1 --key vmpack --set '<guest post-copy="never"/>'`
/// with `--live`, `--config` or both; a snapshot reads the live one.
pub const METADATA: &str = "urn:vmpack:guest:1";

/// How QEMU runs a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// In hardware.
    Kvm,
    /// By translation (TCG).
    Tcg,
    /// Something else.
    Other,
}

/// What a domain's XML says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) accelerator: Accelerator,
    /// It may be moved: not opted out, and no device of its host is passed through.
    pub(super) movable: bool,
    pub(super) post_copy: PostCopy,
    /// It runs on its host's very CPU model, so it can only go to a host of the same.
    pub(super) host_cpu: bool,
    /// Its size, where that is stated: the most memory that it may have, and its vCPUs that are plugged.
    pub(super) size: Option<(MiB, u32)>,
}

/// Reads a domain's XML; the error says what was read and what is accepted.
pub(super) fn describe(xml: &str) -> Result<Description, String> {
    let document = Document::parse(xml).map_err(|e| format!("its XML cannot be read: {e}"))?;
    let domain = document.root_element();
    let accelerator = match domain.attribute("type") {
        Some("kvm") => Accelerator::Kvm,
        Some("qemu") => Accelerator::Tcg,
        _ => Accelerator::Other,
    };
    let wishes = child(domain, "metadata")
        .and_then(|m| m.children().find(|n| n.has_tag_name((METADATA, "guest"))));
    let wish = |name: &str, yes: &str, no: &str| match wishes.and_then(|w| w.attribute(name)) {
        None => Ok(true),
        Some(text) if text == yes => Ok(true),
        Some(text) if text == no => Ok(false),
        Some(text) => Err(format!(
            "metadata `{METADATA}`: {name}: read `{}`, expected `{yes}` or `{no}`",
            text.chars().take(40).collect::<String>()
        )),
    };
    let opted_in = wish("movable", "true", "false")?;
    let post_copy = if wish("post-copy", "allowed", "never")? {
        PostCopy::Allowed
    } else {
        PostCopy::Never
    };
    let passed_through = child(domain, "devices").is_some_and(|devices| {
        devices.children().any(|d| {
            d.has_tag_name("hostdev")
                || (d.has_tag_name("interface") && d.attribute("type") == Some("hostdev"))
        })
    });
    let cpu_mode = child(domain, "cpu").and_then(|c| c.attribute("mode"));
    Ok(Description {
        accelerator,
        movable: opted_in && !passed_through,
        post_copy,
        host_cpu: matches!(cpu_mode, Some("host-passthrough" | "maximum"))
            && accelerator == Accelerator::Kvm,
        size: size(domain),
    })
}

/// libvirt writes memory in KiB.
fn size(domain: Node) -> Option<(MiB, u32)> {
    let number = |text: Option<&str>| text?.trim().parse::<u64>().ok();
    let memory = child(domain, "memory")?;
    let kib = number(memory.text()).filter(|_| memory.attribute("unit") == Some("KiB"))?;
    let vcpu = child(domain, "vcpu")?;
    let plugged = number(vcpu.attribute("current").or(vcpu.text()))?;
    Some((MiB(kib.div_ceil(1024)), u32::try_from(plugged).ok()?))
}

/// A host's CPU model, from its capabilities' XML, where it is stated.
pub(super) fn cpu_model(capabilities: &str) -> Option<String> {
    let document = Document::parse(capabilities).ok()?;
    let cpu = child(child(document.root_element(), "host")?, "cpu")?;
    let model = child(cpu, "model")?.text()?.trim();
    (!model.is_empty()).then(|| model.to_owned())
}

pub(super) fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|n| n.has_tag_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(kind: &str, inside: &str) -> String {
        format!("<domain type='{kind}'><name>g</name>{inside}</domain>")
    }

    fn wishes(attributes: &str) -> String {
        domain(
            "kvm",
            &format!("<metadata><v:guest xmlns:v='{METADATA}' {attributes}/></metadata>"),
        )
    }

    #[test]
    fn a_plain_guest_may_be_moved_by_post_copy() {
        let plain = describe(&domain("qemu", "")).unwrap();
        let expected = Description {
            accelerator: Accelerator::Tcg,
            movable: true,
            post_copy: PostCopy::Allowed,
            host_cpu: false,
            size: None,
        };
        assert_eq!(plain, expected);
        assert_eq!(
            describe(&domain("xen", "")).unwrap().accelerator,
            Accelerator::Other
        );
    }

    #[test]
    fn metadata_can_opt_out() {
        assert!(!describe(&wishes("movable='false'")).unwrap().movable);
        let never = describe(&wishes("post-copy='never'")).unwrap();
        assert_eq!((never.movable, never.post_copy), (true, PostCopy::Never));
        assert!(
            describe(&wishes("movable='true' post-copy='allowed'"))
                .unwrap()
                .movable
        );
        let foreign = "<metadata><guest xmlns='urn:other' movable='false'/></metadata>";
        assert!(describe(&domain("kvm", foreign)).unwrap().movable);
    }

    #[test]
    fn a_wish_that_cannot_be_read_is_an_error_that_says_so() {
        let e = describe(&wishes("movable='perhaps'")).unwrap_err();
        assert!(
            e.contains("read `perhaps`, expected `true` or `false`"),
            "{e}"
        );
        assert!(describe("<domain").unwrap_err().contains("XML"));
    }

    #[test]
    fn a_host_device_ties_a_guest_to_its_host() {
        for device in ["<hostdev mode='subsystem'/>", "<interface type='hostdev'/>"] {
            let xml = domain("kvm", &format!("<devices>{device}</devices>"));
            assert!(!describe(&xml).unwrap().movable, "{device}");
        }
        let cpu = "<cpu mode='host-passthrough'/>";
        assert!(describe(&domain("kvm", cpu)).unwrap().host_cpu);
        assert!(!describe(&domain("qemu", cpu)).unwrap().host_cpu);
    }

    #[test]
    fn a_host_states_its_cpu() {
        let xml = "<capabilities><host><cpu><model>Icelake</model></cpu></host></capabilities>";
        assert_eq!(cpu_model(xml).as_deref(), Some("Icelake"));
        assert_eq!(cpu_model("nothing"), None);
    }
}
