//! Files that carry events: `eventfd(2)`, `timerfd_create(2)`, `epoll(7)`,
//! `inotify(7)`, `fcntl(F_NOTIFY)`.

pub mod dnotify;
mod epoll;
mod eventfd;
mod inotify;
mod timerfd;

pub use epoll::{Epoll, Ready as EpollReady};
pub use eventfd::EventFd;
pub use inotify::{Inotify, MAX_QUEUED_EVENTS, MAX_USER_WATCHES};
pub use timerfd::{Setting, TimerFd};
