//! Documents, as far as tests read them.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// A file of the project, its path relative to the top.
pub fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The paths of all files below a folder that end in `extension`, relative to the top, sorted.
pub fn sources(folder: &str, extension: &str) -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![top.join(folder)];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    let relative = |file: &PathBuf| file.strip_prefix(top).expect("below the top").to_string_lossy().into_owned();
    let mut files: Vec<String> = files.iter().map(relative).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no .{extension}");
    files
}

/// A document, or a section of one.
pub struct Document {
    path: String,
    text: String,
}

impl Document {
    pub fn read(path: &str) -> Self {
        Document { path: path.to_owned(), text: source(path) }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its headings: how many `#`, and the words.
    pub fn headings(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        let mut headings = Vec::new();
        for line in self.text.lines() {
            fenced ^= line.starts_with("```");
            let level = line.bytes().take_while(|&byte| byte == b'#').count();
            if level > 0 && !fenced {
                headings.push((level, line[level..].trim()));
            }
        }
        headings
    }

    /// What stands under a heading, up to the next one of its level or above.
    pub fn section(&self, heading: &str) -> Document {
        let (mut inside, mut fenced, mut text) = (0, false, String::new());
        for line in self.text.lines() {
            fenced ^= line.starts_with("```");
            let level = line.bytes().take_while(|&byte| byte == b'#').count();
            if level > 0 && !fenced && inside > 0 && level <= inside {
                break;
            }
            if inside > 0 {
                text.push_str(line);
                text.push('\n');
            } else if level > 0 && !fenced && line[level..].trim() == heading {
                inside = level;
            }
        }
        assert!(inside > 0, "{} has no heading `{heading}`", self.path);
        Document { path: format!("{}, {heading}", self.path), text }
    }

    /// The bodies of its fences of a kind.
    pub fn fences(&self, kind: &str) -> Vec<String> {
        let mut fences = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            if let Some(found) = line.strip_prefix("```") {
                let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
                if found == kind {
                    fences.push(body.join("\n"));
                }
            }
        }
        fences
    }

    /// The rows of its only table, without the head. Backquotes around a cell are taken off.
    pub fn table(&self) -> Vec<Vec<String>> {
        let rows = self.text.lines().filter(|line| line.starts_with('|')).map(cells);
        let rows: Vec<Vec<String>> = rows.skip(2).collect();
        assert!(!rows.is_empty(), "{} has no table", self.path);
        rows
    }

    /// The first cell of each row of the table whose head begins with `first`.
    pub fn column(&self, first: &str) -> Vec<String> {
        let head = format!("| {first} |");
        let rows = self.text.lines().skip_while(|line| !line.starts_with(&head));
        let rows: Vec<_> =
            rows.take_while(|line| line.starts_with('|')).skip(2).map(|row| cells(row).remove(0)).collect();
        assert!(!rows.is_empty(), "{} has no table of `{first}`", self.path);
        rows
    }

    /// Where its links lead: file and anchor, either of which may be empty.
    pub fn links(&self) -> Vec<(&str, &str)> {
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(|target| target.split_once('#').unwrap_or((target, ""))).collect()
    }
}

/// A `|` inside of backquotes separates nothing.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in row.trim().trim_start_matches('|').trim_end_matches('|').chars() {
        quoted ^= letter == '`';
        match letter {
            '|' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().expect("a cell").push(letter),
        }
    }
    cells.iter().map(|cell| unquoted(cell.trim())).collect()
}

fn unquoted(cell: &str) -> String {
    let inner = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
    inner.filter(|inner| !inner.contains('`')).unwrap_or(cell).to_owned()
}

#[test]
fn links_lead_somewhere() {
    for path in ["README.md", "docs/COMMANDS.md", "docs/RECIPES.md", "CHANGELOG.md"] {
        let document = Document::read(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (file, anchor) in document.links() {
            if file.contains("://") {
                continue;
            }
            let target = if file.is_empty() { path.to_owned() } else { join(folder, file) };
            let target = Document::read(&target);
            let found = target.headings().iter().any(|(_, heading)| slug(heading) == anchor);
            assert!(anchor.is_empty() || found, "{path}: nothing at {file}#{anchor}");
        }
    }
}

fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
