//! The guests' file system: a cpio archive ("newc", as the kernel's early user space reads it) with
//! one static program in it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::command::{command, read};

const AGENT_SOURCE: &str = include_str!("../../testbed/guest/agent.c");

/// Compiles the agent and writes the archive that has it as `/init`.
pub(super) fn build(scratch: &Path, initrd: &Path) -> Result<()> {
    let (source, program) = (scratch.join("agent.c"), scratch.join("agent"));
    std::fs::write(&source, AGENT_SOURCE)
        .with_context(|| format!("cannot write {}", source.display()))?;
    let mut compile = command(["gcc", "-O2", "-static", "-s", "-o"]);
    read(compile.arg(&program).arg(&source))?;
    let agent =
        std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    std::fs::write(initrd, archive(&agent)?)
        .with_context(|| format!("cannot write {}", initrd.display()))
}

fn archive(agent: &[u8]) -> Result<Vec<u8>> {
    const DIRECTORY: u32 = 0o040_755;
    const CHARACTER_DEVICE: u32 = 0o020_600;
    const PROGRAM: u32 = 0o100_755;
    let mut cpio = Vec::new();
    append(&mut cpio, "dev", DIRECTORY, (0, 0), &[])?;
    append(&mut cpio, "dev/console", CHARACTER_DEVICE, (5, 1), &[])?;
    append(&mut cpio, "init", PROGRAM, (0, 0), agent)?;
    append(&mut cpio, "TRAILER!!!", 0, (0, 0), &[])?;
    Ok(cpio)
}

fn append(
    cpio: &mut Vec<u8>,
    name: &str,
    mode: u32,
    (major, minor): (u32, u32),
    data: &[u8],
) -> Result<()> {
    let size = u32::try_from(data.len()).context("a file of 4 GiB does not fit a cpio archive")?;
    let name_size = u32::try_from(name.len() + 1).context("a name is too long for cpio")?;
    // inode, mode, uid, gid, links, mtime, size, device (2), device of the node (2), name, checksum
    let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
    cpio.extend(b"070701");
    for field in fields {
        cpio.extend(format!("{field:08x}").bytes());
    }
    cpio.extend(name.bytes());
    cpio.push(0);
    cpio.resize(cpio.len().next_multiple_of(4), 0);
    cpio.extend(data);
    cpio.resize(cpio.len().next_multiple_of(4), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::archive;

    #[test]
    fn every_entry_starts_on_a_multiple_of_four_and_the_file_is_whole() {
        let cpio = archive(b"12345").unwrap();
        let starts: Vec<usize> = (0..cpio.len())
            .filter(|&at| cpio[at..].starts_with(b"070701"))
            .collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|at| at % 4 == 0));
        let init = &cpio[starts[2]..starts[3]];
        assert_eq!(&init[6 + 6 * 8..6 + 7 * 8], b"00000005");
        assert!(init[110..].starts_with(b"init\0"));
        assert_eq!(&init[116..121], b"12345");
    }
}
