//! An index of words, as somebody would write it first, and as it is after a look at the hotspots.

use std::collections::BTreeMap;

use serde::Deserialize;
use tracer::traced;

/// The texts that are indexed: a document on each line.
pub(crate) const CORPUS: &str = include_str!("corpus.jsonl");

#[derive(Deserialize)]
struct Document {
    title: String,
    text: String,
}

/// In which documents each word is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    titles: Vec<String>,
    words: BTreeMap<String, Vec<usize>>,
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    First,
    Fixed,
}

impl Index {
    /// Adds the document on this line.
    #[traced]
    pub(crate) fn add(&mut self, line: &str, version: Version) -> serde_json::Result<()> {
        let document = parse(line)?;
        let number = self.titles.len();
        self.titles.push(document.title);
        words(&document.text, version, |word| {
            self.post(word, number, version);
        });
        Ok(())
    }

    #[traced]
    fn post(&mut self, word: &str, number: usize, version: Version) {
        let documents = match version {
            // A string for each word that comes by.
            Version::First => self.words.entry(word.to_owned()).or_default(),
            // A string for each word that is new.
            Version::Fixed => match self.words.get_mut(word) {
                Some(documents) => documents,
                None => self.words.entry(word.to_owned()).or_default(),
            },
        };
        if documents.last() != Some(&number) {
            documents.push(number);
        }
    }
}

#[traced(err)]
fn parse(line: &str) -> serde_json::Result<Document> {
    serde_json::from_str(line)
}

/// Hands over every word of the text, in lower case.
#[traced]
fn words(text: &str, version: Version, mut each: impl FnMut(&str)) {
    let words = text.split(|character: char| !character.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    match version {
        Version::First => words.for_each(|word| each(&word.to_lowercase())),
        Version::Fixed => {
            let mut lower = String::new();
            for word in words {
                lower.clear();
                lower.extend(word.chars().flat_map(char::to_lowercase));
                each(&lower);
            }
        }
    }
}
