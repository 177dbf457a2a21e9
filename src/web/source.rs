//! Where the requests of a page come from: a recorder, or files.

use std::sync::Arc;

use crate::hotspots::Hotspots;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::report::json::report::unix_ns;
use crate::search::files::OpenFile;

use super::archive::Archive;

#[derive(Clone)]
pub(super) enum Source {
    Recorder(Recorder),
    /// What is known of kept requests only. Nothing is known of all requests.
    Archive(Archive),
}

impl Source {
    /// Returns the recorder, for what only a recorder knows.
    pub(super) fn recorder(&self) -> Option<&Recorder> {
        match self {
            Self::Recorder(recorder) => Some(recorder),
            Self::Archive(_) => None,
        }
    }

    /// Returns the kept requests in memory, the last first.
    pub(super) fn kept(&self) -> Vec<Arc<Report>> {
        match self {
            Self::Recorder(recorder) => recorder.kept(),
            Self::Archive(archive) => archive.newest().to_vec(),
        }
    }

    /// Returns a kept request in memory: that which started at this time, or the newest one of this number, since each
    /// process that wrote files has a trace of each number.
    pub(super) fn get(&self, trace: u64, started_unix_ns: Option<i64>) -> Option<Arc<Report>> {
        let is_then = |it: &Report| started_unix_ns.is_none_or(|then| unix_ns(it.started) == then);
        match self {
            Self::Recorder(recorder) => recorder.get(trace).filter(|it| is_then(it)),
            Self::Archive(archive) => {
                let newest = archive.newest();
                let found = newest.iter().find(|it| it.trace == trace && is_then(it));
                found.cloned()
            }
        }
    }

    /// Returns the names of the routes, in order.
    pub(super) fn route_names(&self) -> Vec<String> {
        match self {
            Self::Recorder(recorder) => recorder.routes().into_iter().map(|it| it.name).collect(),
            Self::Archive(archive) => {
                let newest = archive.newest();
                let mut names: Vec<_> = newest.iter().map(|it| it.name().to_owned()).collect();
                names.sort_unstable();
                names.dedup();
                names
            }
        }
    }

    /// Returns the hotspots of all requests of the last minutes, or of the kept ones in memory.
    pub(super) fn hotspots(&self, route: Option<&str>) -> Hotspots {
        match self {
            Self::Recorder(recorder) => recorder.hotspots(route),
            Self::Archive(archive) => {
                let mut hotspots = Hotspots::new();
                let newest = archive.newest();
                let of_route =
                    { newest.iter() }.filter(|it| route.is_none_or(|route| route == it.name()));
                of_route.for_each(|it| hotspots.add(it));
                hotspots
            }
        }
    }

    pub(super) fn open_files(&self) -> Vec<OpenFile> {
        match self {
            Self::Recorder(recorder) => recorder.open_files(),
            Self::Archive(archive) => archive.open_files(),
        }
    }

    /// Reads files again that have changed.
    pub(super) fn refresh(&self) {
        if let Self::Archive(archive) = self {
            archive.refresh();
        }
    }
}
