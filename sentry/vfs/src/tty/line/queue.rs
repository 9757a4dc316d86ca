//! What has come in and waits for a reader: whole lines, then the line being edited.

use std::collections::VecDeque;

/// Bytes the queue can hold (`N_TTY_BUF_SIZE`).
pub(super) const CAPACITY: usize = 4096;

/// A byte of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    byte: u8,
    /// It ends a line. A zero byte that does is the end of file: it ends the line without being
    /// part of it.
    end: bool,
}

impl Cell {
    const EOF: Self = Self { byte: 0, end: true };
}

/// The input of a line.
#[derive(Default)]
pub(super) struct Queue {
    cells: VecDeque<Cell>,
    /// How many cells at the front belong to whole lines.
    whole: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) const fn has_line(&self) -> bool {
        self.whole > 0
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.whole = 0;
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.cells.push_back(Cell { byte, end: false });
    }

    /// Ends a line with `byte`; 0 is the end of file.
    pub(super) fn end_line(&mut self, byte: u8) {
        self.cells.push_back(Cell { byte, end: true });
        self.whole = self.cells.len();
    }

    /// Length of the line being edited.
    pub(super) fn edited_len(&self) -> usize {
        self.cells.len() - self.whole
    }

    /// Bytes of the line being edited, the last one first.
    pub(super) fn edited_backwards(&self) -> impl Iterator<Item = u8> + '_ {
        self.cells.range(self.whole..).rev().map(|cell| cell.byte)
    }

    /// Bytes of the line being edited.
    pub(super) fn edited(&self) -> impl Iterator<Item = u8> + '_ {
        self.cells.range(self.whole..).map(|cell| cell.byte)
    }

    /// Takes the last `count` bytes off the line being edited, in their order.
    pub(super) fn drop_last(&mut self, count: usize) -> Vec<u8> {
        let keep = self.cells.len() - count.min(self.edited_len());
        self.cells.drain(keep..).map(|cell| cell.byte).collect()
    }

    /// Takes up to `max` bytes, whatever lines they belong to.
    pub(super) fn take(&mut self, max: usize) -> Vec<u8> {
        let count = max.min(self.cells.len());
        self.whole = self.whole.saturating_sub(count);
        self.cells.drain(..count).map(|cell| cell.byte).collect()
    }

    fn pop(&mut self) -> Option<Cell> {
        if self.whole == 0 {
            return None;
        }
        self.whole -= 1;
        self.cells.pop_front()
    }

    /// Takes up to `max` bytes of the first line.
    pub(super) fn take_line(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(max.min(self.whole));
        if max == 0 {
            return bytes;
        }
        while bytes.len() < max {
            let Some(cell) = self.pop() else { return bytes };
            if cell != Cell::EOF {
                bytes.push(cell.byte);
            }
            if cell.end {
                return bytes;
            }
        }
        // An end of file right behind a buffer that was just large enough belongs to this read.
        if self.whole > 0 && self.cells.front() == Some(&Cell::EOF) {
            self.pop();
        }
        bytes
    }

    /// Bytes of all whole lines.
    pub(super) fn line_bytes(&self) -> usize {
        self.cells.range(..self.whole).filter(|cell| **cell != Cell::EOF).count()
    }

    /// Forgets where lines end: what there is becomes one whole line, or loose bytes.
    pub(super) fn reform(&mut self, canonical: bool) {
        for cell in &mut self.cells {
            cell.end = false;
        }
        self.whole = 0;
        if canonical && let Some(last) = self.cells.back_mut() {
            last.end = true;
            self.whole = self.cells.len();
        }
    }
}
