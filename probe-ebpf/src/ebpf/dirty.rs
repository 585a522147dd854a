//! The dirty half: `bpf/dirty.bpf.c` and `bpf/mark.bpf.c`, which count the pages that a guest
//! dirties while its dirty log is on. Without a log no hook of the kernel sees a guest's writes.

use std::path::Path;

use aya::maps::{MapData, PerCpuHashMap, PerCpuValues};
use aya::programs::{FEntry, KProbe, RawTracePoint};
use aya::util::nr_cpus;
use aya::{Btf, Ebpf, EbpfLoader};

use super::load::{NoEbpf, absent, program};
use super::wire::Dirty;

const OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/dirty.bpf.o");
const MARK: &[u8] = aya::include_bytes_aligned!("../../bpf/mark.bpf.o");

/// The function that sets a page's bit in a memory slot's bitmap.
const MARKS: &str = "mark_page_dirty_in_slot";

/// A hook, and why it is not there, if so.
#[derive(Debug)]
pub struct Hook {
    /// What it is attached to.
    pub name: &'static str,
    /// What it takes its pages from.
    pub sees: &'static str,
    /// Why it is not attached.
    pub missing: Option<NoEbpf>,
}

/// The hooks, attached, and their counts.
pub(super) struct DirtyPages {
    counts: Vec<PerCpuHashMap<MapData, u32, Dirty>>,
    /// Attached as long as these live.
    _objects: Vec<Ebpf>,
    pub(super) hooks: Vec<Hook>,
}

impl DirtyPages {
    /// Attaches the hooks that this kernel has.
    ///
    /// # Errors
    /// When it has none.
    pub(super) fn load() -> Result<Self, NoEbpf> {
        let btf = Btf::from_sys_fs().map_err(|e| NoEbpf::new("the kernel's BTF", &e))?;
        let mut object = load(OBJECT, &btf)?;
        let mut hooks = Vec::new();
        for (handler, name, sees) in [
            ("on_push", "kvm_dirty_ring_push", "the dirty ring"),
            ("on_set_spte", "kvm_mmu_set_spte", "the shadow MMU"),
        ] {
            let attached = program(&mut object, handler).and_then(|program: &mut RawTracePoint| {
                let attached = program.load().and_then(|()| program.attach(name));
                attached.map_err(|e| NoEbpf::new("a tracepoint of KVM", &e))
            });
            hooks.push(Hook {
                name,
                sees,
                missing: attached.err(),
            });
        }
        let mut counts = vec![taken(&mut object)?];
        let mut objects = vec![object];
        let marked = load(MARK, &btf).and_then(|mut object| {
            attach_mark(&mut object, &btf)?;
            counts.push(taken(&mut object)?);
            Ok(object)
        });
        let missing = match marked {
            Ok(object) => {
                objects.push(object);
                None
            }
            Err(why) => Some(why),
        };
        // With page tables of the hardware only this hook sees what a bitmap logs: without it a busy
        // guest would seem idle.
        if let Some(why) = &missing
            && !shadow_only(Path::new("/sys/module"))
        {
            return Err(NoEbpf::named(
                "no hook sees the pages that EPT or NPT logs",
                why,
            ));
        }
        hooks.push(Hook {
            name: MARKS,
            sees: "the bitmap of EPT and NPT (untested)",
            missing,
        });
        if hooks.iter().all(|hook| hook.missing.is_some()) {
            let first = hooks.into_iter().find_map(|hook| hook.missing);
            return Err(first.unwrap_or_else(absent));
        }
        Ok(Self {
            counts,
            _objects: objects,
            hooks,
        })
    }

    /// From now on the process's pages count; its number is that of the first PID namespace.
    pub(super) fn begin(&mut self, process: u32) -> Result<(), NoEbpf> {
        let failed = |e: &dyn std::error::Error| NoEbpf::new("a dirty sampling window", e);
        for counts in &mut self.counts {
            let cpus = nr_cpus().map_err(|(_, e)| failed(&e))?;
            let zero =
                PerCpuValues::try_from(vec![Dirty::default(); cpus]).map_err(|e| failed(&e))?;
            counts.insert(process, zero, 0).map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    /// The distinct pages that it dirtied since.
    pub(super) fn end(&mut self, process: u32) -> Option<u64> {
        let mut sum = Dirty::default();
        for counts in &mut self.counts {
            for cpu in counts.get(&process, 0).ok()?.iter() {
                sum.ring += cpu.ring;
                sum.mapped += cpu.mapped;
                sum.marked += cpu.marked;
            }
            // It ended meanwhile, or the entry is removed.
            let _ = counts.remove(&process);
        }
        Some(pages(&sum))
    }
}

/// Whether KVM keeps shadow page tables for every guest: as PVM, or where EPT and NPT are off; by what
/// the loaded modules say below that folder.
fn shadow_only(modules: &Path) -> bool {
    let off = |module: &str, parameter: &str| {
        let file = modules.join(module).join("parameters").join(parameter);
        let told = std::fs::read_to_string(file).ok()?;
        Some(matches!(told.trim(), "N" | "0"))
    };
    let pvm = modules.join("kvm_pvm").exists().then_some(true);
    let known = [pvm, off("kvm_intel", "ept"), off("kvm_amd", "npt")];
    let mut known = known.into_iter().flatten().peekable();
    known.peek().is_some() && known.all(|off| off)
}

/// The best of the counts: the ring's is exact, and where there is a ring the others see the same
/// pages again. A shadow MMU tells its pages by its entries, and marks some of them too.
fn pages(sum: &Dirty) -> u64 {
    match sum.ring {
        0 => sum.mapped.max(sum.marked),
        ring => ring,
    }
}

fn load(object: &[u8], btf: &Btf) -> Result<Ebpf, NoEbpf> {
    let mut loader = EbpfLoader::new();
    let loaded = loader.btf(Some(btf)).load(object);
    loaded.map_err(|e| NoEbpf::new("the dirty hooks", &e))
}

fn taken(object: &mut Ebpf) -> Result<PerCpuHashMap<MapData, u32, Dirty>, NoEbpf> {
    let map = object.take_map("dirty").ok_or_else(absent)?;
    PerCpuHashMap::try_from(map).map_err(|e| NoEbpf::new("the dirty counts", &e))
}

/// By fentry where KVM is built into the kernel, else by a kprobe: aya knows no types of modules.
fn attach_mark(object: &mut Ebpf, btf: &Btf) -> Result<(), NoEbpf> {
    let fentry: &mut FEntry = program(object, "on_mark")?;
    let attached = fentry.load(MARKS, btf).and_then(|()| fentry.attach());
    let Err(no_fentry) = attached else {
        return Ok(());
    };
    let kprobe: &mut KProbe = program(object, "on_mark_kprobe")?;
    let attached = kprobe.load().and_then(|()| kprobe.attach(MARKS, 0));
    attached
        .map(drop)
        .map_err(|no_kprobe| NoEbpf::both("fentry", &no_fentry, "kprobe", &no_kprobe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kvm_that_says_so_has_none_but_shadow_page_tables() {
        let modules = tempfile::tempdir().unwrap();
        let at = modules.path();
        assert!(!shadow_only(at), "no module is loaded");
        std::fs::create_dir(at.join("kvm_pvm")).unwrap();
        assert!(shadow_only(at));
        let intel = at.join("kvm_intel/parameters");
        std::fs::create_dir_all(&intel).unwrap();
        assert!(shadow_only(at), "it does not say whether it has EPT");
        for (ept, only) in [("Y\n", false), ("N\n", true)] {
            std::fs::write(intel.join("ept"), ept).unwrap();
            assert_eq!(shadow_only(at), only, "{ept}");
        }
        let amd = at.join("kvm_amd/parameters");
        std::fs::create_dir_all(&amd).unwrap();
        std::fs::write(amd.join("npt"), "1\n").unwrap();
        assert!(!shadow_only(at));
    }

    #[test]
    fn the_ring_is_believed_before_the_rest() {
        let sum = |ring, mapped, marked| {
            pages(&Dirty {
                ring,
                mapped,
                marked,
            })
        };
        assert_eq!(sum(7, 9, 0), 7);
        assert_eq!(sum(0, 9, 2), 9);
        assert_eq!(sum(0, 2, 9), 9);
        assert_eq!(sum(0, 0, 0), 0);
    }
}
