/* The little that is needed of the kernel's types; CO-RE finds the fields where they are. */
#ifndef VMPACK_KERNEL_H
#define VMPACK_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32, u32;
typedef int __s32;
typedef unsigned long long __u64, u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32, __wsum;
typedef __u16 u16;

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_HASH = 5, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_F_MMAPABLE = 1 << 10 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct upid {
	int nr;
	void *ns;
} CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;

struct rq {
	u64 clock;
} CORE;

struct cfs_rq {
	struct rq *rq; /* where groups of tasks are scheduled fairly (CONFIG_FAIR_GROUP_SCHED) */
} CORE;

struct sched_entity {
	u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq; /* there too */
} CORE;

struct sched_info {
	u64 run_delay;
	u64 last_queued; /* since when it waits to run, by its run queue's clock; 0: it does not */
} CORE;

struct task_struct {
	unsigned int __state;
	int on_cpu;
	int pid;
	int tgid;
	char comm[16];
	struct sched_entity se;
	struct sched_info sched_info;
	struct pid *thread_pid;
	struct task_struct *group_leader;
} CORE;

/* Before Linux 5.14. */
struct task_struct___old {
	long state;
} CORE;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CORE;

#endif
