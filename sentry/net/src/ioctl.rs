//! Interface `ioctl`s every socket answers (`netdevice(7)`).

use crate::host::Interface;
use bevor_abi::Errno;
use bevor_abi::errno::{EADDRNOTAVAIL, EFAULT, ENODEV};
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;

const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;

/// Bytes of `struct ifreq`.
const IFREQ_BYTES: usize = 40;
/// Bytes of a name in it.
const NAME_BYTES: usize = 16;

/// Serves an interface command for a network with these interfaces; `None` if it is none.
pub fn interface(
    interfaces: &[Interface],
    caller: &dyn Caller,
    cmd: u32,
    arg: u64,
) -> Option<Result<u64, Errno>> {
    let known = matches!(
        cmd,
        SIOCGIFNAME
            | SIOCGIFCONF
            | SIOCGIFFLAGS
            | SIOCGIFADDR
            | SIOCGIFBRDADDR
            | SIOCGIFNETMASK
            | SIOCGIFMTU
            | SIOCGIFHWADDR
            | SIOCGIFINDEX
            | SIOCGIFTXQLEN
    );
    known.then(|| match cmd {
        SIOCGIFCONF => list(interfaces, caller, UserAddr(arg)),
        _ => one(interfaces, caller, cmd, UserAddr(arg)),
    })
}

fn address(ip: [u8; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[0] = 2;
    out[4..8].copy_from_slice(&ip);
    out
}

/// `SIOCGIFCONF`: every IPv4 address with its interface's name.
fn list(interfaces: &[Interface], caller: &dyn Caller, at: UserAddr) -> Result<u64, Errno> {
    let mm = caller.mm();
    let room: i32 = mm.read(at)?;
    let buffer: u64 = mm.read(at.add(8)?)?;
    let mut entries = Vec::new();
    for interface in interfaces {
        for (ip, ..) in &interface.v4 {
            let mut entry = [0_u8; IFREQ_BYTES];
            for (to, from) in entry.iter_mut().zip(interface.name.iter().take(NAME_BYTES - 1)) {
                *to = *from;
            }
            entry[16..32].copy_from_slice(&address(*ip));
            entries.extend_from_slice(&entry);
        }
    }
    if buffer != 0 {
        let whole = usize::try_from(room).unwrap_or(0) / IFREQ_BYTES * IFREQ_BYTES;
        entries.truncate(whole);
        mm.write_bytes(UserAddr(buffer), &entries)?;
    }
    mm.write(at, &i32::try_from(entries.len()).unwrap_or(i32::MAX))?;
    Ok(0)
}

/// The commands about one interface.
fn one(
    interfaces: &[Interface],
    caller: &dyn Caller,
    cmd: u32,
    at: UserAddr,
) -> Result<u64, Errno> {
    let mm = caller.mm();
    let mut request = [0_u8; IFREQ_BYTES];
    mm.read_bytes(at, &mut request)?;
    let (name, value) = request.split_at_mut_checked(NAME_BYTES).ok_or(EFAULT)?;
    if cmd == SIOCGIFNAME {
        let index = value.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(EFAULT)?;
        let index = i32::from_ne_bytes(index);
        let found = interfaces.iter().find(|interface| interface.index == index).ok_or(ENODEV)?;
        name.fill(0);
        for (to, from) in name.iter_mut().zip(found.name.iter().take(NAME_BYTES - 1)) {
            *to = *from;
        }
        mm.write_bytes(at, &request)?;
        return Ok(0);
    }
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let found = interfaces.iter().find(|interface| interface.name == name).ok_or(ENODEV)?;
    let first = || found.v4.first().copied().ok_or(EADDRNOTAVAIL);
    let mut answer = [0_u8; 16];
    match cmd {
        SIOCGIFFLAGS => {
            let flags = bevor_abi::conv::low_u16(u64::from(found.flags));
            answer[..2].copy_from_slice(&flags.to_ne_bytes());
        }
        SIOCGIFADDR => answer = address(first()?.0),
        SIOCGIFBRDADDR => answer = address(first()?.2),
        SIOCGIFNETMASK => {
            let mask = u32::MAX.checked_shl(32 - u32::from(first()?.1.min(32))).unwrap_or(0);
            answer = address(mask.to_be_bytes());
        }
        SIOCGIFMTU => answer[..4].copy_from_slice(&found.mtu.to_ne_bytes()),
        SIOCGIFHWADDR => {
            answer[..2].copy_from_slice(&found.hardware.to_ne_bytes());
            for (to, from) in answer.iter_mut().skip(2).zip(&found.address) {
                *to = *from;
            }
        }
        SIOCGIFINDEX => answer[..4].copy_from_slice(&found.index.to_ne_bytes()),
        _ => answer[..4].copy_from_slice(&found.queue.to_ne_bytes()),
    }
    value.get_mut(..16).ok_or(EFAULT)?.copy_from_slice(&answer);
    mm.write_bytes(at, &request)?;
    Ok(0)
}
