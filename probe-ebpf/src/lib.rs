//! probe-ebpf
