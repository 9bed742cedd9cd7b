//! What a machine can see of the house style. One function per rule; each returns the places that break it.
//!
//! It reads text and judges nothing else: whether a reason is a good one is for a reader.

mod crates;
mod folders;
mod supply;
mod words;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Lines a file may have without standing in the list of docs/architecture.md.
const LINES_MAX: usize = 500;
const ARCHITECTURE: &str = "docs/architecture.md";
const SKIPS: &str = "tests/skips.txt";
const CODE: [&str; 5] = ["rs", "py", "pyi", "sh", "c"];
const TEXT: [&str; 9] = ["rs", "py", "pyi", "sh", "c", "md", "toml", "yaml", "yml"];
/// Folders that begin a path on one developer's machine. A made-up home in a test is none.
const MACHINE_FOLDERS: [&str; 3] = ["work", "farm", "root"];

/// A file of the repository: its path from the root, and its text.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    fn is(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.path).extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| extensions.contains(&e)) || self.path == ".ci/run"
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Every broken rule of the repository at `root`, one line each; empty is tidy.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let sources = sources(root)?;
    let architecture = sources.iter().find(|source| source.path == ARCHITECTURE);
    let mut found = Vec::new();
    match architecture {
        Some(page) => {
            found.extend(long_files(&sources, page));
            found.extend(missing_paths(root, page));
        }
        None => found.push(format!("{ARCHITECTURE} does not exist")),
    }
    for source in &sources {
        found.extend(unfinished(source));
        found.extend(machine_paths(source));
        found.extend(unbiased_selects(source));
        found.extend(ignored_tests(source));
        found.extend(folder_files(source));
        found.extend(unsafe_elsewhere(source));
        found.extend(crates::wrong_direction(source));
    }
    let skips = fs::read_to_string(root.join(SKIPS)).context(SKIPS)?;
    found.extend(unknown_skips(&sources, &skips));
    found.extend(words::check(&sources, &words::Lists::read(root)?));
    found.extend(folders::check(&sources, &folders::Rules::read(root)?));
    found.extend(supply::check(root)?);
    Ok(found)
}

/// All files under version control, or about to be, that we write as text.
pub fn sources(root: &Path) -> Result<Vec<Source>> {
    let listed = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("git ls-files")?;
    ensure!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let mut sources = Vec::new();
    for path in String::from_utf8(listed.stdout)?
        .split('\0')
        .filter(|path| !path.is_empty())
    {
        let source = Source {
            path: path.to_owned(),
            text: String::new(),
        };
        // A file that is listed but gone is about to be removed.
        if source.is(&TEXT) && root.join(path).is_file() {
            let text = fs::read_to_string(root.join(path)).with_context(|| path.to_owned())?;
            sources.push(Source { text, ..source });
        }
    }
    Ok(sources)
}

/// Names in the list of skips that no test has, and no file: what they excused is gone or has another name.
fn unknown_skips(sources: &[Source], skips: &str) -> Vec<String> {
    let known = |name: &str| {
        let (rust, python) = (format!("fn {name}("), format!("def {name}("));
        sources.iter().any(|source| {
            source.path.ends_with(&format!("/{name}"))
                || source.is(&CODE)
                    && (source.text.contains(&rust) || source.text.contains(&python))
        })
    };
    skips
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !known(name))
        .map(|name| format!("{SKIPS}: no test is named {name}"))
        .collect()
}

/// Long files whose path and reason are not in a list item of the architecture page.
fn long_files(sources: &[Source], page: &Source) -> Vec<String> {
    let listed = |path: &str| {
        let item = format!("`{path}`");
        page.text
            .lines()
            .any(|line| line.trim_start().starts_with(['*', '-', '|']) && line.contains(&item))
    };
    let long = sources.iter().filter(|source| source.is(&CODE));
    long.map(|source| (source, source.text.lines().count()))
        .filter(|(source, lines)| *lines > LINES_MAX && !listed(&source.path))
        .map(|(source, lines)| {
            format!(
                "{}: {lines} lines; split it, or list it with its reason in {ARCHITECTURE}",
                source.path
            )
        })
        .collect()
}

/// Paths that the architecture page names in backticks and that do not exist.
fn missing_paths(root: &Path, page: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in page.numbered() {
        for quoted in text.split('`').skip(1).step_by(2) {
            for path in alternatives(quoted)
                .iter()
                .filter(|path| names_a_path(path))
            {
                if !root.join(path).exists() {
                    found.push(format!("{ARCHITECTURE}:{line}: {path} does not exist"));
                }
            }
        }
    }
    found
}

/// A quoted text that can only be meant as a path of this repository.
fn names_a_path(text: &str) -> bool {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let ending = Path::new(text).extension().and_then(|e| e.to_str());
    let has_ending = ending.is_some_and(|e| TEXT.contains(&e));
    let outside = text.starts_with(['/', '-']) || text.starts_with("target/");
    plain && !outside && (has_ending || text.contains('/'))
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn alternatives(text: &str) -> Vec<String> {
    let split = text.split_once('{').and_then(|(before, rest)| {
        rest.split_once('}')
            .map(|(inside, after)| (before, inside, after))
    });
    match split {
        None => vec![text.to_owned()],
        Some((before, inside, after)) => inside
            .split(',')
            .flat_map(|choice| alternatives(&format!("{before}{}{after}", choice.trim())))
            .collect(),
    }
}

fn unfinished(source: &Source) -> Vec<String> {
    // Spelled apart, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    lines_with(source, "left undone", |line| {
        marks.iter().any(|mark| line.contains(mark))
    })
}

fn machine_paths(source: &Source) -> Vec<String> {
    lines_with(source, "a path of one machine", |line| {
        MACHINE_FOLDERS.iter().any(|folder| {
            let needle = format!("/{folder}/");
            line.match_indices(&needle).any(|(at, _)| {
                !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-}$".contains(c))
            })
        })
    })
}

/// A `select!` picks a random branch unless it says `biased`, and what is random cannot be replayed.
fn unbiased_selects(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = source
        .numbered()
        .filter(|_| source.path.ends_with(".rs"))
        .peekable();
    let needle = concat!("select", "! {");
    while let Some((line, text)) = lines.next() {
        let Some((_, rest)) = text.split_once(needle) else {
            continue;
        };
        let next = lines.peek().map_or("", |(_, next)| next.trim());
        let says_so = [rest.trim(), next]
            .iter()
            .any(|said| said.starts_with("biased;"));
        if !says_so && !text.trim_start().starts_with("//") {
            found.push(format!(
                "{}:{line}: a select without `biased;`",
                source.path
            ));
        }
    }
    found
}

fn ignored_tests(source: &Source) -> Vec<String> {
    let mark = concat!("#[", "ignore");
    lines_with(source, "a test that is never run", |line| {
        line.trim_start().starts_with(mark)
    })
}

fn folder_files(source: &Source) -> Vec<String> {
    let named = Path::new(&source.path)
        .file_name()
        .is_some_and(|name| name == "mod.rs");
    named
        .then(|| {
            format!(
                "{}: a folder's own file is named for the folder",
                source.path
            )
        })
        .into_iter()
        .collect()
}

fn unsafe_elsewhere(source: &Source) -> Vec<String> {
    let allowed = ["store/shm/", "client/python/src/buffer.rs"]
        .iter()
        .any(|folder| source.path.starts_with(folder));
    let mark = concat!("(unsafe", "_code");
    lines_with(source, "unsafe code outside store/shm", |line| {
        !allowed && line.contains(mark)
    })
}

fn lines_with(source: &Source, what: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    let hits = source.numbered().filter(|(_, text)| bad(text));
    hits.map(|(line, _)| format!("{}:{line}: {what}", source.path))
        .collect()
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

    #[test]
    fn the_repository_is_tidy() {
        let untidy = check(&crate::binaries::root()).unwrap();
        assert!(untidy.is_empty(), "\n{}", untidy.join("\n"));
    }

    #[test]
    fn braces_name_several_paths() {
        assert_eq!(alternatives("a/{b,c}/d.rs"), ["a/b/d.rs", "a/c/d.rs"]);
        assert!(names_a_path("raft/src/state") && names_a_path("README.md"));
        assert!(!names_a_path("State::apply") && !names_a_path("/metrics") && !names_a_path("put"));
    }

    #[test]
    fn a_missing_path_is_found_and_an_existing_one_is_not() {
        let root = crate::binaries::root();
        let page = source(
            ARCHITECTURE,
            "see `tests/src/tidy.rs` and `tests/src/untidy.rs`",
        );
        let found = missing_paths(&root, &page);
        assert_eq!(
            found,
            ["docs/architecture.md:1: tests/src/untidy.rs does not exist"]
        );
    }

    #[test]
    fn a_long_file_needs_its_reason_in_the_list() {
        let long = [
            source("a.rs", &"\n".repeat(501)),
            source("b.rs", &"\n".repeat(500)),
        ];
        assert_eq!(long_files(&long, &source(ARCHITECTURE, "`a.rs`")).len(), 1);
        assert!(long_files(&long, &source(ARCHITECTURE, "* `a.rs`: one table")).is_empty());
    }

    #[test]
    fn a_skip_names_a_test_or_a_file_that_exists() {
        let sources = [
            source("a/b.rs", "fn one() {}"),
            source("a/c.py", "def two(client):"),
        ];
        let skips = "# NAME REASON\none root\ntwo pandas\nc.py peer\nthree gone";
        assert_eq!(
            unknown_skips(&sources, skips),
            ["tests/skips.txt: no test is named three"]
        );
    }

    #[test]
    fn each_rule_sees_what_it_forbids() {
        let machine = format!("see /{}/main", "work");
        assert_eq!(machine_paths(&source("a.md", &machine)).len(), 1);
        assert!(machine_paths(&source("a.md", "see net/work/main")).is_empty());
        let select = format!("tokio::select{}\n    a = b", "! {");
        assert_eq!(unbiased_selects(&source("a.rs", &select)).len(), 1);
        let biased = format!("tokio::select{}\n    biased;", "! {");
        assert!(unbiased_selects(&source("a.rs", &biased)).is_empty());
        assert_eq!(unfinished(&source("a.rs", concat!("// TO", "DO"))).len(), 1);
    }
}
