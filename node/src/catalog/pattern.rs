//! How `list` verbs match: shell wildcards (`fnmatch` without flags) or a regular expression that must match the whole.

use regex::Regex;

/// A compiled pattern. An invalid one matches nothing, as the protocol has it.
pub(crate) struct Pattern(Option<Regex>);

impl Pattern {
    pub(crate) fn new(pattern: &str, regex: bool) -> Self {
        let source = if regex {
            pattern.to_owned()
        } else {
            wildcard_to_regex(pattern)
        };
        Self(Regex::new(&format!("(?s)\\A(?:{source})\\z")).ok())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
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

/// The set after `[`, as a regex class, and the bytes it took; `None` if it never closes.
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
