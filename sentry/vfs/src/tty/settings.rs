//! The settings of a terminal (`termios(3)`): what `TCGETS` shows and the line discipline asks.

use bevor_abi::conv::low_u16;
use bevor_abi::termios::{
    B38400, BOTHER, CBAUD, CBAUDEX, CIBAUD, CREAD, CS8, CSIZE, ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE,
    ICANON, ICRNL, IEXTEN, ISIG, IXON, NCCS, ONLCR, OPOST, PARENB, Termio, Termios, Termios2,
};

/// Speeds in the order of the `CBAUD` bits, those with `CBAUDEX` last.
const SPEEDS: [u32; 31] = [
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600,
    115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];

/// How far the bits of the input speed lie above those of the output speed.
const IBSHIFT: u32 = 16;

/// Control characters of a new terminal: `^C ^\ DEL ^U ^D`, `VTIME` 0, `VMIN` 1, none, `^Q ^S ^Z`,
/// none, `^R ^O ^W ^V`.
const CONTROL: [u8; NCCS] =
    [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0, 0, 0];

/// Settings of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Input modes.
    pub iflag: u32,
    /// Output modes.
    pub oflag: u32,
    /// Control modes.
    pub cflag: u32,
    /// Local modes.
    pub lflag: u32,
    /// Line discipline, as programs have set it; there is only one.
    pub line: u8,
    /// Control characters.
    pub cc: [u8; NCCS],
    /// Input speed, bits a second.
    pub ispeed: u32,
    /// Output speed, bits a second.
    pub ospeed: u32,
}

impl Settings {
    /// What the slave of a new pseudo-terminal begins with.
    #[must_use]
    pub const fn initial() -> Self {
        Self {
            iflag: ICRNL | IXON,
            oflag: OPOST | ONLCR,
            cflag: B38400 | CS8 | CREAD,
            lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
            line: 0,
            cc: CONTROL,
            ispeed: 38400,
            ospeed: 38400,
        }
    }

    /// Whether all of these input modes are on.
    #[must_use]
    pub const fn input(&self, flag: u32) -> bool {
        self.iflag & flag == flag
    }

    /// Whether all of these output modes are on.
    #[must_use]
    pub const fn output(&self, flag: u32) -> bool {
        self.oflag & flag == flag
    }

    /// Whether all of these local modes are on.
    #[must_use]
    pub const fn local(&self, flag: u32) -> bool {
        self.lflag & flag == flag
    }

    /// A control character; 0 if it is disabled.
    #[must_use]
    pub fn control(&self, index: usize) -> u8 {
        self.cc.get(index).copied().unwrap_or(0)
    }

    /// Whether `byte` is this control character.
    #[must_use]
    pub fn is(&self, byte: u8, index: usize) -> bool {
        byte != 0 && byte == self.control(index)
    }

    /// Nothing at all: no flag, no control character.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            iflag: 0,
            oflag: 0,
            cflag: 0,
            lflag: 0,
            line: 0,
            cc: [0; CONTROL.len()],
            ispeed: 0,
            ospeed: 0,
        }
    }

    /// These settings, but for what is not 0 in `locked`, which stays as in `old` (`TIOCSLCKTRMIOS`).
    #[must_use]
    pub fn with_locked(mut self, old: &Self, locked: &Self) -> Self {
        let keep = |new: u32, old: u32, locked: u32| old & locked | new & !locked;
        self.iflag = keep(self.iflag, old.iflag, locked.iflag);
        self.oflag = keep(self.oflag, old.oflag, locked.oflag);
        self.cflag = keep(self.cflag, old.cflag, locked.cflag);
        self.lflag = keep(self.lflag, old.lflag, locked.lflag);
        if locked.line != 0 {
            self.line = old.line;
        }
        for ((new, old), locked) in self.cc.iter_mut().zip(old.cc).zip(locked.cc) {
            if locked != 0 {
                *new = old;
            }
        }
        self
    }

    /// What `TCGETS` shows.
    #[must_use]
    pub const fn termios(&self) -> Termios {
        Termios {
            c_iflag: self.iflag,
            c_oflag: self.oflag,
            c_cflag: self.cflag,
            c_lflag: self.lflag,
            c_line: self.line,
            c_cc: self.cc,
        }
    }

    /// What `TCGETS2` shows.
    #[must_use]
    pub const fn termios2(&self) -> Termios2 {
        Termios2 {
            c_iflag: self.iflag,
            c_oflag: self.oflag,
            c_cflag: self.cflag,
            c_lflag: self.lflag,
            c_line: self.line,
            c_cc: self.cc,
            c_ispeed: self.ispeed,
            c_ospeed: self.ospeed,
        }
    }

    /// What `TCGETA` shows.
    #[must_use]
    pub fn termio(&self) -> Termio {
        let mut c_cc = [0; 8];
        c_cc.iter_mut().zip(self.cc).for_each(|(to, from)| *to = from);
        Termio {
            c_iflag: low_u16(u64::from(self.iflag)),
            c_oflag: low_u16(u64::from(self.oflag)),
            c_cflag: low_u16(u64::from(self.cflag)),
            c_lflag: low_u16(u64::from(self.lflag)),
            c_line: self.line,
            c_cc,
            pad0: 0,
        }
    }

    /// These settings after `TCSETS`.
    #[must_use]
    pub fn with_termios(&self, new: &Termios) -> Self {
        let changed = Self {
            iflag: new.c_iflag,
            oflag: new.c_oflag,
            cflag: new.c_cflag,
            lflag: new.c_lflag,
            line: new.c_line,
            cc: new.c_cc,
            ..*self
        };
        changed.with_speeds()
    }

    /// These settings after `TCSETS2`.
    #[must_use]
    pub fn with_termios2(&self, new: &Termios2) -> Self {
        let changed = Self {
            iflag: new.c_iflag,
            oflag: new.c_oflag,
            cflag: new.c_cflag,
            lflag: new.c_lflag,
            line: new.c_line,
            cc: new.c_cc,
            ispeed: new.c_ispeed,
            ospeed: new.c_ospeed,
        };
        changed.with_speeds()
    }

    /// These settings after `TCSETA`, which knows only the lower halves and eight characters.
    #[must_use]
    pub fn with_termio(&self, new: &Termio) -> Self {
        let low = |old: u32, new: u16| old & 0xffff_0000 | u32::from(new);
        let mut cc = self.cc;
        cc.iter_mut().zip(new.c_cc).for_each(|(to, from)| *to = from);
        let changed = Self {
            iflag: low(self.iflag, new.c_iflag),
            oflag: low(self.oflag, new.c_oflag),
            cflag: low(self.cflag, new.c_cflag),
            lflag: low(self.lflag, new.c_lflag),
            line: new.c_line,
            cc,
            ..*self
        };
        changed.with_speeds()
    }

    /// The speeds as the bits of the control modes name them.
    fn with_speeds(mut self) -> Self {
        self.ospeed = speed(self.cflag & CBAUD, self.ospeed);
        let input = (self.cflag & CIBAUD) >> IBSHIFT;
        self.ispeed = if input == 0 { self.ospeed } else { speed(input, self.ispeed) };
        self
    }

    /// What a pseudo-terminal makes of them: eight bits without parity, always receiving.
    #[must_use]
    pub const fn for_pty(mut self) -> Self {
        self.cflag = self.cflag & !(CSIZE | PARENB) | CS8 | CREAD;
        self
    }
}

/// The speed the bits name; `other` for one given as a number.
fn speed(bits: u32, other: u32) -> u32 {
    if bits == BOTHER {
        return other;
    }
    let index = if bits & CBAUDEX != 0 { (bits & !CBAUDEX) + 15 } else { bits };
    usize::try_from(index).ok().and_then(|index| SPEEDS.get(index)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::termios::{B115200, VMIN};

    #[test]
    fn speeds_follow_the_control_modes() {
        let mut wanted = Settings::initial().termios2();
        wanted.c_cflag = CS8 | B115200;
        let set = Settings::initial().with_termios2(&wanted);
        assert_eq!((set.ispeed, set.ospeed), (115_200, 115_200));
        wanted.c_cflag = CS8 | BOTHER;
        wanted.c_ospeed = 12345;
        assert_eq!(Settings::initial().with_termios2(&wanted).ospeed, 12345);
    }

    #[test]
    fn the_old_form_changes_only_what_it_knows() {
        let mut old = Settings::initial();
        old.lflag |= 1 << 16;
        let mut form = old.termio();
        form.c_lflag = 0;
        form.c_cc[0] = 7;
        let new = old.with_termio(&form);
        assert_eq!(new.lflag, 1 << 16);
        assert_eq!((new.cc[0], new.cc[10], new.control(VMIN)), (7, 0x1a, 1));
    }
}
