//! Files about a task's memory: maps, smaps, cmdline, environ, auxv.

use super::Subject;
use crate::node::{Link, Listing};
use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use bevor_memory::{MapEntry, SmapsEntry, UserAddr, VmFlags};
use bevor_vfs::inode::{FileType, InodeRef};
use std::fmt::Write as _;
use std::ops::Range;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Most bytes of arguments or environment shown.
const MAX_STRINGS: u64 = 8 << 20;

fn strings(
    subject: &Subject,
    which: fn(&bevor_kernel::exec::ImageInfo) -> Range<u64>,
) -> Result<Vec<u8>, Errno> {
    let Ok(task) = subject.task() else { return Ok(Vec::new()) };
    let range = subject.group.image.read().as_ref().map(|image| which(&image.info));
    let (Some(range), Some(mm)) = (range, task.mm()) else { return Ok(Vec::new()) };
    let len = range.end.saturating_sub(range.start).min(MAX_STRINGS);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = mm.read_force(UserAddr(range.start), &mut bytes).unwrap_or(0);
    bytes.truncate(read);
    Ok(bytes)
}

/// `cmdline`.
pub fn cmdline(subject: &Subject) -> Result<Vec<u8>, Errno> {
    strings(subject, |info| info.args.clone())
}

/// `environ`.
pub fn environ(subject: &Subject) -> Result<Vec<u8>, Errno> {
    strings(subject, |info| info.envs.clone())
}

/// `auxv`.
pub fn auxv(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let image = subject.group.image.read();
    let auxv = image.as_ref().map(|image| image.info.auxv.clone()).unwrap_or_default();
    Ok(auxv
        .iter()
        .flat_map(|(key, value)| [key.to_ne_bytes(), value.to_ne_bytes()])
        .flatten()
        .collect())
}

fn line(entry: &MapEntry) -> Vec<u8> {
    let bit = |on: bool, letter: char| if on { letter } else { '-' };
    let dev = entry.name.dev;
    let mut out = format!(
        "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
        entry.range.start,
        entry.range.end,
        bit(entry.prot.read, 'r'),
        bit(entry.prot.write, 'w'),
        bit(entry.prot.exec, 'x'),
        if entry.shared { 's' } else { 'p' },
        entry.offset,
        bevor_abi::stat::major(dev),
        bevor_abi::stat::minor(dev),
        entry.name.ino,
    )
    .into_bytes();
    if entry.name.path.is_empty() {
        // The separator stays, as the kernel leaves it.
    } else {
        out.resize(out.len().max(73), b' ');
        for &byte in &entry.name.path {
            if byte == b'\n' {
                out.extend_from_slice(b"\\012");
            } else {
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}

/// `maps`.
pub fn maps(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task().ok().and_then(|task| task.mm()) else { return Ok(Vec::new()) };
    Ok(mm.maps().iter().flat_map(line).collect())
}

fn amounts(entry: &SmapsEntry, size: u64) -> String {
    let dirty = entry.pss.saturating_sub(entry.private_clean).saturating_sub(entry.shared_clean);
    let rows = [
        ("Rss", entry.rss),
        ("Pss", entry.pss),
        ("Pss_Dirty", dirty),
        ("Shared_Clean", entry.shared_clean),
        ("Shared_Dirty", entry.shared_dirty),
        ("Private_Clean", entry.private_clean),
        ("Private_Dirty", entry.private_dirty),
        ("Referenced", entry.rss),
        ("Anonymous", entry.anonymous),
        ("KSM", 0),
        ("LazyFree", 0),
        ("AnonHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", entry.locked),
    ];
    let mut out = String::new();
    if size != 0 {
        let _ = writeln!(out, "Size:           {:8} kB", size / 1024);
        out.push_str("KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
    }
    for (name, bytes) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<16}{:8} kB", format!("{name}:"), bytes / 1024);
        if name == "Pss_Dirty" && size == 0 {
            // The sum alone tells apart what the pages are.
            let file = entry.pss.saturating_sub(entry.anonymous);
            for (name, bytes) in
                [("Pss_Anon", entry.anonymous.min(entry.pss)), ("Pss_File", file), ("Pss_Shmem", 0)]
            {
                let _ = writeln!(out, "{:<16}{:8} kB", format!("{name}:"), bytes / 1024);
            }
        }
    }
    out
}

/// `numa_maps`: all on the one node (`numa(7)`).
pub fn numa_maps(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task().ok().and_then(|task| task.mm()) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for entry in mm.smaps() {
        out.extend(format!("{:08x} default", entry.map.range.start).into_bytes());
        let path = &entry.map.name.path;
        match path.as_slice() {
            b"[heap]" => out.extend(b" heap"),
            b"[stack]" => out.extend(b" stack"),
            [b'/', ..] => {
                out.extend(b" file=");
                out.extend(path.iter().map(|&byte| if byte == b'\n' { b'?' } else { byte }));
            }
            _ => {}
        }
        let (pages, anon) = (entry.rss / PAGE, entry.anonymous / PAGE);
        if anon > 0 {
            out.extend(format!(" anon={anon} dirty={anon}").into_bytes());
        }
        if pages > anon {
            out.extend(format!(" mapped={}", pages - anon).into_bytes());
        }
        if pages > 0 {
            out.extend(format!(" N0={pages} kernelpagesize_kB=4").into_bytes());
        }
        out.push(b'\n');
    }
    Ok(out)
}

/// `map_files`: a link for each mapping of a file, named by its addresses.
pub struct MapFiles(pub Subject);

impl Listing for MapFiles {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let map = self.files().into_iter().find(|map| file_name(map).as_bytes() == name);
        let map = map.ok_or(ENOENT)?;
        let subject = self.0.clone();
        Ok(Link::plain(self.0.place(), &file_name(&map), move |caller| {
            subject.check_read(caller)?;
            Ok(map.name.path.clone())
        }))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let files = self.files();
        files.iter().map(|map| (file_name(map).into_bytes(), FileType::Symlink)).collect()
    }
}

impl MapFiles {
    fn files(&self) -> Vec<MapEntry> {
        let mm = self.0.task().ok().and_then(|task| task.mm());
        let maps = mm.map(|mm| mm.maps()).unwrap_or_default();
        maps.into_iter().filter(|map| map.name.path.first() == Some(&b'/')).collect()
    }
}

fn file_name(map: &MapEntry) -> String {
    format!("{:x}-{:x}", map.range.start, map.range.end)
}

/// `smaps`.
pub fn smaps(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task().ok().and_then(|task| task.mm()) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for entry in mm.smaps() {
        out.extend(line(&entry.map));
        let size = entry.map.range.end - entry.map.range.start;
        out.extend(amounts(&entry, size).into_bytes());
        out.extend(b"THPeligible:           0\n");
        out.extend(format!("VmFlags: {}\n", flags(&entry.map)).into_bytes());
    }
    Ok(out)
}

fn flags(entry: &MapEntry) -> String {
    let table = [
        (entry.prot.read, "rd "),
        (entry.prot.write, "wr "),
        (entry.prot.exec, "ex "),
        (entry.shared, "sh "),
        (true, "mr "),
        (entry.flags.contains(VmFlags::MAYWRITE), "mw "),
        (entry.flags.contains(VmFlags::MAYEXEC), "me "),
        (entry.flags.contains(VmFlags::GROWSDOWN), "gd "),
        (entry.flags.contains(VmFlags::LOCKED), "lo "),
        (entry.flags.contains(VmFlags::DROPPABLE), "dp "),
    ];
    table.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect()
}

/// `smaps_rollup`.
pub fn smaps_rollup(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task().ok().and_then(|task| task.mm()) else { return Ok(Vec::new()) };
    let entries = mm.smaps();
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(Vec::new());
    };
    let mut out = format!(
        "{:08x}-{:08x} ---p 00000000 00:00 0                                  [rollup]\n",
        first.map.range.start, last.map.range.end
    );
    let mut sum = first.clone();
    for entry in entries.iter().skip(1) {
        sum.rss += entry.rss;
        sum.pss += entry.pss;
        sum.shared_clean += entry.shared_clean;
        sum.shared_dirty += entry.shared_dirty;
        sum.private_clean += entry.private_clean;
        sum.private_dirty += entry.private_dirty;
        sum.anonymous += entry.anonymous;
        sum.locked += entry.locked;
    }
    out.push_str(&amounts(&sum, 0));
    Ok(out.into_bytes())
}
