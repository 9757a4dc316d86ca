//! Values display by name, and the hand-written types keep their invariants.

use bevor_abi::cap::{CAP_LAST_CAP, CAP_NET_ADMIN, CAP_SYS_ADMIN, CapSet};
use bevor_abi::conv::{as_i32, low_u32, saturating_i64, saturating_u32, sign_extend};
use bevor_abi::fcntl::{OPEN_FLAGS, SEEK_WHENCES};
use bevor_abi::nr::{SYS_openat, SYSCALLS};
use bevor_abi::siginfo::{SigInfo, SigInfoSender};
use bevor_abi::signal::{DefaultAction, SIGCHLD, SIGKILL, SIGRTMIN, SIGTERM, SigSet, Signal};
use bevor_abi::stat::{major, makedev, minor};
use bevor_abi::time::{Timespec, Timeval};

#[test]
fn flags_display_by_name_widest_first() {
    assert_eq!(OPEN_FLAGS.show(0o4_010_000 | 0x800).to_string(), "O_SYNC|O_NONBLOCK");
    assert_eq!(OPEN_FLAGS.show(0x8000_0000 | 0x80000).to_string(), "O_CLOEXEC|0x80000000");
    assert_eq!(OPEN_FLAGS.show(0).to_string(), "0x0");
    assert_eq!(SEEK_WHENCES.show(2).to_string(), "SEEK_END");
    assert_eq!(SEEK_WHENCES.show(77).to_string(), "77");
}

#[test]
fn names_and_values_are_inverse() {
    assert_eq!(SYSCALLS.value("SYS_openat"), i64::try_from(SYS_openat).ok());
    for &(name, value) in SYSCALLS.entries {
        assert_eq!(SYSCALLS.name(value), Some(name));
    }
}

#[test]
fn signals_stay_in_range() {
    assert_eq!(Signal::new(0), None);
    assert_eq!(Signal::new(65), None);
    assert_eq!(Signal::new(-1), None);
    assert_eq!(Signal::new(9), Some(SIGKILL));
    assert_eq!(Signal::all().count(), 64);
    assert_eq!(Signal::new(34).map(|s| s.to_string()), Some("SIGRT_2".into()));
    assert!(Signal::new(SIGRTMIN.cast_signed()).is_some_and(Signal::is_realtime));
    assert_eq!(SIGCHLD.default_action(), DefaultAction::Ignore);
}

#[test]
fn signal_sets_hold_what_was_added() {
    let set = SigSet::of(&[SIGTERM, SIGKILL]);
    assert_eq!(set.0, 1 << 14 | 1 << 8);
    assert_eq!(set.first(), Some(SIGKILL));
    assert_eq!(set.blockable(), SigSet::of(&[SIGTERM]));
    assert_eq!(set.to_string(), "[SIGKILL SIGTERM]");
    assert_eq!(SigSet::FULL.iter().count(), 64);
    assert_eq!(SigSet::EMPTY.first(), None);
}

#[test]
fn capability_sets_ignore_unknown_bits() {
    assert_eq!(CapSet::from_words(u32::MAX, u32::MAX), CapSet::FULL);
    assert!(!CapSet::FULL.has(CAP_LAST_CAP + 1) && !CapSet::FULL.has(u32::MAX));
    let set = CapSet::of(&[CAP_NET_ADMIN, CAP_SYS_ADMIN]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [CAP_NET_ADMIN, CAP_SYS_ADMIN]);
    assert!(set.is_subset(CapSet::FULL) && !CapSet::FULL.is_subset(set));
    assert_eq!(format!("{set:?}"), "CapSet{\"CAP_NET_ADMIN\", \"CAP_SYS_ADMIN\"}");
}

#[test]
fn siginfo_lies_as_libc_reads_it() {
    let info = SigInfo::queue(SIGTERM, 42, 1000, 0x1234_5678_9abc_def0);
    assert_eq!(info.fields::<SigInfoSender>().si_value, 0x1234_5678_9abc_def0);
    let bytes = zerocopy::IntoBytes::as_bytes(&info);
    assert_eq!(&bytes[16..20], &42_i32.to_le_bytes());
    assert_eq!(&bytes[24..32], &0x1234_5678_9abc_def0_u64.to_le_bytes());
}

#[test]
fn device_numbers_agree_with_libc() {
    for (ma, mi) in [(0, 0), (8, 1), (136, 300), (0xfff, 0xff), (0x1_2345, 0x6_789a), (!0, !0)] {
        let dev = makedev(ma, mi);
        assert_eq!(dev, libc::makedev(ma, mi));
        assert_eq!((major(dev), minor(dev)), (ma, mi));
    }
}

#[test]
fn times_convert_without_leaving_their_range() {
    assert_eq!(Timespec::from_ns(-1), Timespec { tv_sec: -1, tv_nsec: 999_999_999 });
    assert_eq!(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }.as_ns(), i64::MAX);
    assert_eq!(Timeval::from_ns(1_999_999_999), Timeval { tv_sec: 1, tv_usec: 999_999 });
    assert!(!Timespec { tv_sec: 0, tv_nsec: 1_000_000_000 }.is_valid());
}

#[test]
fn registers_convert_as_the_kernel_does() {
    assert_eq!(as_i32(0xdead_beef_ffff_ffff), -1);
    assert_eq!(low_u32(0xdead_beef_0000_0001), 1);
    assert_eq!(sign_extend(-2), u64::MAX - 1);
    assert_eq!(saturating_u32(1 << 32), u32::MAX);
    assert_eq!(saturating_i64(u64::MAX), i64::MAX);
}
