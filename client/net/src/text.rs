//! Text from strangers, made harmless for people to read.
//!
//! Promise: what is printed by way of here moves no cursor, forges no line and turns no text around. It never changes
//! what is stored or sent: names and type names may hold any character, and programs get them as they are.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal, or the reader of a line, takes `c` for more than a character that is shown: control characters
/// (with the ends of lines), what sets the direction of text, and Unicode's own line and paragraph ends.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// `text` on one line, with what is unsafe written as `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |escaped, c| write!(escaped, "{}", c.escape_unicode()))
}

/// `json`, a JSON text, without unsafe characters but the ends of its lines. It says the same to whatever reads JSON.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    escaped(json, |escaped, c| match c {
        // Between values; within strings JSON does not allow it.
        '\n' => escaped.write_char(c),
        _ => write!(escaped, "\\u{:04x}", u32::from(c)),
    })
}

fn escaped(text: &str, write: impl Fn(&mut String, char) -> std::fmt::Result) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        match is_unsafe(c) {
            true => write(&mut escaped, c).expect("a string takes what is written to it"),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_rest_is_as_it_was() {
        for (text, expected) in [
            ("a/b \\ é 名 \u{1f980}", "a/b \\ é 名 \u{1f980}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb\tc\r\0", "a\\u{a}b\\u{9}c\\u{d}\\u{0}"),
            ("\u{7f}\u{80}\u{9f}\u{a0}", "\\u{7f}\\u{80}\\u{9f}\u{a0}"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("\u{2066}\u{2069}\u{2028}", "\\u{2066}\\u{2069}\\u{2028}"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }

    /// Any characters, and often one that is unsafe.
    fn texts() -> impl Strategy<Value = String> {
        let unsafe_ones: Vec<char> = ('\0'..='\u{206f}').filter(|c| is_unsafe(*c)).collect();
        let characters = prop_oneof![any::<char>(), prop::sample::select(unsafe_ones)];
        prop::collection::vec(characters, 0..20).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_unsafe_character_is_escaped_by_itself(one in texts(), other in texts()) {
            let both = format!("{one}{other}");
            let printed = printable(&both);
            prop_assert!(!printed.contains(is_unsafe));
            let apart = format!("{}{}", printable(&one), printable(&other));
            prop_assert_eq!(printed.into_owned(), apart);
            let safe: String = both.chars().filter(|c| !is_unsafe(*c)).collect();
            prop_assert_eq!(printable(&safe).into_owned(), safe);
        }

        #[test]
        fn json_is_harmless_and_says_the_same(key in texts(), value in texts()) {
            let value = serde_json::json!({ key: [value] });
            let json = serde_json::to_string_pretty(&value).unwrap();
            let printed = printable_json(&json);
            prop_assert!(!printed.contains(|c| c != '\n' && is_unsafe(c)));
            let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
            prop_assert_eq!(read, value);
        }
    }
}
