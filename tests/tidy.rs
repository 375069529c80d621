//! Habits of this project, as tests: what a reader of the sources may rely on.

use crate::documents::{Document, source, sources};
use std::collections::BTreeSet;
use std::path::Path;

/// This file names what it forbids.
const HERE: &str = "tests/tidy.rs";

const LINES_MAX: usize = 650;
const FUNCTION_LINES_MAX: usize = 70;

/// The simulations of the domain are tests, though they lie among the sources.
const SIMULATIONS: [&str; 2] = ["src/domain/simulation", "src/domain/fence/simulation"];

/// Files of `folder` but not of `except`, with their text.
fn files(folder: &str, except: &str) -> Vec<(String, String)> {
    let excepted = |path: &String| {
        SIMULATIONS.iter().any(|folder| path.starts_with(folder)) || !except.is_empty() && path.starts_with(except)
    };
    let paths = sources(folder, "rs").into_iter().filter(|path| !excepted(path));
    paths.map(|path| (path.clone(), source(&path))).collect()
}

/// The code of a file: without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let lines = product(text).lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn product(text: &str) -> &str {
    let tests = text.rsplit_once("\n#[cfg(test)]\n").filter(|(_, tests)| tests.contains("mod tests {"));
    tests.map_or(text, |(product, _)| product)
}

/// Whether `word` stands in `text` by itself, and not as a part of a longer one.
fn names(text: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !(word.starts_with(part) && before.ends_with(part) || word.ends_with(part) && after.starts_with(part))
    })
}

/// Fails with every file that breaks the habit.
fn assert_none(habit: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: BTreeSet<String> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{habit}: {offenders:#?}");
}

/// Files that name one of `words` in their code.
fn naming(files: Vec<(String, String)>, words: &[&str]) -> Vec<String> {
    let named = files.into_iter().filter(|(_, text)| words.iter().any(|word| names(&code(text), word)));
    named.map(|(path, _)| path).filter(|path| path != HERE).collect()
}

#[test]
fn only_host_is_unsafe() {
    assert_none("unsafe belongs into src/host", naming(files("src", "src/host/"), &["unsafe"]));
    assert_none("tests and examples are safe", naming(files("tests", ""), &["unsafe"]));
    assert!(source("src/lib.rs").contains("#![deny(unsafe_code)]"));
    assert!(source("src/domain/Cargo.toml").contains("unsafe_code = \"forbid\""));
}

#[test]
fn only_host_knows_the_module_api() {
    assert_none("redis_module belongs into src/host", naming(files("src", "src/host/"), &["redis_module"]));
    assert!(!source("src/domain/Cargo.toml").contains("redis"), "the domain depends on no Redis");
    let upwards = naming(files("src/domain", ""), &["tallybook::", "crate::host"]);
    assert_none("the domain does not know the module", upwards);
}

#[test]
fn only_the_environment_knows_time_and_chance() {
    let words = [
        "api!(RedisModule_Milliseconds",
        "optional_api!(RedisModule_CachedMicroseconds",
        "SystemTime",
        "Instant",
        "rand",
        "getrandom",
    ];
    let mut asking = naming(files("src", "src/host/environment.rs"), &words);
    asking.retain(|path| !path.ends_with("/tests.rs") && !path.contains("/properties"));
    assert_none("time and chance belong into src/host/environment.rs", asking);
}

#[test]
fn only_config_reads_settings() {
    let definitions = naming(files("src", "src/config.rs"), &["Text::new", "env::var", "env::var_os"]);
    assert_none("settings are defined in src/config.rs", definitions);
    let api = naming(files("src", "src/host/config.rs"), &["api!(RedisModule_RegisterStringConfig"]);
    assert_none("the server's settings", api);
    let mut reading = naming(files("src", "src/config.rs"), &["config::log_default"]);
    reading.retain(|path| !path.starts_with("src/commands/"));
    assert_none("handlers hand settings on", reading);
}

/// The commands of the catalog, in capitals.
fn commands() -> Vec<String> {
    let names = source("src/commands/catalog.rs");
    let names = names.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: Vec<String> = names.map(str::to_uppercase).collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[test]
fn every_command_is_in_the_readme_and_the_reference() {
    let (readme, reference) = (Document::read("README.md"), Document::read("docs/COMMANDS.md"));
    let links: BTreeSet<String> = readme.section("Commands").column("command").into_iter().collect();
    let anchor = |name: &str| name.to_lowercase().replace('.', "");
    let linked = |name: &String| format!("[`{name}`](docs/COMMANDS.md#{})", anchor(name));
    assert_eq!(links, commands().iter().map(linked).collect());
    assert_none("without a heading", commands().into_iter().filter(|name| !reference.headings().contains(&(3, name))));
}

#[test]
fn every_command_is_in_a_test() {
    let tests: String = files("tests", "tests/documents").into_iter().map(|(_, text)| text.to_uppercase()).collect();
    assert_none("without a test", commands().into_iter().filter(|name| !tests.contains(name.as_str())));
}

#[test]
fn the_readme_names_tests_that_there_are() {
    let tests: String = files("tests", "")
        .into_iter()
        .map(|(_, text)| text)
        .chain([source("src/domain/fence/simulation.rs")])
        .collect();
    for row in Document::read("README.md").section("Architecture").table() {
        assert!(tests.contains(&format!("fn {}()", row[1])), "{}: no test {}", row[0], row[1]);
    }
}

#[test]
fn documents_name_files_that_there_are() {
    let folders = ["src/", "tests/", "docs/", "examples/", "scripts/"];
    for document in ["README.md", "docs/COMMANDS.md", "docs/FENCE.md", "docs/RECIPES.md", "CHANGELOG.md"] {
        let text = source(document);
        let quoted = text.split('`').filter(|part| folders.iter().any(|folder| part.starts_with(folder)));
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let missing = quoted.filter(|path| !path.contains(' ') && !top.join(path).exists());
        assert_none(document, missing.map(str::to_owned));
    }
}

#[test]
fn no_file_names_a_machine() {
    let folders = ["/home", "/root", "/Users", "/work", "/tmp"];
    let paths = ["src", "tests", "examples"].iter().flat_map(|folder| sources(folder, "rs"));
    let documents = [
        "README.md",
        "CHANGELOG.md",
        "docs/COMMANDS.md",
        "docs/FENCE.md",
        "docs/RECIPES.md",
        "Makefile",
        "redis.conf",
        "Cargo.toml",
    ];
    let named = paths.chain(documents.map(str::to_owned)).filter(|path| path != HERE);
    assert_none(
        "paths of a machine",
        named.filter(|path| folders.iter().any(|folder| source(path).contains(&format!("{folder}/")))),
    );
}

#[test]
fn only_one_place_of_the_tests_sleeps() {
    assert_none("wait_until waits", naming(files("tests", "tests/harness/wait.rs"), &["sleep"]));
}

#[test]
fn files_are_short() {
    let all = files("src", "").into_iter().chain(files("tests", "")).chain(files("examples", ""));
    let long = all.map(|(path, text)| (path, product(&text).lines().count())).filter(|(_, lines)| *lines > LINES_MAX);
    assert_none("too long", long.map(|(path, lines)| format!("{path}: {lines} lines")));
}

#[test]
fn functions_are_short() {
    let all = files("src", "").into_iter().chain(files("tests", "")).chain(files("examples", ""));
    let long = all.flat_map(|(path, text)| {
        let long = functions(&text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.map(|(name, lines)| format!("{path}: {name}: {lines} lines")).collect::<Vec<_>>()
    });
    assert_none("too long", long);
}

/// Names and lengths of the functions of a formatted file: each ends at a brace of its own indentation.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(at) = trimmed
            .find("fn ")
            .filter(|&at| trimmed[..at].chars().all(|letter| letter.is_alphabetic() || " ()\"".contains(letter)))
        else {
            continue;
        };
        let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let name = trimmed[at + 3..].split(['(', '<']).next().unwrap_or_default();
        if let Some(length) = lines[first..].iter().position(|line| *line == end) {
            functions.push((name.to_owned(), length + 1));
        }
    }
    functions
}

#[test]
fn the_length_of_a_function_is_found() {
    let text = "fn a() {\n    fn b() {\n    }\n}\n\nimpl C {\n    pub(super) fn d(\n    ) {\n    }\n}\n";
    let expected = [("a", 4), ("b", 2), ("d", 3)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(functions(text), expected);
}
