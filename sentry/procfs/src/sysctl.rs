//! `/proc/sys`.

use crate::Mounted;
use crate::node::{Dir, Fixed, Place, Text};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EPERM};
use bevor_abi::ipc::{HARD_MSGMAX, HARD_MSGSIZEMAX};
use bevor_kernel::Task;
use bevor_kernel::host;
use bevor_vfs::caller::Caller;
use bevor_vfs::devpts;
use bevor_vfs::inode::InodeRef;
use bevor_vfs::mqueue::Settings;
use std::sync::atomic::{AtomicU64, Ordering};

/// `CAP_SYS_ADMIN`.
const CAP_SYS_ADMIN: u32 = 21;
/// Longest host or domain name.
const MAX_NAME: usize = 64;

fn fixed(place: Place, name: &'static str, value: &'static str) -> (&'static str, InodeRef) {
    (name, Text::public(place, name, move |_| Ok(format!("{value}\n").into_bytes())))
}

fn dir(
    place: Place,
    name: &'static str,
    entries: Vec<(&'static str, InodeRef)>,
) -> (&'static str, InodeRef) {
    (name, Dir::inode(place, name, 0o555, Fixed::new(entries)))
}

/// The directory `/proc/sys`.
pub fn root(mounted: &Mounted) -> InodeRef {
    let place = mounted.place();
    let entries = vec![
        dir(place, "crypto", vec![fixed(place, "fips_enabled", "0")]),
        dir(place, "dev", vec![dir(place, "tty", tty(place))]),
        dir(place, "fs", fs(place)),
        dir(place, "kernel", kernel(mounted)),
        dir(place, "net", net(place)),
        dir(place, "user", user(place)),
        dir(place, "vm", vm(place)),
    ];
    Dir::inode(place, "sys", 0o555, Fixed::new(entries))
}

/// `/proc/sys/dev/tty`.
fn tty(place: Place) -> Vec<(&'static str, InodeRef)> {
    vec![fixed(place, "ldisc_autoload", "0"), fixed(place, "legacy_tiocsti", "1")]
}

/// `/proc/sys/kernel/pty` (`pts(4)`).
fn pty(place: Place) -> Vec<(&'static str, InodeRef)> {
    let count = |_: &dyn Caller| Ok(format!("{}\n", devpts::count()).into_bytes());
    vec![
        fixed(place, "max", "4096"),
        ("nr", Text::public(place, "nr", count)),
        fixed(place, "reserve", "1024"),
    ]
}

fn fs(place: Place) -> Vec<(&'static str, InodeRef)> {
    vec![
        fixed(place, "aio-max-nr", "65536"),
        fixed(place, "aio-nr", "0"),
        dir(place, "epoll", vec![fixed(place, "max_user_watches", "3951206")]),
        fixed(place, "file-max", "9223372036854775807"),
        fixed(place, "file-nr", "1024\t0\t9223372036854775807"),
        dir(
            place,
            "inotify",
            vec![
                fixed(place, "max_queued_events", "16384"),
                fixed(place, "max_user_instances", "128"),
                fixed(place, "max_user_watches", "65536"),
            ],
        ),
        dir(place, "mqueue", mqueue(place)),
        fixed(place, "nr_open", "1048576"),
        fixed(place, "overflowgid", "65534"),
        fixed(place, "overflowuid", "65534"),
        fixed(place, "pipe-max-size", "1048576"),
        fixed(place, "pipe-user-pages-hard", "0"),
        fixed(place, "pipe-user-pages-soft", "16384"),
        fixed(place, "protected_fifos", "0"),
        fixed(place, "protected_hardlinks", "1"),
        fixed(place, "protected_regular", "0"),
        fixed(place, "protected_symlinks", "1"),
        fixed(place, "suid_dumpable", "0"),
    ]
}

/// A setting of the message queues of the caller's IPC namespace, between `least` and `most`.
fn queue_setting(
    place: Place,
    name: &'static str,
    of: fn(&Settings) -> &AtomicU64,
    least: u64,
    most: u64,
) -> (&'static str, InodeRef) {
    let read = move |caller: &dyn Caller| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ipc = task.namespaces().ipc.clone();
        let value = of(ipc.queues(caller.mm().account()).settings()).load(Ordering::Relaxed);
        Ok(format!("{value}\n").into_bytes())
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ipc = task.namespaces().ipc.clone();
        let value = u64::try_from(number(bytes)?).map_err(|_| EINVAL)?;
        if !(least..=most).contains(&value) {
            return Err(EINVAL.because("out of range"));
        }
        of(ipc.queues(caller.mm().account()).settings()).store(value, Ordering::Relaxed);
        Ok(())
    };
    (name, Text::writable(place, name, 0o644, read, write))
}

/// `/proc/sys/fs/mqueue` (`mq_overview(7)`).
fn mqueue(place: Place) -> Vec<(&'static str, InodeRef)> {
    let (most, longest) = (u64::from(HARD_MSGMAX), u64::from(HARD_MSGSIZEMAX));
    let most_queues = u64::from(u32::MAX >> 1);
    vec![
        queue_setting(place, "msg_default", |all| &all.msg_default, 1, most),
        queue_setting(place, "msg_max", |all| &all.msg_max, 1, most),
        queue_setting(place, "msgsize_default", |all| &all.msgsize_default, 128, longest),
        queue_setting(place, "msgsize_max", |all| &all.msgsize_max, 128, longest),
        queue_setting(place, "queues_max", |all| &all.queues_max, 0, most_queues),
    ]
}

/// Which of the two names of the caller's UTS namespace.
#[derive(Clone, Copy)]
enum UtsName {
    Host,
    Domain,
}

fn uts(place: Place, name: &'static str, which: UtsName) -> (&'static str, InodeRef) {
    let read = move |caller: &dyn Caller| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let uts = task.namespaces().uts.clone();
        let names = uts.names.read();
        let mut text = match which {
            UtsName::Host => names.0.clone(),
            UtsName::Domain => names.1.clone(),
        };
        text.push(b'\n');
        Ok(text)
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let uts = task.namespaces().uts.clone();
        if !task.cred().has_cap_in(CAP_SYS_ADMIN, &uts.user_ns) {
            return Err(EPERM.into());
        }
        let name = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let name = name.get(..MAX_NAME).unwrap_or(name).to_vec();
        task.kernel.rename(&uts, |names| match which {
            UtsName::Host => names.0 = name,
            UtsName::Domain => names.1 = name,
        });
        Ok(())
    };
    (name, Text::writable(place, name, 0o644, read, write))
}

fn kernel(mounted: &Mounted) -> Vec<(&'static str, InodeRef)> {
    let place = mounted.place();
    let (release, version) =
        (mounted.kernel.config.release.clone(), mounted.kernel.config.version.clone());
    let boot_id = uuid();
    let owned = |name: &'static str, value: String| {
        (name, Text::public(place, name, move |_| Ok(format!("{value}\n").into_bytes())))
    };
    vec![
        fixed(place, "cap_last_cap", "40"),
        fixed(place, "core_pattern", "core"),
        fixed(place, "core_pipe_limit", "0"),
        fixed(place, "core_uses_pid", "0"),
        fixed(place, "dmesg_restrict", "0"),
        uts(place, "domainname", UtsName::Domain),
        uts(place, "hostname", UtsName::Host),
        fixed(place, "keys", "0"),
        fixed(place, "kptr_restrict", "1"),
        fixed(place, "modules_disabled", "1"),
        fixed(place, "msgmax", "8192"),
        fixed(place, "msgmnb", "16384"),
        fixed(place, "msgmni", "32000"),
        fixed(place, "ngroups_max", "65536"),
        owned("osrelease", release),
        fixed(place, "ostype", "Linux"),
        fixed(place, "overflowgid", "65534"),
        fixed(place, "overflowuid", "65534"),
        fixed(place, "panic", "0"),
        fixed(place, "perf_event_paranoid", "4"),
        fixed(place, "pid_max", "4194304"),
        fixed(place, "printk", "4\t4\t1\t7"),
        dir(place, "pty", pty(place)),
        dir(
            place,
            "random",
            vec![
                owned("boot_id", boot_id),
                fixed(place, "entropy_avail", "256"),
                fixed(place, "poolsize", "256"),
                ("uuid", Text::public(place, "uuid", |_| Ok(format!("{}\n", uuid()).into_bytes()))),
            ],
        ),
        fixed(place, "randomize_va_space", "2"),
        fixed(place, "sched_child_runs_first", "0"),
        fixed(place, "sched_rr_timeslice_ms", "100"),
        fixed(place, "sem", "32000\t1024000000\t500\t32000"),
        fixed(place, "shmall", "18446744073692774399"),
        fixed(place, "shmmax", "18446744073692774399"),
        fixed(place, "shmmni", "4096"),
        fixed(place, "tainted", "0"),
        fixed(place, "threads-max", "192730"),
        fixed(place, "unprivileged_bpf_disabled", "2"),
        owned("version", version),
        dir(place, "yama", vec![fixed(place, "ptrace_scope", "0")]),
    ]
}

/// A random UUID of version 4.
fn uuid() -> String {
    let [a, b, ..] = host::random_words();
    let (a, b) = ((a & !0xf000) | 0x4000, (b & !(3 << 62)) | (2 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

fn net(place: Place) -> Vec<(&'static str, InodeRef)> {
    vec![
        dir(
            place,
            "core",
            vec![
                fixed(place, "busy_poll", "0"),
                fixed(place, "busy_read", "0"),
                fixed(place, "default_qdisc", "pfifo_fast"),
                fixed(place, "netdev_max_backlog", "1000"),
                fixed(place, "optmem_max", "131072"),
                fixed(place, "rmem_default", "212992"),
                fixed(place, "rmem_max", "212992"),
                fixed(place, "somaxconn", "4096"),
                fixed(place, "wmem_default", "212992"),
                fixed(place, "wmem_max", "212992"),
            ],
        ),
        dir(
            place,
            "ipv4",
            vec![
                fixed(place, "ip_default_ttl", "64"),
                fixed(place, "ip_forward", "0"),
                fixed(place, "ip_local_port_range", "32768\t60999"),
                fixed(place, "ip_local_reserved_ports", ""),
                fixed(place, "ip_nonlocal_bind", "0"),
                fixed(place, "ip_unprivileged_port_start", "1024"),
                fixed(place, "ping_group_range", "1\t0"),
                fixed(place, "tcp_available_congestion_control", "reno"),
                fixed(place, "tcp_congestion_control", "reno"),
                fixed(place, "tcp_fastopen", "0"),
                fixed(place, "tcp_fin_timeout", "60"),
                fixed(place, "tcp_keepalive_intvl", "75"),
                fixed(place, "tcp_keepalive_probes", "9"),
                fixed(place, "tcp_keepalive_time", "7200"),
                fixed(place, "tcp_max_syn_backlog", "512"),
                fixed(place, "tcp_retries1", "3"),
                fixed(place, "tcp_retries2", "15"),
                fixed(place, "tcp_rmem", "4096\t131072\t6291456"),
                fixed(place, "tcp_sack", "1"),
                fixed(place, "tcp_syn_retries", "6"),
                fixed(place, "tcp_synack_retries", "5"),
                fixed(place, "tcp_syncookies", "0"),
                fixed(place, "tcp_timestamps", "1"),
                fixed(place, "tcp_tw_reuse", "2"),
                fixed(place, "tcp_window_scaling", "1"),
                fixed(place, "tcp_wmem", "4096\t16384\t4194304"),
            ],
        ),
        dir(
            place,
            "ipv6",
            vec![dir(
                place,
                "conf",
                vec![dir(place, "all", vec![fixed(place, "disable_ipv6", "0")])],
            )],
        ),
        dir(place, "unix", vec![fixed(place, "max_dgram_qlen", "512")]),
    ]
}

fn user(place: Place) -> Vec<(&'static str, InodeRef)> {
    ["max_pid_namespaces", "max_user_namespaces", "max_mnt_namespaces", "max_net_namespaces"]
        .into_iter()
        .map(|name| fixed(place, name, "96365"))
        .collect()
}

fn vm(place: Place) -> Vec<(&'static str, InodeRef)> {
    vec![
        fixed(place, "dirty_background_bytes", "0"),
        fixed(place, "dirty_background_ratio", "10"),
        fixed(place, "dirty_bytes", "0"),
        fixed(place, "dirty_expire_centisecs", "3000"),
        fixed(place, "dirty_ratio", "20"),
        fixed(place, "dirty_writeback_centisecs", "500"),
        fixed(place, "legacy_va_layout", "0"),
        fixed(place, "max_map_count", "65530"),
        fixed(place, "min_free_kbytes", "67584"),
        fixed(place, "mmap_min_addr", "65536"),
        fixed(place, "nr_hugepages", "0"),
        fixed(place, "nr_overcommit_hugepages", "0"),
        fixed(place, "oom_kill_allocating_task", "0"),
        fixed(place, "overcommit_kbytes", "0"),
        fixed(place, "overcommit_memory", "0"),
        fixed(place, "overcommit_ratio", "50"),
        fixed(place, "page-cluster", "3"),
        fixed(place, "panic_on_oom", "0"),
        fixed(place, "swappiness", "60"),
        fixed(place, "unprivileged_userfaultfd", "0"),
        fixed(place, "vfs_cache_pressure", "100"),
        fixed(place, "zone_reclaim_mode", "0"),
    ]
}

/// Text of a number, as sysctl files take it.
///
/// # Errors
/// `EINVAL`.
pub fn number(bytes: &[u8]) -> Result<i64, Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?;
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0')
        .parse()
        .map_err(|_| EINVAL.into())
}
