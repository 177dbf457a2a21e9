//! Colours, and what there is instead without them.

use ratatui::style::{Color, Modifier, Style};

use crate::top::text::Look;

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    Yes,
    No,
}

impl Colours {
    /// As the environment variable `NO_COLOR` says: <https://no-color.org>.
    pub(crate) fn of_environment() -> Self {
        match std::env::var_os("NO_COLOR") {
            Some(value) if !value.is_empty() => Self::No,
            _ => Self::Yes,
        }
    }

    fn or(self, coloured: Style, plain: Style) -> Style {
        match self {
            Self::Yes => coloured,
            Self::No => plain,
        }
    }

    pub(super) fn of(self, look: Look) -> Style {
        let plain = Style::new();
        match look {
            Look::Plain => plain,
            Look::Bad => self.or(plain.fg(Color::Red), plain),
            Look::Heavy | Look::Typed => plain.add_modifier(Modifier::BOLD),
            Look::Faint => plain.add_modifier(Modifier::DIM),
        }
    }

    pub(super) fn heading(self) -> Style {
        let coloured = Style::new().fg(Color::Black).bg(Color::Green);
        self.or(coloured, reversed())
    }

    pub(super) fn selected(self) -> Style {
        let coloured = Style::new().fg(Color::Black).bg(Color::Cyan);
        self.or(coloured, reversed())
    }

    pub(super) fn key(self) -> Style {
        self.selected()
    }
}

/// The style of the tab that is open.
pub(super) fn tab() -> Style {
    reversed().add_modifier(Modifier::BOLD)
}

fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}
