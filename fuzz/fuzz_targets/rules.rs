//! The rules of `tracer diff --fail-on`: a rule that was read is written and read back equal, and an
//! error names its place in the text.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tracer::hotspots::{By, Rule};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    match text.parse::<Rule>() {
        Ok(rule) => reads_back(rule, text),
        Err(error) => says_where(&error.to_string(), text),
    }
    Corpus::Keep
});

fn reads_back(rule: Rule, text: &str) {
    let written = rule.to_string();
    assert_eq!(written.parse::<Rule>().as_ref(), Ok(&rule), "{written}");
    assert_eq!(written.parse::<Rule>().unwrap().to_string(), written);
    let by: By = text
        .trim()
        .split(['>', ' '])
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(rule.by(), by);
    // Spaces are optional, and additional ones are ignored.
    let parts = || written.split(' ');
    assert_eq!(parts().collect::<String>().parse().as_ref(), Ok(&rule));
    assert_eq!(
        parts().collect::<Vec<_>>().join(" \u{2003}\t").parse(),
        Ok(rule)
    );
}

/// Checks the form of an error: "rule `…`, column 8: expected …".
fn says_where(message: &str, text: &str) {
    assert!(!message.chars().any(char::is_control), "{message:?}");
    let at = message.rfind("`, column ").expect("a place");
    assert!(message.starts_with("rule `"));
    let rest = &message[at + "`, column ".len()..];
    let (column, expected) = rest.split_once(": ").expect("what was expected");
    let column: usize = column.parse().expect("a number");
    assert!(
        (1..=text.chars().count() + 1).contains(&column),
        "{message}"
    );
    assert!(expected.starts_with("expected "), "{message}");
    let good = text.chars().take(column - 1).collect::<String>();
    // If the text before the place is parsed by itself, its error is not after the place.
    if let Err(error) = good.parse::<Rule>() {
        let error = error.to_string();
        let at = error.rfind("`, column ").unwrap() + "`, column ".len();
        let earlier: usize = error[at..].split_once(':').unwrap().0.parse().unwrap();
        assert!(earlier <= column, "{error}, {message}");
    }
}
