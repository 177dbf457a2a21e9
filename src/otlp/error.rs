//! What is wrong with a setting.

use std::fmt;

use crate::primitives::text::character_boundary;
use crate::report::escape::Escaped;

/// Why an [`Exporter`](super::Exporter) can't be built: a setting, in code or in a variable, that is not what
/// is expected. The message names the setting, its value and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// More of a value is not shown.
    const MAX_BYTES: usize = 100;

    pub(super) fn new(name: &str, value: &str, expected: &str) -> Self {
        let value = &value[..character_boundary(value.as_bytes(), Self::MAX_BYTES)];
        Self(format!(
            "{name} is `{}`: expected {expected}",
            Escaped(value)
        ))
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}
