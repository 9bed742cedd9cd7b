//! Which way dependencies point between the folders of one crate or package, and how many files lie loose in it.
//!
//! The rules are data, in tests/folders.txt. A part is a folder with the file of its name, or a loose file. Tests of a
//! part may use any other, and so may the crate's own file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Source;

const RULES: &str = "tests/folders.txt";
/// Loose files that a folder with rules may have.
const LOOSE_MAX: usize = 15;
/// Files that are no part of their own: they say what there is.
const ROOTS: [&str; 4] = ["lib", "main", "__init__", "testing"];
/// What in the rules stands for each loose file that has no row.
const LOOSE: &str = ".";

/// What in the rules stands for the number of loose files.
const BOUND: &str = "*";

/// For each folder, its parts and what they may use.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Rules {
    pub(super) fn read(root: &Path) -> Result<Self> {
        Self::parse(&fs::read_to_string(root.join(RULES)).context(RULES)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut rules = Self::default();
        let rows = text
            .lines()
            .filter(|row| !row.starts_with('#') && !row.is_empty());
        for row in rows {
            let cells: Vec<&str> = row.split('\t').collect();
            ensure!(cells.len() == 3, "{RULES}: {row:?}");
            let allowed = cells[2].split_whitespace().map(str::to_owned).collect();
            let parts = rules.0.entry(cells[0].to_owned()).or_default();
            parts.insert(cells[1].to_owned(), allowed);
        }
        Ok(rules)
    }
}

/// Every use that no rule allows, every part without a rule, every folder with too many loose files.
pub(super) fn check(sources: &[Source], rules: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, parts) in &rules.0 {
        let files = Files::of(sources, folder);
        let bound = parts
            .get(BOUND)
            .and_then(|number| number.first()?.parse().ok());
        if files.loose > bound.unwrap_or(LOOSE_MAX) {
            found.push(format!(
                "{folder}: {} loose files; {LOOSE_MAX} are many",
                files.loose
            ));
        }
        for (part, source) in &files.parts {
            let Some(allowed) = parts.get(*part).or_else(|| parts.get(LOOSE)) else {
                found.push(format!("{}: {RULES} has no row for {part}", source.path));
                continue;
            };
            for (line, used) in uses(source, folder) {
                let is_part = files.parts.iter().any(|(other, _)| *other == used);
                if is_part && used != *part && !allowed.contains(&used) {
                    found.push(format!(
                        "{}:{line}: {part} must not use {used}",
                        source.path
                    ));
                }
            }
        }
        let gone = parts.keys().filter(|part| {
            ![LOOSE, BOUND].contains(&part.as_str())
                && !files.parts.iter().any(|(other, _)| other == part)
        });
        found.extend(gone.map(|part| format!("{RULES}: {folder} has no {part}")));
    }
    found
}

/// The files of a folder by the part that they belong to, without tests.
struct Files<'a> {
    parts: Vec<(&'a str, &'a Source)>,
    loose: usize,
}

impl<'a> Files<'a> {
    fn of(sources: &'a [Source], folder: &str) -> Self {
        let mut files = Self {
            parts: Vec::new(),
            loose: 0,
        };
        for source in sources {
            let rest = source.path.strip_prefix(folder);
            let Some(inside) = rest.and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let is_code = inside.ends_with(".rs") || inside.ends_with(".py");
            files.loose += usize::from(is_code && !inside.contains('/'));
            let part = inside.split(['/', '.']).next().unwrap_or_default();
            let is_test = inside.split(['/', '.']).any(|name| name == "tests");
            if is_code && !is_test && !ROOTS.contains(&part) {
                files.parts.push((part, source));
            }
        }
        files
    }
}

/// The first name of each path into the folder that a file uses, with its line.
fn uses(source: &Source, folder: &str) -> Vec<(usize, String)> {
    let inside = &source.path[folder.len() + 1..];
    match inside.strip_suffix(".rs") {
        Some(module) => rust_uses(source, &module.split('/').collect::<Vec<_>>()),
        None => python_uses(source, folder, inside.split('/').count() - 1),
    }
}

/// `crate::a::b`, `crate::{a, b::{c}}` and as many `super::` as lead out of the part. `module` is the file's own path.
fn rust_uses(source: &Source, module: &[&str]) -> Vec<(usize, String)> {
    let code = without_comments(&source.text);
    let mut used = Vec::new();
    let mut add = |at: usize, rest: &str| {
        let line = code[..at].matches('\n').count() + 1;
        used.extend(first_names(rest).into_iter().map(|name| (line, name)));
    };
    for (at, word) in code.match_indices("crate::") {
        let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c));
        if is_whole {
            add(at, &code[at + word.len()..]);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let rest = code[at..].trim_start_matches("super::");
        let up = (code[at..].len() - rest.len()) / "super::".len();
        if up >= module.len() {
            add(at, rest);
        }
    }
    used
}

/// `a` of `a::b`, and each first name of `{a, b::{c, d}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut names = vec![name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The code without line comments and without the tests at its end; its lines keep their numbers.
fn without_comments(text: &str) -> String {
    let product = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let lines = product
        .lines()
        .map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// `from .a import`, `from . import a` and `from package.folder.a import`, of a file `depth` folders below.
fn python_uses(source: &Source, folder: &str, depth: usize) -> Vec<(usize, String)> {
    let package: Vec<&str> = folder.split('/').collect();
    let mut used = Vec::new();
    for (line, text) in source.numbered() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (module, names) = match words.as_slice() {
            ["from", module, "import", names @ ..] => (*module, names),
            ["import", module, ..] => (*module, &[][..]),
            _ => continue,
        };
        let rest = module.trim_start_matches('.');
        let dots = module.len() - rest.len();
        let inside = match dots {
            0 => absolute(rest, &package),
            _ if dots == depth + 1 => Some(rest),
            _ => None,
        };
        match inside {
            Some("") => used.extend(names.iter().map(|name| {
                let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
                (line, name.to_owned())
            })),
            Some(path) => used.extend(path.split('.').next().map(|name| (line, name.to_owned()))),
            None => {}
        }
    }
    used
}

/// What follows the folder's own name in the dotted name of a module; the package begins somewhere on the folder's
/// path.
fn absolute<'a>(module: &'a str, folder: &[&str]) -> Option<&'a str> {
    (0..folder.len()).find_map(|from| {
        let rest = module.strip_prefix(&folder[from..].join("."))?;
        rest.strip_prefix('.').or(rest.is_empty().then_some(""))
    })
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

    fn names(source: &Source, folder: &str) -> Vec<String> {
        uses(source, folder)
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn every_way_to_name_another_part_is_seen() {
        let text = "use crate::a::X;\nuse crate::{b::{Y, Z}, c, d as e};\n// crate::f\nlet g = super::super::g::W;\n\
                    use super::own;\n#[cfg(test)]\nmod tests { use crate::h; }";
        assert_eq!(
            names(&source("n/src/part/file.rs", text), "n/src"),
            ["a", "b", "c", "d", "g"]
        );
        let text = "from . import a, b\nfrom .c.d import x\nfrom ..e import y\nimport p.core.f\nfrom p.core import g\n\
                    from p.other import h\n";
        assert_eq!(
            names(&source("x/p/core/file.py", text), "x/p/core"),
            ["a", "b", "c", "f", "g"]
        );
        let below = source(
            "x/p/core/part/file.py",
            "from ..a import x\nfrom .b import y\n",
        );
        assert_eq!(names(&below, "x/p/core"), ["a"]);
    }

    #[test]
    fn a_use_against_the_rules_is_found() {
        let rules = Rules::parse("n\tlow\t\nn\thigh\tlow\n").unwrap();
        let sources = [
            source("n/low.rs", "use crate::high::X;"),
            source("n/low/tests.rs", "use crate::high::X;"),
            source("n/high.rs", "use crate::low::X;"),
            source("n/new.rs", ""),
            source("n/lib.rs", "use crate::high::X;"),
        ];
        assert_eq!(
            check(&sources, &rules),
            [
                "n/low.rs:1: low must not use high",
                "n/new.rs: tests/folders.txt has no row for new"
            ]
        );
        let gone = Rules::parse("n\told\t\n").unwrap();
        assert_eq!(check(&[], &gone), ["tests/folders.txt: n has no old"]);
    }

    #[test]
    fn loose_files_are_counted() {
        let rules = Rules::parse("n\t.\t\n").unwrap();
        let files = |count| -> Vec<Source> {
            let name = |number| source(&format!("n/f{number}.py"), "");
            (0..count).map(name).collect()
        };
        assert!(check(&files(LOOSE_MAX), &rules).is_empty());
        assert_eq!(check(&files(LOOSE_MAX + 1), &rules).len(), 1);
        let more = Rules::parse("n\t.\t\nn\t*\t16\n").unwrap();
        assert!(check(&files(LOOSE_MAX + 1), &more).is_empty());
    }
}
