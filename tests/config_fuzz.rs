//! No input is a crash: any text, any mutation of a file and any override gives a document or errors that
//! can be shown. Each error has a place, and no output changes the terminal.
//!
//! `PROPTEST_CASES=100000 cargo test --test config_fuzz` tries more cases.

use proptest::prelude::*;
use proptest::sample::Index;
use regex::Regex;
use runner::config::{self, Diagnostics};
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Cases of each test, unless the environment variable `PROPTEST_CASES` is set.
const CASES: u32 = 300;

/// A case takes some milliseconds. If the cost of an input grew without bound, it would take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// The YAML files in a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml");
    let mut paths: Vec<PathBuf> = paths.filter(yaml).collect();
    paths.sort();
    paths
}

/// All committed experiments, and then all files with mistakes.
static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let paths = [files("experiments"), files("tests/bad")].concat();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
});

fn settings() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => default.cases,
            None => CASES,
        },
        failure_persistence: None,
        ..default
    }
}

/// Reads, expands and renders; whatever it gives, it must give something.
fn exercise(text: &str, overrides: &[String]) {
    let start = Instant::now();
    match config::from_text("fuzz.yaml", text, overrides) {
        Err(errors) => assert_can_be_shown(&errors),
        Ok(document) => {
            assert!(!has_control_character(&document.notes().join("\n")));
            match document.expand() {
                Err(errors) => assert_can_be_shown(&errors),
                Ok(expansion) => {
                    assert!(!expansion.runs.is_empty());
                    let parts = expansion.parts.iter().copied();
                    if let Some(warnings) = document.warnings(expansion.runs.iter().zip(parts)) {
                        assert!(warnings.render(false).starts_with("warning: "));
                    }
                    // What a run stores can be read again.
                    for run in [expansion.runs.first(), expansion.runs.last()] {
                        config::check_run(run.unwrap()).unwrap();
                    }
                }
            }
        }
    }
    let taken = start.elapsed();
    assert!(taken < LIMIT, "took {taken:?}");
}

fn assert_can_be_shown(errors: &Diagnostics) {
    static PLACE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^ *--> (fuzz\.yaml|command line):\d+:\d+$").unwrap());
    assert!(errors.len() > 0);
    let text = errors.render(false);
    assert!(text.starts_with("error: "));
    assert!(errors.render(true).contains('\u{1b}'));
    assert!(!has_control_character(&text), "{text:?}");
    let titles = text.lines().filter(|line| line.starts_with("error: "));
    assert!(PLACE.find_iter(&text).count() >= titles.count(), "{text}");
}

/// Whether a text has a character that a terminal carries out, or that changes the direction of text.
fn has_control_character(text: &str) -> bool {
    text.contains(|c: char| {
        let is_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        is_direction || c.is_control() && !matches!(c, '\n' | '\t')
    })
}

/// Pieces that YAML is made of, and some that it is not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "- ",
            ": ",
            "? ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "<<",
            "|",
            ">",
            "\"",
            "'",
            "#",
            "\n",
            "\n  ",
            "\t",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "!",
            "!!int ",
            "~",
            "null",
            ".nan",
            "1e-3",
            "0x",
            "-",
            "\r\n",
            "\r",
            "\u{feff}",
            "\u{0}",
            "\u{85}",
            "\u{2028}",
            "é",
            "🎭",
            "name",
            "model",
            "sweep",
            "grid",
            "variants",
            "kind",
            "seeds",
            "model.norm",
            "bigram",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ]
}

/// A document whose values are the text of YAML, so that they can be anything.
#[derive(Debug, Clone)]
enum Tree {
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The number of [`TREES`] that are experiments without a mistake. They come first.
static EXPERIMENTS: LazyLock<usize> = LazyLock::new(|| files("experiments").len());

/// The files that are valid YAML.
static TREES: LazyLock<Vec<Tree>> = LazyLock::new(|| {
    let trees = FILES
        .iter()
        .filter_map(|text| serde_yaml::from_str(text).ok());
    trees.map(|yaml: Yaml| Tree::of(&yaml)).collect()
});

impl Tree {
    fn of(yaml: &Yaml) -> Self {
        match yaml {
            Yaml::Sequence(items) => Self::List(items.iter().map(Self::of).collect()),
            Yaml::Mapping(entries) => {
                let entry = |(key, value): (&Yaml, &Yaml)| {
                    let key = key.as_str().unwrap_or("key").to_owned();
                    (key, Self::of(value))
                };
                Self::Map(entries.iter().map(entry).collect())
            }
            Yaml::Tagged(tagged) => Self::of(&tagged.value),
            scalar => Self::Text(serde_json::to_string(scalar).unwrap()),
        }
    }

    /// Writes one key a line, so that errors have different places.
    fn write(&self, text: &mut String) {
        match self {
            Self::Text(scalar) => *text += scalar,
            Self::List(items) => {
                *text += "[";
                for item in items {
                    item.write(text);
                    *text += ",\n ";
                }
                *text += "]";
            }
            Self::Map(entries) => {
                *text += "{";
                for (key, value) in entries {
                    match key.as_str() {
                        "<<" => *text += key,
                        key => *text += &serde_json::to_string(key).unwrap(),
                    }
                    *text += ": ";
                    value.write(text);
                    *text += ",\n ";
                }
                *text += "}";
            }
        }
    }

    fn children(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::List(items) => items.iter_mut().collect(),
            Self::Map(entries) => entries.iter_mut().map(|(_, value)| value).collect(),
        }
    }

    fn count(&mut self) -> usize {
        1 + self.children().into_iter().map(Self::count).sum::<usize>()
    }

    /// The node with a number, where the root has the number 0.
    fn node(&mut self, number: usize) -> &mut Self {
        if number == 0 {
            return self;
        }
        let mut rest = number - 1;
        for child in self.children() {
            let count = child.count();
            if rest < count {
                return child.node(rest);
            }
            rest -= count;
        }
        unreachable!("a tree has {number} nodes")
    }

    fn any_node(&mut self, index: &Index) -> &mut Self {
        let count = self.count();
        self.node(index.index(count))
    }

    /// Sets the value at a path. Whatever is in the way is replaced.
    fn set(&mut self, path: &[String], value: Self) {
        let [key, rest @ ..] = path else {
            *self = value;
            return;
        };
        if key == "[]" {
            if !matches!(self, Self::List(items) if !items.is_empty()) {
                *self = Self::List(vec![Self::Map(Vec::new())]);
            }
            return self.children().remove(0).set(rest, value);
        }
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new());
        }
        let Self::Map(entries) = self else {
            unreachable!("it was just made a mapping")
        };
        let known = entries.iter().position(|(known, _)| known == key);
        let at = known.unwrap_or_else(|| {
            entries.push((key.clone(), Self::Map(Vec::new())));
            entries.len() - 1
        });
        entries[at].1.set(rest, value);
    }
}

/// The paths of all keys of an experiment. `[]` stands for the items of a list, and `any` for a name.
static PATHS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let root = config::json_schema();
    let mut paths = Vec::new();
    collect_paths(&root, &root, &mut Vec::new(), &mut paths);
    // Most keys are axes of grids, of which a few are enough.
    let is_of_grid = |path: &Vec<String>| {
        let mut keys = path.iter();
        keys.any(|key| matches!(key.as_str(), "grid" | "include" | "exclude"))
    };
    let (grid, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(is_of_grid);
    let grid = grid.into_iter().filter(|path| path.len() <= 4).step_by(8);
    others.into_iter().chain(grid).collect()
});

fn collect_paths(schema: &Json, root: &Json, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        return collect_paths(target.unwrap(), root, path, paths);
    }
    let mut below = |key: &str, schema: &Json| {
        path.push(key.to_owned());
        paths.push(path.clone());
        collect_paths(schema, root, path, paths);
        path.pop();
    };
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        below(key, field);
    }
    if schema["additionalProperties"].is_object() {
        below("any", &schema["additionalProperties"]);
    }
    if schema["items"].is_object() {
        below("[]", &schema["items"]);
    }
    for alternatives in ["oneOf", "anyOf"] {
        for one in schema[alternatives].as_array().into_iter().flatten() {
            collect_paths(one, root, path, paths);
        }
    }
}

/// Values that are hardly meant, as the text of YAML.
const ODD_VALUES: &[&str] = &[
    "null",
    "~",
    "true",
    "no",
    "0",
    "-1",
    "1",
    "2",
    "0.5",
    "-0.0",
    "1e-3",
    "1e-300",
    "1e308",
    "1e400",
    ".nan",
    ".inf",
    "-.inf",
    "1000000000",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0x10",
    "''",
    "a",
    "'9'",
    "\"\\n\"",
    "\"\\e[31m\\u202e\\x9b\"",
    "\"\\ud83d\\ude00\"",
    "[]",
    "{}",
    "[1]",
    "[[1]]",
    "[1, 2, 3]",
    "[a, b]",
    "{a: 1}",
    "{kind: gpt}",
    "{min: 2, max: 9, until: decided}",
    "1 epoch",
    "0.5 epochs",
    "0 epochs",
    "50%",
    "8/3x",
    "baseline",
    "\"*.txt\"",
    "*x",
    "&x 1",
    "!!int 3",
    "\u{e9}\u{1f3ad}\u{a0}\u{ff1a}",
];

/// Keys that are hardly meant.
const ODD_KEYS: &[&str] = &[
    "",
    "a b",
    "<<",
    "\u{1b}[2J",
    "\u{202e}",
    "model.norm",
    "name",
    "\u{a0}steps",
];

/// Most nodes of a document that is made larger.
const MAX_NODES: usize = 2000;

/// A change of a document.
#[derive(Debug, Clone)]
enum Mutation {
    /// Sets a key of the schema.
    Set(Index, String),
    /// Replaces a node.
    Replace(Index, String),
    /// Empties a list or a mapping, or leaves out what is below it.
    Remove(Index, Index),
    /// Replaces a node by one of another document.
    Graft(Index, Index, Index),
    /// Gives an entry another key.
    Rename(Index, Index, String),
    /// Puts a node into a list.
    Wrap(Index),
    /// Repeats a node in a list.
    Repeat(Index, usize),
}

impl Mutation {
    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Set(path, value) => {
                let path = &PATHS[path.index(PATHS.len())];
                tree.set(path, Tree::Text(value.clone()));
            }
            Self::Replace(node, value) => *tree.any_node(node) = Tree::Text(value.clone()),
            Self::Remove(node, child) => match tree.any_node(node) {
                Tree::Text(text) => text.clear(),
                Tree::List(items) if items.is_empty() => {}
                Tree::List(items) => drop(items.remove(child.index(items.len()))),
                Tree::Map(entries) if entries.is_empty() => {}
                Tree::Map(entries) => drop(entries.remove(child.index(entries.len()))),
            },
            Self::Graft(..) | Self::Repeat(..) if tree.count() > MAX_NODES => {}
            Self::Graft(node, other, from) => {
                let mut other = TREES[other.index(TREES.len())].clone();
                *tree.any_node(node) = other.any_node(from).clone();
            }
            Self::Rename(node, entry, key) => {
                if let Tree::Map(entries) = tree.any_node(node)
                    && !entries.is_empty()
                {
                    let at = entry.index(entries.len());
                    entries[at].0.clone_from(key);
                }
            }
            Self::Wrap(node) => {
                let node = tree.any_node(node);
                *node = Tree::List(vec![node.clone()]);
            }
            Self::Repeat(node, times) => {
                let node = tree.any_node(node);
                *node = Tree::List(vec![node.clone(); *times]);
            }
        }
    }
}

fn odd_value() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(ODD_VALUES.to_vec()).prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ]
}

fn odd_key() -> impl Strategy<Value = String> {
    let of_schema = any::<Index>().prop_map(|path| {
        let path = &PATHS[path.index(PATHS.len())];
        path.last().unwrap().clone()
    });
    prop_oneof![
        3 => of_schema,
        1 => prop::sample::select(ODD_KEYS.to_vec()).prop_map(str::to_owned),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::{Graft, Remove, Rename, Repeat, Replace, Set, Wrap};
    prop_oneof![
        4 => (any::<Index>(), odd_value()).prop_map(|(path, value)| Set(path, value)),
        3 => (any::<Index>(), odd_value()).prop_map(|(node, value)| Replace(node, value)),
        1 => any::<(Index, Index)>().prop_map(|(node, child)| Remove(node, child)),
        2 => any::<(Index, Index, Index)>().prop_map(|(node, other, from)| Graft(node, other, from)),
        1 => (any::<(Index, Index)>(), odd_key())
            .prop_map(|((node, entry), key)| Rename(node, entry, key)),
        1 => any::<Index>().prop_map(Wrap),
        1 => (any::<Index>(), 0usize..30).prop_map(|(node, times)| Repeat(node, times)),
    ]
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_text(text in any::<String>()) {
        exercise(&text, &[]);
    }

    #[test]
    fn any_sequence_of_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        exercise(&pieces.concat(), &[]);
        exercise(&format!("name: fuzz\n{}", pieces.concat()), &[]);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        if let Err(errors) = config::load(file.path(), &[]) {
            prop_assert!(errors.to_string().starts_with("error: "));
            prop_assert!(!has_control_character(&errors.to_string()));
        }
    }

    /// Most are valid YAML, so that the checks after parsing see them.
    #[test]
    fn any_mutation_of_a_document(
        document in any::<Index>(),
        is_experiment in any::<bool>(),
        mutations in prop::collection::vec(mutation(), 1..6),
        path in any::<Index>(),
        value in odd_value(),
    ) {
        let count = if is_experiment { *EXPERIMENTS } else { TREES.len() };
        let mut tree = TREES[document.index(count)].clone();
        for mutation in mutations {
            mutation.apply(&mut tree);
        }
        let mut text = String::new();
        tree.write(&mut text);
        exercise(&text, &[]);
        let path = PATHS[path.index(PATHS.len())].join(".");
        exercise(&text, &[format!("{path}={value}")]);
    }

    #[test]
    fn any_mutation_of_a_file(
        file in any::<Index>(),
        cuts in prop::collection::vec((any::<Index>(), 0usize..12, piece()), 1..6),
    ) {
        let mut chars: Vec<char> = FILES[file.index(FILES.len())].chars().collect();
        for (at, removed, inserted) in cuts {
            let at = at.index(chars.len() + 1);
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, inserted.chars());
        }
        exercise(&chars.into_iter().collect::<String>(), &[]);
    }

    #[test]
    fn any_override(path in "[a-z_.]{0,20}", pieces in prop::collection::vec(piece(), 0..8)) {
        let value = pieces.concat();
        let overrides = [format!("{path}={value}"), format!("model.norm={value}"), value];
        for one in overrides {
            exercise(&FILES[0], &[one]);
        }
    }
}
