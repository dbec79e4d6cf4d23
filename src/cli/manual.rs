//! What is generated from the definitions of the commands: completions for shells, and pages for `man`.

use super::args::{self, Cli};
use super::{Error, Exit, print};
use crate::results::create_folders;
use clap::{Command, CommandFactory};
use clap_complete::generate;

pub(super) fn print_completions(arguments: &args::Completions) -> Result<Exit, Error> {
    let mut script = Vec::new();
    generate(
        arguments.shell,
        &mut visible_commands(),
        "runner",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// The command line without the commands that are not for people. Scripts of some shells would offer them.
fn visible_commands() -> Command {
    let all = Cli::command();
    let visible = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    Command::new("runner")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(visible.cloned())
}

pub(super) fn write_pages(arguments: &args::Man) -> Result<Exit, Error> {
    let folder = &arguments.folder;
    create_folders(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|source| Error::Write {
            path: folder.clone(),
            source,
        })?;
    print(&format!("the pages are in {}\n", folder.display()))?;
    Ok(Exit::Success)
}
