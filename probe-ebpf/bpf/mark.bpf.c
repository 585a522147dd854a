/* Pages that KVM marks in a memory slot's bitmap: the hook for EPT, NPT and PML, where nothing else
 * tells. An object of its own, because its types are those of the kvm module. */
#include "kernel.h"
#include "wire.h"

char LICENSE[] SEC("license") = "GPL";

struct kvm_memory_slot {
	u64 base_gfn;
	unsigned long *dirty_bitmap;
} CORE;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct dirty);
} dirty SEC(".maps");

/* Before the kernel sets the page's bit, so one that is set was counted. */
static __always_inline int count(struct kvm_memory_slot *slot, u64 gfn)
{
	u32 process = bpf_get_current_pid_tgid() >> 32;
	struct dirty *d = bpf_map_lookup_elem(&dirty, &process);
	if (!d || !slot)
		return 0;
	unsigned long *bitmap = BPF_CORE_READ(slot, dirty_bitmap);
	if (!bitmap)
		return 0;
	u64 page = gfn - BPF_CORE_READ(slot, base_gfn);
	u64 word = 0;
	bpf_probe_read_kernel(&word, sizeof(word), bitmap + page / 64);
	if (!(word >> (page % 64) & 1))
		d->marked++;
	return 0;
}

/* mark_page_dirty_in_slot(kvm, slot, gfn) */
SEC("fentry/mark_page_dirty_in_slot")
int on_mark(u64 *ctx)
{
	return count((void *)ctx[1], ctx[2]);
}

struct pt_regs {
	unsigned long si;
	unsigned long dx;
} CORE;

SEC("kprobe/mark_page_dirty_in_slot")
int on_mark_kprobe(struct pt_regs *ctx)
{
	return count((void *)ctx->si, ctx->dx);
}
