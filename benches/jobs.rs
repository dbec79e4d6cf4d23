//! Measures the gain from training small models in parallel, and the time of a run besides its steps:
//! `cargo bench --bench jobs`. It sweeps eight runs of the smallest size with this build of `runner` and
//! prints a table. Needs `taskset` (Linux).

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const RUNS: usize = 8;
const ROUNDS: usize = 3;

/// One or two seconds of training per run, at the size `names` of benches/setup.
const STEPS: usize = 1000;

/// The methods: name, first words of the command, last words of the command.
const WAYS: [(&str, &[&str], &[&str]); 3] = [
    (
        "one after another, one thread",
        &["taskset", "--cpu-list", "0"],
        &["--jobs", "1"],
    ),
    ("one after another, all threads", &[], &["--jobs", "1"]),
    ("`--jobs auto`", &[], &[]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let experiment = folder.path().join("jobs.yaml");
    fs::write(&experiment, experiment_of(RUNS, STEPS))?;
    // The text is tokenized once, outside the measured time.
    sweep(&experiment, &[], &["--only", "*-s1-*"])?;
    let mut times = [const { Vec::new() }; WAYS.len()];
    for _ in 0..ROUNDS {
        for ((_, before, after), times) in WAYS.iter().zip(&mut times) {
            times.push(sweep(&experiment, before, after)?);
        }
    }
    println!("{RUNS} runs of {STEPS} steps of `names`, {ROUNDS} rounds\n");
    println!("| | Seconds | One thread / this |\n|:--|--:|--:|");
    for ((name, ..), own) in WAYS.iter().zip(&times) {
        let ratios: Vec<f64> = times[0]
            .iter()
            .zip(own)
            .map(|(one, own)| one / own)
            .collect();
        println!("| {name} | {:.1} | {:.2} |", median(own), median(&ratios));
    }
    println!(
        "\n{:.0} ms a run besides its steps",
        1e3 * besides_steps(folder.path())?
    );
    Ok(())
}

/// Seconds that a run of one step adds: starting a process, building a model, two evaluations on a short
/// text, and writing files.
fn besides_steps(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let experiment = folder.join("short.yaml");
    fs::write(&experiment, experiment_of(RUNS, 1))?;
    sweep(&experiment, &[], &["--jobs", "1"])?;
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        let one = sweep(&experiment, &[], &["--jobs", "1", "--only", "*-s1-*"])?;
        let all = sweep(&experiment, &[], &["--jobs", "1"])?;
        differences.push((all - one) / (RUNS - 1) as f64);
    }
    Ok(median(&differences))
}

fn experiment_of(runs: usize, steps: usize) -> String {
    let seeds: Vec<usize> = (1..=runs).collect();
    format!(
        "name: jobs\n\
         data: {{val_fraction: 0.001}}\n\
         model: {{n_layer: 2, n_head: 4, n_embd: 32, block_size: 16}}\n\
         train: {{steps: {steps}, batch_size: 32, eval_every: {steps}}}\n\
         optimizer: {{schedule: {{warmup_steps: 0}}}}\n\
         sample: {{tokens: 0}}\n\
         sweep: {{seeds: {seeds:?}}}\n"
    )
}

/// Seconds of a sweep from an empty folder that holds only the tokenized text.
fn sweep(experiment: &Path, before: &[&str], after: &[&str]) -> Result<f64, Box<dyn Error>> {
    let runner = env!("CARGO_BIN_EXE_runner");
    let words = [before, &[runner, "sweep"]].concat();
    let results = experiment.with_extension("results");
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(experiment).arg("--restart");
    command.arg("--results").arg(results).args(after);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(seconds)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
