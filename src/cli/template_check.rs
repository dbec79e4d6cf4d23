//! The check of a template before training: the report of made-up results is written with it. Otherwise a
//! mistake in it would be found when all runs have ended.
//!
//! A template is a small program that can run for ever and fill the memory, so that it is rendered in a
//! process with limits.

use super::args::CheckTemplate;
use super::{Error, Exit, print};
use crate::config::Document;
use crate::report;
use crate::results::{
    Evaluation, Metric, Outcome, PlannedRun, RunState, RunStatus, SampleText, SweepPlan,
};
use crate::sweep::{self as sweeps, Store};
use crate::text::units;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

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
fn problem(results: &Path, template: &Path) -> io::Result<Option<String>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("check-template")
        .args([results, template])
        // Each thread would need address space of its own.
        .envs([("POLARS_MAX_THREADS", "1"), ("RAYON_NUM_THREADS", "1")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    Ok(match output.status.code() {
        Some(0) => None,
        Some(_) if !output.stdout.is_empty() => {
            let message = String::from_utf8_lossy(&output.stdout);
            Some(message.trim_end().to_owned())
        }
        _ => Some(format!(
            "the template {} takes more than {MAX_SECONDS} s, {} of memory or {} of output",
            template.display(),
            units::memory((MAX_MEMORY >> 20) as f64),
            units::memory((MAX_OUTPUT >> 20) as f64)
        )),
    })
}

/// The command of the process with limits. It prints what is wrong with the template.
pub(super) fn run(arguments: &CheckTemplate) -> Result<Exit, Error> {
    for (resource, most) in [
        (Resource::RLIMIT_AS, MAX_MEMORY),
        (Resource::RLIMIT_FSIZE, MAX_OUTPUT),
        (Resource::RLIMIT_CPU, MAX_SECONDS),
        (Resource::RLIMIT_CORE, 0),
    ] {
        let limit = |error: nix::Error| Error::TemplateCheck(error.into());
        let (_, allowed) = getrlimit(resource).map_err(limit)?;
        let most = most.min(allowed);
        setrlimit(resource, most, most).map_err(limit)?;
    }
    let plan = report::read_plan(&arguments.results).map_err(Error::Report)?;
    let template = Some(arguments.template.as_str());
    match report::write(&arguments.results, plan, template) {
        Ok(_) => Ok(Exit::Success),
        Err(error) => {
            print(&Error::Report(error).with_causes())?;
            Ok(Exit::Failed)
        }
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
