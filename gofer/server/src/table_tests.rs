//! Random sequences of operations on a table, beside a tree that keeps everything.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::{Id, Identity, NodeInfo, Table};

const MAX_KEPT: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// The handle of a name in a directory; which file is there.
    Child { parent: usize, name: u8, file: u64 },
    /// A descriptor for a handle.
    Keep(usize),
    /// A look-up.
    Get(usize),
    /// A name goes away.
    Unlink { parent: usize, name: u8, with_fd: bool },
    /// A name moves.
    Rename { from: usize, name: u8, to: usize, new_name: u8 },
    /// A handle is given back.
    Close(usize),
    /// The process ran out of descriptors.
    DropHalf,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..12;
    let name = || 0_u8..4;
    prop_oneof![
        6 => (which(), name(), 0_u64..3)
            .prop_map(|(parent, name, file)| Step::Child { parent, name, file }),
        4 => which().prop_map(Step::Keep),
        3 => which().prop_map(Step::Get),
        2 => (which(), name(), any::<bool>())
            .prop_map(|(parent, name, with_fd)| Step::Unlink { parent, name, with_fd }),
        2 => (which(), name(), which(), name())
            .prop_map(|(from, name, to, new_name)| Step::Rename { from, name, to, new_name }),
        5 => which().prop_map(Step::Close),
        1 => any::<bool>().prop_map(|_| Step::DropHalf),
    ]
}

fn info(ino: u64) -> NodeInfo {
    let identity = Identity { dev: 1, ino, born: (0, 0), kind: libc::S_IFDIR };
    NodeInfo { root: 0, identity, boundary: false, hidden: None }
}

fn any_fd() -> Arc<OwnedFd> {
    Arc::new(std::fs::File::open("/dev/null").unwrap().into())
}

/// The table and what the client holds: handles with how often, the root first.
struct State {
    table: Table,
    held: Vec<(Id, u32)>,
}

impl State {
    fn pick(&self, which: usize) -> Id {
        self.held[which % self.held.len()].0
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Child { parent, name, file } => {
                let parent = self.pick(parent);
                let id = self.table.child(parent, &[b'a' + name], info(100 + file)).unwrap();
                match self.held.iter_mut().find(|(held, _)| *held == id) {
                    Some((_, count)) => *count += 1,
                    None => self.held.push((id, 1)),
                }
                assert_eq!(self.table.find_child(parent, &[b'a' + name]).unwrap().id, id);
            }
            Step::Keep(which) => self.table.keep(self.pick(which), &any_fd()),
            Step::Get(which) => drop(self.table.get(self.pick(which)).unwrap()),
            Step::Unlink { parent, name, with_fd } => {
                let parent = self.pick(parent);
                if let Some(found) = self.table.find_child(parent, &[b'a' + name]) {
                    let fd = any_fd();
                    self.table.lose_name(found.id, with_fd.then_some(&fd));
                    assert!(self.table.find_child(parent, &[b'a' + name]).is_none());
                }
            }
            Step::Rename { from, name, to, new_name } => {
                let (from, to) = (self.pick(from), self.pick(to));
                let Some(moved) = self.table.find_child(from, &[b'a' + name]) else { return };
                if let Some(replaced) = self.table.find_child(to, &[b'a' + new_name])
                    && replaced.id != moved.id
                {
                    self.table.lose_name(replaced.id, None);
                }
                self.table.moved(moved.id, to, &[b'a' + new_name]);
            }
            Step::Close(which) => {
                let at = which % self.held.len();
                let (id, count) = &mut self.held[at];
                self.table.close([*id].into_iter());
                *count -= 1;
                if *count == 0 && at != 0 {
                    self.held.remove(at);
                }
                // The root's handle stays.
                self.held[0].1 = 1;
            }
            Step::DropHalf => self.table.drop_half(),
        }
    }

    fn check(&mut self) {
        let table = &self.table;
        assert!(table.kept + table.nameless <= MAX_KEPT, "too many descriptors");
        let with_fd = table.nodes.iter().filter(|node| node.fd.is_some()).count();
        assert_eq!(with_fd, table.kept + table.nameless + 1, "the root's and those counted");
        let mut children: HashMap<u32, u32> = HashMap::new();
        let mut seen = 0;
        let mut at = table.newest;
        while let Some(node) = table.node(at) {
            assert!(node.fd.is_some(), "in the list without descriptor");
            seen += 1;
            at = node.older;
        }
        assert_eq!(seen, table.kept);
        for (index, node) in table.nodes.iter().enumerate() {
            let index = u32::try_from(index).unwrap();
            if table.free.contains(&index) {
                assert!(node.fd.is_none() && node.hash.is_none());
            } else if let super::Place::Child(parent) = node.place {
                *children.entry(parent).or_default() += 1;
            }
        }
        for (index, node) in table.nodes.iter().enumerate() {
            let index = u32::try_from(index).unwrap();
            if !table.free.contains(&index) {
                assert_eq!(node.children, children.get(&index).copied().unwrap_or(0));
                assert!(node.handles > 0 || node.children > 0, "kept for nothing");
            }
        }
        for (id, _) in self.held.clone() {
            let found = self.table.get(id).expect("a handle the client holds");
            if found.fd.is_none() {
                // Either there is a way down to it, which ends at the node itself, or it is lost.
                if let Ok(path) = self.table.path(id) {
                    assert_eq!(path.steps.last().map(|(last, _, _)| *last), Some(id));
                }
            }
        }
    }
}

#[test]
fn nameless_files_count_against_the_limit() {
    let mut table = Table::new(1000, MAX_KEPT);
    let root = table.add_root(info(2), any_fd()).unwrap();
    let mut child = |name: u8| table.child(root, &[name], info(100 + u64::from(name))).unwrap();
    let (listed, others): (Vec<Id>, Vec<Id>) =
        ((0..6).map(&mut child).collect(), (6..9).map(child).collect());
    for id in listed {
        table.keep(id, &any_fd());
    }
    for id in others {
        table.lose_name(id, Some(&any_fd()));
    }
    assert_eq!((table.kept, table.nameless), (MAX_KEPT / 2, MAX_KEPT / 2));
}

#[test]
fn nothing_is_lost_or_kept_for_nothing() {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..80);
    let property = |steps: Vec<Step>| {
        let mut table = Table::new(1000, MAX_KEPT);
        let root = table.add_root(info(2), any_fd()).unwrap();
        let mut state = State { table, held: vec![(root, 1)] };
        for step in &steps {
            state.take(step);
            state.check();
        }
        for (id, count) in state.held.clone().into_iter().skip(1) {
            for _ in 0..count {
                state.table.close([id].into_iter());
            }
        }
        assert_eq!(state.table.nodes.len() - state.table.free.len(), 1, "only the root is left");
        assert!(state.table.names.is_empty());
        assert_eq!((state.table.kept, state.table.nameless), (0, 0));
        Ok(())
    };
    TestRunner::new(config).run(&steps, property).unwrap();
}
