//! Files that carry events: `eventfd(2)`, `timerfd_create(2)`, `epoll(7)`.

mod epoll;
mod eventfd;
mod timerfd;

pub use epoll::{Epoll, Ready as EpollReady};
pub use eventfd::EventFd;
pub use timerfd::{Setting, TimerFd};
