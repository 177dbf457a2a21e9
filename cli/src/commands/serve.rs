//! `tracer serve`: shows files on the page of a recorder, to browsers on this machine.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tokio::runtime::{self, Runtime};
use tracer::web::{Archive, ArchiveContents, Page};

use crate::arguments::Serve;
use crate::failure::{self, Failure};
use crate::input;
use crate::output::stdout_failed;

pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    if arguments.files.iter().any(|it| it == Path::new("-")) {
        let why = "standard input can't be read again: expected files";
        return Err(Failure::Impossible(why.to_owned()));
    }
    // Before the files, which may take a while.
    let port = arguments.port;
    let bound = listen(port);
    let (listener, address, runtime) =
        bound.map_err(|error| impossible(format_args!("port {port} of 127.0.0.1: {error}")))?;
    let memory_bytes = usize::try_from(u64::from(arguments.memory_mib) << 20).unwrap_or(usize::MAX);
    let archive = Archive::open(&arguments.files, memory_bytes).map_err(impossible)?;
    say_contents(&archive.contents());
    let page = Page::of_archive(archive).map_err(impossible)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", page.url(&format!("http://{address}/")))
        .and_then(|()| stdout.flush())
        .map_err(stdout_failed)?;
    drop(stdout);
    // Until a signal ends the process: there is nothing to put away.
    let served = runtime.block_on(async {
        let service = page
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(tokio::net::TcpListener::from_std(listener)?, service).await
    });
    served.map_err(impossible)
}

fn impossible(why: impl fmt::Display) -> Failure {
    Failure::Impossible(why.to_string())
}

/// Listens on this port, or a free one if it is 0.
fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr, Runtime)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok((listener, address, runtime))
}

/// Says what is shown: all, or the newest.
fn say_contents(contents: &ArchiveContents) {
    if contents.unreadable > 0 {
        let lines = failure::plural(contents.unreadable, "line");
        let first = contents
            .first_unreadable
            .as_ref()
            .map(|(path, line)| format!(", the first in {}: line {line}", input::name(path)));
        let first = first.unwrap_or_default();
        failure::say(&format_args!("passed over {lines}{first}"));
    }
    let reports = failure::plural(contents.reports, "report");
    if contents.in_memory as u64 == contents.reports {
        failure::say(&format_args!("shows {reports}: Ctrl-C ends it"));
    } else {
        let in_memory = contents.in_memory;
        failure::say(&format_args!(
            "shows the newest {in_memory} of {reports}, and searches all: Ctrl-C ends it"
        ));
    }
}
