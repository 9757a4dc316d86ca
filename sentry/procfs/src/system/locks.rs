//! `/proc/locks`, and the lines about locks in `fdinfo` (`proc_locks(5)`).

use crate::Mounted;
use bevor_vfs::file::File;
use bevor_vfs::locks::{self, Listed, Owner};
use std::collections::HashMap;
use std::sync::Arc;

/// Who holds what: process numbers by descriptor table and by open file description.
struct Holders {
    tables: HashMap<u64, i32>,
    descriptions: HashMap<u64, i32>,
}

impl Holders {
    fn new(mounted: &Mounted) -> Self {
        let tasks: Vec<_> = mounted.kernel.tree.lock().tasks.values().cloned().collect();
        let mut holders = Self { tables: HashMap::new(), descriptions: HashMap::new() };
        // Of several that share it, the first process is shown.
        let first = |known: &mut HashMap<u64, i32>, key: u64, number: i32| {
            let least = known.entry(key).or_insert(number);
            *least = number.min(*least);
        };
        for task in tasks {
            let Some(number) = task.group.pid.number_in(&mounted.ns) else { continue };
            let Some(files) = task.files() else { continue };
            first(&mut holders.tables, files.id(), number);
            for (_, file, _) in files.list() {
                first(&mut holders.descriptions, file.id(), number);
            }
        }
        holders
    }

    /// The number to show; `None` for locks of processes one cannot see.
    fn number(&self, lock: &Listed) -> Option<i32> {
        match lock.owner {
            Owner::Process { table, .. } => self.tables.get(&table).copied(),
            Owner::Description(_) if !lock.whole => Some(-1),
            Owner::Description(id) => self.descriptions.get(&id).copied(),
        }
    }
}

/// `locks`.
pub fn locks(mounted: &Mounted) -> String {
    let list = locks::list();
    if list.is_empty() {
        return String::new();
    }
    let holders = Holders::new(mounted);
    let line = |lock: &Listed| {
        let number = holders.number(lock)?;
        let arrow = if lock.waits { "-> " } else { "" };
        Some(format!("{}: {arrow}{}\n", lock.number, lock.text(number)))
    };
    list.iter().filter_map(line).collect()
}

/// The lines about locks on `file` that its description holds, or a process through the descriptor
/// table `table`.
pub fn lines(mounted: &Mounted, file: &Arc<File>, table: u64) -> String {
    let mut mine = locks::list();
    mine.retain(|lock| {
        !lock.waits
            && match lock.owner {
                Owner::Process { table: its, .. } => its == table && lock.is_on(file),
                Owner::Description(id) => id == file.id(),
            }
    });
    if mine.is_empty() {
        return String::new();
    }
    let holders = Holders::new(mounted);
    let line = |(index, lock): (usize, &Listed)| {
        Some(format!("lock:\t{}: {}\n", index + 1, lock.text(holders.number(lock)?)))
    };
    mine.iter().enumerate().filter_map(line).collect()
}
