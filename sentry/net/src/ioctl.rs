//! Interface `ioctl`s every socket answers (`netdevice(7)`): the sandbox has `lo` alone.

use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, ENODEV};
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;

const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;

/// Bytes of `struct ifreq`.
const IFREQ_BYTES: usize = 40;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING`.
const LO_FLAGS: u16 = 0x49;
/// MTU of `lo`.
const LO_MTU: u32 = 65_536;
/// `ARPHRD_LOOPBACK`.
const ARPHRD_LOOPBACK: u16 = 772;

/// Serves an interface command; `None` if it is none.
pub fn interface(caller: &dyn Caller, cmd: u32, arg: u64) -> Option<Result<u64, Errno>> {
    let known = matches!(
        cmd,
        SIOCGIFNAME
            | SIOCGIFCONF
            | SIOCGIFFLAGS
            | SIOCGIFADDR
            | SIOCGIFNETMASK
            | SIOCGIFMTU
            | SIOCGIFHWADDR
            | SIOCGIFINDEX
            | SIOCGIFTXQLEN
    );
    known.then(|| serve(caller, cmd, UserAddr(arg)))
}

fn address(ip: [u8; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[0] = 2;
    out[4..8].copy_from_slice(&ip);
    out
}

fn serve(caller: &dyn Caller, cmd: u32, at: UserAddr) -> Result<u64, Errno> {
    let mm = caller.mm();
    if cmd == SIOCGIFCONF {
        let room: i32 = mm.read(at)?;
        let buffer: u64 = mm.read(at.add(8)?)?;
        let mut entry = [0_u8; IFREQ_BYTES];
        entry[..2].copy_from_slice(b"lo");
        entry[16..32].copy_from_slice(&address([127, 0, 0, 1]));
        let fits = usize::try_from(room).is_ok_and(|room| room >= IFREQ_BYTES);
        if buffer != 0 && fits {
            mm.write_bytes(UserAddr(buffer), &entry)?;
        }
        let length: i32 = if buffer == 0 || fits { 40 } else { 0 };
        mm.write(at, &length)?;
        return Ok(0);
    }
    let mut request = [0_u8; IFREQ_BYTES];
    mm.read_bytes(at, &mut request)?;
    let (name, value) = request.split_at_mut_checked(16).ok_or(EFAULT)?;
    if cmd == SIOCGIFNAME {
        if value.get(..4) != Some(&1_i32.to_ne_bytes()) {
            return Err(ENODEV.into());
        }
        name.fill(0);
        name[..2].copy_from_slice(b"lo");
        mm.write_bytes(at, &request)?;
        return Ok(0);
    }
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    if name != b"lo" {
        return Err(ENODEV.into());
    }
    let mut answer = [0_u8; 16];
    match cmd {
        SIOCGIFFLAGS => answer[..2].copy_from_slice(&LO_FLAGS.to_ne_bytes()),
        SIOCGIFADDR => answer = address([127, 0, 0, 1]),
        SIOCGIFNETMASK => answer = address([255, 0, 0, 0]),
        SIOCGIFMTU => answer[..4].copy_from_slice(&LO_MTU.to_ne_bytes()),
        SIOCGIFHWADDR => answer[..2].copy_from_slice(&ARPHRD_LOOPBACK.to_ne_bytes()),
        SIOCGIFINDEX => answer[..4].copy_from_slice(&1_i32.to_ne_bytes()),
        _ => answer[..4].copy_from_slice(&1000_i32.to_ne_bytes()),
    }
    value.get_mut(..16).ok_or(EFAULT)?.copy_from_slice(&answer);
    mm.write_bytes(at, &request)?;
    Ok(0)
}
