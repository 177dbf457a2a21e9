//! Writes complete results to a file or to standard output.

use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::path::Path;

use tempfile::tempfile;
use terminal_size::{Width, terminal_size};

use crate::arguments::Output;
use crate::destination::Destination;
use crate::failure::Failure;

/// Lets `write` make a result, and hands it on only when it is complete.
pub(crate) fn whole(
    output: &Output,
    is_text: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match &output.output {
        Some(path) => to_file(path, output.force, write),
        None => to_stdout(is_text, write),
    }
}

fn to_file(
    path: &Path,
    may_replace: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let name = path.display().to_string();
        match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::Exists(name),
            _ => Failure::Output(name, error),
        }
    };
    let destination = Destination::of(path, may_replace).map_err(failed)?;
    let mut draft = destination.draft().map_err(failed)?;
    let mut file = BufWriter::new(&mut draft.file);
    write(&mut file)?;
    file.flush().map_err(failed)?;
    drop(file);
    destination.publish(draft).map_err(failed)
}

fn to_stdout(
    is_text: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stdout = io::stdout();
    if !is_text && stdout.is_terminal() {
        let why = "this is not for a terminal: expected -o FILE, or a redirection";
        return Err(Failure::Impossible(why.to_owned()));
    }
    let mut file = BufWriter::new(tempfile().map_err(stdout_failed)?);
    write(&mut file)?;
    let mut file = file
        .into_inner()
        .map_err(|error| stdout_failed(error.into_error()))?;
    file.rewind().map_err(stdout_failed)?;
    let mut stdout = stdout.lock();
    io::copy(&mut file, &mut stdout)
        .and_then(|_| stdout.flush())
        .map_err(stdout_failed)
}

pub(crate) fn stdout_failed(error: io::Error) -> Failure {
    Failure::Output("standard output".to_owned(), error)
}

/// Returns the name of the file, or of standard output, for a message.
pub(crate) fn name(output: &Output) -> String {
    match &output.output {
        Some(path) => path.display().to_string(),
        None => "standard output".to_owned(),
    }
}

/// Returns the width of a table: that of the terminal, or 120, which most editors and logs can show.
pub(crate) fn width() -> usize {
    let is_terminal = io::stdout().is_terminal();
    match terminal_size().filter(|_| is_terminal) {
        Some((Width(width), _)) => width.into(),
        None => 120,
    }
}
