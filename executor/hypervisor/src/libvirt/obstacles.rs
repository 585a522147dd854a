//! What stands in the way of a migration, as far as both hosts can tell before it begins: read from
//! the guest's own description, and asked of the target. What only libvirt's own checks find (unsafe
//! storage, for one) comes as a refusal when it begins, and the guest stays where it is.

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt_sys as sys;
use vmpack_domain::Mode;

use super::connection::Connection;
use super::description::child;
use super::door::{CpuFit, cpu_fits, has_block_job};

/// What a guest is made of, as far as it can stand in the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Made {
    emulator: Option<String>,
    arch: Option<String>,
    machine: Option<String>,
    kind: Option<String>,
    /// Its CPU's description, where the target has to have one like it.
    cpu: Option<String>,
    /// Its disks, by the names that the guest knows them by.
    disks: Vec<String>,
    /// Why it cannot go anywhere.
    never: Vec<String>,
    /// Why it cannot go by post-copy.
    not_by_post_copy: Vec<String>,
}

/// Everything that stands in the way, each with what to do; nothing where the way is free.
pub(super) fn obstacles(
    domain: &Domain,
    target: &Connection,
    to: &str,
    mode: Mode,
) -> Result<Vec<String>, virt::error::Error> {
    let xml = domain.get_xml_desc(sys::VIR_DOMAIN_XML_MIGRATABLE)?;
    let made = match read(&xml) {
        Ok(made) => made,
        Err(why) => return Ok(vec![why]),
    };
    let mut found = made.never;
    if mode != Mode::PreCopy {
        found.extend(made.not_by_post_copy);
    }
    for disk in &made.disks {
        if has_block_job(domain, disk) {
            found.push(format!(
                "a block job runs on its disk {disk}: end it, or wait for its end"
            ));
        }
    }
    let [emulator, arch, machine, kind] =
        [&made.emulator, &made.arch, &made.machine, &made.kind].map(Option::as_deref);
    // A libvirt without this question is no obstacle; one that has no such machine is.
    if let Err(e) = target.runs([emulator, arch, machine, kind])
        && e.code() != virt::error::ErrorNumber::NoSupport
    {
        found.push(format!(
            "host {to} cannot run its machine ({}, {}): {}",
            machine.unwrap_or("no type"),
            kind.unwrap_or("no hypervisor"),
            e.message()
        ));
    } else if let Some(cpu) = &made.cpu {
        match cpu_fits(target, [emulator, arch, machine, kind], cpu) {
            Ok(CpuFit::Fits) => {}
            Ok(CpuFit::Lacks) => found.push(format!(
                "the CPU of host {to} lacks features that the guest sees: give it a model that both hosts have"
            )),
            Err(e) => tracing::debug!(to, "its CPU cannot be compared: {}", e.message()),
        }
    }
    Ok(found)
}

fn read(xml: &str) -> Result<Made, String> {
    let document = Document::parse(xml).map_err(|e| format!("its XML cannot be read: {e}"))?;
    let domain = document.root_element();
    let mut made = Made {
        kind: domain.attribute("type").map(str::to_owned),
        ..Made::default()
    };
    if let Some(kind) = child(domain, "os").and_then(|os| child(os, "type")) {
        made.arch = kind.attribute("arch").map(str::to_owned);
        made.machine = kind.attribute("machine").map(str::to_owned);
    }
    // Where QEMU translates, it makes the CPU that is asked for.
    if made.kind.as_deref() == Some("kvm") {
        made.cpu = child(domain, "cpu").map(|cpu| xml[cpu.range()].to_owned());
    }
    if let Some(backing) = child(domain, "memoryBacking") {
        let pages = child(backing, "hugepages");
        let huge = |page: Node| {
            let unit = page.attribute("unit").unwrap_or("KiB");
            matches!(
                (page.attribute("size"), unit),
                (Some("1"), "G" | "GiB")
                    | (Some("1024"), "M" | "MiB")
                    | (Some("1048576"), "K" | "KiB")
            )
        };
        if pages.is_some_and(|p| p.children().any(huge)) {
            made.not_by_post_copy.push(
                "its memory is in pages of 1 GiB, each of which it would wait for as a whole"
                    .to_owned(),
            );
        }
    }
    let devices = child(domain, "devices");
    for device in devices.iter().flat_map(|d| d.children()) {
        judge(device, &mut made);
    }
    Ok(made)
}

/// One device's part.
fn judge(device: Node, made: &mut Made) {
    let attribute = |name: &str| device.attribute(name);
    match device.tag_name().name() {
        "emulator" => made.emulator = device.text().map(|t| t.trim().to_owned()),
        "disk" => {
            let target = child(device, "target").and_then(|t| t.attribute("dev"));
            let name = target.unwrap_or("without a name");
            made.disks.extend(target.map(str::to_owned));
            let media = matches!(attribute("device"), Some("cdrom" | "floppy"));
            if media && attribute("type") == Some("block") && child(device, "source").is_some() {
                made.never.push(format!(
                    "its drive {name} is a drive of its host: eject the medium"
                ));
            }
        }
        "hostdev" => made
            .never
            .push("a device of its host is passed through to it".to_owned()),
        "interface" if attribute("type") == Some("hostdev") => made
            .never
            .push("a network device of its host is passed through to it".to_owned()),
        "filesystem" => {
            let target = child(device, "target").and_then(|t| t.attribute("dir"));
            made.never.push(format!(
                "a folder of its host is mounted in it as {}: unmount and detach it",
                target.unwrap_or("a file system")
            ));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: &str, inside: &str) -> Made {
        read(&format!("<domain type='{kind}'>{inside}</domain>")).unwrap()
    }

    #[test]
    fn what_ties_a_guest_to_its_host_is_named() {
        for (device, says) in [
            ("<hostdev mode='subsystem'/>", "passed through"),
            ("<interface type='hostdev'/>", "network device"),
            (
                "<filesystem><source dir='/srv'/><target dir='share'/></filesystem>",
                "mounted in it as share",
            ),
            (
                "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sdb'/></disk>",
                "its drive sdb",
            ),
        ] {
            let made = made("kvm", &format!("<devices>{device}</devices>"));
            assert!(
                matches!(&made.never[..], [why] if why.contains(says)),
                "{device}: {made:?}"
            );
        }
        let empty =
            "<devices><disk type='block' device='cdrom'><target dev='sdb'/></disk></devices>";
        assert_eq!(made("kvm", empty).never, Vec::<String>::new());
    }

    #[test]
    fn pages_of_a_gibibyte_forbid_post_copy_alone() {
        for (size, unit, forbids) in [
            ("1", "G", true),
            ("1048576", "KiB", true),
            ("2048", "KiB", false),
        ] {
            let pages = format!(
                "<memoryBacking><hugepages><page size='{size}' unit='{unit}'/></hugepages></memoryBacking>"
            );
            let made = made("kvm", &pages);
            assert_eq!(!made.not_by_post_copy.is_empty(), forbids, "{size} {unit}");
            assert!(made.never.is_empty());
        }
    }

    #[test]
    fn the_target_is_asked_for_what_the_guest_is_made_of() {
        let made = made(
            "kvm",
            "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
             <cpu mode='custom'><model>Icelake-Server</model></cpu>
             <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
             <disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk></devices>",
        );
        assert_eq!(made.machine.as_deref(), Some("pc-q35-7.2"));
        assert_eq!(
            made.cpu.as_deref(),
            Some("<cpu mode='custom'><model>Icelake-Server</model></cpu>")
        );
        assert_eq!(made.disks, ["vda"]);
        assert_eq!(
            made.emulator.as_deref(),
            Some("/usr/bin/qemu-system-x86_64")
        );
    }
}
