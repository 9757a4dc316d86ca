//! Fields of structures that are shown by names or in octal.

use bevor_abi::{fcntl, futex, ipc, landlock, mount, poll, sched, signal, stat, time};

use super::format::show_named;
use super::shape::Named;

/// How a field is shown.
#[derive(Clone, Copy)]
enum Form {
    Named(Named),
    /// Type and permissions of a file.
    Mode,
    Octal,
}

macro_rules! of {
    ($($set:path),+) => { Form::Named(Named { mask: 0, names: &[$(&$set),+] }) };
}

macro_rules! masked {
    ($mask:literal: $($set:path),+) => {
        Form::Named(Named { mask: $mask, names: &[$(&$set),+] })
    };
}

/// Structure, field and form.
const FIELDS: &[(&str, &str, Form)] = &[
    ("CloneArgs", "exit_signal", of![signal::SIGNALS]),
    ("CloneArgs", "flags", of![sched::CLONE_FLAGS, sched::CLONE3_FLAGS]),
    ("EpollEvent", "events", of![poll::EPOLL_EVENTS]),
    ("FutexWaitv", "flags", masked!(3: futex::FUTEX2_SIZES, futex::FUTEX2_FLAGS)),
    ("LandlockRulesetAttr", "handled_access_fs", of![landlock::LANDLOCK_FS]),
    ("LandlockRulesetAttr", "handled_access_net", of![landlock::LANDLOCK_NET]),
    ("LandlockRulesetAttr", "scoped", of![landlock::LANDLOCK_SCOPES]),
    ("MountAttr", "attr_clr", of![mount::MOUNT_ATTRIBUTES]),
    ("MountAttr", "attr_set", of![mount::MOUNT_ATTRIBUTES]),
    ("MountAttr", "propagation", of![mount::MOUNT_FLAGS]),
    ("MqAttr", "mq_flags", of![fcntl::OPEN_FLAGS]),
    ("OpenHow", "flags", masked!(3: fcntl::ACCESS_MODES, fcntl::OPEN_FLAGS)),
    ("OpenHow", "mode", Form::Octal),
    ("OpenHow", "resolve", of![fcntl::RESOLVE_FLAGS]),
    ("PollFd", "events", of![poll::POLL_EVENTS]),
    ("PollFd", "revents", of![poll::POLL_EVENTS]),
    ("SchedAttr", "sched_flags", of![sched::SCHED_FLAGS]),
    ("SchedAttr", "sched_policy", of![sched::SCHED_POLICIES]),
    ("Sembuf", "sem_flg", of![ipc::SEM_FLAGS, ipc::IPC_FLAGS]),
    ("SigInfo", "si_signo", of![signal::SIGNALS]),
    ("SigInfo", "si_code", of![signal::SI_CODES]),
    ("Sigaction", "sa_flags", of![signal::SIGACTION_FLAGS]),
    ("Sigaction", "sa_handler", of![signal::HANDLERS]),
    ("SigeventT", "sigev_notify", of![time::SIGEV_KINDS]),
    ("SigeventT", "sigev_signo", of![signal::SIGNALS]),
    ("StackT", "ss_flags", of![signal::SIGSTACK_FLAGS]),
    ("Stat", "st_mode", Form::Mode),
    ("Statfs", "f_flags", of![stat::STATFS_FLAGS]),
    ("Statfs", "f_type", of![stat::MAGICS]),
    ("Statx", "stx_attributes", of![stat::STATX_ATTRIBUTES]),
    ("Statx", "stx_mask", of![stat::STATX_MASK]),
    ("Statx", "stx_mode", Form::Mode),
    ("Timex", "modes", of![time::ADJ_MODES]),
    ("Timex", "status", of![time::STA_FLAGS]),
];

/// What the field of the structure is shown as, if not as a plain number.
pub fn shown(structure: &str, field: &str, value: &str) -> Option<String> {
    let (_, _, form) = FIELDS.iter().find(|(s, f, _)| *s == structure && *f == field)?;
    let number = match value.parse::<u64>() {
        Ok(number) => number,
        Err(_) => value.parse::<i64>().ok()?.cast_unsigned(),
    };
    match form {
        Form::Named(named) => {
            let mut text = String::new();
            show_named(*named, number, &mut text);
            // Nothing, a handler's address and a negative code stay as they are.
            let plain = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
            (!plain).then_some(text)
        }
        Form::Mode => {
            let kind = stat::FILE_TYPES.name(i64::try_from(number & 0o170_000).ok()?)?;
            Some(format!("{kind}|0{:o}", number & 0o7777))
        }
        Form::Octal => Some(format!("0{number:o}")),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn flags_have_names_and_nothing_stays_zero() {
        let flags = |value| shown("PollFd", "events", value);
        assert_eq!(flags("5").as_deref(), Some("POLLIN|POLLOUT"));
        assert_eq!(flags("0"), None);
        assert_eq!(shown("OpenHow", "flags", "0").as_deref(), Some("O_RDONLY"));
        assert_eq!(shown("OpenHow", "nothing", "1"), None);
    }

    #[test]
    fn modes_have_a_type() {
        assert_eq!(shown("Stat", "st_mode", "33188").as_deref(), Some("S_IFREG|0644"));
        assert_eq!(shown("SigInfo", "si_code", "-1").as_deref(), Some("SI_QUEUE"));
    }
}
