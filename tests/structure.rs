//! The architecture: a module imports only modules below it, files do not import each other in a
//! circle, and no file name is used twice.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The modules from top to bottom. A module may import the modules after it.
const LAYERS: &str = "main cli report sweep config train huggingface model data kernels results text stats spec hash random caught_panic regular_file out_of_memory";

/// Reports read the records of runs only, so these modules are forbidden in `report`.
const NOT_IN_REPORT: [&str; 4] = ["train", "model", "data", "kernels"];

/// File names with the same meaning in every folder.
const REPEATED: &str = "mod.rs tests.rs testing.rs cpu.rs reference.rs kinds.rs";

/// The path of a module, such as `["data", "tokenizer"]`.
type Module = Vec<String>;

macro_rules! regex {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).unwrap());
    };
}
regex!(COMMENT, r"(?m)^\s*//.*$");
regex!(
    TESTS,
    r"(?s)\n#\[cfg\([^\n]*test[^\n]*\]\n(#\[[^\n]*\n)*mod \w+ \{.*"
);
regex!(USE, r"(?m)^\s*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);");
regex!(PATH, r"(?:^|[^:\w])((?:\w+::)+\w+)");

/// A source file without its tests.
struct Source {
    file: PathBuf,
    /// The names that the file imports or re-exports, with their paths.
    names: BTreeMap<String, Module>,
    /// The paths that the file uses. Re-exports are not among them.
    paths: Vec<Module>,
}

/// All files by their module path, without `tests.rs` and `testing.rs`.
fn sources() -> BTreeMap<Module, Source> {
    let mut files = files_in(Path::new("src"));
    files.retain(|file| !file.ends_with("tests.rs") && !file.ends_with("testing.rs"));
    let module = |file: &PathBuf| -> Module {
        let path = file.with_extension("");
        let parts = path
            .iter()
            .skip(1)
            .map(|part| part.to_str().unwrap().to_owned());
        parts.filter(|part| part != "mod").collect()
    };
    let modules: BTreeSet<Module> = files.iter().map(module).collect();
    let read = |file: &PathBuf| (module(file), Source::read(file, &module(file), &modules));
    files.iter().map(read).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| {
        if path.is_dir() {
            files_in(&path)
        } else {
            vec![path]
        }
    });
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

impl Source {
    fn read(file: &Path, module: &Module, modules: &BTreeSet<Module>) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let text = COMMENT.replace_all(&text, "");
        let text = TESTS.replace(&text, "");
        let (mut names, mut paths) = (BTreeMap::new(), Vec::new());
        for found in USE.captures_iter(&text) {
            for path in expand(&found[2]) {
                let path = absolute(&path, module, modules);
                if found.get(1).is_none() {
                    paths.push(path.clone());
                }
                names.insert(path.last().unwrap().clone(), path);
            }
        }
        let code = USE.replace_all(&text, "");
        let in_code = PATH.captures_iter(&code);
        paths.extend(in_code.map(|found| absolute(&found[1], module, modules)));
        let file = file.to_owned();
        Self { file, names, paths }
    }
}

/// The paths of a use tree: `a::{b, c::{d, e}}` has the paths `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in rest.trim_end().strip_suffix('}').unwrap_or(rest).chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(|part| expand(part))
        .map(|path| format!("{}{path}", prefix.trim()))
        .collect()
}

/// A path from the root of the crate. A path into another crate starts with `extern`.
fn absolute(path: &str, module: &Module, modules: &BTreeSet<Module>) -> Module {
    let mut parts: VecDeque<String> = path
        .split("::")
        .map(|part| part.trim().to_owned())
        .collect();
    let child = [module.as_slice(), &[parts[0].clone()]].concat();
    let mut base = match parts[0].as_str() {
        "crate" | "runner" => Vec::new(),
        "self" | "super" => module.clone(),
        _ if modules.contains(&child) => module.clone(),
        _ => vec!["extern".to_owned()],
    };
    while let Some(part) = parts.pop_front() {
        match part.as_str() {
            "crate" | "runner" | "self" => {}
            "super" => drop(base.pop()),
            _ => base.push(part),
        }
    }
    base
}

/// The module that defines the last name of a path. Imports and re-exports are followed.
fn definition(path: &[String], sources: &BTreeMap<Module, Source>) -> Option<Module> {
    let length = (1..=path.len())
        .rev()
        .find(|&n| sources.contains_key(&path[..n]))?;
    let (module, rest) = path.split_at(length);
    let imported = rest
        .first()
        .and_then(|name| sources[module].names.get(name));
    match imported.filter(|target| !target.starts_with(module) || target.len() > length + 1) {
        Some(target) => definition(target, sources),
        None => Some(module.to_vec()),
    }
}

/// A shortest circle of imports through a module.
fn circle(start: &Module, imports: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([vec![start.clone()]]);
    while let Some(path) = queue.pop_front() {
        for next in &imports[path.last()?] {
            let longer = [path.as_slice(), std::slice::from_ref(next)].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                queue.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn modules_import_only_modules_below_them() {
    let layer = |name: &str| LAYERS.split(' ').position(|layer| layer == name);
    let mut wrong = BTreeSet::new();
    for (module, source) in sources() {
        let from = module[0].as_str();
        assert!(
            from == "lib" || layer(from).is_some(),
            "{from} is not in LAYERS"
        );
        for to in source
            .names
            .values()
            .chain(&source.paths)
            .filter_map(|path| path.first())
        {
            let forbidden = from == "report" && NOT_IN_REPORT.contains(&to.as_str());
            if layer(to).is_some_and(|to| Some(to) < layer(from)) || forbidden {
                wrong.insert(format!("{} imports {to}", source.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a `mod.rs` imports from its own children is left out, because a `mod.rs` may define what its
/// children share.
#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let sources = sources();
    let imports = |(module, source)| -> (_, BTreeSet<Module>) {
        let (module, source): (&Module, &Source) = (module, source);
        let imports = source
            .paths
            .iter()
            .filter_map(|path| definition(path, &sources));
        (
            module,
            imports
                .filter(|import| !import.starts_with(module))
                .collect(),
        )
    };
    let imports = sources.iter().map(imports).collect();
    let circles = sources.keys().filter_map(|module| circle(module, &imports));
    let files = |circle: Vec<Module>| {
        let files = circle
            .iter()
            .map(|module| sources[module].file.display().to_string());
        files.collect::<Vec<_>>().join(" imports ")
    };
    let circles: Vec<String> = circles.map(files).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn no_file_name_is_used_twice() {
    let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files_in(Path::new("src")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        by_name.entry(name).or_default().push(file);
    }
    by_name.retain(|name, files| files.len() > 1 && !REPEATED.split(' ').any(|same| same == name));
    assert!(by_name.is_empty(), "{by_name:#?}");
}
