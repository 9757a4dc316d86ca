//! `/sys/devices/system/cpu`: each processor is a core of the one package.

use super::Here;
use crate::lazy::{Entry, Lazy, Values};
use crate::node::{Dir, Listing};
use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use bevor_platform::{Cache, CacheKind, caches};
use bevor_vfs::inode::{FileType, InodeRef};
use std::ops::Range;
use std::sync::OnceLock;

/// A set of processors as sysfs writes it: words of 32, the highest first (`%*pb`).
pub fn mask(set: Range<usize>, cpus: usize) -> String {
    let word = |first: usize| {
        let bits = (first..cpus.min(first + 32)).filter(|cpu| set.contains(cpu));
        bits.fold(0_u32, |word, cpu| word | 1 << (cpu - first))
    };
    let words: Vec<_> = (0..cpus.max(1)).step_by(32).map(word).rev().collect();
    let width = (cpus.max(1) - 1) % 32 / 4 + 1;
    let text = |(index, word): (usize, &u32)| {
        if index == 0 { format!("{word:0width$x}") } else { format!(",{word:08x}") }
    };
    words.iter().enumerate().map(text).collect()
}

/// All processors as a list.
pub fn list(cpus: usize) -> String {
    if cpus > 1 { format!("0-{}", cpus - 1) } else { "0".into() }
}

/// The directory of all of them.
pub fn all(of: &Here, name: &'static str) -> InodeRef {
    let inside = of.inside(name);
    let lists = Lazy::new(inside.clone(), &[ENTRIES]);
    let values = Values::new(inside.place, VALUES);
    Dir::inode(of.place, name, 0o755, ((values, lists), Cpus(inside)))
}

const VALUES: &[(&str, &str)] = &[("isolated", ""), ("kernel_max", "8191"), ("offline", "")];
const ENTRIES: &[Entry<Here>] = &[
    Entry::file("online", |of, name| of.line(name, list(of.cpus))),
    Entry::file("possible", |of, name| of.line(name, list(of.cpus))),
    Entry::file("present", |of, name| of.line(name, list(of.cpus))),
    Entry::dir("smt", |of, name| {
        Values::dir(of.place, name, &[("active", "0"), ("control", "notsupported")])
    }),
];

/// The index in a name of the form `cpu3`.
fn index_in(name: &[u8], prefix: &str, most: usize) -> Result<usize, Errno> {
    let digits = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(prefix));
    let index = digits.and_then(|digits| digits.parse().ok()).filter(|&index| index < most);
    let index: usize = index.ok_or(ENOENT)?;
    // Not with a sign or zeros in front.
    if format!("{prefix}{index}").as_bytes() == name { Ok(index) } else { Err(ENOENT.into()) }
}

fn numbered(prefix: &str, count: usize, kind: FileType) -> Vec<(Vec<u8>, FileType)> {
    (0..count).map(|index| (format!("{prefix}{index}").into_bytes(), kind)).collect()
}

struct Cpus(Here);

impl Listing for Cpus {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let index = index_in(name, "cpu", self.0.cpus)?;
        let name = format!("cpu{index}");
        let cpu = Cpu { here: self.0.inside(&name), index };
        Ok(Dir::inode(self.0.place, &name, 0o755, Lazy::new(cpu, &[CPU])))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        numbered("cpu", self.0.cpus, FileType::Directory)
    }
}

/// Links to the processors, in the directory of their node.
pub struct Links(pub Here);

impl Listing for Links {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let index = index_in(name, "cpu", self.0.cpus)?;
        Ok(self.0.link(&format!("cpu{index}"), format!("../../cpu/cpu{index}")))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        numbered("cpu", self.0.cpus, FileType::Symlink)
    }
}

/// One processor.
#[derive(Clone)]
struct Cpu {
    here: Here,
    index: usize,
}

const CPU: &[Entry<Cpu>] = &[
    Entry::dir("cache", |of, name| {
        let cpu = Cpu { here: of.here.inside(name), index: of.index };
        Dir::inode(of.here.place, name, 0o755, Caches(cpu))
    }),
    Entry::link("node0", |of, name| of.here.link(name, "../../node/node0".into())),
    Entry::link("subsystem", |of, name| of.here.link(name, "../../../../bus/cpu".into())),
    Entry::dir("topology", |of, name| {
        let cpu = Cpu { here: of.here.inside(name), index: of.index };
        Dir::inode(of.here.place, name, 0o755, Lazy::new(cpu, &[TOPOLOGY]))
    }),
];

impl Cpu {
    fn own_mask(&self) -> String {
        mask(self.index..self.index + 1, self.here.cpus)
    }

    fn all_mask(&self) -> String {
        mask(0..self.here.cpus, self.here.cpus)
    }
}

const TOPOLOGY: &[Entry<Cpu>] = &[
    Entry::file("cluster_cpus", |of, name| of.here.line(name, of.own_mask())),
    Entry::file("cluster_cpus_list", |of, name| of.here.line(name, of.index.to_string())),
    Entry::file("cluster_id", |of, name| of.here.line(name, "65535".into())),
    Entry::file("core_cpus", |of, name| of.here.line(name, of.own_mask())),
    Entry::file("core_cpus_list", |of, name| of.here.line(name, of.index.to_string())),
    Entry::file("core_id", |of, name| of.here.line(name, of.index.to_string())),
    Entry::file("core_siblings", |of, name| of.here.line(name, of.all_mask())),
    Entry::file("core_siblings_list", |of, name| of.here.line(name, list(of.here.cpus))),
    Entry::file("die_cpus", |of, name| of.here.line(name, of.all_mask())),
    Entry::file("die_cpus_list", |of, name| of.here.line(name, list(of.here.cpus))),
    Entry::file("die_id", |of, name| of.here.line(name, "0".into())),
    Entry::file("package_cpus", |of, name| of.here.line(name, of.all_mask())),
    Entry::file("package_cpus_list", |of, name| of.here.line(name, list(of.here.cpus))),
    Entry::file("physical_package_id", |of, name| of.here.line(name, "0".into())),
    Entry::file("thread_siblings", |of, name| of.here.line(name, of.own_mask())),
    Entry::file("thread_siblings_list", |of, name| of.here.line(name, of.index.to_string())),
];

/// What the processor says of its caches, asked once.
fn known() -> &'static [Cache] {
    static CACHES: OnceLock<Vec<Cache>> = OnceLock::new();
    CACHES.get_or_init(caches)
}

struct Caches(Cpu);

impl Listing for Caches {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let index = index_in(name, "index", known().len())?;
        let cache = *known().get(index).ok_or(ENOENT)?;
        let name = format!("index{index}");
        let cpu = Cpu { here: self.0.here.inside(&name), index: self.0.index };
        let place = self.0.here.place;
        Ok(Dir::inode(place, &name, 0o755, Lazy::new(OfCpu { cpu, cache }, &[CACHE])))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        numbered("index", known().len(), FileType::Directory)
    }
}

/// A cache as one processor sees it: those of the first two levels are its own.
struct OfCpu {
    cpu: Cpu,
    cache: Cache,
}

impl OfCpu {
    const fn is_own(&self) -> bool {
        self.cache.level < 3
    }

    fn line(&self, name: &'static str, value: impl ToString) -> InodeRef {
        self.cpu.here.line(name, value.to_string())
    }
}

const CACHE: &[Entry<OfCpu>] = &[
    Entry::file("coherency_line_size", |of, name| of.line(name, of.cache.line_bytes)),
    Entry::file("id", |of, name| of.line(name, if of.is_own() { of.cpu.index } else { 0 })),
    Entry::file("level", |of, name| of.line(name, of.cache.level)),
    Entry::file("number_of_sets", |of, name| of.line(name, of.cache.sets)),
    Entry::file("physical_line_partition", |of, name| of.line(name, of.cache.partitions)),
    Entry::file("shared_cpu_list", |of, name| {
        let all = list(of.cpu.here.cpus);
        of.line(name, if of.is_own() { of.cpu.index.to_string() } else { all })
    }),
    Entry::file("shared_cpu_map", |of, name| {
        of.line(name, if of.is_own() { of.cpu.own_mask() } else { of.cpu.all_mask() })
    }),
    Entry::file("size", |of, name| of.line(name, format!("{}K", of.cache.bytes() / 1024))),
    Entry::file("type", |of, name| {
        let kind = match of.cache.kind {
            CacheKind::Data => "Data",
            CacheKind::Instruction => "Instruction",
            CacheKind::Unified => "Unified",
        };
        of.line(name, kind)
    }),
    Entry::file("ways_of_associativity", |of, name| of.line(name, of.cache.ways)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_words_of_32() {
        assert_eq!(mask(0..2, 2), "3");
        assert_eq!(mask(33..34, 40), "02,00000000");
    }

    #[test]
    fn names_with_a_sign_or_zeros_are_none() {
        assert_eq!(index_in(b"cpu1", "cpu", 2).ok(), Some(1));
        for name in [&b"cpu2"[..], b"cpu+1", b"cpu01", b"cpu", b"x1"] {
            assert!(index_in(name, "cpu", 2).is_err(), "{name:?}");
        }
    }
}
