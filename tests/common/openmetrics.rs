//! A plain parser of metrics, of what these tests need of the format.

use std::collections::BTreeMap;

/// The samples, by their names with labels as they are written, but for escapes.
#[derive(Debug, Default)]
pub(crate) struct Metrics(BTreeMap<(String, Vec<(String, String)>), Sample>);

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
    pub(crate) seconds: f64,
}

impl Sample {
    /// Returns the value, a whole number.
    pub(crate) fn count(&self) -> u64 {
        let digits = format!("{}", self.value);
        digits.parse().expect("a whole number")
    }
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut family = ("", "");
        let text = text.strip_suffix("# EOF\n").expect("the text is whole");
        for line in text.split_terminator('\n') {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let rest = words.next().unwrap();
                match what {
                    "TYPE" => family = (name, rest),
                    "UNIT" => assert!(name == family.0 && name.ends_with(rest), "{line}"),
                    "HELP" => assert!(name == family.0 && rest.ends_with('.'), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let end = line.find(['{', ' ']).unwrap();
            let (name, rest) = line.split_at(end);
            let suffixes: &[&str] = match family.1 {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => panic!("{line}"),
            };
            let suffix = name.strip_prefix(family.0);
            assert!(suffix.is_some_and(|it| suffixes.contains(&it)), "{line}");
            let (labels, rest) = labels(rest);
            let mut words = rest.split(' ').skip(1);
            let mut number = || words.next().unwrap().parse().unwrap();
            let value = number();
            let exemplar = rest.split_once(" # ").map(|(_, rest)| {
                let (labels, rest) = self::labels(rest);
                let mut words = rest.split(' ').skip(1);
                let mut number = || words.next().unwrap().parse().unwrap();
                Exemplar {
                    labels,
                    value: number(),
                    seconds: number(),
                }
            });
            let sample = Sample { value, exemplar };
            let before = metrics.0.insert((name.to_owned(), labels), sample);
            assert!(before.is_none(), "twice: {line}");
        }
        metrics
    }

    /// Returns all samples of this name.
    pub(crate) fn all<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a [(String, String)], &'a Sample)> {
        let samples = self.0.iter().filter(move |((it, _), _)| it == name);
        samples.map(|((_, labels), sample)| (&**labels, sample))
    }

    /// Returns the value of the only sample with this name and these labels, a whole number.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let key = (name.to_owned(), labels.collect());
        let sample = self.0.get(&key);
        sample.unwrap_or_else(|| panic!("no {key:?}")).count()
    }

    /// Fails if a counter or a histogram of these metrics is not in the later ones, or is less there.
    pub(crate) fn assert_only_grow(&self, later: &Self) {
        for (key, sample) in &self.0 {
            let is_gauge = !["_total", "_bucket", "_count", "_sum"]
                .iter()
                .any(|suffix| key.0.ends_with(suffix));
            if !is_gauge {
                let after = later.0.get(key).unwrap_or_else(|| panic!("no {key:?}"));
                assert!(
                    after.value >= sample.value,
                    "{key:?}: {sample:?}, {after:?}"
                );
            }
        }
    }
}

/// Parses the labels at the beginning of a text. Returns them, and what comes after them.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (labels, text);
    };
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        let mut unescaped = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => unescaped.push(match characters.next().unwrap().1 {
                    'n' => '\n',
                    it @ ('\\' | '"') => it,
                    other => panic!("\\{other}"),
                }),
                (_, other) => unescaped.push(other),
            }
        };
        labels.push((name.to_owned(), unescaped));
        rest = &value[end + 1..];
        match rest.split_at(1) {
            (",", more) => rest = more,
            ("}", more) => return (labels, more),
            _ => panic!("{rest}"),
        }
    }
}
