//! Memory mappings: `<linux/mman.h>`, `<linux/memfd.h>`, `<linux/mempolicy.h>`.

use crate::macros::uapi;

uapi! {
    /// Protection of `mmap(2)` and `mprotect(2)`.
    flags PROT_FLAGS: u32 {
        PROT_NONE = 0x0,
        PROT_READ = 0x1,
        PROT_WRITE = 0x2,
        PROT_EXEC = 0x4,
        PROT_SEM = 0x8,
        PROT_GROWSDOWN = 0x0100_0000,
        PROT_GROWSUP = 0x0200_0000,
    }

    /// Mapping type, in the bits of `MAP_TYPE`.
    values MAP_TYPES: u32 {
        MAP_SHARED = 1,
        MAP_PRIVATE = 2,
        MAP_SHARED_VALIDATE = 3,
        MAP_TYPE = 15,
        MAP_DROPPABLE = 8,
    }

    /// Flag of `mmap(2)`.
    flags MAP_FLAGS: u32 {
        MAP_FIXED = 0x10,
        MAP_ANONYMOUS = 0x20,
        MAP_32BIT = 0x40,
        MAP_ABOVE4G = 0x80,
        MAP_GROWSDOWN = 0x100,
        MAP_DENYWRITE = 0x800,
        MAP_EXECUTABLE = 0x1000,
        MAP_LOCKED = 0x2000,
        MAP_NORESERVE = 0x4000,
        MAP_POPULATE = 0x8000,
        MAP_NONBLOCK = 0x0001_0000,
        MAP_STACK = 0x0002_0000,
        MAP_HUGETLB = 0x0004_0000,
        MAP_SYNC = 0x0008_0000,
        MAP_FIXED_NOREPLACE = 0x0010_0000,
        MAP_UNINITIALIZED = 0x0400_0000,
    }

    /// Position and mask of the huge page size in flags.
    values MAP_HUGE: u32 {
        MAP_HUGE_SHIFT = 26,
        MAP_HUGE_MASK = 63,
    }

    /// Advice of `madvise(2)`.
    values MADVICES: u32 {
        MADV_NORMAL = 0,
        MADV_RANDOM = 1,
        MADV_SEQUENTIAL = 2,
        MADV_WILLNEED = 3,
        MADV_DONTNEED = 4,
        MADV_FREE = 8,
        MADV_REMOVE = 9,
        MADV_DONTFORK = 10,
        MADV_DOFORK = 11,
        MADV_MERGEABLE = 12,
        MADV_UNMERGEABLE = 13,
        MADV_HUGEPAGE = 14,
        MADV_NOHUGEPAGE = 15,
        MADV_DONTDUMP = 16,
        MADV_DODUMP = 17,
        MADV_WIPEONFORK = 18,
        MADV_KEEPONFORK = 19,
        MADV_COLD = 20,
        MADV_PAGEOUT = 21,
        MADV_POPULATE_READ = 22,
        MADV_POPULATE_WRITE = 23,
        MADV_DONTNEED_LOCKED = 24,
        MADV_COLLAPSE = 25,
        MADV_HWPOISON = 100,
        MADV_SOFT_OFFLINE = 101,
        MADV_GUARD_INSTALL = 102,
        MADV_GUARD_REMOVE = 103,
    }

    /// Flag of `mremap(2)`.
    flags MREMAP_FLAGS: u32 {
        MREMAP_MAYMOVE = 1,
        MREMAP_FIXED = 2,
        MREMAP_DONTUNMAP = 4,
    }

    /// Flag of `msync(2)`.
    flags MSYNC_FLAGS: u32 {
        MS_ASYNC = 1,
        MS_INVALIDATE = 2,
        MS_SYNC = 4,
    }

    /// Flag of `mlock2(2)`.
    flags MLOCK_FLAGS: u32 {
        MLOCK_ONFAULT = 1,
    }

    /// Flag of `mlockall(2)`.
    flags MLOCKALL_FLAGS: u32 {
        MCL_CURRENT = 1,
        MCL_FUTURE = 2,
        MCL_ONFAULT = 4,
    }

    /// Flag of `memfd_create(2)`.
    flags MEMFD_FLAGS: u32 {
        MFD_CLOEXEC = 1,
        MFD_ALLOW_SEALING = 2,
        MFD_HUGETLB = 4,
        MFD_NOEXEC_SEAL = 8,
        MFD_EXEC = 0x10,
    }

    /// Mode of `set_mempolicy(2)`.
    values MEMPOLICIES: u32 {
        MPOL_DEFAULT = 0,
        MPOL_PREFERRED = 1,
        MPOL_BIND = 2,
        MPOL_INTERLEAVE = 3,
        MPOL_LOCAL = 4,
        MPOL_PREFERRED_MANY = 5,
        MPOL_WEIGHTED_INTERLEAVE = 6,
    }

    /// Flag or-ed to the mode of `set_mempolicy(2)`.
    flags MEMPOLICY_MODE_FLAGS: u32 {
        MPOL_F_STATIC_NODES = 0x8000,
        MPOL_F_RELATIVE_NODES = 0x4000,
        MPOL_F_NUMA_BALANCING = 0x2000,
    }

    /// Flag of `get_mempolicy(2)`.
    flags GET_MEMPOLICY_FLAGS: u32 {
        MPOL_F_NODE = 0x1,
        MPOL_F_ADDR = 0x2,
        MPOL_F_MEMS_ALLOWED = 0x4,
    }

    /// Flag of `mbind(2)`.
    flags MBIND_FLAGS: u32 {
        MPOL_MF_STRICT = 0x1,
        MPOL_MF_MOVE = 0x2,
        MPOL_MF_MOVE_ALL = 0x4,
    }

    /// Access right of `pkey_alloc(2)`.
    flags PKEY_RIGHTS: u32 {
        PKEY_DISABLE_ACCESS = 0x1,
        PKEY_DISABLE_WRITE = 0x2,
    }
}
