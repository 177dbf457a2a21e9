//! The program that sends, as attributes.

/// What a collector is told of the program: its name and further attributes, each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(super) attributes: Vec<(String, String)>,
}

const SERVICE: &str = "service.name";

impl Resource {
    /// Returns that of a report of which only the file is known.
    pub(crate) fn unknown() -> Self {
        let mut resource = Self {
            attributes: Vec::new(),
        };
        resource.complete("unknown_service");
        resource
    }

    /// Returns that of a program, with attributes of which later ones replace earlier ones.
    #[cfg(feature = "otlp")]
    pub(crate) fn new(attributes: impl Iterator<Item = (String, String)>) -> Self {
        let mut resource = Self {
            attributes: Vec::new(),
        };
        attributes.for_each(|(key, value)| resource.set(&key, value));
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(|it| it.file_name());
        let service = name.map_or_else(
            || "unknown_service".to_owned(),
            |name| format!("unknown_service:{}", name.to_string_lossy()),
        );
        resource.complete(&service);
        resource
    }

    /// Adds what is lacking.
    fn complete(&mut self, service: &str) {
        if !self.attributes.iter().any(|(key, _)| key == SERVICE) {
            self.set(SERVICE, service.to_owned());
        }
        self.set("telemetry.sdk.name", "tracer".to_owned());
        self.set("telemetry.sdk.language", "rust".to_owned());
        self.set(
            "telemetry.sdk.version",
            env!("CARGO_PKG_VERSION").to_owned(),
        );
    }

    fn set(&mut self, key: &str, value: String) {
        match self.attributes.iter_mut().find(|(other, _)| other == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }
}

/// The name and the version of what measured.
pub(super) const SCOPE: (&str, &str) = ("tracer", env!("CARGO_PKG_VERSION"));
