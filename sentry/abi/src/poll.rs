//! Waiting for events: `<linux/poll.h>`, `<linux/eventpoll.h>`, and the flags of eventfd, signalfd
//! and timerfd.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Event of `poll(2)`.
    flags POLL_EVENTS: u16 {
        POLLIN = 0x1,
        POLLPRI = 0x2,
        POLLOUT = 0x4,
        POLLERR = 0x8,
        POLLHUP = 0x10,
        POLLNVAL = 0x20,
        POLLRDNORM = 0x40,
        POLLRDBAND = 0x80,
        POLLWRNORM = 0x100,
        POLLWRBAND = 0x200,
        POLLMSG = 0x400,
        POLLREMOVE = 0x1000,
        POLLRDHUP = 0x2000,
    }

    /// Event of `epoll_ctl(2)`.
    flags EPOLL_EVENTS: u32 {
        EPOLLIN = 0x1,
        EPOLLPRI = 0x2,
        EPOLLOUT = 0x4,
        EPOLLERR = 0x8,
        EPOLLHUP = 0x10,
        EPOLLNVAL = 0x20,
        EPOLLRDNORM = 0x40,
        EPOLLRDBAND = 0x80,
        EPOLLWRNORM = 0x100,
        EPOLLWRBAND = 0x200,
        EPOLLMSG = 0x400,
        EPOLLRDHUP = 0x2000,
        EPOLLEXCLUSIVE = 0x1000_0000,
        EPOLLWAKEUP = 0x2000_0000,
        EPOLLONESHOT = 0x4000_0000,
        EPOLLET = 0x8000_0000,
    }

    /// Operation of `epoll_ctl(2)`.
    values EPOLL_OPERATIONS: u32 {
        EPOLL_CTL_ADD = 1,
        EPOLL_CTL_DEL = 2,
        EPOLL_CTL_MOD = 3,
    }

    /// Flag of `epoll_create1(2)`.
    flags EPOLL_CREATE_FLAGS: u32 {
        EPOLL_CLOEXEC = 0x0008_0000,
    }

    /// Flag of `eventfd2(2)`.
    flags EVENTFD_FLAGS: u32 {
        EFD_SEMAPHORE = 0x1,
        EFD_CLOEXEC = 0x0008_0000,
        EFD_NONBLOCK = 0x800,
    }

    /// Flag of `signalfd4(2)`.
    flags SIGNALFD_FLAGS: u32 {
        SFD_CLOEXEC = 0x0008_0000,
        SFD_NONBLOCK = 0x800,
    }

    /// Flag of `timerfd_create(2)`.
    flags TIMERFD_CREATE_FLAGS: u32 {
        TFD_CLOEXEC = 0x0008_0000,
        TFD_NONBLOCK = 0x800,
    }

    /// Flag of `timerfd_settime(2)`.
    flags TIMERFD_SETTIME_FLAGS: u32 {
        TFD_TIMER_ABSTIME = 0x1,
        TFD_TIMER_CANCEL_ON_SET = 0x2,
    }

    /// Number of descriptors in an `fd_set` of libc.
    values SELECT_LIMITS: u32 {
        FD_SETSIZE = 1024,
    }
}

/// `epoll_event`: packed on x86-64.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// Set of [`EPOLL_EVENTS`].
    pub events: u32,
    /// What the program wants back with the event.
    pub data: u64,
}

const _: () = assert!(size_of::<EpollEvent>() == 12);

uapi_struct! {
    /// Element of `poll(2)`.
    [8] PollFd { fd: i32, events: u16, revents: u16 }
    /// Argument of the `EPIOCSPARAMS` ioctl.
    [8] EpollParams { busy_poll_usecs: u32, busy_poll_budget: u16, prefer_busy_poll: u8, pad0: u8 }
    /// The sixth argument of `pselect6(2)`.
    [16] SigsetArgpack { p: u64, size: u64 }
}
