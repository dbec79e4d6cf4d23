use super::{Error, Exit, args, print};
use crate::config;
use crate::text::terminal::print_note;
use crate::text::units;
use std::collections::HashSet;
use std::path::Path;

pub(super) fn run(arguments: &args::Validate) -> Result<Exit, Error> {
    let mut exit = Exit::Success;
    for file in &arguments.files {
        match check(file) {
            Ok(size) => print(&format!("{}: valid, {size}\n", file.display()))?,
            Err(errors) => {
                errors.eprint();
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

/// The size of the experiment in a file.
fn check(file: &Path) -> Result<String, config::Diagnostics> {
    let document = config::load(file, &[])?;
    document.notes().iter().for_each(|note| print_note(note));
    let expansion = document.expand()?;
    let variants: HashSet<&str> = (expansion.runs.iter())
        .map(|run| run.variant.as_str())
        .collect();
    Ok(format!(
        "{} of {}",
        units::plural(expansion.runs.len(), "run"),
        units::plural(variants.len(), "variant")
    ))
}
