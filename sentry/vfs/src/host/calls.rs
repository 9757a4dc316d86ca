//! Host calls.
#![expect(unsafe_code, reason = "wraps C functions of the host")]

use bevor_abi::Errno;
use std::io;

/// The host's answer as the guest's error.
fn last_error() -> Errno {
    Errno::from_host(io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Fills `to` with random bytes of the host.
///
/// # Errors
/// `EIO` if the host gives none.
pub fn random(to: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = to.get_mut(done..)
        && !rest.is_empty()
    {
        // SAFETY: `rest` is writable for its length during the call.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => done += got,
            Err(_) => {
                let errno = last_error();
                if errno != bevor_abi::errno::EINTR {
                    return Err(errno);
                }
            }
        }
    }
    Ok(())
}
