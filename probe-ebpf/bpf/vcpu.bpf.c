/* What vCPU threads ran and waited, in windows kept in the kernel.
 *
 * At a switch-out the kernel's own sums tell how long the thread ran and, before that, waited since
 * the last one:
 *
 *        wait delta          run delta
 *   ├──────────────────┼────────────────────┤ now
 *
 * Both are placed so into the thread's slots, whatever events were seen in between. An event that
 * was missed thus costs no time: the next one sets it right. A thread's switches come one after the
 * other, so nothing here is locked. */
#include "kernel.h"
#include "wire.h"

char LICENSE[] SEC("license") = "GPL";

#define barrier() asm volatile("" ::: "memory")

/* Of four threads in turn: their entry in `vcpus`, plus one. */
struct numbers {
	u16 of[4];
};

/* Sized by the probe: to the largest thread number, and to the vCPUs that it can follow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 8192);
	__type(key, u32); /* a thread's number / 4: the kernel rounds each value up to 8 bytes */
	__type(value, struct numbers);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct vcpu);
} vcpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct state);
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

/* Whether there was room for it. */
static __always_inline int tell(u32 kind, u32 thread, u64 at, u64 since, u64 demand)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		u32 zero = 0;
		struct state *s = bpf_map_lookup_elem(&state, &zero);
		if (s)
			__sync_fetch_and_add(&s->lost_events, 1);
		return 0;
	}
	event->kind = kind;
	event->thread = thread;
	event->at = at;
	event->since = since;
	event->demand = demand;
	bpf_ringbuf_submit(event, 0);
	return 1;
}

static __always_inline struct vcpu *followed(u32 thread)
{
	u32 key = thread / 4;
	struct numbers *numbers = bpf_map_lookup_elem(&table, &key);
	if (!numbers)
		return 0;
	u32 entry = numbers->of[thread % 4];
	if (!entry--)
		return 0;
	return bpf_map_lookup_elem(&vcpus, &entry);
}

static __always_inline u32 log2(u64 v)
{
	u32 r = 0;
	if (v >> 32)
		return 31;
	if (v >> 16) { r += 16; v >>= 16; }
	if (v >> 8) { r += 8; v >>= 8; }
	if (v >> 4) { r += 4; v >>= 4; }
	if (v >> 2) { r += 2; v >>= 2; }
	return r + (v >> 1);
}

static __always_inline struct slot *slot_of(struct vcpu *v, u64 epoch)
{
	struct slot *slot = &v->slots[epoch & (SLOTS - 1)];
	if (slot->epoch != (u32)epoch) {
		slot->epoch = epoch;
		slot->run = 0;
		slot->wait = 0;
	}
	return slot;
}

/* Adds the time from `from` to `to` to the slots that it lies in. */
static __always_inline void place(struct vcpu *v, u64 from, u64 to, int waited)
{
	u64 epoch = from >> SLOT_SHIFT, last = to >> SLOT_SHIFT;
	if (last - epoch >= SLOTS) {
		epoch = last - SLOTS + 1;
		from = epoch << SLOT_SHIFT;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < SLOTS; i++) {
		struct slot *slot = slot_of(v, epoch);
		u64 end = (epoch + 1) << SLOT_SHIFT;
		u64 part = (end < to ? end : to) - from;
		if (waited)
			slot->wait += part;
		else
			slot->run += part;
		if (epoch >= last)
			break;
		from = end;
		epoch++;
	}
}

#define COMPARED_NS (1ull << 26)  /* between two comparisons of the clocks: 67 ms */
#define BEHIND_NS (1ull << 22)    /* that one CPU's clock may be behind another's: a tick */
#define FORGOTTEN_NS (1ull << 30) /* after which older comparisons say nothing: the clocks drift */
#define COMPARISONS 4

/* What CLOCK_MONOTONIC is ahead of the scheduler's clock; when that was compared last, by the latter;
 * and what was found then and before. */
static struct {
	u64 ahead, compared, found[COMPARISONS];
	u32 next;
} clocks;

/* CLOCK_MONOTONIC at a switch. Reading it costs most of what a switch may cost. The scheduler has
 * just set a clock of its own, of which it makes the sums too; what lies between the two is compared
 * now and then. The scheduler's may be late (it is not set again soon after a wake-up), and the other
 * then seems too far ahead: so the least of the last comparisons counts. It follows the fastest that a
 * clock may be adjusted (10 %, adjtimex) within 27 ms, less than two slots. */
static __always_inline u64 moment(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->se.cfs_rq))
		return bpf_ktime_get_ns();
	u64 clock = task->se.cfs_rq->rq->clock, gone = clock - clocks.compared;
	if (gone + BEHIND_NS < COMPARED_NS)
		return clock + clocks.ahead;
	u64 least = bpf_ktime_get_ns() - clock;
	int afresh = !clocks.compared || gone >= FORGOTTEN_NS;
	clocks.found[clocks.next++ % COMPARISONS] = least;
	for (int i = 0; i < COMPARISONS; i++) {
		if (afresh)
			clocks.found[i] = least;
		else if ((__s64)(clocks.found[i] - least) < 0)
			least = clocks.found[i];
	}
	/* In this order: another CPU must not take the old one for what was just compared. */
	*(volatile u64 *)&clocks.ahead = least;
	barrier();
	*(volatile u64 *)&clocks.compared = clock;
	return clock + least;
}

static __always_inline u64 task_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return ((struct task_struct___old *)task)->state;
}

#define TASK_RUNNING 0
#define TASK_DEAD 0x80

static __always_inline void switched_out(struct vcpu *v, struct task_struct *task, u64 now, int preempted)
{
	u64 run = task->se.sum_exec_runtime, wait = task->sched_info.run_delay;
	u64 ran = run - v->run, waited = wait - v->wait;
	u64 state = task_state(task);

	v->sequence++;
	barrier();
	u64 seen = v->doing == RUN && now > v->since ? now - v->since : 0;
	v->lost += ran > seen ? ran - seen : seen - ran;
	u64 began = now - ran;
	place(v, began, now, 0);
	if (waited) {
		place(v, began - waited, began, 1);
		/* What was not known when it was switched in, and lies in slots that the probe has read. */
		if (v->waited < waited && now - began > LAG_NS)
			v->lost += waited - v->waited;
		v->delays[log2(waited) & 31]++;
	}
	v->run = run;
	v->wait = wait;
	v->since = now;
	v->waited = 0;
	v->task = (u64)task;
	v->doing = preempted || state == TASK_RUNNING ? WAIT : state == TASK_DEAD ? GONE : OFF;
	barrier();
	v->sequence++;
}

/* How long a thread waited that is switched in: the scheduler adds it to its sum just after this. */
static __always_inline u64 waited_for(struct vcpu *v, struct task_struct *task, u64 now)
{
	u64 queued = task->sched_info.last_queued;
	u64 since = queued && clocks.compared ? queued + clocks.ahead : v->doing == WAIT ? v->since : now;
	return now > since ? now - since : 0;
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	struct vcpu *v;
	u64 now = 0;

	/* A number may be another thread's once its own is gone. */
	v = followed(prev->pid);
	if (v && v->doing != GONE) {
		now = moment(prev);
		switched_out(v, prev, now, ctx[0] & 1);
	}
	v = followed(next->pid);
	if (v && v->doing != GONE) {
		if (!now)
			now = moment(next);
		v->sequence++;
		barrier();
		u64 waited = waited_for(v, next, now);
		/* One that was woken: what lies in slots that the probe has read is in no window. */
		if (v->doing == OFF && waited > LAG_NS)
			v->lost += waited - LAG_NS;
		v->waited = waited;
		v->doing = RUN;
		v->since = now;
		barrier();
		v->sequence++;
	}
	return 0;
}

/* QEMU names a vCPU's thread "CPU 3/KVM" or "CPU 3/TCG", or "ALL CPUs/TCG". */
static __always_inline int named_as_vcpu(u32 first)
{
	return first == 0x20555043 /* "CPU " */ || first == 0x204c4c41 /* "ALL " */;
}

SEC("tp_btf/task_rename")
int on_rename(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 first = 0;
	bpf_probe_read_kernel(&first, sizeof(first), (void *)ctx[1]);
	if (named_as_vcpu(first))
		tell(NAMED, task->pid, bpf_ktime_get_ns(), 0, 0);
	return 0;
}

/* The number of a task in the PID namespace at that level of nesting. */
static __always_inline u32 number_at(struct pid *pid, u32 level)
{
	int number = 0;
	struct upid *first = __builtin_preserve_access_index(&pid->numbers[0]);
	bpf_probe_read_kernel(&number, sizeof(number), (void *)first + level * sizeof(struct upid));
	return number;
}

SEC("iter/task")
int find(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *reader = (void *)bpf_get_current_task();
	if (!task || !named_as_vcpu(*(u32 *)task->comm))
		return 0;
	u32 level = BPF_CORE_READ(reader, thread_pid, level);
	struct found found = {
		.thread = task->pid,
		.doing = task->on_cpu ? RUN : task_state(task) == TASK_RUNNING ? WAIT : OFF,
		.thread_here = number_at(task->thread_pid, level),
		.process_here = number_at(BPF_CORE_READ(task, group_leader, thread_pid), level),
		.process = task->tgid,
		.run = task->se.sum_exec_runtime,
		.wait = task->sched_info.run_delay,
	};
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* Of a task that may be gone: then it is read as nothing, or as another's. */
static __always_inline u64 state_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ((struct task_struct___old *)task, state);
}

/* Since when a thread that no switch tells of waits to be switched in; 0: it sleeps, or that cannot be
 * known. One that sleeps may seem to be queued, where it was moved to another CPU meanwhile. */
static __always_inline u64 woken(struct vcpu *v)
{
	struct task_struct *task = (void *)v->task;
	if (!task || !clocks.compared)
		return 0;
	u64 queued = BPF_CORE_READ(task, sched_info.last_queued);
	if (!queued || (u32)BPF_CORE_READ(task, pid) != v->thread || state_of(task) != TASK_RUNNING)
		return 0;
	return queued + clocks.ahead;
}

/* Whether the judge asks for vCPUs that were woken. It is in lines of the cache that nobody else needs,
 * so while there is no overload it asks only once in so many runs, every 67 ms. */
#define ASKED_EVERY 8
static u32 judged, asks_woken;

/* Adds what a vCPU ran and waited for in the slot that is judged; only what it ran, if its guest has a
 * quota: that a guest is throttled by it is no contention. What the judge finds is in a map,
 * as the verifier would follow each value that it can take on the stack. */
static long add_vcpu(u32 entry, void *unused)
{
	u32 zero = 0;
	struct vcpu *v = bpf_map_lookup_elem(&vcpus, &entry);
	struct state *s = bpf_map_lookup_elem(&state, &zero);
	if (!v || !s || !v->thread)
		return 0;
	u64 epoch = s->epoch;
	u64 start = epoch << SLOT_SHIFT, end = start + SLOT_NS;
	u64 since = v->doing == OFF && asks_woken && !v->capped ? woken(v) : 0;
	int waits = since && since < end;
	/* Asleep since before the slot: most are, and it is in none of their lines but this one. */
	if (v->doing == OFF && v->since < start && !waits)
		return 0;
	struct slot *slot = &v->slots[epoch & (SLOTS - 1)];
	u64 busy = slot->epoch == (u32)epoch ? (u64)slot->run + (v->capped ? 0 : slot->wait) : 0;
	/* What it is doing is in no slot yet. */
	if (v->doing == RUN || (v->doing == WAIT && !v->capped)) {
		since = v->since - (v->capped ? 0 : v->waited);
		waits = since < end;
	}
	if (waits)
		busy += end - (since > start ? since : start);
	s->busy += busy < SLOT_NS ? busy : SLOT_NS;
	return 0;
}

/* Judges the slot before the one that was judged last, and goes on only while all say otherwise than
 * what was last told. */
static long judge_slot(u32 back, void *unused)
{
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);
	struct state *s = bpf_map_lookup_elem(&state, &zero);
	if (!c || !s)
		return 1;
	s->epoch--;
	s->busy = 0;
	bpf_loop(c->used, add_vcpu, 0, 0);
	if (!back)
		s->demand = s->busy;
	if ((s->busy > c->limit) == s->overloaded)
		return 1;
	s->against++;
	return 0;
}

/* Runs twice a slot on one CPU: the switches themselves keep no account of the host.
 *
 * An overload begins when the newest slots all say so, and ends when twice as many say that it is none: a
 * host that is nearly full goes to and fro. A wait after a wake-up is told by no switch until the thread
 * runs again: those are asked for, to begin now and then, to end always. */
SEC("perf_event")
int judge(void *ctx)
{
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);
	struct state *s = bpf_map_lookup_elem(&state, &zero);
	if (!c || !s || !c->slots)
		return 0;
	u64 now = bpf_ktime_get_ns(), epoch = now >> SLOT_SHIFT;
	s->epoch = epoch;
	s->against = 0;
	asks_woken = s->overloaded || judged++ % ASKED_EVERY == 0;
	u32 slots = s->overloaded ? c->slots * 2 : c->slots;
	if (slots > OVERLOAD_MOST)
		slots = OVERLOAD_MOST;
	bpf_loop(slots, judge_slot, 0, 0);
	if (s->against != slots)
		return 0;
	u64 since = s->epoch << SLOT_SHIFT, demand = s->demand;
	/* What found no room in the ring is told the next time. */
	if (tell(s->overloaded ? CALM : OVERLOAD, 0, now, since, demand))
		s->overloaded = !s->overloaded;
	return 0;
}
