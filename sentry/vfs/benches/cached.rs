//! Cost of cached paths: the sentry's share of `stat`, `open` and small reads and writes.

use bevor_abi::fcntl::{O_CREAT, O_RDWR};
use bevor_base::{Credentials, UserNamespace};
use bevor_memory::{Account, IoDst, IoSrc, MemoryPool};
use bevor_vfs::caller::KernelCaller;
use bevor_vfs::mount::{Mount, MountFlags, MountNamespace};
use bevor_vfs::namei::{self, OpenHow};
use bevor_vfs::overlay::OverlayFs;
use bevor_vfs::superblock::Superblock;
use bevor_vfs::tmpfs::{TmpFs, TmpfsOptions};
use bevor_vfs::{At, FsContext, LastLink, OpenFlags};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

struct Task {
    fs: FsContext,
    cred: Credentials,
    caller: KernelCaller,
}

impl Task {
    fn on(superblock: &Arc<Superblock>, pool: &Arc<MemoryPool>, account: &Arc<Account>) -> Self {
        let user_ns = UserNamespace::initial();
        let mount = Mount::of(superblock, MountFlags::from_mount(0), b"none");
        let namespace = MountNamespace::new(mount, user_ns.clone());
        Self {
            fs: FsContext::at_root(namespace),
            cred: Credentials::user(0, 0, &[], user_ns.clone()),
            caller: KernelCaller::new(pool, account, user_ns).expect("a memory file"),
        }
    }

    fn at(&self) -> At<'_> {
        At::cwd(&self.fs, &self.caller, &self.cred)
    }

    fn fill(&self) {
        for dir in [&b"/usr"[..], b"/usr/share", b"/usr/share/zone", b"/usr/share/zone/Europe"] {
            namei::mkdir(&self.at(), dir, 0o755).expect("a new directory");
        }
        let how = OpenHow { flags: OpenFlags(O_RDWR | O_CREAT), mode: 0o644 };
        let file = namei::open(&self.at(), FILE, how).expect("a new file");
        file.write(&mut IoSrc::kernel(b"content")).expect("room");
    }
}

const FILE: &[u8] = b"/usr/share/zone/Europe/Berlin";

fn measure(c: &mut Criterion, name: &str, task: &Task) {
    let mut group = c.benchmark_group(name);
    group.bench_function("stat 5 components", |b| {
        b.iter(|| {
            let path = task.at().resolve(black_box(FILE), LastLink::Follow).expect("there");
            black_box(path.inode().attr().expect("attributes"))
        });
    });
    group.bench_function("stat 1 component", |b| {
        b.iter(|| {
            let path = task.at().resolve(black_box(b"/usr"), LastLink::Follow).expect("there");
            black_box(path.inode().attr().expect("attributes"))
        });
    });
    group.bench_function("look up a missing name", |b| {
        b.iter(|| {
            let path = b"/usr/share/zone/nope";
            task.at().resolve(black_box(path), LastLink::Follow).expect_err("not there")
        });
    });
    let how = OpenHow { flags: OpenFlags(O_RDWR), mode: 0 };
    group.bench_function("open and close", |b| {
        b.iter(|| namei::open(&task.at(), black_box(FILE), how).expect("there"));
    });
    let file = namei::open(&task.at(), FILE, how).expect("there");
    let mut byte = [0; 1];
    group.bench_function("pread 1 byte", |b| {
        b.iter(|| file.read_at(&mut IoDst::kernel(&mut byte), 0).expect("readable"));
    });
    group.bench_function("pwrite 1 byte", |b| {
        b.iter(|| file.write_at(&mut IoSrc::kernel(b"x"), 0).expect("writable"));
    });
    group.finish();
}

fn cached(c: &mut Criterion) {
    let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
    let (options, user_ns) = (TmpfsOptions::default(), UserNamespace::initial());
    let superblock =
        TmpFs::superblock(&pool, &account, &options, user_ns.clone()).expect("a tmpfs");
    let task = Task::on(&superblock, &pool, &account);
    task.fill();
    measure(c, "tmpfs", &task);
    let lower = vec![superblock.root().inode().clone()];
    let overlay = OverlayFs::in_memory(lower, &pool, &account, None, &options, user_ns);
    let task = Task::on(&overlay.expect("an overlay"), &pool, &account);
    measure(c, "overlay", &task);
}

criterion_group!(benches, cached);
criterion_main!(benches);
