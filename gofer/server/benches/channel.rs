//! What it costs to ask the gofer, a confined process serving `/` read-only, beside asking the host.

#[path = "../tests/launch/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod launch;

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use bevor_gofer::Confine;
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_gofer_protocol::{Client, Handle};
use criterion::Criterion;
use launch::{Gofer, root};

const READ: u32 = libc::O_RDONLY.cast_unsigned();

/// Lists everything below a directory; answers with the number of entries.
fn list(client: &Client, dir: &Handle, flags: ReadDirFlags) -> u64 {
    let mut below: Vec<Vec<u8>> = Vec::new();
    let (mut count, mut cursor) = (0, 0);
    loop {
        let entries = client.readdir(dir, cursor, 1 << 20, flags).unwrap();
        for entry in entries.iter() {
            cursor = entry.next;
            if matches!(entry.name, b"." | b"..") {
                continue;
            }
            count += 1;
            if entry.kind == libc::DT_DIR {
                below.push(entry.name.to_vec());
            }
        }
        if entries.at_end {
            break;
        }
    }
    for name in below {
        let mut walk = client.walk(dir, &[&name]).unwrap();
        if let Some(node) = walk.nodes.pop() {
            count += list(client, &node.handle, flags);
        }
    }
    count
}

/// The same on the host, `stat`ing each entry if asked.
fn list_host(dir: &Path, stat: bool) -> u64 {
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        count += 1;
        if stat {
            black_box(entry.metadata().unwrap().size());
        }
        if entry.file_type().unwrap().is_dir() {
            count += list_host(&entry.path(), stat);
        }
    }
    count
}

fn benches(criterion: &mut Criterion) {
    let confine =
        if nix::unistd::geteuid().is_root() { Confine::LeaveNamespaces } else { Confine::Landlock };
    let gofer = Gofer::start(confine, vec![root(Path::new("/"), true)], None);
    let client = &gofer.client;
    let root = client.roots().unwrap().remove(0).handle;
    let bin = client.walk(&root, &[b"usr", b"bin"]).unwrap().nodes.pop().unwrap().handle;
    let file = client.walk(&bin, &[b"env"]).unwrap().nodes.pop().unwrap().handle;

    criterion.bench_function("getattr", |b| b.iter(|| client.getattr(&file).unwrap()));
    criterion.bench_function("walk 1", |b| b.iter(|| client.walk(&bin, &[b"env"]).unwrap()));
    criterion.bench_function("walk 3", |b| {
        b.iter(|| client.walk(&root, &[b"usr", b"bin", b"env"]).unwrap());
    });
    criterion.bench_function("probe 3", |b| {
        b.iter(|| client.probe(&root, &[b"usr", b"bin", b"env"]).unwrap());
    });
    criterion.bench_function("walk, not there", |b| {
        b.iter(|| client.walk(&bin, &[b"no-such-program"]).unwrap());
    });
    criterion.bench_function("open", |b| b.iter(|| client.open(&file, READ).unwrap()));
    criterion.bench_function("walk 1 and open", |b| {
        b.iter(|| client.walk_open(&bin, &[b"env"], READ).unwrap());
    });
    criterion.bench_function("host stat", |b| b.iter(|| fs::metadata("/usr/bin/env").unwrap()));
    criterion.bench_function("host open", |b| b.iter(|| fs::File::open("/usr/bin/env").unwrap()));

    let usr = client.walk(&root, &[b"usr"]).unwrap().nodes.pop().unwrap().handle;
    let mut group = criterion.benchmark_group("list /usr");
    group.sample_size(10);
    group.bench_function("names", |b| b.iter(|| list(client, &usr, ReadDirFlags::empty())));
    group.bench_function("attributes", |b| b.iter(|| list(client, &usr, ReadDirFlags::ATTRS)));
    group.bench_function("host names", |b| b.iter(|| list_host(Path::new("/usr"), false)));
    group.bench_function("host attributes", |b| b.iter(|| list_host(Path::new("/usr"), true)));
    group.finish();
    println!("entries below /usr: {}", list(client, &usr, ReadDirFlags::empty()));
}

fn main() -> ExitCode {
    if let Some(code) = launch::be_gofer() {
        return code;
    }
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}
