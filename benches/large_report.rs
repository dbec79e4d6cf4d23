//! Measures the report of a large sweep: `cargo bench --bench large_report`. It writes made-up results of 1,000 runs
//! with 200 evaluations each, and prints the time and the memory of `runner report`.

use nix::sys::resource::{UsageWho, getrusage};
use runner::config;
use runner::results::{
    Evaluation, Metric, Outcome, RunState, RunStatus, SampleText, StepMetric, SweepPlan,
};
use runner::sweep::{Store, build_plan};
use runner::train::Device;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const VARIANTS: usize = 100;
const SEEDS: usize = 10;
const EVALUATIONS: u64 = 200;
const STEPS: u64 = 10_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let results = folder.path().join("results/large");
    write_results(folder.path(), &results)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let report = Command::new(env!("CARGO_BIN_EXE_runner"))
            .arg("report")
            .arg(&results)
            .stdout(Stdio::null())
            .status()?;
        seconds.push(start.elapsed().as_secs_f64());
        if !report.success() {
            return Err(format!("runner report: {report}").into());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() as f64 / 1024.0;
    let size = |name: &str| fs::metadata(results.join(name)).map(|file| file.len() as f64 / 1e6);
    println!(
        "The report of {} runs with {EVALUATIONS} evaluations each takes {:.2} s ({:.2} to {:.2} s, {ROUNDS} times) and \
         {peak:.0} MiB of memory. report.md has {:.2} MB, report.html {:.2} MB, and plots/loss.svg {:.2} MB.",
        VARIANTS * SEEDS,
        seconds[ROUNDS / 2],
        seconds[0],
        seconds[ROUNDS - 1],
        size("report.md")?,
        size("report.html")?,
        size("plots/loss.svg")?,
    );
    Ok(())
}

/// Writes a finished sweep without training it.
fn write_results(folder: &Path, results: &Path) -> Result<(), Box<dyn Error>> {
    let widths: Vec<String> = (1..=VARIANTS / 10).map(|n| (8 * n).to_string()).collect();
    let rates: Vec<String> = (1..=10).map(|n| format!("{n}.0e-3")).collect();
    let text = format!(
        "name: large\n\
         data: {{plays_bytes: 20000}}\n\
         model: {{n_layer: 1, n_head: 1, block_size: 16}}\n\
         train: {{steps: {STEPS}, eval_every: {}}}\n\
         sweep: {{seeds: {SEEDS}, grid: {{model.n_embd: [{}], optimizer.lr: [{}]}}}}\n",
        STEPS / EVALUATIONS,
        widths.join(", "),
        rates.join(", ")
    );
    let file = folder.join("large.yaml");
    fs::write(&file, text)?;
    let document = config::load(&file, &[])?;
    let expansion = document.expand()?;
    let mut store = Store::open(results.to_owned())?;
    let command = "runner sweep large.yaml".to_owned();
    let mut plan = build_plan(&document, expansion, &store.cache(), command, Device::Cpu)?;
    store.write_plan(&mut plan, false)?;
    for run in 0..plan.runs.len() {
        write_run(&store, &plan, run)?;
    }
    Ok(())
}

fn write_run(store: &Store, plan: &SweepPlan, index: usize) -> Result<(), Box<dyn Error>> {
    let run = &plan.runs[index];
    let corpus = &plan.corpora[run.corpus];
    let dir = store.run_dir(run);
    dir.create(&run.spec)?;
    let final_loss = 1.5 + 0.002 * (index / SEEDS % 17) as f64 + 0.001 * (index * 7 % 11) as f64;
    let loss = |step: u64| final_loss + 2.5 * (-(step as f64) / 1500.0).exp();
    let mut metrics = Vec::new();
    for step in 0..=STEPS {
        if step > 0 && step % 10 == 0 {
            metrics.push(Metric::Step(StepMetric {
                step,
                loss: loss(step) + 0.05 * (step as f64).sin(),
                lr: 1e-3,
                grad_norm: 1.0,
            }));
        }
        if step % (STEPS / EVALUATIONS) == 0 {
            metrics.push(Metric::Eval(Evaluation {
                step,
                val_loss: loss(step),
                bits_per_byte: corpus.bits_per_byte(loss(step)),
                train_loss: None,
                seconds: step as f64 / 100.0,
            }));
        }
    }
    dir.create_metrics(&metrics)?;
    dir.write_samples(&[SampleText {
        step: STEPS,
        number: 1,
        prompt: "\n".to_owned(),
        text: "They say the pallid sermon stole the lonely mound.\n".repeat(6),
    }])?;
    let status = RunStatus {
        state: RunState::Done,
        reason: String::new(),
        outcome: Some(Outcome {
            steps: STEPS,
            tokens: run.spec.tokens_per_step() * STEPS,
            params: run.params,
            params_non_embedding: run.params_non_embedding,
            flops_per_token: run.flops_per_token,
            train_loss: Some(loss(STEPS)),
            val_loss: Some(loss(STEPS)),
            bits_per_byte: Some(corpus.bits_per_byte(loss(STEPS))),
            evaluated_step: Some(STEPS),
            tokens_per_second: 1e5,
            seconds: STEPS as f64 / 100.0,
            peak_memory_mb: 100.0,
            device: "cpu".to_owned(),
        }),
        environment: None,
        earlier_environments: Vec::new(),
    };
    Ok(dir.write_record(&status, &run.identity)?)
}
