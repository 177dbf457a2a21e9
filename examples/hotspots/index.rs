//! An index of words: a first version, and the version after the hunt.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The indexed texts: a document on each line.
pub(crate) const CORPUS: &str = include_str!("corpus.jsonl");

#[derive(Deserialize)]
struct Document {
    title: String,
    text: String,
}

/// The documents that contain each word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    titles: Vec<String>,
    words: BTreeMap<String, Vec<usize>>,
}

/// The version of the code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    First,
    Fixed,
}

impl Index {
    /// Adds the document on this line.
    pub(crate) fn add(&mut self, line: &str, version: Version) -> serde_json::Result<()> {
        let document = parse(line)?;
        let number = self.titles.len();
        self.titles.push(document.title);
        words(&document.text, version, |word| {
            self.post(word, number, version);
        });
        Ok(())
    }

    /// Returns the number of words.
    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }

    fn post(&mut self, word: &str, number: usize, version: Version) {
        let documents = match version {
            // A string for each word of the text.
            Version::First => self.words.entry(word.to_owned()).or_default(),
            // A string for each new word.
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

fn parse(line: &str) -> serde_json::Result<Document> {
    serde_json::from_str(line)
}

/// Passes every word of the text to `each`, in lower case.
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
