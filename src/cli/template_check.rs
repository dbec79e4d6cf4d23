//! The check of a template before training: the report of made-up results is written with it. Otherwise a
//! mistake in it would be found when all runs have ended.
//!
//! A template is a small program that can run for ever and fill the memory, so that it is rendered in a
//! process with limits.

use super::args::CheckTemplate;
use super::{Error, Exit, file_size_limit, print};
use crate::config::Document;
use crate::out_of_memory;
use crate::report::{self, ReportError};
use crate::results::{
    Evaluation, Metric, Outcome, PlannedRun, RunState, RunStatus, SampleText, SweepPlan,
};
use crate::sweep::{self as sweeps, Store};
use crate::text::{one_line, units};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Address space of the process, in bytes. Without a template, it takes a fraction of it.
const MAX_MEMORY: u64 = 2 << 30;

/// Largest file that the process can write, in bytes.
const MAX_OUTPUT: u64 = 64 << 20;

/// Processor time of the process, in seconds.
const MAX_SECONDS: u64 = 20;

/// Most runs that get results. Many more would take long to write.
const MAX_RUNS: usize = 60;

/// Renders the template of an experiment, if it has one.
///
/// # Errors
/// If the template cannot be rendered, at its place in the file.
pub(super) fn check(document: &Document, plan: &SweepPlan) -> Result<(), Error> {
    let Some(template) = document.template() else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(Error::Temporary)?;
    write_sample_results(folder.path(), plan)?;
    let Some(problem) = problem(folder.path(), &template).map_err(Error::TemplateCheck)? else {
        return Ok(());
    };
    let help = "the template was rendered with made-up results; templates/report.md.j2 lists the \
                variables of a template";
    let error = document.error_at(None, "report.template", problem, Some(help.to_owned()));
    Err(error.into())
}

/// Why the report of a results folder cannot be written with a template.
///
/// # Errors
/// If the process with limits was not ended by the template.
fn problem(results: &Path, template: &Path) -> io::Result<Option<String>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("check-template")
        .args([results, template])
        // Each thread would need address space of its own.
        .envs([("POLARS_MAX_THREADS", "1"), ("RAYON_NUM_THREADS", "1")])
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(None);
    }
    if output.status.code().is_some() && !output.stdout.is_empty() {
        let message = String::from_utf8_lossy(&output.stdout);
        return Ok(Some(message.trim_end().to_owned()));
    }
    match exceeded_limit(&output) {
        Some(limit) => Ok(Some(format!(
            "the template {} takes more than {limit}",
            template.display()
        ))),
        None => Err(io::Error::other(other_end(&output))),
    }
}

/// The limit that ended the process, if one did.
fn exceeded_limit(output: &Output) -> Option<String> {
    let signal = output.status.signal()?;
    let memory = |bytes: u64| units::memory((bytes >> 20) as f64);
    match Signal::try_from(signal).ok()? {
        Signal::SIGXCPU => Some(format!("{MAX_SECONDS} s")),
        Signal::SIGXFSZ => Some(format!("{} of output", memory(MAX_OUTPUT))),
        // What Rust does when an allocation fails.
        Signal::SIGABRT if says(output, "memory allocation of ") => {
            Some(format!("{} of memory", memory(MAX_MEMORY)))
        }
        _ => None,
    }
}

fn says(output: &Output, text: &str) -> bool {
    String::from_utf8_lossy(&output.stderr).contains(text)
}

/// How a process ended for which the template is not to blame, such as by a signal of the system or of a user.
fn other_end(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    match (output.status.signal(), said.trim()) {
        (Some(signal), _) => {
            let name = Signal::try_from(signal)
                .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string());
            format!("the process that renders it was ended by {name}; free memory, and try again")
        }
        (None, "") => format!("the process that renders it ended with {}", output.status),
        (None, said) => one_line(said.strip_prefix("error: ").unwrap_or(said)),
    }
}

/// The command of the process with limits. It prints what is wrong with the template.
pub(super) fn run(arguments: &CheckTemplate) -> Result<Exit, Error> {
    file_size_limit::end_process();
    out_of_memory::end_by_signal();
    for (resource, most, kills) in [
        (Resource::RLIMIT_AS, MAX_MEMORY, MAX_MEMORY),
        (Resource::RLIMIT_FSIZE, MAX_OUTPUT, MAX_OUTPUT),
        // At the first limit, the system sends SIGXCPU. At the second one, it sends SIGKILL, which can have other
        // causes.
        (Resource::RLIMIT_CPU, MAX_SECONDS, MAX_SECONDS + 5),
        (Resource::RLIMIT_CORE, 0, 0),
    ] {
        let limit = |error: nix::Error| Error::TemplateCheck(error.into());
        let (_, allowed) = getrlimit(resource).map_err(limit)?;
        setrlimit(resource, most.min(allowed), kills.min(allowed)).map_err(limit)?;
    }
    let plan = report::read_plan(&arguments.results).map_err(Error::Report)?;
    let template = Some(arguments.template.as_str());
    match report::write(&arguments.results, plan, template) {
        Ok(_) => Ok(Exit::Success),
        Err(error @ (ReportError::Template { .. } | ReportError::ReadTemplate { .. })) => {
            print(&Error::Report(error).with_causes())?;
            Ok(Exit::Failed)
        }
        // The template is not to blame.
        Err(error) => Err(Error::Report(error)),
    }
}

/// Writes results for the runs of a plan into a folder, as if all of them had ended.
fn write_sample_results(folder: &Path, plan: &SweepPlan) -> Result<(), Error> {
    let mut store = Store::open(folder.to_owned())?;
    store.write_plan(&mut plan.clone(), false)?;
    for (index, run) in plan.runs.iter().take(MAX_RUNS).enumerate() {
        // Runs that differ, so that there is a comparison.
        let val_loss = 2.0 + 0.01 * (index * 7 % 11) as f64;
        write_sample_result(&store, plan, run, val_loss).map_err(|source| {
            Error::Sweep(sweeps::Error::Io {
                action: "write",
                path: folder.to_owned(),
                source,
            })
        })?;
    }
    Ok(())
}

fn write_sample_result(
    store: &Store,
    plan: &SweepPlan,
    run: &PlannedRun,
    val_loss: f64,
) -> io::Result<()> {
    let dir = store.run_dir(run);
    dir.create(&run.spec)?;
    let bits_per_byte = plan.corpora[run.corpus].bits_per_byte(val_loss);
    let steps = run.spec.train.steps;
    dir.create_metrics(&[Metric::Eval(Evaluation {
        step: steps,
        val_loss,
        bits_per_byte,
        train_loss: None,
        seconds: 1.0,
    })])?;
    dir.write_samples(&[SampleText {
        step: steps,
        number: 1,
        prompt: run.spec.sample.prompt.clone(),
        text: "A text that a model generates.".to_owned(),
    }])?;
    let status = RunStatus {
        state: RunState::Done,
        reason: String::new(),
        outcome: Some(Outcome {
            steps,
            tokens: run.spec.tokens_per_step().saturating_mul(steps),
            params: run.params,
            params_non_embedding: run.params_non_embedding,
            flops_per_token: run.flops_per_token,
            train_loss: Some(val_loss),
            val_loss: Some(val_loss),
            bits_per_byte: Some(bits_per_byte),
            evaluated_step: Some(steps),
            tokens_per_second: 1000.0,
            seconds: 1.0,
            peak_memory_mb: 100.0,
            device: "cpu".to_owned(),
        }),
        environment: None,
        earlier_environments: Vec::new(),
    };
    dir.write_record(&status, &run.identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitStatus;

    fn ended(status: i32, stderr: &str) -> Output {
        Output {
            status: ExitStatus::from_raw(status),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        }
    }

    #[test]
    fn limits_are_told_from_failures_of_the_machine() {
        let signal = |signal: Signal, said| ended(signal as i32, said);
        for (signal, said, limit) in [
            (Signal::SIGXCPU, "", "20 s"),
            (Signal::SIGXFSZ, "", "64 MiB of output"),
            (
                Signal::SIGABRT,
                "memory allocation of 99 bytes failed",
                "2.0 GiB of memory",
            ),
        ] {
            let output = ended(signal as i32, said);
            assert_eq!(exceeded_limit(&output).as_deref(), Some(limit));
        }
        let exited = |code: i32, said| ended(code << 8, said);
        for (output, expected) in [
            (
                signal(Signal::SIGKILL, ""),
                "the process that renders it was ended by SIGKILL; free memory, and try again",
            ),
            (
                exited(1, "error: cannot write x: No space left on device\n"),
                "cannot write x: No space left on device",
            ),
            (
                exited(101, ""),
                "the process that renders it ended with exit status: 101",
            ),
        ] {
            assert_eq!(exceeded_limit(&output), None);
            assert_eq!(other_end(&output), expected);
        }
    }
}
