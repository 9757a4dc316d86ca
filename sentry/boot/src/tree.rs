//! Builds a container's file tree: its root and the mounts over it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, EEXIST, ENODEV, ENOENT, ENOTDIR};
use bevor_abi::mount::{
    MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_RDONLY,
    MS_RELATIME, MS_STRICTATIME,
};
use bevor_base::UserNamespace;
use bevor_control::{
    Changes, Create, Mount as MountRequest, MountKind, Refusal, RefusalKind, Root,
};
use bevor_gofer_protocol::Client;
use bevor_gofer_protocol::client::Root as Export;
use bevor_kernel::Kernel;
use bevor_kernel::ns::Namespaces;
use bevor_memory::{Account, MemoryPool};
use bevor_vfs::caller::{Caller, KernelCaller};
use bevor_vfs::gofer::{GoferFs, Sharing};
use bevor_vfs::inode::{FileType, InodeRef};
use bevor_vfs::mount::{Mount, MountFlags, MountNamespace, attach_new};
use bevor_vfs::overlay::{Format, OverlayFs, Upper, with_owners_in_attributes};
use bevor_vfs::superblock::{self, Superblock};
use bevor_vfs::tmpfs::{Size, TmpFs, TmpfsOptions};
use bevor_vfs::{At, FsContext, LastLink, Path, namei};

use crate::changes::Place;

/// What a file tree is built with.
pub struct Builder<'a> {
    kernel: &'a Arc<Kernel>,
    account: &'a Arc<Account>,
    user_ns: &'a Arc<UserNamespace>,
    caller: KernelCaller,
    client: Option<Client>,
    exports: Vec<Option<Export>>,
    /// Where contents of changed files are, if not in memory.
    contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
    overlays: Vec<Place>,
}

/// Makes every file system type known to `mount(2)`. Once per sandbox.
pub fn register_file_systems(kernel: &Arc<Kernel>) {
    bevor_vfs::tmpfs::register();
    bevor_vfs::dev::register_fs();
    bevor_kernel::ipc::register_fs();
    bevor_vfs::devpts::register();
    bevor_vfs::tty::register();
    bevor_procfs::register(kernel);
}

/// A refusal that names what failed.
fn refused(what: &str, errno: Errno) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("{what}: {errno}"))
}

impl<'a> Builder<'a> {
    /// Asks the gofer for what it serves.
    ///
    /// # Errors
    /// The refusal the client gets.
    pub fn new(
        kernel: &'a Arc<Kernel>,
        account: &'a Arc<Account>,
        user_ns: &'a Arc<UserNamespace>,
        client: Option<Client>,
    ) -> Result<Self, Refusal> {
        let caller = KernelCaller::new(&kernel.memory, account, user_ns.clone())
            .map_err(|errno| refused("cannot build the file tree", errno))?;
        let exports = match &client {
            Some(client) => client.roots().map_err(|errno| refused("the gofer", errno))?,
            None => Vec::new(),
        };
        let exports = exports.into_iter().map(Some).collect();
        Ok(Self {
            kernel,
            account,
            user_ns,
            caller,
            client,
            exports,
            contents: None,
            overlays: Vec::new(),
        })
    }

    /// Takes the file for contents of [`Changes::File`].
    ///
    /// # Errors
    /// The refusal the client gets.
    pub fn keep_contents_in(&mut self, file: OwnedFd) -> Result<(), Refusal> {
        let contents = MemoryPool::on_disk(file)
            .map_err(|errno| refused("the file for contents of changed files", errno))?;
        self.contents = Some(contents);
        Ok(())
    }

    /// The overlays that were made.
    pub fn overlays(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.overlays)
    }

    /// The caller that owns what is made on the way.
    pub const fn caller(&self) -> &KernelCaller {
        &self.caller
    }

    /// Builds the tree.
    ///
    /// # Errors
    /// The refusal the client gets; it names the mount.
    pub fn build(
        &mut self,
        create: &Create,
        namespaces: &Namespaces,
    ) -> Result<FsContext, Refusal> {
        let root = match create.root {
            Root::Memory => self.memory(),
            Root::Export { export, changes, shared } => self.export(export, changes, shared, b""),
        };
        let root = root.map_err(|errno| refused("the root file system", errno))?;
        let root = Mount::of(&root, MountFlags::from_mount(0), b"bevor");
        let namespace = MountNamespace::new(root, self.user_ns.clone());
        let fs = FsContext::at_root(namespace);
        for mount in &create.mounts {
            let what = || format!("cannot mount {}", mount.destination);
            match self.mount(&fs, mount, namespaces) {
                // A file system this sentry does not have: guests see that it is not there.
                Err(errno) if errno == ENODEV => tracing::warn!(%errno, "{}", what()),
                result => result.map_err(|errno| refused(&what(), errno))?,
            }
        }
        Ok(FsContext::at_root(fs.namespace))
    }

    fn memory(&self) -> Result<Arc<Superblock>, Errno> {
        let options = TmpfsOptions { mode: Some(0o755), ..TmpfsOptions::default() };
        TmpFs::superblock(&self.kernel.memory, self.account, &options, self.user_ns.clone())
    }

    /// The file system of an export, to be mounted at `place`; each can be mounted once.
    fn export(
        &mut self,
        number: u32,
        changes: Changes,
        shared: bool,
        place: &[u8],
    ) -> Result<Arc<Superblock>, Errno> {
        let superblock = self.export_of(number, changes, shared)?;
        if superblock.fs().name() == "overlay" {
            self.overlays.push((place.to_vec(), superblock.clone()));
        }
        Ok(superblock)
    }

    fn export_of(
        &mut self,
        number: u32,
        changes: Changes,
        shared: bool,
    ) -> Result<Arc<Superblock>, Errno> {
        let lower = self.host_tree(number, shared)?;
        let layer = lower.root().inode().clone();
        let options = |size: Option<u64>| TmpfsOptions {
            size: size.map(Size::Bytes),
            ..TmpfsOptions::default()
        };
        match changes {
            Changes::Host => Ok(lower),
            Changes::Refused => {
                lower.set_read_only(true);
                Ok(lower)
            }
            Changes::Memory { size_bytes } => self.overlay(layer, None, &options(size_bytes)),
            Changes::File { size_bytes } => {
                let contents = self.contents.clone();
                let contents = contents.ok_or_else(|| EBADF.because("no file for contents"))?;
                self.overlay(layer, Some(contents), &options(size_bytes))
            }
            Changes::Directory { upper, owners_in_attributes } => {
                let host = self.host_tree(upper, false)?.root().inode().clone();
                let directory = |name: &[u8]| -> Result<InodeRef, Errno> {
                    let found = host.lookup(name)?;
                    Ok(if owners_in_attributes { with_owners_in_attributes(found) } else { found })
                };
                let upper = Upper {
                    root: directory(b"upper")?,
                    work: directory(b"work")?,
                    format: Format::Linux,
                };
                OverlayFs::superblock(
                    vec![layer],
                    Some(upper),
                    &self.kernel.memory,
                    self.account,
                    self.user_ns.clone(),
                    String::new(),
                )
            }
        }
    }

    /// The file system of an export without anything over it; each can be had once.
    fn host_tree(&mut self, number: u32, shared: bool) -> Result<Arc<Superblock>, Errno> {
        let slot = usize::try_from(number).ok().and_then(|number| self.exports.get_mut(number));
        let export = slot.and_then(Option::take);
        let (Some(export), Some(client)) = (export, self.client.clone()) else {
            return Err(ENOENT.because("the gofer does not serve that"));
        };
        let sharing = if shared { Sharing::Shared } else { Sharing::Exclusive };
        GoferFs::mount(client, export, sharing, self.user_ns.clone())
    }

    fn overlay(
        &self,
        lower: InodeRef,
        contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
        options: &TmpfsOptions,
    ) -> Result<Arc<Superblock>, Errno> {
        let (pool, account) = (&self.kernel.memory, self.account);
        let user_ns = self.user_ns.clone();
        OverlayFs::in_memory(vec![lower], pool, account, contents, options, user_ns)
    }

    fn mount(
        &mut self,
        fs: &FsContext,
        mount: &MountRequest,
        namespaces: &Namespaces,
    ) -> Result<(), Errno> {
        let (flags, options) = split_options(&mount.options);
        let source = mount.source.as_ref().map_or(&b"none"[..], |source| source.as_bytes());
        let superblock = match &mount.kind {
            MountKind::Export { export, changes, shared } => {
                self.export(*export, *changes, *shared, mount.destination.as_bytes())?
            }
            // Shows the container's processes, of which there are none yet.
            MountKind::Kernel { fstype } if fstype == "proc" => {
                let pids = &namespaces.pid_for_children;
                bevor_procfs::superblock(self.kernel, pids, self.user_ns.clone())
            }
            MountKind::Kernel { fstype } if fstype == "mqueue" => {
                namespaces.ipc.queues(self.account).superblock().clone()
            }
            MountKind::Kernel { fstype } => {
                let fs_type = superblock::fs_type(fstype.as_bytes())?;
                (fs_type.mount)(&superblock::MountRequest {
                    source,
                    options: options.as_bytes(),
                    user_ns: self.user_ns,
                    caller: &self.caller,
                })?
            }
        };
        let directory = superblock.root().is_dir();
        let at = self.mount_point(fs, mount.destination.as_bytes(), directory)?;
        attach_new(fs, &superblock, &at, MountFlags::from_mount(flags), source)
    }

    /// Finds the place of a mount, and makes it where it is missing.
    fn mount_point(&self, fs: &FsContext, path: &[u8], directory: bool) -> Result<Path, Errno> {
        let cred = self.caller.cred();
        let at = At::cwd(fs, &self.caller, &cred);
        match at.resolve(path, LastLink::Follow) {
            Err(errno) if errno == ENOENT => {}
            other => return other,
        }
        let slashes: Vec<usize> = (1..path.len()).filter(|&i| path[i] == b'/').collect();
        let parents = slashes.into_iter().map(|end| &path[..end]);
        for parent in parents {
            make(namei::mkdir(&at, parent, 0o755))?;
        }
        if directory {
            make(namei::mkdir(&at, path, 0o755))?;
        } else {
            let mode = FileType::Regular.mode_bits() | 0o644;
            make(namei::mknod(&at, path, mode, 0).map(drop))?;
        }
        at.resolve(path, LastLink::Follow)
    }
}

/// What exists already needs not be made.
fn make(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(errno) if errno == EEXIST => Ok(()),
        Err(errno) if errno == ENOTDIR => Err(ENOTDIR.because("a file is in the way")),
        other => other,
    }
}

/// Takes the flags of `mount(2)` out of options as `mount(8)` writes them.
fn split_options(options: &[String]) -> (u64, String) {
    let mut flags = 0;
    let mut rest: Vec<&str> = Vec::new();
    for option in options.iter().flat_map(|option| option.split(',')) {
        match option {
            "ro" => flags |= MS_RDONLY,
            "rw" => flags &= !MS_RDONLY,
            "nosuid" => flags |= MS_NOSUID,
            "suid" => flags &= !MS_NOSUID,
            "nodev" => flags |= MS_NODEV,
            "dev" => flags &= !MS_NODEV,
            "noexec" => flags |= MS_NOEXEC,
            "exec" => flags &= !MS_NOEXEC,
            "noatime" => flags |= MS_NOATIME,
            "nodiratime" => flags |= MS_NODIRATIME,
            "relatime" => flags |= MS_RELATIME,
            "strictatime" => flags |= MS_STRICTATIME,
            "nosymfollow" => flags |= MS_NOSYMFOLLOW,
            "" | "defaults" => {}
            other => rest.push(other),
        }
    }
    (flags, rest.join(","))
}

#[cfg(test)]
mod tests {
    use super::split_options;
    use bevor_abi::mount::{MS_NODEV, MS_NOSUID, MS_RDONLY};

    #[test]
    fn options_are_flags_or_the_file_systems_own() {
        let options: Vec<String> = vec!["ro,nosuid".into(), "nodev".into(), "size=64k".into()];
        assert_eq!(split_options(&options), (MS_RDONLY | MS_NOSUID | MS_NODEV, "size=64k".into()));
        let options: Vec<String> = vec!["ro".into(), "rw".into(), "mode=755,uid=1".into()];
        assert_eq!(split_options(&options), (0, "mode=755,uid=1".into()));
    }
}
