//! `tracer symbolize`: looks up functions and lines of allocation sites.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracer::Report;
use tracer::report::json;
use tracer::sites::{Binary, Frame};

use crate::arguments::Symbolize;
use crate::failure::Failure;
use crate::{input, output};

pub(crate) fn run(arguments: &Symbolize) -> Result<(), Failure> {
    output::whole(&arguments.output, true, |out| symbolize(arguments, out))
}

/// Writes the reports as they are read.
fn symbolize(arguments: &Symbolize, out: &mut dyn Write) -> Result<(), Failure> {
    let open = |path: &PathBuf| Binary::open(path);
    let binaries: Result<Vec<_>, _> = arguments.binaries.iter().map(open).collect();
    let mut binaries = binaries.map_err(|error| Failure::Impossible(error.to_string()))?;
    let mut modules = Modules::default();
    for report in input::reports(&arguments.input) {
        let mut report = report?;
        modules.add(&report, &binaries);
        for binary in &mut binaries {
            report = report.resolved_with(binary);
        }
        json::write_line(&report, &mut *out)
            .map_err(|error| Failure::Output(output::name(&arguments.output), error))?;
    }
    for (binary, path) in binaries.iter().zip(&arguments.binaries) {
        modules.check(binary, path)?;
    }
    Ok(())
}

/// The most modules that a message names.
const MOST_NAMED: usize = 5;

/// The most modules that are kept for a message, beside those of the binaries.
const MOST_KEPT: usize = 100;

/// The modules of frames.
#[derive(Default)]
struct Modules {
    /// Their names, by build id.
    names: BTreeMap<Option<Arc<str>>, String>,
}

impl Modules {
    fn add(&mut self, report: &Report, binaries: &[Binary]) {
        let of_calls = report.calls.iter().filter_map(|call| call.sites.as_ref());
        let sites = of_calls.chain(&report.sites).flatten();
        for frame in sites.flat_map(|site| &site.frames) {
            self.add_frame(frame, binaries);
        }
    }

    fn add_frame(&mut self, frame: &Frame, binaries: &[Binary]) {
        let Some(name) = &frame.module else { return };
        let build_id = frame.build_id.as_deref();
        let is_asked = || binaries.iter().any(|it| Some(it.build_id()) == build_id);
        if !self.names.contains_key(&frame.build_id) && (self.names.len() < MOST_KEPT || is_asked())
        {
            let name = name.escape_debug().to_string();
            self.names.insert(frame.build_id.clone(), name);
        }
    }

    /// Fails if no frame is of the binary: its lines would be missing, and nobody would be told.
    fn check(&self, binary: &Binary, path: &Path) -> Result<(), Failure> {
        let build_id = binary.build_id();
        if self.names.contains_key(&Some(build_id.into())) {
            return Ok(());
        }
        let name = path.display().to_string().escape_debug().to_string();
        let none = format!("{name}: no frame has its build id, {build_id}");
        if self.names.is_empty() {
            return Err(Failure::Impossible(format!(
                "{none}: the reports have no allocation sites"
            )));
        }
        // Those of the same name first.
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(_, module)| !path.ends_with(module));
        let shown = names.iter().take(MOST_NAMED).map(|(build_id, module)| {
            let build_id = build_id.as_deref().unwrap_or("no build id");
            format!("{module} ({})", build_id.escape_debug())
        });
        let mut shown: Vec<_> = shown.collect();
        if names.len() > MOST_NAMED {
            shown.push("…".to_owned());
        }
        Err(Failure::Impossible(format!(
            "{none}: the frames are of {}",
            shown.join(", ")
        )))
    }
}
