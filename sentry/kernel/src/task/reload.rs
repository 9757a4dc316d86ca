//! Saving and loading a waiting call while its task lives, as a checkpoint and a restore would: what a
//! handler keeps across a wait must be in the record, and what it waits for must have a name.

use crate::aio::AioTable;
use crate::block::{Block, BlockRecord, ObjectKind, Source, SourceName};
use crate::fd::FdTable;
use crate::task::Task;
use bevor_base::WaitQueue;
use bevor_base::clock::monotonic_ns;
use bevor_vfs::file::File;
use bevor_vfs::mqueue::QueueFile;
use std::sync::Arc;

/// What is written of a waiting call.
pub(super) struct Saved {
    /// The record, as text.
    text: String,
    /// The open file descriptions it names, which an image holds beside the records: some have no
    /// descriptor (yet), as a fifo whose other end `open(2)` waits for.
    files: Vec<Arc<File>>,
    /// When it was written.
    now_ns: u64,
}

/// Writes a waiting call.
pub(super) fn save(block: &Block) -> Saved {
    let now_ns = monotonic_ns();
    let files = block.sources.iter().filter_map(|(source, _)| match source {
        Source::File(file) => Some(file.clone()),
        _ => None,
    });
    let files = files.collect();
    let text = serde_json::to_string(&block.record(now_ns)).expect("a record is plain data");
    Saved { text, files, now_ns }
}

/// Makes a waiting call of what was written.
pub(super) fn load(task: &Task, files: &FdTable, saved: Saved) -> Block {
    let Saved { text, files: mut image, now_ns } = saved;
    tracing::debug!(tid = task.tid(), text, "a wait is loaded");
    let record: BlockRecord = serde_json::from_str(&text).expect("the text of a record");
    // Where a descriptor leads to it, that is how it is found.
    image.retain(|file| files.find(file.id()).is_none());
    let open = |id| files.find(id).or_else(|| image.iter().find(|file| file.id() == id).cloned());
    record.load(now_ns, |name| {
        Some(match *name {
            SourceName::File(id) => Source::File(open(id)?),
            SourceName::Object(kind, id) => {
                Source::Object { kind, id, queue: queue(task, files, kind, id)? }
            }
            SourceName::Children => Source::Children,
        })
    })
}

/// The wait queue of a kernel object. `None`: it is gone, or only the handler finds it.
fn queue(task: &Task, files: &FdTable, kind: ObjectKind, id: u64) -> Option<WaitQueue> {
    let ipc = || task.namespaces().ipc.clone();
    let number = || u32::try_from(id).ok().map(u32::cast_signed);
    match kind {
        ObjectKind::Futex => Some(task.kernel.futexes.waiter(id)?.queue.clone()),
        ObjectKind::FileLock => Some(bevor_vfs::locks::find_wait(id)?.queue),
        ObjectKind::Semaphores => Some(ipc().semaphores.lock().get(number()?).ok()?.queue.clone()),
        ObjectKind::Messages => Some(ipc().messages.lock().get(number()?).ok()?.queue.clone()),
        ObjectKind::QueueRoom | ObjectKind::QueueMessage => {
            let file = files.find(id)?;
            let queue = file.downcast::<QueueFile>()?.queue();
            let room = kind == ObjectKind::QueueRoom;
            Some(if room { queue.senders.clone() } else { queue.receivers.clone() })
        }
        ObjectKind::Vfork => {
            let child = task.kernel.tree.lock().tasks.get(&id).cloned()?;
            child.vfork.lock().clone()
        }
        ObjectKind::Completions => Some(AioTable::of(&*task.mm()?).at(id)?.queue.clone()),
        ObjectKind::Notification => Some(task.seccomp.asked(id)?.queue),
        // Nobody wakes it: the last of the others tells the task itself.
        ObjectKind::Siblings => Some(WaitQueue::new()),
        // Behind an address, which the call has in its arguments.
        ObjectKind::Backlog => None,
    }
}
