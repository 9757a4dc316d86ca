//! Terminals: `<asm/termbits.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Input mode, `termios(3)`.
    flags IFLAGS: u32 {
        IGNBRK = 0x1,
        BRKINT = 0x2,
        IGNPAR = 0x4,
        PARMRK = 0x8,
        INPCK = 0x10,
        ISTRIP = 0x20,
        INLCR = 0x40,
        IGNCR = 0x80,
        ICRNL = 0x100,
        IUCLC = 0x200,
        IXON = 0x400,
        IXANY = 0x800,
        IXOFF = 0x1000,
        IMAXBEL = 0x2000,
        IUTF8 = 0x4000,
    }

    /// Output mode, `termios(3)`.
    flags OFLAGS: u32 {
        OPOST = 0x1,
        OLCUC = 0x2,
        ONLCR = 0x4,
        OCRNL = 0x8,
        ONOCR = 0x10,
        ONLRET = 0x20,
        OFILL = 0x40,
        OFDEL = 0x80,
        TABDLY = 0x1800,
        XTABS = 0x1800,
    }

    /// Control mode, `termios(3)`.
    flags CFLAGS: u32 {
        CSIZE = 0x30,
        CS5 = 0x0,
        CS6 = 0x10,
        CS7 = 0x20,
        CS8 = 0x30,
        CSTOPB = 0x40,
        CREAD = 0x80,
        PARENB = 0x100,
        PARODD = 0x200,
        HUPCL = 0x400,
        CLOCAL = 0x800,
        CBAUD = 0x100f,
        CBAUDEX = 0x1000,
        CIBAUD = 0x100f_0000,
        CMSPAR = 0x4000_0000,
        CRTSCTS = 0x8000_0000,
    }

    /// Local mode, `termios(3)`.
    flags LFLAGS: u32 {
        ISIG = 0x1,
        ICANON = 0x2,
        XCASE = 0x4,
        ECHO = 0x8,
        ECHOE = 0x10,
        ECHOK = 0x20,
        ECHONL = 0x40,
        NOFLSH = 0x80,
        TOSTOP = 0x100,
        ECHOCTL = 0x200,
        ECHOPRT = 0x400,
        ECHOKE = 0x800,
        FLUSHO = 0x1000,
        PENDIN = 0x4000,
        IEXTEN = 0x8000,
        EXTPROC = 0x0001_0000,
    }

    /// Index into the control characters `c_cc`.
    values CONTROL_CHARACTERS: usize {
        VINTR = 0,
        VQUIT = 1,
        VERASE = 2,
        VKILL = 3,
        VEOF = 4,
        VTIME = 5,
        VMIN = 6,
        VSWTC = 7,
        VSTART = 8,
        VSTOP = 9,
        VSUSP = 10,
        VEOL = 11,
        VREPRINT = 12,
        VDISCARD = 13,
        VWERASE = 14,
        VLNEXT = 15,
        VEOL2 = 16,
    }

    /// Line speed, in the bits of `CBAUD`.
    values BAUDS: u32 {
        B0 = 0o0,
        B50 = 0o1,
        B75 = 0o2,
        B110 = 0o3,
        B134 = 0o4,
        B150 = 0o5,
        B200 = 0o6,
        B300 = 0o7,
        B600 = 0o10,
        B1200 = 0o11,
        B1800 = 0o12,
        B2400 = 0o13,
        B4800 = 0o14,
        B9600 = 0o15,
        B19200 = 0o16,
        B38400 = 0o17,
        BOTHER = 0o10000,
        B57600 = 0o10001,
        B115200 = 0o10002,
        B230400 = 0o10003,
        B460800 = 0o10004,
        B500000 = 0o10005,
        B576000 = 0o10006,
        B921600 = 0o10007,
        B1000000 = 0o10010,
    }

    /// Queue of `TCFLSH` and action of `TCXONC`.
    values FLUSHES: u32 {
        TCIFLUSH = 0,
        TCOFLUSH = 1,
        TCIOFLUSH = 2,
        TCOOFF = 0,
        TCOON = 1,
        TCIOFF = 2,
        TCION = 3,
    }

    /// Byte of a pseudo terminal in packet mode.
    flags PACKET_MODES: u8 {
        TIOCPKT_DATA = 0x0,
        TIOCPKT_FLUSHREAD = 0x1,
        TIOCPKT_FLUSHWRITE = 0x2,
        TIOCPKT_STOP = 0x4,
        TIOCPKT_START = 0x8,
        TIOCPKT_NOSTOP = 0x10,
        TIOCPKT_DOSTOP = 0x20,
        TIOCPKT_IOCTL = 0x40,
    }

    /// Modem line of `TIOCMGET`.
    flags MODEM_LINES: u32 {
        TIOCM_LE = 0x1,
        TIOCM_DTR = 0x2,
        TIOCM_RTS = 0x4,
        TIOCM_ST = 0x8,
        TIOCM_SR = 0x10,
        TIOCM_CTS = 0x20,
        TIOCM_CAR = 0x40,
        TIOCM_CD = 0x40,
        TIOCM_RI = 0x80,
        TIOCM_RNG = 0x80,
        TIOCM_DSR = 0x100,
        TIOCM_OUT1 = 0x2000,
        TIOCM_OUT2 = 0x4000,
        TIOCM_LOOP = 0x8000,
    }

    /// Line discipline of `TIOCSETD`.
    values LINE_DISCIPLINES: u32 {
        N_TTY = 0,
    }

    /// Number of control characters of a `termios` and a `termio`.
    values TERMIOS_SIZES: usize {
        NCCS = 19,
        NCC = 8,
    }
}

uapi_struct! {
    /// Terminal settings of `TCGETS`; the kernel's form, not that of libc.
    [36] Termios {
        c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: [u8; NCCS],
    }
    /// Terminal settings of `TCGETS2`.
    [44] Termios2 {
        c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: [u8; NCCS],
        c_ispeed: u32, c_ospeed: u32,
    }
    /// Terminal settings of the obsolete `TCGETA`.
    [18] Termio {
        c_iflag: u16, c_oflag: u16, c_cflag: u16, c_lflag: u16, c_line: u8, c_cc: [u8; NCC],
        pad0: u8,
    }
    /// Window size of `TIOCGWINSZ`.
    [8] Winsize { ws_row: u16, ws_col: u16, ws_xpixel: u16, ws_ypixel: u16 }
}
