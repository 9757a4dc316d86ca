//! The line discipline, byte by byte. What is expected here was first seen on Linux.

use crate::tty::{Line, Outlet, Settings};
use bevor_abi::signal::{SIGINT, SIGQUIT, SIGTSTP, Signal};
use bevor_abi::termios::{
    ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ECHOPRT, ICANON, IEXTEN, IGNCR, INLCR, ISIG,
    ISTRIP, IUCLC, IUTF8, IXANY, IXON, NOFLSH, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, PARMRK,
    TIOCPKT_FLUSHREAD, TIOCPKT_START, TIOCPKT_STOP, VEOF, VEOL, VEOL2, VERASE, VMIN, VTIME, XTABS,
};
use proptest::prelude::*;

struct Screen {
    shown: Vec<u8>,
    room: usize,
    signals: Vec<Signal>,
    status: u8,
}

impl Outlet for Screen {
    fn room(&self) -> usize {
        self.room
    }

    fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room);
        self.room -= bytes.len();
        self.shown.extend_from_slice(bytes);
    }

    fn signal(&mut self, signal: Signal) {
        self.signals.push(signal);
    }

    fn flush(&mut self) {
        self.shown.clear();
    }

    fn note(&mut self, set: u8, cleared: u8) {
        self.status = self.status & !cleared | set;
    }
}

struct Bench {
    line: Line,
    screen: Screen,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::initial();
        change(&mut settings);
        let screen = Screen { shown: Vec::new(), room: 100_000, signals: Vec::new(), status: 0 };
        Self { line: Line::new(settings), screen }
    }

    fn plain() -> Self {
        Self::new(|_| {})
    }

    fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = *self.line.settings();
        change(&mut settings);
        self.line.configure(settings, &mut self.screen);
    }

    fn typed(&mut self, bytes: &[u8]) -> usize {
        self.line.receive(bytes, &mut self.screen)
    }

    fn written(&mut self, bytes: &[u8]) -> usize {
        self.line.write(bytes, &mut self.screen)
    }

    /// What the terminal has shown since.
    fn shown(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.screen.shown)).into_owned()
    }

    fn read(&mut self) -> String {
        String::from_utf8_lossy(&self.line.read(4096)).into_owned()
    }

    /// Types, then shows the echo and what a program reads.
    fn both(&mut self, bytes: &[u8]) -> (String, String) {
        self.typed(bytes);
        (self.shown(), self.read())
    }
}

fn pair(shown: &str, read: &str) -> (String, String) {
    (shown.to_owned(), read.to_owned())
}

#[test]
fn lines_are_read_one_at_a_time() {
    let mut bench = Bench::plain();
    bench.typed(b"one\rtw");
    assert!(bench.line.is_readable(true));
    assert_eq!(bench.line.readable_bytes(), 4);
    assert_eq!(bench.read(), "one\n");
    assert!(!bench.line.is_readable(true));
    bench.typed(b"o\n");
    assert_eq!(bench.line.read(2), b"tw");
    assert_eq!(bench.read(), "o\n");
    assert_eq!(bench.shown(), "one\r\ntwo\r\n");
}

#[test]
fn editing_takes_off_screen_what_it_takes_off_the_line() {
    assert_eq!(Bench::plain().both(b"ab\x7fc\n"), pair("ab\x08 \x08c\r\n", "ac\n"));
    let word = "a b_c  \x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08d\r\n";
    assert_eq!(Bench::plain().both(b"a b_c  \x17d\n"), pair(word, "a d\n"));
    assert_eq!(Bench::plain().both(b"xy\x15z\n"), pair("xy\x08 \x08\x08 \x08z\r\n", "z\n"));
    let control = Bench::plain().both(b"\x01\x7f\n");
    assert_eq!(control, pair("^A\x08 \x08\x08 \x08\r\n", "\n"));
    assert_eq!(Bench::plain().both(b"\x7f\x15\x17\n"), pair("\r\n", "\n"));
    // The line before is out of reach.
    assert_eq!(Bench::plain().both(b"a\n\x7f\n").1, "a\n");
}

#[test]
fn erasing_a_tab_goes_back_to_what_stands_before_it() {
    let mut bench = Bench::plain();
    bench.written(b"> ");
    assert_eq!(bench.both(b"ab\t\x7f\n"), pair("> ab\t\x08\x08\x08\x08\r\n", "ab\n"));
    let after_tab = Bench::plain().both(b"\tx\t\x7f\n");
    assert_eq!(after_tab, pair("\tx\t\x08\x08\x08\x08\x08\x08\x08\r\n", "\tx\n"));
}

#[test]
fn a_character_of_several_bytes_is_one() {
    let mut bench = Bench::new(|settings| settings.iflag |= IUTF8);
    assert_eq!(bench.both("aé\x7f\n".as_bytes()), pair("aé\x08 \x08\r\n", "a\n"));
    let mut bytes = Bench::plain();
    bytes.typed("é\x7f\n".as_bytes());
    assert_eq!(bytes.line.read(10), b"\xc3\n");
}

#[test]
fn the_next_character_can_be_literal() {
    assert_eq!(Bench::plain().both(b"a\x16\x7fb\n"), pair("a^\x08^?b\r\n", "a\x7fb\n"));
    let mut bench = Bench::plain();
    assert_eq!(bench.both(b"\x16\x03\n"), pair("^\x08^C\r\n", "\x03\n"));
    assert!(bench.screen.signals.is_empty());
    let mut short = Bench::new(|settings| settings.lflag &= !IEXTEN);
    assert_eq!(short.both(b"\x16x\n"), pair("^Vx\r\n", "\x16x\n"));
}

#[test]
fn reprinting_shows_the_line_again() {
    assert_eq!(Bench::plain().both(b"ab\x12c\n"), pair("ab^R\r\nabc\r\n", "abc\n"));
}

#[test]
fn the_end_of_file_ends_a_line_without_being_part_of_it() {
    let mut bench = Bench::plain();
    bench.typed(b"abcd\x04\x04");
    assert_eq!(bench.line.readable_bytes(), 4);
    // It goes with a read that was just large enough for the line.
    assert_eq!(bench.line.read(4), b"abcd");
    assert!(bench.line.is_readable(true));
    assert_eq!(bench.read(), "");
    assert!(!bench.line.is_readable(true));
    assert_eq!(bench.shown(), "abcd");
}

#[test]
fn other_characters_can_end_lines() {
    let mut bench = Bench::new(|settings| {
        settings.cc[VEOL] = b';';
        settings.cc[VEOL2] = b'!';
    });
    bench.typed(b"a;b!");
    assert_eq!((bench.read(), bench.read()), ("a;".into(), "b!".into()));
    assert_eq!(bench.shown(), "a;b!");
}

#[test]
fn kill_shows_itself_where_it_cannot_erase() {
    let mut bench = Bench::new(|settings| settings.lflag &= !ECHOKE);
    assert_eq!(bench.both(b"ab\x15c\n"), pair("ab^U\r\nc\r\n", "c\n"));
    let mut bench = Bench::new(|settings| settings.lflag &= !(ECHOKE | ECHOK));
    assert_eq!(bench.both(b"ab\x15c\n"), pair("ab^Uc\r\n", "c\n"));
    let mut bench = Bench::new(|settings| settings.lflag &= !ECHOE);
    assert_eq!(bench.both(b"ab\x7f\n"), pair("ab^?\r\n", "a\n"));
    let mut bench = Bench::new(|settings| settings.lflag |= ECHOPRT);
    assert_eq!(bench.both(b"abc\x7f\x7fd\n"), pair("abc\\cb/d\r\n", "ad\n"));
}

#[test]
fn echo_can_be_off() {
    let mut bench = Bench::new(|settings| settings.lflag &= !ECHO);
    assert_eq!(bench.both(b"secret\x7f\n"), pair("", "secre\n"));
    bench.change(|settings| settings.lflag |= ECHONL);
    assert_eq!(bench.both(b"secret\n"), pair("\r\n", "secret\n"));
    let mut bench = Bench::new(|settings| settings.lflag &= !ECHOCTL);
    assert_eq!(bench.both(b"\x01\n"), pair("\x01\r\n", "\x01\n"));
}

#[test]
fn signals_come_from_the_keyboard_and_drop_what_was_typed() {
    let mut bench = Bench::plain();
    bench.typed(b"line\npart\x03\x1c\x1a");
    assert_eq!(bench.screen.signals, [SIGINT, SIGQUIT, SIGTSTP]);
    assert!(!bench.line.is_readable(true));
    assert_eq!(bench.screen.status, TIOCPKT_FLUSHREAD);
    assert_eq!(bench.shown(), "^Z");
    let mut bench = Bench::new(|settings| settings.lflag |= NOFLSH);
    assert_eq!(bench.both(b"ab\x03c\n"), pair("ab^Cc\r\n", "abc\n"));
    let mut bench = Bench::new(|settings| settings.lflag &= !ISIG);
    assert_eq!(bench.both(b"\x03\n"), pair("^C\r\n", "\x03\n"));
    assert!(bench.screen.signals.is_empty());
}

#[test]
fn output_can_be_held() {
    let mut bench = Bench::plain();
    bench.typed(b"\x13a");
    assert_eq!(bench.screen.status, TIOCPKT_STOP);
    assert_eq!(bench.written(b"text"), 0);
    assert_eq!(bench.shown(), "");
    bench.typed(b"\x11");
    assert_eq!(bench.screen.status, TIOCPKT_START);
    // What was typed meanwhile is shown first.
    assert_eq!(bench.written(b"text"), 4);
    assert_eq!(bench.shown(), "atext");
    bench.change(|settings| settings.iflag |= IXANY);
    bench.typed(b"\x13b");
    assert!(!bench.line.is_stopped());
    bench.typed(b"\x13");
    bench.change(|settings| settings.iflag &= !IXON);
    assert!(!bench.line.is_stopped());
    bench.line.stop_by_call(&mut bench.screen);
    bench.typed(b"\x03");
    assert!(bench.line.is_stopped());
    bench.line.start_by_call(&mut bench.screen);
    assert!(!bench.line.is_stopped());
}

#[test]
fn input_is_converted() {
    let mut bench = Bench::new(|settings| settings.iflag |= IGNCR);
    assert_eq!(bench.both(b"a\rb\n").1, "ab\n");
    let mut bench = Bench::new(|settings| settings.iflag = INLCR);
    assert_eq!(bench.both(b"a\nb\x04"), pair("a^Mb", "a\rb"));
    let mut bench = Bench::new(|settings| settings.iflag = ISTRIP);
    assert_eq!(bench.both(b"\xe1\n").1, "a\n");
    let mut bench = Bench::new(|settings| settings.iflag = IUCLC);
    assert_eq!(bench.both(b"ABC\n"), pair("abc\r\n", "abc\n"));
    let mut bench = Bench::new(|settings| settings.iflag |= PARMRK);
    bench.typed(b"\xff\n");
    assert_eq!(bench.line.read(10), b"\xff\xff\n");
}

#[test]
fn output_is_formed() {
    let formed = |oflag: u32, text: &[u8]| {
        let mut bench = Bench::new(|settings| settings.oflag = oflag);
        bench.written(text);
        bench.shown()
    };
    assert_eq!(formed(OPOST | ONLCR, b"a\nb\r\n"), "a\r\nb\r\r\n");
    assert_eq!(formed(ONLCR, b"a\n"), "a\n");
    assert_eq!(formed(OPOST | OCRNL, b"a\rb"), "a\nb");
    assert_eq!(formed(OPOST | ONOCR, b"\ra\r\r"), "a\r");
    assert_eq!(formed(OPOST | ONLRET | ONOCR, b"a\n\rb"), "a\nb");
    assert_eq!(formed(OPOST | OLCUC, b"aB1"), "AB1");
    assert_eq!(formed(OPOST | XTABS, b"ab\tc\x08\t."), "ab      c\x08        .");
    assert_eq!(formed(OPOST | XTABS | ONLCR, b"abc\n\t."), "abc\r\n        .");
    assert_eq!(formed(OPOST, b"a\n\tb"), "a\n\tb");
}

#[test]
fn without_room_output_waits_and_echo_is_kept() {
    let mut bench = Bench::plain();
    bench.screen.room = 3;
    assert_eq!(bench.written(b"ab\n"), 2);
    bench.typed(b"xyz");
    assert_eq!(bench.shown(), "abx");
    assert_eq!(bench.written(b"more"), 0);
    bench.screen.room = 3;
    assert_eq!(bench.written(b"more"), 1);
    assert_eq!(bench.shown(), "yzm");
}

#[test]
fn raw_input_is_what_was_typed() {
    let mut bench = Bench::new(|settings| {
        settings.iflag = 0;
        settings.lflag = 0;
        settings.cc[VMIN] = 3;
    });
    bench.typed(b"\x03\r");
    assert!(!bench.line.is_readable(true));
    assert!(bench.line.is_readable(false));
    bench.change(|settings| settings.cc[VTIME] = 1);
    assert!(bench.line.is_readable(true));
    assert_eq!((bench.line.min(), bench.line.time_ns()), (3, 100_000_000));
    assert_eq!(bench.read(), "\x03\r");
    assert_eq!(bench.shown(), "");
}

#[test]
fn changing_the_mode_changes_what_waits() {
    let mut bench = Bench::plain();
    bench.typed(b"line\npart\x04");
    bench.change(|settings| settings.lflag &= !ICANON);
    // The end of file was a place in the queue.
    assert_eq!(bench.read(), "line\npart\0");
    bench.typed(b"loose");
    bench.change(|settings| settings.lflag |= ICANON);
    assert!(bench.line.is_readable(true));
    bench.typed(b"\x7f more\n");
    assert_eq!(bench.read(), "loose");
    assert_eq!(bench.read(), " more\n");
}

#[test]
fn a_disabled_character_means_nothing() {
    let mut bench = Bench::new(|settings| {
        settings.cc[VERASE] = 0;
        settings.cc[VEOF] = 0;
    });
    assert_eq!(bench.both(b"a\0\x7f\n"), pair("a^@^?\r\n", "a\0\x7f\n"));
}

#[test]
fn a_line_too_long_loses_its_end_and_can_be_ended() {
    let mut bench = Bench::plain();
    assert_eq!(bench.typed(&[b'x'; 10_000]), 10_000);
    assert_eq!(bench.typed(b"\n"), 1);
    let line = bench.line.read(10_000);
    assert_eq!((line.len(), line.last()), (4096, Some(&b'\n')));
    // Where lines wait, or without lines, what does not fit stays with the sender.
    bench.typed(b"\n");
    assert_eq!(bench.typed(&[b'x'; 10_000]), 4094);
    let mut raw = Bench::new(|settings| settings.lflag = 0);
    assert_eq!(raw.typed(&[b'x'; 10_000]), 4095);
}

proptest! {
    /// Whatever is set and typed, nothing goes out without room, and no more is kept than Linux does.
    #[test]
    fn anything_stays_within_bounds(
        modes in any::<[u32; 3]>(),
        cc in any::<[u8; 19]>(),
        steps in prop::collection::vec((0_u8..6, prop::collection::vec(any::<u8>(), 0..3000)), 1..12),
    ) {
        let mut bench = Bench::new(|settings| {
            settings.iflag = modes[0];
            settings.oflag = modes[1];
            settings.lflag = modes[2];
            settings.cc = cc;
        });
        for (step, bytes) in steps {
            match step {
                0 => bench.screen.room = bytes.len(),
                1 => bench.change(|settings| settings.lflag ^= ICANON),
                2 => prop_assert!(bench.line.read(bytes.len()).len() <= bytes.len()),
                3 => prop_assert!(bench.written(&bytes) <= bytes.len()),
                _ => prop_assert!(bench.typed(&bytes) <= bytes.len()),
            }
            prop_assert!(bench.line.queue.len() <= 4098);
            prop_assert!(bench.line.echo.len() <= 4096);
            prop_assert!(bench.line.readable_bytes() <= bench.line.queue.len());
        }
    }
}
