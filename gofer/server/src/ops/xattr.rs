//! Extended attributes.
//!
//! A guest sees and sets `user.*` and POSIX ACLs (where owners are not mapped), and sees
//! `security.capability`. Other names belong to the host: security labels, and `trusted.*`.

use std::ffi::CString;
use std::os::fd::AsFd;

use bevor_abi::Errno;
use bevor_abi::errno::{ENODATA, EOPNOTSUPP, EPERM};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{MAX_XATTR, OnNode, SetXattr, XATTR_FLAGS};

use crate::ops::read::on_node;
use crate::root::Root;
use crate::server::{Answer, Server};

const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
const CAPABILITY: &[u8] = b"security.capability";

fn visible(root: &Root, name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name == CAPABILITY
        || (ACLS.contains(&name) && !root.maps_owners())
}

fn changeable(root: &Root, name: &[u8]) -> Result<(), Errno> {
    root.writable()?;
    if name == CAPABILITY {
        Err(EPERM.because("file capabilities of the host are not set"))
    } else if visible(root, name) {
        Ok(())
    } else {
        Err(EOPNOTSUPP.because("extended attribute of the host"))
    }
}

fn name(request: &mut Reader<'_>) -> Result<CString, Malformed> {
    let name = request.string()?;
    if name.is_empty() || name.len() > 255 {
        return Err(Malformed("name of an extended attribute"));
    }
    CString::new(name).map_err(|_| Malformed("NUL in the name of an extended attribute"))
}

/// Answers with the value of an attribute.
pub fn getxattr(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let OnNode { node } = request.take()?;
    let name = name(request)?;
    request.end()?;
    let found = server.find(node)?;
    if found.info.boundary || !visible(server.root_of(&found)?, name.as_bytes()) {
        return Err(ENODATA.because("extended attribute of the host").into());
    }
    let fd = server.descriptor(&found)?;
    let mut value = vec![0; MAX_XATTR];
    let len = server.self_fd.getxattr(fd.as_fd(), &name, &mut value)?;
    reply.bytes(&value[..len.min(value.len())]);
    Ok(None)
}

/// Answers with the names of the attributes a guest may see.
pub fn listxattr(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let found = server.find(on_node(request)?)?;
    if found.info.boundary {
        return Ok(None);
    }
    let fd = server.descriptor(&found)?;
    let root = server.root_of(&found)?;
    let mut names = vec![0; MAX_XATTR];
    let len = server.self_fd.listxattr(fd.as_fd(), &mut names)?;
    names.truncate(len);
    for name in names.split_inclusive(|&byte| byte == 0) {
        if name.split_last().is_some_and(|(_, name)| visible(root, name)) {
            reply.bytes(name);
        }
    }
    Ok(None)
}

/// Sets an attribute.
pub fn setxattr(server: &Server, request: &mut Reader<'_>) -> Answer {
    let head: SetXattr = request.take()?;
    let name = name(request)?;
    let value = request.rest();
    let flags = head.flags.cast_signed();
    if value.len() > MAX_XATTR || usize::try_from(head.value_len) != Ok(value.len()) {
        return Err(Malformed("length of an extended attribute").into());
    }
    if head.flags & !XATTR_FLAGS != 0 {
        return Err(Malformed("unknown setxattr flag").into());
    }
    let (found, fd) = server.served(head.node)?;
    changeable(server.root_of(&found)?, name.as_bytes())?;
    server.self_fd.setxattr(fd.as_fd(), &name, value, flags)?;
    Ok(None)
}

/// Removes an attribute.
pub fn removexattr(server: &Server, request: &mut Reader<'_>) -> Answer {
    let OnNode { node } = request.take()?;
    let name = name(request)?;
    request.end()?;
    let (found, fd) = server.served(node)?;
    changeable(server.root_of(&found)?, name.as_bytes())?;
    server.self_fd.removexattr(fd.as_fd(), &name)?;
    Ok(None)
}
