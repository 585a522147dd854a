//! A guest of our own that dirties a known number of pages, for tests and the bench: its vCPU runs
//! in long mode at privilege level 3, which runs natively also where KVM itself is a guest.
#![expect(
    unsafe_code,
    reason = "the guest's memory and its dirty ring are shared with KVM"
)]

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use kvm_bindings::{
    KVM_CAP_DIRTY_LOG_RING, KVM_DIRTY_LOG_PAGE_OFFSET, KVM_EXIT_DIRTY_RING_FULL,
    KVM_MEM_LOG_DIRTY_PAGES, kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::os::fd::{AsRawFd, BorrowedFd};

/// How KVM logs the guest's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Bitmap,
    Ring,
}

const PAGE: usize = 4096;
/// Where the code and the page tables lie, and where the pages begin that are dirtied.
const CODE: usize = 0x1000;
const TABLES: usize = 0x2000;
const PAGES: usize = 0x10_0000;
const RING_ENTRIES: usize = 4096;

mod ring {
    nix::ioctl_none_bad!(reset, nix::request_code_none!(0xAE, 0xC7));
}

/// `struct kvm_dirty_gfn`
#[repr(C)]
struct Gfn {
    flags: AtomicU32,
    slot: u32,
    offset: u64,
}

struct Mapping(NonNull<u8>, NonZeroUsize);

// SAFETY: the memory is the guest's alone, whichever thread runs it.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever used it is gone.
        let _ = unsafe { munmap(self.0.cast(), self.1.get()) };
    }
}

/// The guest.
pub(crate) struct Guest {
    vcpu: VcpuFd,
    vm: VmFd,
    ring: Option<(Mapping, usize)>,
    memory: Mapping,
}

impl Guest {
    /// A guest that increments a word in each of so many pages and then stops, again and again.
    pub(crate) fn new(pages: usize, log: Log) -> Result<Self> {
        let kvm = Kvm::new().context("/dev/kvm")?;
        let vm = kvm.create_vm().context("KVM_CREATE_VM")?;
        if log == Log::Ring {
            let mut wanted = kvm_enable_cap {
                cap: KVM_CAP_DIRTY_LOG_RING,
                ..Default::default()
            };
            wanted.args[0] = (RING_ENTRIES * size_of::<Gfn>()) as u64;
            vm.enable_cap(&wanted).context("the dirty ring")?;
        }
        let bytes = (PAGES + (pages + 16) * PAGE).next_multiple_of(0x20_0000);
        let memory = anonymous(bytes)?;
        let region = kvm_userspace_memory_region {
            flags: KVM_MEM_LOG_DIRTY_PAGES,
            memory_size: bytes as u64,
            userspace_addr: memory.0.as_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the memory stays mapped as long as the guest lives.
        unsafe { vm.set_user_memory_region(region) }.context("the guest's memory")?;
        let vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;
        let ring = (log == Log::Ring)
            .then(|| {
                let bytes =
                    NonZeroUsize::new(RING_ENTRIES * size_of::<Gfn>()).context("no ring")?;
                let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
                let at = i64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * 4096;
                // SAFETY: the vCPU is open; a new mapping at an address of the kernel's choice.
                let start = unsafe {
                    let fd = BorrowedFd::borrow_raw(vcpu.as_raw_fd());
                    mmap(None, bytes, rights, MapFlags::MAP_SHARED, fd, at)
                };
                anyhow::Ok((Mapping(start?.cast(), bytes), 0))
            })
            .transpose()?;
        let guest = Self {
            vcpu,
            vm,
            ring,
            memory,
        };
        guest.prepare(pages)?;
        Ok(guest)
    }

    /// Code, page tables of 4 GiB one to one in pages of 2 MiB, and the registers.
    fn prepare(&self, pages: usize) -> Result<()> {
        let code = [
            0x89, 0xdf, // mov edi, ebx       the first page
            0x89, 0xca, // mov edx, ecx       how many
            0xff, 0x07, // inc dword [rdi]
            0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, // add edi, 4096
            0xff, 0xca, // dec edx
            0x75, 0xf4, // jnz to inc
            0xe6, 0x10, // out 0x10, al       a pass is over
            0xeb, 0xec, // jmp to the start
        ];
        self.write(CODE, &code);
        let entry = |at: usize, value: u64| self.write(at, &value.to_le_bytes());
        entry(TABLES, 0x3007);
        for gib in 0..4 {
            entry(0x3000 + gib * 8, (0x4000 + gib as u64 * 4096) | 7);
            for part in 0..512 {
                entry(
                    0x4000 + gib * 4096 + part * 8,
                    ((gib as u64 * 512 + part as u64) << 21) | 0x87,
                );
            }
        }
        let mut special = self.vcpu.get_sregs()?;
        special.cr3 = TABLES as u64;
        special.cr4 |= 0x20;
        special.cr0 = 0x8005_0033;
        special.efer = 0x500;
        let mut code = special.cs;
        (code.base, code.limit, code.selector) = (0, u32::MAX, 0x33);
        (code.type_, code.present, code.dpl, code.db) = (11, 1, 3, 0);
        (code.s, code.l, code.g) = (1, 1, 1);
        let mut data = code;
        (data.type_, data.selector, data.l, data.db) = (3, 0x2b, 0, 1);
        special.cs = code;
        for segment in [
            &mut special.ds,
            &mut special.es,
            &mut special.fs,
            &mut special.gs,
            &mut special.ss,
        ] {
            *segment = data;
        }
        self.vcpu.set_sregs(&special)?;
        let mut general = self.vcpu.get_regs()?;
        // Level 3 may write to ports.
        (general.rflags, general.rip) = (0x3002, CODE as u64);
        (general.rbx, general.rcx) = (PAGES as u64, pages as u64);
        self.vcpu.set_regs(&general)?;
        Ok(())
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        // SAFETY: all places lie below `PAGES`, which is within the memory; the vCPU does not run.
        unsafe {
            let to = self.memory.0.as_ptr().add(at);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Runs one pass; gives the pages that the dirty log tells since the last.
    pub(crate) fn pass(&mut self) -> Result<u64> {
        Ok(self.run()? + self.collect()?)
    }

    /// Runs one pass and leaves the log as it is; gives the pages that had to be taken from a ring that
    /// was full.
    pub(crate) fn run(&mut self) -> Result<u64> {
        let mut told = 0;
        loop {
            match self.vcpu.run() {
                Ok(VcpuExit::IoOut(0x10, _)) => return Ok(told),
                Ok(VcpuExit::Unsupported(KVM_EXIT_DIRTY_RING_FULL)) => told += self.collect()?,
                Ok(other) => bail!("the guest stopped: {other:?}"),
                Err(error) if error.errno() == nix::libc::EINTR => {}
                Err(error) => return Err(error).context("KVM_RUN"),
            }
        }
    }

    /// Takes and clears the dirty log.
    pub(crate) fn collect(&mut self) -> Result<u64> {
        let Some((ring, next)) = &mut self.ring else {
            let log = self.vm.get_dirty_log(0, self.memory.1.get())?;
            return Ok(log.iter().map(|word| u64::from(word.count_ones())).sum());
        };
        let mut told = 0;
        loop {
            // SAFETY: the entry lies within the ring; its flags are atomic on both sides.
            let gfn = unsafe { &*ring.0.as_ptr().cast::<Gfn>().add(*next % RING_ENTRIES) };
            if gfn.flags.load(Ordering::Acquire) & 1 == 0 {
                break;
            }
            gfn.flags.store(2, Ordering::Release);
            *next += 1;
            told += 1;
        }
        // SAFETY: the descriptor is that of the machine.
        unsafe { ring::reset(self.vm.as_raw_fd()) }.context("KVM_RESET_DIRTY_RINGS")?;
        Ok(told)
    }
}

fn anonymous(bytes: usize) -> Result<Mapping> {
    let bytes = NonZeroUsize::new(bytes).context("no memory")?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice; small pages, as each counts.
    unsafe {
        let start = mmap_anonymous(None, bytes, rights, MapFlags::MAP_PRIVATE)?;
        madvise(start, bytes.get(), MmapAdvise::MADV_NOHUGEPAGE)?;
        Ok(Mapping(start.cast(), bytes))
    }
}
