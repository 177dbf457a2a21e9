//! The imports of a source file, found in its words and signs.

/// A path that a file uses.
pub(super) struct Written {
    pub(super) line: usize,
    /// From the crate's root.
    pub(super) path: Vec<String>,
    /// The name under which the file knows it.
    pub(super) name: String,
}

/// Returns what a file imports from the crate, by `use` or by paths within its code.
pub(super) fn imports(file: &str, text: &str) -> Vec<Written> {
    let tokens = without_tests(&tokens(text));
    let stem = file.trim_end_matches("mod.rs").trim_end_matches(".rs");
    let module = stem.split('/').filter(|it| !it.is_empty());
    let module: Vec<_> = module.map(str::to_owned).collect();
    let mut found = Vec::new();
    for (at, (_, token)) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| &*tokens[before].1);
        let is_path = tokens.get(at + 1).is_some_and(|(_, next)| next == "::");
        if matches!(before, "$" | "::") {
            continue;
        }
        match &**token {
            "crate" | "tracer" if is_path => tree(&tokens, at + 2, &[], &mut found),
            "self" | "super" if is_path => tree(&tokens, at, &module, &mut found),
            // In a `mod.rs` a name alone is a child or another crate.
            _ if before == "use" && file.ends_with("mod.rs") => {
                tree(&tokens, at, &module, &mut found)
            }
            _ => continue,
        };
    }
    found
}

/// Reads a path, or a tree of paths in braces. Returns where it ends.
fn tree(tokens: &[Token], start: usize, module: &[String], found: &mut Vec<Written>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| token);
    let mut path = module.to_vec();
    let mut at = start;
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while token(at) != "}" {
                    at = tree(tokens, at, &path, found);
                    at += usize::from(token(at) == ",");
                }
                return at + 1;
            }
            "super" => drop(path.pop()),
            "self" | "*" => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
        if token(at) != "::" || token(at + 1) == "<" {
            break;
        }
        at += 1;
    }
    let line = tokens[at - 1].0;
    let name = if token(at) == "as" {
        at += 2;
        token(at - 1).to_owned()
    } else {
        path.last().cloned().unwrap_or_default()
    };
    found.push(Written { line, path, name });
    at
}

/// A word or a sign, and its line.
type Token = (usize, String);

/// Splits a source text into words and signs, without its comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = literal(rest) {
            length
        } else {
            let length = match rest.find(|it| !is_word(it)).unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            if !first.is_whitespace() {
                tokens.push((line, rest[..length].to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of the string or character with which the text begins.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('b').unwrap_or(text).strip_prefix('r');
    if let Some(raw) = raw.filter(|it| it.trim_start_matches('#').starts_with('"')) {
        let hashes = raw.find('"')?;
        let inside = text.len() - raw.len() + hashes + 1;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(inside + text[inside..].find(&end)? + end.len());
    }
    let quote = text.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let mut is_escaped = false;
    let (end, _) = text.char_indices().skip(1).find(|(_, it)| {
        let is_end = *it == quote && !is_escaped;
        is_escaped = *it == '\\' && !is_escaped;
        is_end
    })?;
    // A lifetime has no quote after its first character.
    let is_lifetime = quote == '\'' && !text.starts_with("'\\") && text[..end].chars().count() > 2;
    (!is_lifetime).then_some(end + 1)
}

/// Removes the items that exist in tests only: those under `cfg(test)` or `cfg(all(…, test))`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| token);
    // Returns where the bracket that opens at `start` closes.
    let end = |start: usize| {
        let mut depth = 0;
        let ends = |at: &usize| {
            depth += i32::from(matches!(token(*at), "(" | "[" | "{"));
            depth -= i32::from(matches!(token(*at), ")" | "]" | "}"));
            depth == 0
        };
        (start..tokens.len()).find(ends).unwrap_or(tokens.len())
    };
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if token(at) == "#" && token(at + 1) == "[" {
            let attribute = end(at + 1);
            let has = |word| (at..attribute).any(|at| token(at) == word);
            if has("cfg") && has("test") && !has("any") && !has("not") {
                let item = attribute..tokens.len();
                let body = { item }.find(|at| matches!(token(*at), ";" | "{"));
                at = body.map_or(tokens.len(), end) + 1;
                continue;
            }
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}
