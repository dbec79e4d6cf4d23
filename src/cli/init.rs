use super::{Error, Exit, args, print, shell_quoting};
use crate::regular_file::is_absent;
use crate::results::{create_folders, write_atomic};
use crate::text::escape::visible_line;
use std::path::Path;

/// The file, with the name of the experiment to be filled in.
const TEMPLATE: &str = include_str!("init.yaml");

pub(super) fn run(arguments: &args::Init) -> Result<Exit, Error> {
    let file = &arguments.file;
    if !is_absent(file) {
        return Err(Error::Exists(file.clone()));
    }
    let parent = file.parent().unwrap_or(Path::new(""));
    let shown = shell_quoting::word(&file.display().to_string());
    let text = TEMPLATE.replace("@NAME@", &name(file));
    let text = text.replace("@FILE@", &visible_line(&shown));
    create_folders(parent)
        .and_then(|()| write_atomic(file, text.as_bytes()))
        .map_err(|source| Error::Write {
            path: file.clone(),
            source,
        })?;
    print(&format!(
        "{} is written; train it with\n  runner sweep {shown}\n",
        file.display()
    ))?;
    Ok(Exit::Success)
}

/// The name of a file as that of an experiment.
fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = stem
        .chars()
        .map(|c| if is_allowed(c) { c } else { '-' })
        .collect();
    let name = name.trim_start_matches(['-', '_']);
    match name {
        "" => "first".to_owned(),
        name => name.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;

    #[test]
    fn every_file_name_gives_a_valid_experiment() {
        for file in [
            "first.yaml",
            "a b.yaml",
            "-x.yml",
            "日本.yaml",
            "..",
            "a/0.1.yaml",
            "2024.yaml",
            "1e3.yaml",
            "null.yaml",
            "true.yaml",
            "my_NAME_FILE.yaml",
        ] {
            let text = TEMPLATE.replace("@NAME@", &name(Path::new(file)));
            let document = from_text(file, &text, &[]).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(document.expand().unwrap().runs.len(), 6, "{file}");
        }
    }
}
