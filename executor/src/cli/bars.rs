//! Bars on a terminal, each picture of them in one piece: what is drawn over may not be half of it.

use std::io::Result;
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::TermLike;

use super::say::draw;

/// A terminal on standard error, with the picture that is being drawn.
#[derive(Debug, Default)]
pub(super) struct Picture(Mutex<String>);

impl Picture {
    fn add(&self, text: &str) -> Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
        Ok(())
    }

    /// Moves the cursor by so many: A up, B down, C right, D left (ECMA-48, CUU to CUB).
    fn move_cursor(&self, by: usize, way: char) -> Result<()> {
        if by == 0 {
            return Ok(());
        }
        self.add(&format!("\x1b[{by}{way}"))
    }
}

impl TermLike for Picture {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }
    fn height(&self) -> u16 {
        Term::stderr().size().0
    }
    fn move_cursor_up(&self, by: usize) -> Result<()> {
        self.move_cursor(by, 'A')
    }
    fn move_cursor_down(&self, by: usize) -> Result<()> {
        self.move_cursor(by, 'B')
    }
    fn move_cursor_right(&self, by: usize) -> Result<()> {
        self.move_cursor(by, 'C')
    }
    fn move_cursor_left(&self, by: usize) -> Result<()> {
        self.move_cursor(by, 'D')
    }
    fn write_line(&self, line: &str) -> Result<()> {
        self.add(line)?;
        self.add("\n")
    }
    fn write_str(&self, text: &str) -> Result<()> {
        self.add(text)
    }
    fn clear_line(&self) -> Result<()> {
        self.add("\r\x1b[2K")
    }
    fn flush(&self) -> Result<()> {
        let mut picture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        draw(std::mem::take(&mut *picture));
        Ok(())
    }
}
