//! How a trace shows the status that `wait4(2)` writes.

use bevor_abi::signal::Signal;

use super::shape::Layout;

/// A status of four bytes.
pub const LAYOUT: Layout = Layout { size: 4, show };

/// The status of a child that goes on after a stop.
const CONTINUED: u32 = 0xffff;

/// The low byte of the status of a child that has stopped.
const STOPPED: u32 = 0x7f;

/// Set when a dying child left a core file.
const CORE: u32 = 0x80;

fn show(bytes: &[u8]) -> String {
    let Ok(bytes) = bytes.try_into() else { return String::from("?") };
    let status = u32::from_ne_bytes(bytes);
    match (status & 0x7f, status >> 8 & 0xff, status >> 16) {
        _ if status == CONTINUED => String::from("{continued}"),
        (0, code, _) => format!("{{exited, status={code}}}"),
        (STOPPED, signal, 0) => format!("{{stopped by {}}}", name(signal)),
        (STOPPED, signal, event) => format!("{{stopped by {}, event={event}}}", name(signal)),
        (signal, ..) if status & CORE != 0 => format!("{{killed by {}, core}}", name(signal)),
        (signal, ..) => format!("{{killed by {}}}", name(signal)),
    }
}

fn name(signal: u32) -> String {
    let known = i32::try_from(signal).ok().and_then(Signal::new);
    known.map_or_else(|| signal.to_string(), |signal| signal.to_string())
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn a_status_says_what_happened() {
        let shown = |status: u32| show(&status.to_ne_bytes());
        assert_eq!(shown(0x0300), "{exited, status=3}");
        assert_eq!(shown(9), "{killed by SIGKILL}");
        assert_eq!(shown(0x8b), "{killed by SIGSEGV, core}");
        assert_eq!(shown(0x137f), "{stopped by SIGSTOP}");
        assert_eq!(shown(0x3_057f), "{stopped by SIGTRAP, event=3}");
        assert_eq!(shown(0xffff), "{continued}");
    }
}
