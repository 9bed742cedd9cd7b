//! The words of this tree: names that were given up, and phrases that a newcomer has to read twice.
//!
//! The lists are data, in tests/words; here is only how a text is searched for them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{CODE, Source};

const FOLDER: &str = "tests/words";
/// Columns that a line of a comment may have: rustfmt breaks code, and leaves comments alone.
const COLUMNS_MAX: usize = 120;
/// What may stand before the text of a line, without being a part of it.
const LEADERS: [&str; 6] = ["///", "//!", "//", "#", ">", "*"];
const COMMENT_LEADERS: [&str; 2] = ["//", "#"];
/// Of a list that has to match as a whole word; a phrase that ends so matches every word that begins like it.
const STEM: char = '*';

/// The lists of tests/words.
#[derive(Debug, Default)]
pub(super) struct Lists {
    renamed: Vec<Renamed>,
    phrases: Vec<String>,
    /// Path prefixes whose phrases and columns are not judged yet.
    uncleaned: Vec<String>,
}

/// A name that was given up below a path, and what the thing is called since.
#[derive(Debug)]
struct Renamed {
    below: String,
    old: String,
    new: String,
}

impl Lists {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = root.join(FOLDER).join(name);
            fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        Self::parse(
            &read("renamed.txt")?,
            &read("phrases.txt")?,
            &read("uncleaned.txt")?,
        )
    }

    fn parse(renamed: &str, phrases: &str, uncleaned: &str) -> Result<Self> {
        let rows = |text: &str| -> Vec<String> {
            let rows = text.lines().filter(|row| !row.starts_with('#'));
            rows.filter(|row| !row.trim().is_empty())
                .map(str::to_owned)
                .collect()
        };
        let renamed = rows(renamed).into_iter().map(|row| {
            let cells: Vec<&str> = row.split('\t').collect();
            ensure!(cells.len() == 3, "{FOLDER}/renamed.txt: {row:?}");
            Ok(Renamed {
                below: cells[0].to_owned(),
                old: cells[1].to_owned(),
                new: cells[2].to_owned(),
            })
        });
        Ok(Self {
            renamed: renamed.collect::<Result<_>>()?,
            phrases: rows(phrases)
                .iter()
                .map(|row| Prose::of(row).text)
                .collect(),
            uncleaned: rows(uncleaned),
        })
    }
}

/// Every place that uses a word of the lists, or a comment that is too wide.
pub(super) fn check(sources: &[Source], lists: &Lists) -> Vec<String> {
    let mut found = Vec::new();
    let mut still_unclean = vec![false; lists.uncleaned.len()];
    for source in sources {
        found.extend(old_names(source, &lists.renamed));
        let mut unclear = phrases(source, &lists.phrases);
        unclear.extend(wide_comments(source));
        let excused = lists
            .uncleaned
            .iter()
            .position(|prefix| source.path.starts_with(prefix));
        match excused {
            Some(at) => still_unclean[at] |= !unclear.is_empty(),
            None => found.extend(unclear),
        }
    }
    let clean = lists
        .uncleaned
        .iter()
        .zip(still_unclean)
        .filter(|(_, is)| !is);
    found.extend(
        clean.map(|(prefix, _)| {
            format!("{FOLDER}/uncleaned.txt: {prefix} is clean: remove this line")
        }),
    );
    found
}

fn old_names(source: &Source, renamed: &[Renamed]) -> Vec<String> {
    let rows = renamed.iter().filter(|row| {
        source.path.strip_prefix(&row.below).is_some_and(|rest| {
            row.below.ends_with('/') || rest.is_empty() || rest.starts_with('/')
        })
    });
    let mut found = Vec::new();
    for Renamed { below, old, new } in rows {
        let tell = |place: String| format!("{place}: {old} was renamed to {new}");
        let inside = &source.path[below.len()..];
        if inside
            .split('/')
            .any(|part| part == old || part.split('.').next() == Some(old.as_str()))
        {
            found.push(tell(source.path.clone()));
        }
        if source.is(&CODE) {
            let lines = source
                .numbered()
                .filter(|(_, text)| places(text, old).next().is_some());
            found.extend(lines.map(|(line, _)| tell(format!("{}:{line}", source.path))));
        }
    }
    found
}

fn phrases(source: &Source, phrases: &[String]) -> Vec<String> {
    let prose = Prose::of(&source.text);
    let mut found = Vec::new();
    for phrase in phrases {
        for at in places(&prose.text, phrase) {
            let line = prose.line(at);
            found.push(format!(
                "{}:{line}: say {phrase:?} in plain words",
                source.path
            ));
        }
    }
    found
}

fn wide_comments(source: &Source) -> Vec<String> {
    let wide = source.numbered().filter(|(_, text)| {
        let comment = COMMENT_LEADERS
            .iter()
            .any(|leader| text.trim_start().starts_with(leader));
        source.is(&CODE) && comment && text.chars().count() > COLUMNS_MAX
    });
    wide.map(|(line, _)| {
        format!(
            "{}:{line}: a comment over {COLUMNS_MAX} columns",
            source.path
        )
    })
    .collect()
}

/// Where `wanted` stands in `text` as a word or several: not within a longer one, unless it ends with `*`.
fn places<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let stem = wanted.strip_suffix(STEM);
    let word = stem.unwrap_or(wanted);
    let begins = word.starts_with(is_word);
    let ends = stem.is_none() && word.ends_with(is_word);
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let cut_before = begins && text[..*at].ends_with(is_word);
            let cut_after = ends && text[at + word.len()..].starts_with(is_word);
            !cut_before && !cut_after
        })
}

/// A text in one line of lower case with single spaces, so that a sentence is found whatever its breaks.
struct Prose {
    text: String,
    /// For each line of the file, where it begins in `text`.
    begins: Vec<usize>,
}

impl Prose {
    fn of(text: &str) -> Self {
        let mut prose = Self {
            text: String::new(),
            begins: Vec::new(),
        };
        for line in text.lines() {
            prose.begins.push(prose.text.len());
            let mut line = line.trim();
            for leader in LEADERS {
                line = line.strip_prefix(leader).unwrap_or(line).trim_start();
            }
            for word in line.split_whitespace() {
                if !prose.text.is_empty() {
                    prose.text.push(' ');
                }
                prose.text.push_str(&word.to_lowercase());
            }
        }
        prose
    }

    /// The number of the line with what stands at `at`. A line's first word stands after the space that parts it from
    /// the line before.
    fn line(&self, at: usize) -> usize {
        self.begins.partition_point(|begin| *begin < at.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn lists(renamed: &str, phrases: &str, uncleaned: &str) -> Lists {
        Lists::parse(renamed, phrases, uncleaned).unwrap()
    }

    #[test]
    fn a_phrase_is_found_across_lines_of_a_comment_and_named_with_its_line() {
        let lists = lists("", "a red  herring\ngrud*\n", "");
        let text = "//! Fine.\n\n    /// It is a\n    /// Red herring, no grudges.\n";
        assert_eq!(
            check(&[source("a.rs", text)], &lists),
            [
                "a.rs:3: say \"a red herring\" in plain words",
                "a.rs:4: say \"grud*\" in plain words"
            ]
        );
        let innocent = source("a.md", "a red herrings, begrudged; a_red herring");
        assert!(check(&[innocent], &lists).is_empty());
    }

    #[test]
    fn an_old_name_is_found_as_a_whole_word_below_its_path_and_in_paths() {
        let lists = lists("# old\na/src\tvane\tvault\n", "", "");
        let text = "let vane = weather_vane(vanes);";
        let found = |path: &str| check(&[source(path, text)], &lists).len();
        assert_eq!((found("a/src/b.rs"), found("a/src/vane/b.rs")), (1, 2));
        assert_eq!((found("b/src/b.rs"), found("a/srcs/b.rs")), (0, 0));
        let none = source("a/src/b.rs", "let vanes = weather_vane();");
        assert!(check(&[none], &lists).is_empty());
        assert!(Lists::parse("a\tb\n", "", "").is_err());
    }

    #[test]
    fn a_comment_is_at_most_so_wide_and_code_is_not_judged() {
        let wide = "x".repeat(COLUMNS_MAX);
        let comments = source("a.rs", &format!("// {wide}\nlet a = \"{wide}\";"));
        assert_eq!(check(&[comments], &Lists::default()).len(), 1);
        let page = source("a.md", &format!("# {wide}"));
        assert!(check(&[page], &Lists::default()).is_empty());
    }

    #[test]
    fn an_excuse_ends_when_it_is_not_needed() {
        let lists = lists("", "a red herring\n", "a/\nb/\n");
        let sources = [source("a/x.rs", "// A red herring."), source("b/x.rs", "")];
        assert_eq!(
            check(&sources, &lists),
            ["tests/words/uncleaned.txt: b/ is clean: remove this line"]
        );
    }
}
