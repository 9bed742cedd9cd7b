//! How `list` verbs match: shell wildcards (`fnmatch` without flags) or a regular expression that must match the whole.

use regex::Regex;

/// A compiled pattern. A list compares every object, so the usual patterns are matched without a regular expression.
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
    Regex(Regex),
    /// Matches nothing: an invalid pattern, as the protocol has it.
    Nothing,
}

impl Pattern {
    pub(crate) fn new(pattern: &str, regex: bool) -> Self {
        let source = match regex {
            true => pattern.to_owned(),
            false => {
                let is_plain = |text: &str| !text.contains(['*', '?', '[', '\\']);
                match pattern.strip_suffix('*') {
                    Some(prefix) if is_plain(prefix) => return Self::Prefix(prefix.to_owned()),
                    None if is_plain(pattern) => return Self::Exact(pattern.to_owned()),
                    _ => wildcard_to_regex(pattern),
                }
            }
        };
        let compiled = Regex::new(&format!("(?s)\\A(?:{source})\\z"));
        compiled.map_or(Self::Nothing, Self::Regex)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(whole) => text == whole,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Regex(regex) => regex.is_match(text),
            Self::Nothing => false,
        }
    }
}

/// `*` and `?` match `/` and `:` too; `[...]` and `[!...]` are sets; a backslash quotes.
fn wildcard_to_regex(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            '[' => match bracket(rest.as_str()) {
                Some((set, used)) => {
                    out.push_str(&set);
                    rest = rest.as_str()[used..].chars();
                }
                None => out.push_str("\\["),
            },
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out
}

/// The set after `[` as a regex class, and its length in bytes; `None` if it is not closed.
fn bracket(rest: &str) -> Option<(String, usize)> {
    let negated = rest.starts_with(['!', '^']);
    let body_at = usize::from(negated);
    // A `]` that comes first is a member, not the end.
    let first = rest[body_at..].chars().next()?;
    let end = body_at + first.len_utf8() + rest[body_at + first.len_utf8()..].find(']')?;
    let mut class = String::from(if negated { "[^" } else { "[" });
    for c in rest[body_at..end].chars() {
        match c {
            '-' => class.push('-'),
            c => class.push_str(&escape_in_class(c)),
        }
    }
    class.push(']');
    Some((class, end + 1))
}

fn escape_in_class(c: char) -> String {
    match c {
        '[' | ']' | '\\' | '^' | '&' | '~' => format!("\\{c}"),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn wildcards_match_slashes_and_colons() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "vineyard::Tensor<int64>", true),
            ("vineyard::*", "vineyard::Blob", true),
            ("vineyard::*", "vineyard:", false),
            ("vineyard::Blob", "vineyard::Blob", true),
            ("vineyard::Blob", "vineyard::Blobs", false),
            ("*::Blob", "vineyard::Blob", true),
            ("a**", "ab", true),
            ("a?c", "a/c", true),
            ("a?c", "ac", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[a-c]x", "bx", true),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a.c", "abc", false),
            ("{a,b}", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern, false).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_regular_expression_must_match_the_whole() {
        assert!(Pattern::new("a.*|b", true).matches("abc"));
        assert!(!Pattern::new("a", true).matches("ab"));
        assert!(!Pattern::new("(", true).matches("("));
    }
}
