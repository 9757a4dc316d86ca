//! Looks at names and moves of names, which must not cross.
//!
//! A look (asking the host what a name leads to, and noting that in the table) takes no lock: a host
//! file system may hang in it, and nobody else is to wait for that. It counts the moves (renames and
//! removals by this gofer) instead, and is done again if one came between. Moves of one device exclude
//! each other: whoever waits for one that hangs waits for that device's file system anyway.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bevor_abi::Errno;
use parking_lot::{Mutex, MutexGuard};

use crate::server::Server;
use crate::table::Table;

/// How often a look is done again before it excludes moves.
const RETRIES: usize = 16;

/// The moves of a gofer.
#[derive(Debug, Default)]
pub struct Moves {
    devices: Mutex<HashMap<u64, Arc<Device>>>,
    /// Beginnings and ends of all moves.
    total: AtomicU64,
    under_way: AtomicU64,
}

/// The moves on one device.
#[derive(Debug, Default)]
pub struct Device {
    moving: Mutex<()>,
    /// Beginnings and ends of moves: odd during one.
    count: AtomicU64,
}

/// A move; ends when dropped.
pub struct Moving<'a> {
    moves: &'a Moves,
    device: &'a Device,
    _excludes: MutexGuard<'a, ()>,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.device.count.fetch_add(1, Ordering::SeqCst);
        self.moves.total.fetch_add(1, Ordering::SeqCst);
        self.moves.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Moves {
    /// The moves on a device.
    pub fn on(&self, dev: u64) -> Arc<Device> {
        Arc::clone(self.devices.lock().entry(dev).or_default())
    }

    /// Begins a move of names on `device`. A second one at a time: that of a higher number.
    pub fn begin<'a>(&'a self, device: &'a Device) -> Moving<'a> {
        let excludes = device.moving.lock();
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        device.count.fetch_add(1, Ordering::SeqCst);
        Moving { moves: self, device, _excludes: excludes }
    }

    /// Waits for the move that is under way on a device.
    fn wait(&self, dev: u64) {
        drop(self.on(dev).moving.lock());
    }
}

impl Server {
    /// Looks at a name in a directory on `dev`, and notes in the table what was found there at a moment
    /// between two moves.
    ///
    /// # Errors
    /// Those of `look` and `note`.
    pub(crate) fn steadily<L, T>(
        &self,
        dev: u64,
        mut look: impl FnMut() -> Result<L, Errno>,
        note: impl FnOnce(&mut Table, L) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let device = self.moves.on(dev);
        for _ in 0..RETRIES {
            let before = device.count.load(Ordering::SeqCst);
            if before % 2 == 1 {
                drop(device.moving.lock());
                continue;
            }
            let looked = look();
            // A move that begins from now on finds in the table what is noted here.
            let mut table = self.table.lock();
            if device.count.load(Ordering::SeqCst) == before {
                return note(&mut table, looked?);
            }
        }
        let _excludes = device.moving.lock();
        let looked = look()?;
        note(&mut self.table.lock(), looked)
    }

    /// Does something that follows the table's names, again if it failed and a move may be why. `devices`
    /// are where the names lie.
    ///
    /// # Errors
    /// Those of `follow`.
    pub(crate) fn despite_moves<T>(
        &self,
        mut follow: impl FnMut() -> Result<T, Errno>,
        devices: impl Fn() -> Vec<u64>,
    ) -> Result<T, Errno> {
        let mut tries = 0;
        loop {
            let before = self.moves.total.load(Ordering::SeqCst);
            let disturbed = self.moves.under_way.load(Ordering::SeqCst) != 0;
            let followed = follow();
            tries += 1;
            let moved = || disturbed || self.moves.total.load(Ordering::SeqCst) != before;
            if followed.is_ok() || tries > RETRIES || !moved() {
                return followed;
            }
            devices().into_iter().for_each(|dev| self.moves.wait(dev));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SelfFd;
    use crate::server::Limits;
    use bevor_abi::errno::ENOENT;
    use std::cell::Cell;
    use std::sync::mpsc::channel;

    fn server() -> Server {
        let limits = Limits { handles: 16, descriptors: 16 };
        Server::new(Vec::new(), SelfFd::open().unwrap(), limits).unwrap()
    }

    #[test]
    fn a_look_is_done_again_when_a_move_came_between() {
        let server = server();
        let device = server.moves.on(1);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            if looks.get() < 3 {
                drop(server.moves.begin(&device));
            }
            Ok(looks.get())
        };
        assert_eq!(server.steadily(1, look, |_, looked| Ok(looked)).unwrap(), 3);
    }

    #[test]
    fn moves_without_end_do_not_keep_a_look_from_its_end() {
        let server = server();
        let device = server.moves.on(1);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            // The last look excludes them.
            if looks.get() <= RETRIES {
                drop(server.moves.begin(&device));
            }
            Ok(())
        };
        server.steadily(1, look, |_, ()| Ok(())).unwrap();
        assert_eq!(looks.get(), RETRIES + 1);
    }

    #[test]
    fn a_look_that_hangs_holds_up_no_move_and_a_move_no_other_device() {
        let server = server();
        let (hung, (go_on, awaited)) = (channel(), channel());
        std::thread::scope(|scope| {
            let server = &server;
            scope.spawn(move || {
                let look = || {
                    hung.0.send(()).unwrap();
                    awaited.recv().map_err(|_| ENOENT.into())
                };
                assert!(server.steadily(1, look, |_, ()| Ok(())).is_ok());
            });
            hung.1.recv().unwrap();
            let device = server.moves.on(1);
            let moving = server.moves.begin(&device);
            assert!(server.steadily(2, || Ok(()), |_, ()| Ok(())).is_ok());
            drop(moving);
            go_on.send(()).unwrap();
            // It looks again.
            hung.1.recv().unwrap();
            go_on.send(()).unwrap();
        });
    }

    #[test]
    fn what_failed_while_names_moved_is_tried_again() {
        let server = server();
        let device = server.moves.on(1);
        let tries = Cell::new(0);
        let follow = || {
            tries.set(tries.get() + 1);
            if tries.get() == 1 {
                drop(server.moves.begin(&device));
                return Err(Errno::from(ENOENT));
            }
            Ok(())
        };
        assert!(server.despite_moves(follow, || vec![1]).is_ok());
        let absent = || Err::<(), _>(Errno::from(ENOENT));
        assert!(server.despite_moves(absent, || vec![1]).is_err());
    }
}
