use super::confirm_error::ConfirmError;
use super::export_error::ExportError;
use super::find_run::FindError;
use super::generate_error::GenerateError;
use crate::config::Diagnostics;
use crate::regular_file::is_wrong_kind;
use crate::report::ReportError;
use crate::results::RecordError;
use crate::sweep as sweeps;
use crate::sweep::{MachineFailure, Resource};
use crate::text::terminal::print_note;
use crate::text::units;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ended. The numbers are the exit codes, which are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    /// A run failed or diverged, the machine failed, or `verify` found a difference.
    Failed = 1,
    /// The command line, the experiment or its data has an error.
    Usage = 2,
    /// A value that the experiment expects was missed, or a claim fails.
    Missed = 3,
    /// A claim is open although its runs have ended, or there is nothing to compare.
    Undecided = 4,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `sweep` or `plan` without a file. Holds the command and some files to choose from.
    #[error(
        "`runner {command}` needs an experiment file, such as\n{}",
        examples(command, files)
    )]
    NoFile {
        command: &'static str,
        files: Vec<String>,
    },
    /// `sweep` or `plan` with a file that does not exist.
    #[error(
        "{} does not exist; `runner {command}` needs an experiment file, such as\n{}",
        file.display(),
        examples(command, files)
    )]
    MissingFile {
        command: &'static str,
        file: PathBuf,
        files: Vec<String>,
    },
    /// `verify` in a folder without a plan.
    #[error(
        "{} has no plan.json, and the experiment file {} does not exist\nname the file with --experiment",
        folder.display(),
        file.display()
    )]
    NoExperiment { folder: PathBuf, file: PathBuf },
    /// `verify` in a folder without a plan, and without `--rerun`.
    #[error(
        "{} has no plan.json and so no records of its runs; with --rerun N, N of its runs are trained again and compared \
         with summary.csv",
        .0.display()
    )]
    NothingToVerify(PathBuf),
    /// `compare` with something that is not a table of runs.
    #[error("cannot read the results {place}: {reason}")]
    NoTable { place: String, reason: String },
    /// `--exit-verdict` with a variant that has no verdict.
    #[error(
        "--exit-verdict: {reason}\nthe variants with a verdict are {}",
        units::list(variants)
    )]
    NoVerdict {
        reason: String,
        variants: Vec<String>,
    },
    #[error(transparent)]
    Sweep(#[from] sweeps::Error),
    /// A sweep was ended by something that the machine lacks.
    #[error(
        "the sweep was stopped: {}\n{}; the same command then continues every run from its last checkpoint",
        .0.reason,
        .0.advice()
    )]
    Machine(MachineFailure),
    /// The results folder is no longer at its path.
    #[error(
        "the folder {}, or the lock file in it, was moved or deleted during the sweep; all runs were stopped, and nothing \
         was written after it\nif the folder was moved, move it back: the same command then continues every run from its \
         last checkpoint",
        .0.display()
    )]
    FolderLost(PathBuf),
    #[error(transparent)]
    Report(ReportError),
    #[error("the runs have ended and their results are saved, but the report could not be written")]
    ReportAfterSweep(#[source] ReportError),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// A file of a run that was named is damaged or cannot be read.
    #[error(transparent)]
    Record(RecordError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// `init` where there is something already.
    #[error("{} exists; name another file", .0.display())]
    Exists(PathBuf),
    #[error("{0}")]
    Worker(io::Error),
    /// An environment variable has a wrong value.
    #[error("{0}")]
    Environment(String),
    #[error("cannot use a temporary folder: {0}")]
    Temporary(io::Error),
    #[error("cannot check the template of the report: {0}")]
    TemplateCheck(io::Error),
    #[error(
        "the results folder {} is not UTF-8; use another folder with --results", .0.display()
    )]
    FolderName(PathBuf),
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Sweep(sweeps::Error::Config(diagnostics))
    }
}

impl Error {
    pub fn exit(&self) -> Exit {
        use sweeps::Error as SweepError;
        match self {
            Self::NoFile { .. }
            | Self::MissingFile { .. }
            | Self::NoExperiment { .. }
            | Self::NothingToVerify(_)
            | Self::NoTable { .. }
            | Self::NoVerdict { .. }
            | Self::Find(_)
            | Self::Exists(_)
            | Self::Environment(_)
            | Self::FolderName(_) => Exit::Usage,
            Self::Confirm(ConfirmError::Uses { .. } | ConfirmError::NotScored { .. }) => {
                Exit::Failed
            }
            Self::Generate(GenerateError::Memory(_)) | Self::Export(ExportError::Write { .. }) => {
                Exit::Failed
            }
            Self::Confirm(_) | Self::Generate(_) | Self::Export(_) => Exit::Usage,
            Self::Sweep(error) => match error {
                SweepError::Config(_)
                | SweepError::Held { .. }
                | SweepError::NothingMatches { .. }
                | SweepError::NoCuda
                | SweepError::NoGpu { .. } => Exit::Usage,
                SweepError::Data(_)
                | SweepError::Io { .. }
                | SweepError::Record(_)
                | SweepError::Signals(_)
                | SweepError::SignalThread(_)
                | SweepError::Program(_) => Exit::Failed,
            },
            Self::Report(
                ReportError::NoFolder(_) | ReportError::NotAFolder(_) | ReportError::NoPlan(_),
            ) => Exit::Usage,
            Self::Machine(_)
            | Self::FolderLost(_)
            | Self::Record(_)
            | Self::Report(_)
            | Self::ReportAfterSweep(_)
            | Self::Output(_)
            | Self::Write { .. }
            | Self::Worker(_)
            | Self::Temporary(_)
            | Self::TemplateCheck(_) => Exit::Failed,
        }
    }

    /// Prints the error to standard error.
    pub fn print(&self) {
        if let Self::Sweep(sweeps::Error::Config(diagnostics)) = self {
            return diagnostics.eprint();
        }
        print_note(&format!("error: {}", self.with_causes().trim_end()));
        if let Some(advice) = self.advice() {
            print_note(&format!("{advice}, and run the same command again"));
        }
    }

    /// What the user can do about an error of the system, if it is known.
    fn advice(&self) -> Option<&'static str> {
        let mut cause: Option<&dyn std::error::Error> = Some(match self {
            // Another template can be named.
            Self::Report(ReportError::ReadTemplate { .. }) => return None,
            Self::Sweep(sweeps::Error::Data(error)) => error,
            Self::Output(error) | Self::Temporary(error) | Self::TemplateCheck(error) => error,
            other => other,
        });
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                if is_wrong_kind(error) {
                    return Some("move it away");
                }
                let failure = MachineFailure::new(error, error);
                return (failure.resource != Resource::Other).then(|| failure.advice());
            }
            cause = error.source();
        }
        None
    }

    /// The message with those of its causes.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some messages contain their cause already.
            if !text.contains(&cause_text) {
                text += &format!(": {cause_text}");
            }
            source = cause.source();
        }
        text
    }
}

fn examples(command: &str, files: &[String]) -> String {
    let line = |file: &String| format!("  runner {command} {file}");
    files.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataError;

    #[test]
    fn errors_say_what_to_free() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = || PathBuf::from("x");
        let write = || ReportError::Write {
            path: path(),
            source: full(),
        };
        let action = "write";
        for error in [
            Error::Report(write()),
            Error::ReportAfterSweep(write()),
            Error::Sweep(sweeps::Error::Io {
                action,
                path: path(),
                source: full(),
            }),
            Error::Sweep(sweeps::Error::Data(DataError::Write {
                path: path(),
                source: full(),
            })),
            Error::Temporary(full()),
            Error::Sweep(sweeps::Error::SignalThread(full())),
        ] {
            let advice = error.advice().unwrap_or_default();
            assert!(advice.starts_with("free space on the disk"), "{error:?}");
        }
        assert_eq!(Error::Temporary(io::Error::other("x")).advice(), None);
    }

    #[test]
    fn every_cause_is_printed_once() {
        let denied = || io::Error::other("disk on fire");
        let unread = || ReportError::Read {
            path: "t.j2".into(),
            source: denied(),
        };
        let printed = |error: Error| error.with_causes();
        assert_eq!(
            printed(Error::Report(unread())),
            "cannot read t.j2: disk on fire"
        );
        assert_eq!(
            printed(Error::ReportAfterSweep(unread())),
            "the runs have ended and their results are saved, but the report could not be written: \
             cannot read t.j2: disk on fire"
        );
        assert_eq!(
            printed(Error::Sweep(sweeps::Error::Io {
                action: "create",
                path: "x".into(),
                source: denied(),
            })),
            "cannot create x: disk on fire"
        );
    }
}
