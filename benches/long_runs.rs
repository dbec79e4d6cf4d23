//! Measures what long runs cost besides their steps: `cargo bench --bench long_runs`. It prints the time that a
//! checkpoint of `ten` takes, and the peak memory of a small model after more and more steps.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const ROUNDS: usize = 5;
/// Steps of `ten` in a run, each with a checkpoint in every other run.
const STEPS: usize = 8;
/// The default of `train.checkpoint_every`, in seconds.
const INTERVAL: f64 = 60.0;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    checkpoints(&folder.path().join("checkpoints.yaml"))?;
    memory(&folder.path().join("memory.yaml"))
}

/// The model is that of the size `ten` in benches/setup.
fn checkpoints(experiment: &Path) -> Result<(), Box<dyn Error>> {
    let text = "name: checkpoints\n\
         data: {plays_bytes: 50000, val_fraction: 0.01}\n\
         model: {n_layer: 6, n_head: 6, n_embd: 384, block_size: 256}\n\
         train: {batch_size: 8}\n\
         optimizer: {schedule: {warmup_steps: 0}}\n\
         sample: {tokens: 0}\n";
    fs::write(experiment, text)?;
    let seconds = |every: &str| {
        let steps = format!("{{steps: {STEPS}, eval_every: {STEPS}, checkpoint_every: {every}}}");
        value_of_run(experiment, &format!("train={steps}"), "seconds")
    };
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        let without = seconds("1 hour")?;
        differences.push((seconds("1")? - without) / STEPS as f64);
    }
    let [low, median, high] = spread(differences);
    println!(
        "A checkpoint of `ten` takes {:.0} ms ({:.0} to {:.0}, {ROUNDS} pairs of runs), which is {:.2} % of the \
         {INTERVAL} seconds between two of them.",
        1e3 * median,
        1e3 * low,
        1e3 * high,
        100.0 * median / INTERVAL
    );
    Ok(())
}

fn memory(experiment: &Path) -> Result<(), Box<dyn Error>> {
    let text = "name: memory\n\
         data: {plays_bytes: 50000}\n\
         model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 8}\n\
         train: {batch_size: 4, checkpoint_every: 1 second}\n\
         sample: {tokens: 100}\n";
    fs::write(experiment, text)?;
    println!("\n| Steps | Peak memory, MiB ({ROUNDS} runs) |\n|--:|--:|");
    for steps in [1_000, 10_000, 100_000, 200_000] {
        let length = format!("train={{steps: {steps}, eval_every: 1000}}");
        let peak = |_| value_of_run(experiment, &length, "peak_memory_mb");
        let peaks: Result<Vec<f64>, _> = (0..ROUNDS).map(peak).collect();
        let [low, median, high] = spread(peaks?);
        println!("| {steps} | {median:.0} ({low:.0} to {high:.0}) |");
    }
    Ok(())
}

/// The lowest, the median and the highest of [`ROUNDS`] values.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0, ROUNDS / 2, ROUNDS - 1].map(|index| values[index])
}

/// Trains the only run of an experiment in an empty folder, so that it continues no other run, and reads a column of
/// its line in `summary.csv`.
fn value_of_run(experiment: &Path, override_: &str, column: &str) -> Result<f64, Box<dyn Error>> {
    let results = experiment.with_extension("results");
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.arg("sweep").arg(experiment).arg(override_);
    command.args(["--device", "cpu", "--results"]).arg(&results);
    let output = command.stdout(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    // The folder has the name of the experiment, which is that of its file.
    let folder = results.join(experiment.file_stem().unwrap_or_default());
    let csv = fs::read_to_string(folder.join("summary.csv"))?;
    let mut lines = csv.lines().map(|line| line.split(','));
    let (Some(mut names), Some(mut values)) = (lines.next(), lines.next()) else {
        return Err("summary.csv has no run".into());
    };
    let index = names.position(|name| name == column);
    let value = index.and_then(|index| values.nth(index));
    Ok(value.ok_or("summary.csv lacks a column")?.parse()?)
}
