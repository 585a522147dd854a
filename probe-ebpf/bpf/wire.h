/* What the kernel programs and src/ebpf/wire.rs share: the layout of the maps. A change here is one
 * there; a test compares sizes and offsets.
 *
 * Times are nanoseconds; moments are of CLOCK_MONOTONIC. Thread and process numbers are those of the
 * root PID namespace unless a name says otherwise. */
#ifndef VMPACK_WIRE_H
#define VMPACK_WIRE_H

#define SLOT_SHIFT 24 /* a slot is 2^24 ns, 16.8 ms: found by a shift, without a division */
#define SLOT_NS (1ull << SLOT_SHIFT)
#define SLOTS 64      /* slots that a vCPU keeps: 1.07 s */
#define LAG 3         /* slots after whose end a slot is read */
#define LAG_NS (LAG * SLOT_NS)
#define OVERLOAD_MOST 8 /* slots that an overload may be judged by */

/* What a vCPU thread does, as the last event told. */
enum doing {
	OFF = 0,  /* asleep; or awake and not yet switched in, which is known afterwards */
	RUN = 1,  /* on a CPU since `since` */
	WAIT = 2, /* preempted at `since` */
	GONE = 3, /* ended */
};

/* What a thread did in one slot. */
struct slot {
	u32 epoch; /* the moment of the slot's start >> SLOT_SHIFT, low 32 bits */
	u32 run;
	u32 wait;
};

/* A vCPU thread. Written at its switches only, which the scheduler makes one after the other. */
struct vcpu {
	u32 sequence; /* odd while it is being written */
	u32 thread;   /* 0: the entry is free */
	u32 doing;
	u32 capped;   /* set by the probe: its guest has a quota of its own, so its waits may be throttling */
	u64 since;
	u64 waited; /* of RUN: the wait that ended at `since`; not in `wait` */
	u64 run;  /* se.sum_exec_runtime at the last switch-out: the kernel's own sum */
	u64 wait; /* sched_info.run_delay then */
	u64 lost; /* run time that the events did not place exactly, and waits that were known too late */
	u64 task; /* where its task_struct was at the last switch-out; a switch writes one line of the cache, up to here */
	u64 delays[32]; /* waits of 2^i ns to 2^(i+1) ns */
	struct slot slots[SLOTS];
};

/* Written by the probe, read by the programs. */
struct control {
	u64 limit; /* CPU in a slot above which the host is overloaded */
	u32 slots; /* for so many slots, at most OVERLOAD_MOST; 0: do not judge */
	u32 used;  /* entries of `vcpus` that may be in use: those below */
};

/* Written by the programs. */
struct state {
	u64 lost_events; /* events that the ring had no room for */
	u32 overloaded;
	/* What the judge of overload finds, for itself. */
	u32 against; /* slots that say otherwise than `overloaded` */
	u64 epoch;  /* the slot that it judges */
	u64 busy;   /* CPU run or waited for in it */
	u64 demand; /* the same of the newest slot */
};

enum kind {
	NAMED = 1,    /* a thread was named as a vCPU */
	OVERLOAD = 2, /* the host is overloaded */
	CALM = 3,     /* no longer */
};

struct event {
	u32 kind;
	u32 thread;
	u64 at;
	u64 since;  /* start of the first slot that was judged */
	u64 demand; /* CPU run or waited for in the last slot */
};

/* A thread that is named as a vCPU, as the task iterator finds it. */
struct found {
	u32 thread;
	u32 doing;
	u32 thread_here;  /* in the reader's PID namespace */
	u32 process_here;
	u32 process;
	u32 unused;
	u64 run;
	u64 wait;
};

/* Pages that a guest dirtied while its sampling window is open; one for each CPU. */
struct dirty {
	u64 ring;   /* pushed to a vCPU's dirty ring */
	u64 mapped; /* made writable in the shadow page table */
	u64 marked; /* marked in a memory slot's bitmap, each page once */
};

#endif
