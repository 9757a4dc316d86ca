//! Files about memory: `meminfo`, `vmstat` and what the page allocator of Linux shows.

use bevor_kernel::Kernel;
use bevor_memory::bytes_in_stores;
use std::fmt::Write as _;

const PAGE_BYTES: u64 = 4096;
/// Orders of free blocks Linux keeps lists of.
const NR_ORDERS: usize = 11;

/// Memory in use, bytes.
struct Amounts {
    total: u64,
    free: u64,
    /// Private pages of processes.
    anon: u64,
    /// Pages of files in memory: tmpfs, the overlay's upper layer, shared memory.
    shmem: u64,
}

fn amounts(kernel: &Kernel) -> Amounts {
    let total = kernel.config.memory_bytes;
    let charged: u64 = {
        let containers = kernel.containers.lock();
        containers.values().map(|container| container.account.charged()).sum()
    };
    let shmem = bytes_in_stores().min(charged);
    Amounts { total, free: total.saturating_sub(charged), anon: charged - shmem, shmem }
}

/// `meminfo`. The host's page cache is not the sandbox's: what its files hold in memory is what
/// they hold in the sandbox's own.
pub fn meminfo(kernel: &Kernel) -> String {
    let Amounts { total, free, anon, shmem } = amounts(kernel);
    let lines: [(&str, u64); 45] = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", shmem),
        ("SwapCached", 0),
        ("Active", anon),
        ("Inactive", shmem),
        ("Active(anon)", anon),
        ("Inactive(anon)", shmem),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Zswap", 0),
        ("Zswapped", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", anon),
        ("Mapped", 0),
        ("Shmem", shmem),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", total / 2),
        ("Committed_AS", anon + shmem),
        ("VmallocTotal", 34_359_738_367 << 10),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
        ("Balloon", 0),
    ];
    let mut out = String::new();
    for (name, bytes) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<16}{:>8} kB", format!("{name}:"), bytes / 1024);
    }
    out.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n\
         HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n",
    );
    let _ = writeln!(out, "DirectMap4k:    {:>8} kB", total / 1024);
    out
}

/// The memory of the one NUMA node (`/sys/devices/system/node/node0/meminfo`).
pub fn node_meminfo(kernel: &Kernel) -> String {
    let Amounts { total, free, anon, shmem } = amounts(kernel);
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemUsed", total - free),
        ("SwapCached", 0),
        ("Active", anon),
        ("Inactive", shmem),
        ("Active(anon)", anon),
        ("Inactive(anon)", shmem),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("FilePages", shmem),
        ("Mapped", 0),
        ("AnonPages", anon),
        ("Shmem", shmem),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
    ];
    let line = |(name, bytes): (&str, u64)| {
        format!("Node 0 {:<16}{:>8} kB\n", format!("{name}:"), bytes / 1024)
    };
    let mut out: String = lines.into_iter().map(line).collect();
    for name in ["HugePages_Total", "HugePages_Free", "HugePages_Surp"] {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "Node 0 {:<16}{:>8}", format!("{name}:"), 0);
    }
    out
}

/// `vmstat`: the lines that mean something here.
pub fn vmstat(kernel: &Kernel) -> String {
    let Amounts { free, anon, shmem, .. } = amounts(kernel);
    let usage = kernel.total_usage();
    let kills: u64 = {
        let containers = kernel.containers.lock();
        containers.values().map(|container| container.nr_oom_kills()).sum()
    };
    let lines = [
        ("nr_free_pages", free / PAGE_BYTES),
        ("nr_inactive_anon", shmem / PAGE_BYTES),
        ("nr_active_anon", anon / PAGE_BYTES),
        ("nr_inactive_file", 0),
        ("nr_active_file", 0),
        ("nr_unevictable", 0),
        ("nr_slab_reclaimable", 0),
        ("nr_slab_unreclaimable", 0),
        ("nr_anon_pages", anon / PAGE_BYTES),
        ("nr_mapped", 0),
        ("nr_file_pages", shmem / PAGE_BYTES),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_shmem", shmem / PAGE_BYTES),
        ("nr_dirtied", 0),
        ("nr_written", 0),
        ("pgpgin", 0),
        ("pgpgout", 0),
        ("pswpin", 0),
        ("pswpout", 0),
        ("pgfault", usage.minor_faults + usage.major_faults),
        ("pgmajfault", usage.major_faults),
        ("oom_kill", kills),
    ];
    lines.into_iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}

/// `buddyinfo`: free memory in the largest blocks possible.
pub fn buddyinfo(kernel: &Kernel) -> String {
    let mut pages = amounts(kernel).free / PAGE_BYTES;
    let mut counts = [0; NR_ORDERS];
    for (order, count) in counts.iter_mut().enumerate().rev() {
        *count = pages >> order;
        pages -= *count << order;
    }
    let counts: String = counts.iter().map(|count| format!("{count:6} ")).collect();
    format!("Node 0, zone {:>8} {counts}\n", "Normal")
}

/// `zoneinfo`: one zone.
pub fn zoneinfo(kernel: &Kernel) -> String {
    let Amounts { total, free, anon, shmem } = amounts(kernel).in_pages();
    format!(
        "Node 0, zone   Normal\n  per-node stats\n      nr_inactive_anon {shmem}\n      \
         nr_active_anon {anon}\n      nr_anon_pages {anon}\n      nr_file_pages {shmem}\n      \
         nr_shmem     {shmem}\n  pages free     {free}\n        boost    0\n        min      0\n        \
         low      0\n        high     0\n        promo    0\n        spanned  {total}\n        \
         present  {total}\n        managed  {total}\n        cma      0\n        \
         protection: (0, 0)\n      nr_free_pages {free}\n"
    )
}

impl Amounts {
    const fn in_pages(self) -> Self {
        Self {
            total: self.total / PAGE_BYTES,
            free: self.free / PAGE_BYTES,
            anon: self.anon / PAGE_BYTES,
            shmem: self.shmem / PAGE_BYTES,
        }
    }
}

/// `slabinfo`: there are no slabs.
pub const SLABINFO: &str = "slabinfo - version: 2.1\n\
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables \
    <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n";
