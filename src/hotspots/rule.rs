//! Rules: how much a figure may grow.

use std::fmt;
use std::str::FromStr;

use crate::report::escape::Escaped;

use super::By;
use super::by::Unit;

/// Limit of a figure's growth, such as `allocations > +0` or `bytes > +5%`: a change that satisfies the
/// text breaks the rule.
///
/// The text is a [figure's name](By::name), `>`, `+`, and a growth. The growth is a whole number with an
/// optional unit (`B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB` for bytes; `ns`, `us`, `µs`, `ms`, `s` for
/// times), or a percentage of the figure before, with up to three decimals. Spaces between the parts are
/// allowed.
///
/// ```
/// use tracer::hotspots::Rule;
///
/// let rule: Rule = "bytes > +5%".parse()?;
/// assert_eq!(rule.to_string(), "bytes > +5%");
///
/// let error = "bytes >= 5".parse::<Rule>().unwrap_err();
/// let expected = "rule `bytes >= 5`, column 8: expected `+` and how much it may grow";
/// assert_eq!(error.to_string(), expected);
/// # Ok::<(), tracer::hotspots::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    by: By,
    most: Growth,
}

/// How much a figure may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// In the figure's unit.
    By(u64),
    /// In thousandths of a per cent of the figure before.
    Share(u64),
}

const THOUSANDTHS: u64 = 1000;

impl Rule {
    /// Returns the figure that the rule is on.
    pub fn by(&self) -> By {
        self.by
    }

    /// Returns whether `after` exceeds what `before` may grow to, both multiplied by `scale`.
    pub(super) fn is_broken(&self, before: u128, after: u128, scale: u128) -> bool {
        let grown = after.saturating_sub(before);
        match self.most {
            Growth::By(most) => grown > u128::from(most).saturating_mul(scale),
            Growth::Share(most) => {
                let whole = u128::from(100 * THOUSANDTHS);
                grown.saturating_mul(whole) > before.saturating_mul(most.into())
            }
        }
    }

    /// Displays the growth as it is written in a rule.
    pub(super) fn allowed(&self) -> String {
        match self.most {
            Growth::By(most) => format!("+{most}{}", unit(self.by)),
            Growth::Share(most) => {
                let (whole, rest) = (most / THOUSANDTHS, most % THOUSANDTHS);
                let rest = format!(".{rest:03}");
                format!("+{whole}{}%", rest.trim_end_matches(['0', '.']))
            }
        }
    }
}

const fn unit(by: By) -> &'static str {
    match by.unit() {
        Unit::Count => "",
        Unit::Nanoseconds => "ns",
        Unit::Bytes => "B",
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.by, self.allowed())
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut rest = Rest { text, at: 0 };
        rest.rule().map_err(|expected| RuleError {
            text: text.chars().take(RuleError::MOST_SHOWN).collect(),
            column: text[..rest.at].chars().count() + 1,
            expected,
        })
    }
}

/// The rest of the text.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn rule(&mut self) -> Result<Rule, String> {
        self.skip_spaces();
        let start = self.at;
        let name = self.take_while(|next| next.is_ascii_alphabetic() || next == '-');
        let by = name.parse().map_err(|_| {
            self.at = start;
            let names = By::ALL.map(By::name).join(", ");
            format!("expected a figure, one of {names}")
        })?;
        self.expect('>', "expected `>`")?;
        self.expect('+', "expected `+` and how much it may grow")?;
        self.skip_spaces();
        let start = self.at;
        let most = self.number()?;
        let decimals = if self.rest().starts_with('.') {
            self.at += 1;
            self.decimals()?
        } else {
            None
        };
        self.skip_spaces();
        let unit_at = self.at;
        let unit = self.take_while(|next| !next.is_whitespace());
        let too_large = || format!("expected a number up to {}", u64::MAX);
        let most = if unit == "%" {
            let share = most.checked_mul(THOUSANDTHS);
            let share = share.and_then(|it| it.checked_add(decimals.unwrap_or(0)));
            Growth::Share(share.ok_or_else(too_large)?)
        } else {
            let Some(factor) = factor(by, unit) else {
                self.at = unit_at;
                let units = units(by).map(|(name, _)| format!("`{name}`"));
                let units: Vec<_> = units.chain(["`%`".to_owned()]).collect();
                return Err(format!("expected {} or the end", units.join(", ")));
            };
            if decimals.is_some() {
                self.at = start;
                return Err("expected a whole number, or one of per cent".to_owned());
            }
            Growth::By(most.checked_mul(factor).ok_or_else(too_large)?)
        };
        self.skip_spaces();
        if !self.rest().is_empty() {
            return Err("expected the end".to_owned());
        }
        Ok(Rule { by, most })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|next| !is_part(next)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn expect(&mut self, character: char, expected: &str) -> Result<(), String> {
        self.skip_spaces();
        if !self.rest().starts_with(character) {
            return Err(expected.to_owned());
        }
        self.at += character.len_utf8();
        Ok(())
    }

    fn number(&mut self) -> Result<u64, String> {
        let start = self.at;
        let digits = self.take_while(|next| next.is_ascii_digit());
        if digits.is_empty() {
            return Err("expected a number".to_owned());
        }
        digits.parse().map_err(|_| {
            self.at = start;
            format!("expected a number up to {}", u64::MAX)
        })
    }

    /// In thousandths.
    fn decimals(&mut self) -> Result<Option<u64>, String> {
        let digits = self.take_while(|next| next.is_ascii_digit());
        match digits.len() {
            1..=3 => Ok(format!("{digits:0<3}").parse().ok()),
            length => {
                self.at -= length;
                Err("expected one to three digits".to_owned())
            }
        }
    }
}

fn units(by: By) -> impl Iterator<Item = (&'static str, u64)> {
    let units: &[_] = match by.unit() {
        Unit::Count => &[],
        Unit::Nanoseconds => &[
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
        ],
        Unit::Bytes => &[
            ("B", 1),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
        ],
    };
    units.iter().copied()
}

fn factor(by: By, unit: &str) -> Option<u64> {
    if unit.is_empty() {
        return Some(1);
    }
    units(by)
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| factor)
}

/// Error: a text is not a [rule](Rule). Names the column and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    text: String,
    column: usize,
    expected: String,
}

impl RuleError {
    const MOST_SHOWN: usize = 80;
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, column, expected) = (Escaped(&self.text), self.column, &self.expected);
        write!(f, "rule `{text}`, column {column}: {expected}")
    }
}

impl std::error::Error for RuleError {}
