//! What is made of a hunt: the value of `TRACER_HUNT`.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::export::Format;
use crate::primitives::text::character_boundary;
use crate::report::Report;
use crate::report::escape::Escaped;

pub(super) const VARIABLE: &str = "TRACER_HUNT";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Off,
    Table,
    File(Content, PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Format(Format),
    #[cfg(feature = "flamegraph")]
    Flamegraph,
}

impl Form {
    pub(super) fn parse(value: OsString) -> Result<Self, BadForm> {
        let bad = |value: &str| {
            let end = character_boundary(value.as_bytes(), BadForm::MAX_BYTES);
            BadForm(value[..end].to_owned())
        };
        let value = value.into_string();
        let value = value.map_err(|value| bad(&value.to_string_lossy()))?;
        match value.split_once('=') {
            None if value == "off" => Ok(Self::Off),
            None if value == "table" => Ok(Self::Table),
            Some((_, "")) | None => Err(bad(&value)),
            #[cfg(feature = "flamegraph")]
            Some(("flamegraph", file)) => Ok(Self::File(Content::Flamegraph, file.into())),
            Some((format, file)) => {
                let format = format.parse().map_err(|_| bad(&value))?;
                Ok(Self::File(Content::Format(format), file.into()))
            }
        }
    }

    /// Writes the file, if it is one. It is rendered before, so that an error leaves the file as it was.
    pub(super) fn write(&self, report: &Report) -> Result<(), NotWritten> {
        let Self::File(content, file) = self else {
            return Ok(());
        };
        let rendered = content.render(report);
        let written = rendered.and_then(|content| fs::write(file, content));
        written.map_err(|error| NotWritten(file.clone(), error))
    }
}

impl Content {
    fn render(self, report: &Report) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        match self {
            Self::Format(format) => format.write([report], &mut content)?,
            #[cfg(feature = "flamegraph")]
            Self::Flamegraph => {
                let mut hotspots = crate::hotspots::Hotspots::with_sites();
                hotspots.add(report);
                let by = crate::hotspots::By::SelfAllocations;
                let drawn = hotspots.write_flamegraph(by, &mut content);
                drawn.map_err(io::Error::other)?;
            }
        }
        Ok(content)
    }
}

/// A value that is no form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadForm(String);

impl BadForm {
    /// More of the value is not shown.
    const MAX_BYTES: usize = 80;
}

impl fmt::Display for BadForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = Escaped(&self.0);
        write!(f, "{VARIABLE}=`{value}`: expected `table`, `off`")?;
        for format in Format::ALL {
            write!(f, ", `{format}=FILE`")?;
        }
        if cfg!(feature = "flamegraph") {
            f.write_str(" or `flamegraph=FILE`")
        } else {
            f.write_str("; others need their features")
        }
    }
}

/// The file could not be written.
#[derive(Debug)]
pub(super) struct NotWritten(PathBuf, io::Error);

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, error) = self;
        let file = file.to_string_lossy();
        write!(f, "{}: can't be written: {error}", Escaped(&file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Form, String> {
        Form::parse(value.into()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn values() {
        assert_eq!(parse("off"), Ok(Form::Off));
        assert_eq!(parse("table"), Ok(Form::Table));
        let text = Content::Format(Format::Text);
        let file = Form::File(text, "a=b, c".into());
        assert_eq!(parse("text=a=b, c"), Ok(file));
        for bad in ["", "on", "text", "text=", "=a", "csv=a", "table=a", "off "] {
            let start = format!("TRACER_HUNT=`{bad}`: expected `table`, `off`, `text=FILE`");
            let error = parse(bad).unwrap_err();
            assert!(error.starts_with(&start), "{error}");
        }
        let long = parse(&"é\n".repeat(100)).unwrap_err();
        assert!(long.starts_with(r"TRACER_HUNT=`é\né\n"), "{long}");
        assert!(long.len() < 400, "{long}");
    }

    #[cfg(all(
        feature = "flamegraph",
        feature = "pprof",
        feature = "chrome",
        feature = "otlp-json"
    ))]
    #[test]
    fn all_are_named() {
        let expected = "TRACER_HUNT=`x`: expected `table`, `off`, `text=FILE`, `json=FILE`, `chrome=FILE`, \
             `folded=FILE`, `otlp-json=FILE`, `pprof=FILE` or `flamegraph=FILE`";
        assert_eq!(parse("x"), Err(expected.to_owned()));
    }
}
