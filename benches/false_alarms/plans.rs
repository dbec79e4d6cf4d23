//! Plans of small sweeps.

use anyhow::{Result, anyhow};
use runner::config;
use runner::results::SweepPlan;
use runner::sweep;
use runner::train::Device;
use std::path::Path;

/// A design: its name and `sweep.seeds`.
pub(crate) type SeedsOfDesign = (&'static str, &'static str);

pub(crate) const FIXED: SeedsOfDesign = ("5 seeds", "5");
pub(crate) const SEQUENTIAL: SeedsOfDesign = ("3 to 12 seeds", "{min: 3, max: 12, until: decided}");

/// A GPT with about 4,700 parameters and a text of 10 kB, of which 1 kB is held out. One run takes a few
/// milliseconds.
const SETTINGS: &str = "\
name: false-alarms
data: {plays_bytes: 10000, val_fraction: 0.1}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
train: {steps: 30, batch_size: 8, eval_every: 1000}
optimizer: {lr: 1e-2, schedule: {warmup_steps: 0}}
sample: {tokens: 0}
";

/// The plan of a sweep with these variants besides the baseline, each given as the settings it changes.
/// `margin` is a number of bits per byte.
pub(crate) fn plan(
    (_, seeds): SeedsOfDesign,
    variants: &[String],
    margin: Option<f64>,
    cache: &Path,
) -> Result<SweepPlan> {
    let mut text = SETTINGS.to_owned();
    if let Some(margin) = margin {
        text += &format!("compare: {{margin: {margin}}}\n");
    }
    text += &format!("sweep:\n  seeds: {seeds}\n  variants:\n    baseline: {{}}\n");
    for (index, changes) in variants.iter().enumerate() {
        text += &format!("    variant-{}: {changes}\n", index + 1);
    }
    let document = config::from_text("false_alarms.yaml", &text, &[]);
    let document = document.map_err(|errors| anyhow!("{errors}"))?;
    let runs = document.expand().map_err(|errors| anyhow!("{errors}"))?;
    let command = String::new();
    Ok(sweep::build_plan(
        &document,
        runs,
        cache,
        command,
        Device::Cpu,
    )?)
}

/// Settings of variants that give the same results as the baseline. An experiment may not have two variants
/// with the same settings, so each has another interval between evaluations. All are longer than a run.
pub(crate) fn equal_variants(count: usize) -> Vec<String> {
    let settings = |index| format!("{{train: {{eval_every: {}}}}}", 1000 + index);
    (1..=count).map(settings).collect()
}
