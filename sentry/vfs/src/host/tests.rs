use crate::host;
use crate::testing::{TestTask, read, write};
use bevor_abi::errno::{EAGAIN, EBADF, EPIPE, ESPIPE};
use bevor_abi::fcntl::{SEEK_CUR, SEEK_SET};
use bevor_base::{Ready, Wakeable};
use bevor_memory::IoDst;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Woken(Mutex<Sender<Ready>>);

impl Wakeable for Woken {
    fn wake(&self, ready: Ready) {
        let _ = self.0.lock().unwrap().send(ready);
    }
}

fn import(fd: impl Into<OwnedFd>) -> Arc<crate::file::File> {
    let fd = fd.into();
    let origin = host::Origin::of(fd.as_fd()).unwrap();
    host::import(fd, origin).unwrap()
}

#[test]
fn a_pipe_is_waited_for_without_blocking() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let file = import(reader);
    let (send, woken) = channel();
    let waker = Arc::new(Woken(Mutex::new(send)));
    let _registered = file.ops().wait_queue().unwrap().register(waker, Ready::IN);
    assert_eq!(read(&file, 10).unwrap_err(), EAGAIN);
    assert_eq!(write(&file, b"x").unwrap_err(), EBADF);
    writer.write_all(b"hello").unwrap();
    assert!(woken.recv_timeout(Duration::from_secs(20)).unwrap().intersects(Ready::IN));
    assert!(file.poll().intersects(Ready::IN));
    assert_eq!(read(&file, 10).unwrap(), b"hello");
    assert!(!file.poll().intersects(Ready::IN));
    drop(writer);
    assert!(woken.recv_timeout(Duration::from_secs(20)).unwrap().intersects(Ready::HUP));
    assert_eq!(read(&file, 10).unwrap(), b"");
    assert_eq!(file.seek(0, SEEK_CUR).unwrap_err(), ESPIPE);
}

#[test]
fn a_full_pipe_takes_what_fits_and_no_more() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let file = import(writer);
    let text = vec![b'a'; 300_000];
    let first = write(&file, &text).unwrap();
    assert_eq!(first, 65536);
    assert_eq!(write(&file, &text[first..]).unwrap_err(), EAGAIN);
    let mut got = vec![0; 5000];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(write(&file, &text[first..]).unwrap(), 4096);
    drop(reader);
    assert_eq!(write(&file, b"x").unwrap_err(), EPIPE);
}

#[test]
fn a_regular_file_moves_the_hosts_position() {
    let path = std::env::temp_dir().join(format!("bevor-host-test-{}", std::process::id()));
    let mut own =
        std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    own.write_all(b"0123456789").unwrap();
    own.seek(SeekFrom::Start(2)).unwrap();
    let file = import(own.try_clone().unwrap());
    assert_eq!(read(&file, 3).unwrap(), b"234");
    assert_eq!(own.stream_position().unwrap(), 5);
    write(&file, b"ab").unwrap();
    let mut buf = [0; 4];
    file.read_at(&mut IoDst::kernel(&mut buf), 4).unwrap();
    assert_eq!(&buf, b"4ab7");
    assert_eq!(file.seek(0, SEEK_CUR).unwrap(), 7);
    assert_eq!(file.seek(1, SEEK_SET).unwrap(), 1);
    assert_eq!(own.stream_position().unwrap(), 1);
    // Opened again, it has a position of its own.
    let task = TestTask::new();
    let flags = file.flags();
    let again = file.inode().clone().open(flags, &task).unwrap();
    let again = crate::File::new(again, file.path().clone(), flags);
    assert_eq!(read(&again, 2).unwrap(), b"01");
    assert_eq!(own.stream_position().unwrap(), 1);
}
