/* Pages that guests dirty while their dirty log is on. Each hook counts for the process that runs
 * the vCPU, and only while the probe has a sampling window of that process open. */
#include "kernel.h"
#include "wire.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct dirty);
} dirty SEC(".maps");

static __always_inline struct dirty *sampled(void)
{
	u32 process = bpf_get_current_pid_tgid() >> 32;
	return bpf_map_lookup_elem(&dirty, &process);
}

/* (ring, slot, offset): a page of a vCPU's ring is pushed once until the ring is reset. Exact. */
SEC("raw_tp/kvm_dirty_ring_push")
int on_push(u64 *ctx)
{
	struct dirty *d = sampled();
	if (d)
		d->ring++;
	return 0;
}

#define PT_PAGE_TABLE_LEVEL 1
#define PT_WRITABLE 2

/* (level, gfn, sptep): in the shadow MMU a write fault of a logged page ends in a writable entry. */
SEC("raw_tp/kvm_mmu_set_spte")
int on_set_spte(u64 *ctx)
{
	struct dirty *d;
	u64 entry = 0;
	if ((int)ctx[0] != PT_PAGE_TABLE_LEVEL || !(d = sampled()))
		return 0;
	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)ctx[2]);
	if (entry & PT_WRITABLE)
		d->mapped++;
	return 0;
}
