//! The file behind `signalfd(2)`: whoever reads it gets signals of its own.

use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL};
use bevor_abi::signal::SignalfdSiginfo;
use bevor_base::{Ready, WaitQueue};
use bevor_kernel::Task;
use bevor_kernel::signal::{Detail, Info, UNBLOCKABLE, deliver};
use bevor_memory::IoDst;
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps, ReadTurn};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::{Arc, Weak};
use zerocopy::IntoBytes;

/// Bytes of a record.
const RECORD_BYTES: u64 = 128;

/// Reads signals.
pub struct SignalFd {
    /// Whose signals are meant where nobody asks for itself.
    maker: Weak<Task>,
    queue: WaitQueue,
    mask: Mutex<u64>,
}

impl SignalFd {
    /// Takes the signals of `mask`.
    #[must_use]
    pub fn new(task: &Arc<Task>, mask: u64) -> Self {
        Self {
            maker: Arc::downgrade(task),
            queue: task.group.signal_wait.clone(),
            mask: Mutex::new(mask & !UNBLOCKABLE),
        }
    }

    /// Replaces the set of signals.
    pub fn set_mask(&self, mask: u64) {
        *self.mask.lock() = mask & !UNBLOCKABLE;
    }

    /// The maker, or another thread of its process.
    fn maker(&self) -> Option<Arc<Task>> {
        let task = self.maker.upgrade()?;
        if task.sched.is_dead() { task.group.leader() } else { Some(task) }
    }

    fn has_for(&self, task: &Task) -> Ready {
        let mask = *self.mask.lock();
        Ready::READABLE.when(deliver::has_wanted(task, mask))
    }

    fn read_of(&self, task: &Task, dst: &mut IoDst<'_>) -> Result<usize, Errno> {
        if dst.remaining() < RECORD_BYTES {
            return Err(EINVAL.into());
        }
        let mask = *self.mask.lock();
        let mut done = 0;
        while dst.remaining() >= RECORD_BYTES
            && let Some(info) = deliver::take(task, mask)
        {
            done += dst.put(record(&info).as_bytes())?;
        }
        if done == 0 { Err(EAGAIN.into()) } else { Ok(done) }
    }
}

fn record(info: &Info) -> SignalfdSiginfo {
    let mut record = SignalfdSiginfo {
        ssi_signo: info.signo.cast_unsigned(),
        ssi_errno: info.errno,
        ssi_code: info.code,
        ..SignalfdSiginfo::default()
    };
    match info.detail {
        Detail::None => {}
        Detail::Kill { pid, uid } => {
            record.ssi_pid = pid.cast_unsigned();
            record.ssi_uid = uid;
        }
        Detail::Queue { pid, uid, value } => {
            record.ssi_pid = pid.cast_unsigned();
            record.ssi_uid = uid;
            record.ssi_ptr = value;
            record.ssi_int = bevor_abi::conv::as_i32(value);
        }
        Detail::Timer { id, overrun, value } => {
            record.ssi_tid = id.cast_unsigned();
            record.ssi_overrun = overrun.cast_unsigned();
            record.ssi_ptr = value;
            record.ssi_int = bevor_abi::conv::as_i32(value);
        }
        Detail::Child { pid, uid, status, utime, stime } => {
            record.ssi_pid = pid.cast_unsigned();
            record.ssi_uid = uid;
            record.ssi_status = status;
            record.ssi_utime = utime.cast_unsigned();
            record.ssi_stime = stime.cast_unsigned();
        }
        Detail::Fault { addr, trapno, .. } => {
            record.ssi_addr = addr;
            record.ssi_trapno = bevor_abi::conv::low_u32(trapno);
        }
        Detail::Poll { band, fd } => {
            record.ssi_band = bevor_abi::conv::low_u32(band.cast_unsigned());
            record.ssi_fd = fd;
        }
        Detail::Syscall { addr, nr, arch } => {
            record.ssi_call_addr = addr;
            record.ssi_syscall = nr;
            record.ssi_arch = arch;
        }
        Detail::Raw(words) => {
            let [ids, value, ..] = words;
            record.ssi_pid = bevor_abi::conv::low_u32(ids);
            record.ssi_uid = bevor_abi::conv::high_u32(ids);
            record.ssi_ptr = value;
            record.ssi_int = bevor_abi::conv::as_i32(value);
        }
    }
    record
}

impl FileOps for SignalFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn stays_where_it_is(&self) -> bool {
        true
    }

    fn read_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        dst: &mut IoDst<'_>,
        before: Option<u64>,
    ) -> Option<Result<ReadTurn, Errno>> {
        let _ = (file, before);
        let task = caller.as_any().downcast_ref::<Task>()?;
        Some(self.read_of(task, dst).map(ReadTurn::Done))
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        self.read_of(&*self.maker().ok_or(EAGAIN)?, dst)
    }

    fn poll(&self) -> Ready {
        self.maker().map_or(Ready::NONE, |task| self.has_for(&task))
    }

    fn poll_as(&self, caller: &dyn Caller) -> Ready {
        caller.as_any().downcast_ref().map_or_else(|| self.poll(), |task| self.has_for(task))
    }

    fn wait_queue_of(&self, task: &dyn Any) -> Option<WaitQueue> {
        let group = task.downcast_ref::<Task>().map(|task| task.group.signal_wait.clone());
        group.or_else(|| Some(self.queue.clone()))
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        format!("sigmask:\t{:016x}\n", *self.mask.lock())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
