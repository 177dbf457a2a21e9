//! Keys, as in htop.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What the keys act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A list, or a trace.
    Screen,
    /// The line in which a text is typed.
    Input,
    /// A menu, or the help.
    Popup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    Help,
    Search,
    Filter,
    Sort,
    /// Sorts in the other direction.
    Invert,
    /// Opens what is selected, or accepts what was typed.
    Open,
    Back,
    /// Gives each of several equal calls of a trace a line of its own.
    Unfold,
    Fold,
    Move(Motion),
    NextTab,
    PreviousTab,
    /// Counted from 0.
    Tab(usize),
    Type(char),
    Erase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
}

impl Motion {
    /// Returns the place to which it goes from this one, among those up to `last`.
    pub(crate) fn from(self, at: usize, page: usize, last: usize) -> usize {
        let to = match self {
            Self::Up => at.saturating_sub(1),
            Self::Down => at + 1,
            Self::PageUp => at.saturating_sub(page),
            Self::PageDown => at + page,
            Self::First => 0,
            Self::Last => last,
            Self::Left | Self::Right => at,
        };
        to.min(last)
    }
}

/// What the help shows: keys, and what they do.
pub(crate) const HELP: [(&str, &str); 12] = [
    ("Up Down PgUp PgDn Home End", "move"),
    ("Left Right", "scroll a trace sideways"),
    ("+ -", "unfold, fold equal calls"),
    ("Tab, Shift-Tab, 1 to 4", "next, previous, this list"),
    ("Enter", "open: a route, a request"),
    ("Esc", "back; take the filter away"),
    ("F3 /", "search; F3 again: next"),
    ("F4 \\", "filter: lines with this text"),
    ("F6 >", "sort by a column"),
    ("I", "sort the other way round"),
    ("F1 ? h", "this help"),
    ("F10 q Ctrl-C", "quit"),
];

/// Returns what a key does.
pub(crate) fn action(key: KeyEvent, mode: Mode) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && matches!(key.code, KeyCode::Char('c' | 'C')) {
        return Some(Action::Quit);
    }
    let of_all = match key.code {
        KeyCode::F(10) => Some(Action::Quit),
        KeyCode::F(3) => Some(Action::Search),
        KeyCode::Enter => Some(Action::Open),
        KeyCode::Esc => Some(Action::Back),
        KeyCode::Up => Some(Action::Move(Motion::Up)),
        KeyCode::Down => Some(Action::Move(Motion::Down)),
        KeyCode::PageUp => Some(Action::Move(Motion::PageUp)),
        KeyCode::PageDown => Some(Action::Move(Motion::PageDown)),
        KeyCode::Home => Some(Action::Move(Motion::First)),
        KeyCode::End => Some(Action::Move(Motion::Last)),
        KeyCode::Left => Some(Action::Move(Motion::Left)),
        KeyCode::Right => Some(Action::Move(Motion::Right)),
        _ => None,
    };
    if of_all.is_some() {
        return of_all;
    }
    let is_altered = key
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match (mode, key.code) {
        (Mode::Input, KeyCode::Backspace) => Some(Action::Erase),
        (Mode::Input, KeyCode::Char(typed)) => (!is_altered).then_some(Action::Type(typed)),
        (Mode::Input, _) => None,
        (_, KeyCode::F(1)) => Some(Action::Help),
        (_, KeyCode::F(4)) => Some(Action::Filter),
        (_, KeyCode::F(6)) => Some(Action::Sort),
        (_, KeyCode::Tab) => Some(Action::NextTab),
        (_, KeyCode::BackTab) => Some(Action::PreviousTab),
        (_, KeyCode::Char(typed)) if !is_altered => of_letter(typed),
        _ => None,
    }
}

fn of_letter(typed: char) -> Option<Action> {
    Some(match typed {
        'q' => Action::Quit,
        '?' | 'h' => Action::Help,
        '/' => Action::Search,
        '\\' => Action::Filter,
        '>' | '.' | '<' | ',' => Action::Sort,
        'I' => Action::Invert,
        '+' | '=' => Action::Unfold,
        '-' => Action::Fold,
        '1'..='9' => Action::Tab(usize::try_from(u32::from(typed) - u32::from('1')).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: KeyCode, mode: Mode) -> Option<Action> {
        action(KeyEvent::new(code, KeyModifiers::NONE), mode)
    }

    #[test]
    fn keys_are_those_of_htop() {
        for (code, expected) in [
            (KeyCode::F(1), Action::Help),
            (KeyCode::Char('?'), Action::Help),
            (KeyCode::Char('h'), Action::Help),
            (KeyCode::F(3), Action::Search),
            (KeyCode::Char('/'), Action::Search),
            (KeyCode::F(4), Action::Filter),
            (KeyCode::Char('\\'), Action::Filter),
            (KeyCode::F(6), Action::Sort),
            (KeyCode::Char('>'), Action::Sort),
            (KeyCode::Char('I'), Action::Invert),
            (KeyCode::Char('+'), Action::Unfold),
            (KeyCode::Char('-'), Action::Fold),
            (KeyCode::Enter, Action::Open),
            (KeyCode::Esc, Action::Back),
            (KeyCode::F(10), Action::Quit),
            (KeyCode::Char('q'), Action::Quit),
            (KeyCode::Up, Action::Move(Motion::Up)),
            (KeyCode::PageDown, Action::Move(Motion::PageDown)),
            (KeyCode::End, Action::Move(Motion::Last)),
            (KeyCode::Tab, Action::NextTab),
            (KeyCode::Char('3'), Action::Tab(2)),
        ] {
            assert_eq!(of(code, Mode::Screen), Some(expected), "{code:?}");
        }
        assert_eq!(of(KeyCode::Char('x'), Mode::Screen), None);
        let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [Mode::Screen, Mode::Input, Mode::Popup] {
            assert_eq!(action(quit, mode), Some(Action::Quit));
            let released = KeyEvent::new_with_kind(
                KeyCode::Char('q'),
                KeyModifiers::NONE,
                KeyEventKind::Release,
            );
            assert_eq!(action(released, mode), None);
        }
    }

    #[test]
    fn letters_are_text_while_one_is_typed() {
        for letter in ['q', '/', '?', '1', 'I', '+', '-'] {
            let typed = of(KeyCode::Char(letter), Mode::Input);
            assert_eq!(typed, Some(Action::Type(letter)));
        }
        assert_eq!(of(KeyCode::Backspace, Mode::Input), Some(Action::Erase));
        assert_eq!(of(KeyCode::F(1), Mode::Input), None);
        let control = KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL);
        assert_eq!(action(control, Mode::Input), None);
    }
}
