//! The settings there are.

use super::Setting::{self, Dir, Fixed, Hint, Limit, Made};
use super::{
    MQUEUE, UtsName, drop_caches, last_pid, nr_files, seccomp_logged, uts, uuid, value_of,
};
use bevor_kernel::aio;
use bevor_vfs::{devpts, event, pipe};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// Names and settings of a directory.
type Settings = &'static [(&'static str, Setting)];

/// Largest value of a setting that is an `int`.
const INT: i64 = 0x7fff_ffff;

/// `/proc/sys`.
pub const ROOT: Settings = &[
    ("abi", Dir(&[("vsyscall32", Fixed("0"))])),
    ("crypto", Dir(&[("fips_enabled", Fixed("0"))])),
    ("debug", Dir(&[("exception-trace", Hint("1", 0, INT))])),
    ("dev", Dir(&[("tty", Dir(TTY))])),
    ("fs", Dir(FS)),
    ("kernel", Dir(KERNEL)),
    ("net", Dir(NET)),
    ("user", Dir(USER)),
    ("vm", Dir(VM)),
];

const TTY: Settings = &[("ldisc_autoload", Fixed("0")), ("legacy_tiocsti", Fixed("1"))];

/// `proc_sys_fs(5)`.
const FS: Settings = &[
    ("aio-max-nr", Limit(&aio::MAX_REQUESTS, 0, 1 << 62)),
    (
        "aio-nr",
        Made(|here, name| {
            value_of(here, name, || aio::REQUESTS.load(Ordering::Relaxed).to_string())
        }),
    ),
    ("dentry-negative", Fixed("0")),
    ("dentry-state", Fixed("0\t0\t45\t0\t0\t0")),
    ("dir-notify-enable", Fixed("1")),
    ("epoll", Dir(&[("max_user_watches", Fixed("3951206"))])),
    ("file-max", Fixed("9223372036854775807")),
    ("file-nr", Made(nr_files)),
    ("inode-nr", Fixed("0\t0")),
    ("inode-state", Fixed("0\t0\t0\t0\t0\t0\t0")),
    ("inotify", Dir(INOTIFY)),
    ("lease-break-time", Fixed("45")),
    ("leases-enable", Fixed("1")),
    ("mount-max", Fixed("100000")),
    ("mqueue", Dir(MQUEUE)),
    ("nr_open", Fixed("1048576")),
    ("overflowgid", Fixed("65534")),
    ("overflowuid", Fixed("65534")),
    ("pipe-max-size", Limit(&pipe::MAX_SIZE, 4096, 1 << 31)),
    ("pipe-user-pages-hard", Fixed("0")),
    ("pipe-user-pages-soft", Fixed("16384")),
    ("protected_fifos", Fixed("0")),
    ("protected_hardlinks", Fixed("1")),
    ("protected_regular", Fixed("0")),
    ("protected_symlinks", Fixed("1")),
    ("suid_dumpable", Fixed("0")),
];

const INOTIFY: Settings = &[
    ("max_queued_events", Limit(&event::MAX_QUEUED_EVENTS, 0, 1 << 20)),
    ("max_user_instances", Fixed("128")),
    ("max_user_watches", Limit(&event::MAX_USER_WATCHES, 0, 1 << 20)),
];

/// `proc_sys_kernel(5)`.
const KERNEL: Settings = &[
    ("acct", Hint("4\t2\t30", 0, INT)),
    ("arch", Fixed("x86_64")),
    ("auto_msgmni", Fixed("0")),
    ("bootloader_type", Fixed("0")),
    ("bootloader_version", Fixed("0")),
    ("cap_last_cap", Fixed("40")),
    ("core_pattern", Fixed("core")),
    ("core_pipe_limit", Fixed("0")),
    ("core_uses_pid", Fixed("0")),
    ("ctrl-alt-del", Hint("0", 0, INT)),
    ("dmesg_restrict", Fixed("0")),
    ("domainname", Made(|here, name| uts(here, name, UtsName::Domain))),
    ("hostname", Made(|here, name| uts(here, name, UtsName::Host))),
    ("hung_task_check_count", Hint("4194304", 0, INT)),
    ("hung_task_panic", Hint("0", 0, 1)),
    ("hung_task_timeout_secs", Hint("120", 0, INT)),
    ("hung_task_warnings", Hint("10", -1, INT)),
    ("io_uring_disabled", Fixed("2")),
    ("io_uring_group", Fixed("-1")),
    ("kptr_restrict", Fixed("1")),
    ("max_lock_depth", Fixed("1024")),
    ("modules_disabled", Fixed("1")),
    ("msg_next_id", Fixed("-1")),
    ("msgmax", Fixed("8192")),
    ("msgmnb", Fixed("16384")),
    ("msgmni", Fixed("32000")),
    ("ngroups_max", Fixed("65536")),
    ("ns_last_pid", Made(last_pid)),
    ("numa_balancing", Fixed("0")),
    ("oops_limit", Hint("10000", 0, INT)),
    (
        "osrelease",
        Made(|here, name| {
            let release = here.mounted.kernel.config.release.clone();
            value_of(here, name, move || release.clone())
        }),
    ),
    ("ostype", Fixed("Linux")),
    ("overflowgid", Fixed("65534")),
    ("overflowuid", Fixed("65534")),
    ("panic", Hint("0", -INT, INT)),
    ("panic_on_oops", Hint("0", 0, INT)),
    ("panic_on_warn", Hint("0", 0, 1)),
    ("panic_print", Hint("0", 0, INT)),
    ("perf_cpu_time_max_percent", Fixed("25")),
    ("perf_event_max_contexts_per_stack", Fixed("8")),
    ("perf_event_max_sample_rate", Fixed("100000")),
    ("perf_event_max_stack", Fixed("127")),
    ("perf_event_mlock_kb", Fixed("516")),
    ("perf_event_paranoid", Fixed("4")),
    ("pid_max", Fixed("4194304")),
    ("print-fatal-signals", Hint("0", 0, INT)),
    ("printk", Hint("4\t4\t1\t7", 0, INT)),
    ("printk_delay", Hint("0", 0, 10000)),
    ("printk_ratelimit", Hint("5", 0, INT)),
    ("printk_ratelimit_burst", Hint("10", 0, INT)),
    ("pty", Dir(PTY)),
    ("random", Dir(RANDOM)),
    ("randomize_va_space", Fixed("2")),
    ("sched_child_runs_first", Fixed("0")),
    ("sched_deadline_period_max_us", Hint("4194304", 100, INT)),
    ("sched_deadline_period_min_us", Hint("100", 0, INT)),
    ("sched_rr_timeslice_ms", Fixed("100")),
    ("sched_rt_period_us", Hint("1000000", 1, INT)),
    ("sched_rt_runtime_us", Hint("950000", -1, INT)),
    ("seccomp", Dir(SECCOMP)),
    ("sem", Fixed("32000\t1024000000\t500\t32000")),
    ("sem_next_id", Fixed("-1")),
    ("shm_next_id", Fixed("-1")),
    ("shm_rmid_forced", Fixed("0")),
    ("shmall", Fixed("18446744073692774399")),
    ("shmmax", Fixed("18446744073692774399")),
    ("shmmni", Fixed("4096")),
    ("sysctl_writes_strict", Fixed("1")),
    ("tainted", Fixed("0")),
    ("threads-max", Fixed("192730")),
    ("timer_migration", Hint("1", 0, 1)),
    ("unprivileged_bpf_disabled", Fixed("2")),
    (
        "version",
        Made(|here, name| {
            let version = here.mounted.kernel.config.version.clone();
            value_of(here, name, move || version.clone())
        }),
    ),
    ("warn_limit", Hint("0", 0, INT)),
    ("yama", Dir(&[("ptrace_scope", Fixed("0"))])),
];

/// `seccomp(2)`.
const SECCOMP: Settings = &[
    ("actions_avail", Fixed("kill_process kill_thread trap errno user_notif trace log allow")),
    ("actions_logged", Made(seccomp_logged)),
];

/// `pts(4)`.
const PTY: Settings = &[
    ("max", Fixed("4096")),
    ("nr", Made(|here, name| value_of(here, name, || devpts::count().to_string()))),
    ("reserve", Fixed("1024")),
];

/// `random(4)`.
const RANDOM: Settings = &[
    (
        "boot_id",
        Made(|here, name| {
            static BOOT_ID: OnceLock<String> = OnceLock::new();
            value_of(here, name, || BOOT_ID.get_or_init(uuid).clone())
        }),
    ),
    ("entropy_avail", Fixed("256")),
    ("poolsize", Fixed("256")),
    ("urandom_min_reseed_secs", Hint("60", 0, INT)),
    ("uuid", Made(|here, name| value_of(here, name, uuid))),
    ("write_wakeup_threshold", Hint("256", 0, 256)),
];

/// `proc_sys_net(5)`.
const NET: Settings = &[
    (
        "core",
        Dir(&[
            ("busy_poll", Fixed("0")),
            ("busy_read", Fixed("0")),
            ("default_qdisc", Fixed("pfifo_fast")),
            ("netdev_max_backlog", Fixed("1000")),
            ("optmem_max", Fixed("131072")),
            ("rmem_default", Fixed("212992")),
            ("rmem_max", Fixed("212992")),
            ("somaxconn", Fixed("4096")),
            ("wmem_default", Fixed("212992")),
            ("wmem_max", Fixed("212992")),
        ]),
    ),
    (
        "ipv4",
        Dir(&[
            ("ip_default_ttl", Fixed("64")),
            ("ip_forward", Fixed("0")),
            ("ip_local_port_range", Fixed("32768\t60999")),
            ("ip_local_reserved_ports", Fixed("")),
            ("ip_nonlocal_bind", Fixed("0")),
            ("ip_unprivileged_port_start", Fixed("1024")),
            ("ping_group_range", Fixed("1\t0")),
            ("tcp_available_congestion_control", Fixed("reno")),
            ("tcp_congestion_control", Fixed("reno")),
            ("tcp_fastopen", Fixed("0")),
            ("tcp_fin_timeout", Fixed("60")),
            ("tcp_keepalive_intvl", Fixed("75")),
            ("tcp_keepalive_probes", Fixed("9")),
            ("tcp_keepalive_time", Fixed("7200")),
            ("tcp_max_syn_backlog", Fixed("512")),
            ("tcp_retries1", Fixed("3")),
            ("tcp_retries2", Fixed("15")),
            ("tcp_rmem", Fixed("4096\t131072\t6291456")),
            ("tcp_sack", Fixed("1")),
            ("tcp_syn_retries", Fixed("6")),
            ("tcp_synack_retries", Fixed("5")),
            ("tcp_syncookies", Fixed("0")),
            ("tcp_timestamps", Fixed("1")),
            ("tcp_tw_reuse", Fixed("2")),
            ("tcp_window_scaling", Fixed("1")),
            ("tcp_wmem", Fixed("4096\t16384\t4194304")),
        ]),
    ),
    ("ipv6", Dir(&[("conf", Dir(&[("all", Dir(&[("disable_ipv6", Fixed("0"))]))]))])),
    ("unix", Dir(&[("max_dgram_qlen", Fixed("512"))])),
];

/// `namespaces(7)`, "The /proc/sys/user directory".
const USER: Settings = &[
    ("max_cgroup_namespaces", Fixed("96365")),
    ("max_inotify_instances", Fixed("128")),
    ("max_inotify_watches", Fixed("65536")),
    ("max_ipc_namespaces", Fixed("96365")),
    ("max_mnt_namespaces", Fixed("96365")),
    ("max_net_namespaces", Fixed("96365")),
    ("max_pid_namespaces", Fixed("96365")),
    ("max_time_namespaces", Fixed("96365")),
    ("max_user_namespaces", Fixed("96365")),
    ("max_uts_namespaces", Fixed("96365")),
];

/// `proc_sys_vm(5)`.
const VM: Settings = &[
    ("admin_reserve_kbytes", Hint("8192", 0, INT)),
    ("compact_unevictable_allowed", Hint("1", 0, 1)),
    ("compaction_proactiveness", Hint("20", 0, 100)),
    ("dirty_background_bytes", Hint("0", 0, i64::MAX)),
    ("dirty_background_ratio", Hint("10", 0, 100)),
    ("dirty_bytes", Hint("0", 0, i64::MAX)),
    ("dirty_expire_centisecs", Hint("3000", 0, INT)),
    ("dirty_ratio", Hint("20", 0, 100)),
    ("dirty_writeback_centisecs", Hint("500", 0, INT)),
    ("dirtytime_expire_seconds", Hint("43200", 0, INT)),
    ("drop_caches", Made(drop_caches)),
    ("extfrag_threshold", Hint("500", 0, 1000)),
    ("hugetlb_shm_group", Hint("0", 0, INT)),
    ("laptop_mode", Hint("0", 0, INT)),
    ("legacy_va_layout", Fixed("0")),
    ("lowmem_reserve_ratio", Hint("256\t256\t32\t0\t0", 0, INT)),
    ("max_map_count", Fixed("65530")),
    ("memfd_noexec", Fixed("0")),
    ("min_free_kbytes", Hint("67584", 0, INT)),
    ("min_slab_ratio", Hint("5", 0, 100)),
    ("min_unmapped_ratio", Hint("1", 0, 100)),
    ("mmap_min_addr", Fixed("65536")),
    ("nr_hugepages", Fixed("0")),
    ("nr_overcommit_hugepages", Fixed("0")),
    ("numa_stat", Hint("1", 0, 1)),
    ("oom_dump_tasks", Hint("1", 0, INT)),
    ("oom_kill_allocating_task", Fixed("0")),
    ("overcommit_kbytes", Fixed("0")),
    ("overcommit_memory", Fixed("0")),
    ("overcommit_ratio", Fixed("50")),
    ("page-cluster", Hint("3", 0, 31)),
    ("page_lock_unfairness", Hint("5", 0, INT)),
    ("panic_on_oom", Fixed("0")),
    ("percpu_pagelist_high_fraction", Hint("0", 0, INT)),
    ("stat_interval", Hint("1", 0, INT)),
    ("swappiness", Hint("60", 0, 200)),
    ("unprivileged_userfaultfd", Fixed("0")),
    ("user_reserve_kbytes", Hint("131072", 0, i64::MAX)),
    ("vfs_cache_pressure", Hint("100", 0, INT)),
    ("watermark_boost_factor", Hint("15000", 0, INT)),
    ("watermark_scale_factor", Hint("10", 1, 3000)),
    ("zone_reclaim_mode", Hint("0", 0, INT)),
];
