//! What the probe itself uses.

use crate::sample::own_cpu_time;

/// This process now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Process {
    /// CPU time since its start, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// Memory that its maps and programs hold in the kernel, in bytes.
    pub(crate) kernel: u64,
    /// Open files.
    pub(crate) files: u64,
}

impl Process {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok());
        // The listing itself is one of them.
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, |list| list.count() as u64);
        Self {
            cpu: own_cpu_time() as f64 / 1e9,
            resident: resident.unwrap_or_default() << 10,
            kernel: kernel_memory(),
            files: files.saturating_sub(1),
        }
    }
}

/// What the kernel tells of the BPF maps and programs among the open files (`memlock`).
fn kernel_memory() -> u64 {
    let Ok(files) = std::fs::read_dir("/proc/self/fdinfo") else {
        return 0;
    };
    let of = |file: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(file.ok()?.path()).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        line?.trim().parse::<u64>().ok()
    };
    files.filter_map(of).sum()
}
