//! `/proc/sysvipc` (`sysvipc(7)`): what the reader's IPC namespace holds.

use crate::Mounted;
use crate::lazy::Entry;
use crate::node::Text;
use bevor_abi::Errno;
use bevor_base::UserNamespace;
use bevor_kernel::Task;
use bevor_kernel::ipc::{IpcNamespace, Permissions};
use bevor_vfs::inode::InodeRef;
use std::fmt::Write as _;

/// The three files.
pub const ENTRIES: &[Entry<Mounted>] = &[
    Entry::file("msg", |of, name| table(of, name, messages)),
    Entry::file("sem", |of, name| table(of, name, semaphores)),
    Entry::file("shm", |of, name| table(of, name, segments)),
];

fn table(
    mounted: &Mounted,
    name: &'static str,
    render: fn(&IpcNamespace, &UserNamespace) -> String,
) -> InodeRef {
    let of = mounted.clone();
    Text::public(mounted.place(), name, move |caller| {
        let task: &Task = of.caller_task(caller)?;
        let ipc = task.namespaces().ipc.clone();
        Ok::<_, Errno>(render(&ipc, &task.cred().user_ns).into_bytes())
    })
}

/// Owner and maker.
fn ids(perm: &Permissions, ns: &UserNamespace) -> String {
    format!(
        "{:5} {:5} {:5} {:5}",
        ns.uid_out(perm.uid),
        ns.gid_out(perm.gid),
        ns.uid_out(perm.cuid),
        ns.gid_out(perm.cgid)
    )
}

fn messages(ipc: &IpcNamespace, ns: &UserNamespace) -> String {
    let mut out = String::from(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      \
         stime      rtime      ctime\n",
    );
    for queue in ipc.messages.lock().all() {
        let state = queue.state();
        let perm = &state.permissions;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "{:10} {:10}  {:4o}  {:10} {:10} {:5} {:5} {} {:10} {:10} {:10}",
            perm.key,
            queue.id,
            perm.mode,
            state.bytes,
            state.len(),
            state.lspid,
            state.lrpid,
            ids(perm, ns),
            state.stime,
            state.rtime,
            state.ctime
        );
    }
    out
}

fn semaphores(ipc: &IpcNamespace, ns: &UserNamespace) -> String {
    let mut out = String::from(
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n",
    );
    for set in ipc.semaphores.lock().all() {
        let state = set.state();
        let perm = &state.permissions;
        let _ = writeln!(
            out,
            "{:10} {:10}  {:4o} {:10} {} {:10} {:10}",
            perm.key,
            set.id,
            perm.mode,
            state.semaphores.len(),
            ids(perm, ns),
            state.otime,
            state.ctime
        );
    }
    out
}

fn segments(ipc: &IpcNamespace, ns: &UserNamespace) -> String {
    let mut out = String::from(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      \
         atime      dtime      ctime                   rss                  swap\n",
    );
    let segments: Vec<_> = ipc.segments.lock().all().cloned().collect();
    for segment in segments.iter().filter(|segment| !segment.is_gone()) {
        let (attached, resident) = (segment.nr_attached(), segment.resident_bytes());
        let state = segment.state();
        let perm = &state.permissions;
        let _ = writeln!(
            out,
            "{:10} {:10}  {:4o} {:21} {:5} {:5}  {attached:5} {} {:10} {:10} {:10} {resident:21} {:21}",
            perm.key,
            segment.id,
            perm.mode,
            segment.len,
            segment.cpid,
            state.lpid,
            ids(perm, ns),
            state.atime,
            state.dtime,
            state.ctime,
            0
        );
    }
    out
}
