//! HTTP as far as a collector in the program itself needs it.

use std::io::{self, BufRead, Read as _};

/// Reads a request to its end. Returns `false` if the client sends no more.
///
/// # Errors
///
/// Those of the input, and a length that is no number.
pub fn receive(input: &mut impl BufRead) -> io::Result<bool> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    io::copy(&mut input.by_ref().take(length), &mut io::sink())?;
    Ok(true)
}
