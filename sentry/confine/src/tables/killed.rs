//! Calls no role ever needs and an attacker wants first: the process dies at once, without a report.

use crate::row::Row;

const REASON: &str = "never needed: kills the process at once";
const TEST: &str = "confine::filter";

macro_rules! killed {
    ($($name:ident),+ $(,)?) => { &[$($crate::row!($name, REASON, TEST)),+] };
}

/// Killed in the sentry and the gofer unless a row of their table allows them.
pub const KILLED: &[Row] = killed![
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_writev,
    SYS_process_vm_readv,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_open_by_handle_at,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_personality,
];
