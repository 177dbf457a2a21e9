//! The token that opens the page.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

/// Number of characters of the shortest token; shorter ones can be guessed.
const SHORTEST: usize = 16;

#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// Makes a token of 128 random bits, as hexadecimal digits.
    pub(super) fn random() -> Result<Self, TokenError> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| TokenError(Problem::NotRandom(error)))?;
        let digits = format!("{:032x}", u128::from_ne_bytes(bits));
        Ok(Self(digits.into()))
    }

    pub(super) fn given(token: &str) -> Result<Self, TokenError> {
        let length = token.chars().count();
        if length < SHORTEST {
            return Err(TokenError(Problem::TooShort(length)));
        }
        Ok(Self(token.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a text is this token. The time that it takes reveals only the lengths.
    pub(super) fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        let differences = pairs.fold(0, |all, (one, other)| black_box(all | (one ^ other)));
        self.0.len() == given.len() && differences == 0
    }
}

/// Error: a page has no token.
#[derive(Debug)]
pub struct TokenError(Problem);

#[derive(Debug)]
enum Problem {
    TooShort(usize),
    NotRandom(getrandom::Error),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::TooShort(length) => write!(
                f,
                "the page's token has {length} characters: expected {SHORTEST} or more"
            ),
            Problem::NotRandom(error) => write!(
                f,
                "the page has no token, as the system gave no random numbers: {error}"
            ),
        }
    }
}

// The message includes its cause.
impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::given("0123456789abcdef").unwrap();
        let given = [
            ("0123456789abcdef", true),
            ("0123456789abcdeF", false),
            ("0123456789abcde", false),
            ("0123456789abcdef0", false),
            ("", false),
        ];
        for (given, expected) in given {
            assert_eq!(token.is(given), expected, "{given}");
        }
    }

    #[test]
    fn random_ones_differ() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!((one.as_str().len(), other.as_str().len()), (32, 32));
        assert!(!one.is(other.as_str()));
    }
}
