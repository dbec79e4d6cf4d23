//! Families of trained models.

use crate::plans::{FIXED, SEQUENTIAL, SeedsOfDesign, equal_variants, plan};
use crate::rate::Rate;
use anyhow::{Result, anyhow, ensure};
use rayon::prelude::*;
use runner::data::{self, Corpus};
use runner::results::{RunDir, RunResult, SweepPlan, VariantComparison};
use runner::spec::{Compare, RunSpec};
use runner::stats::{Verdict, mean, sample_sd};
use runner::train::{self, Device, Job};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tempfile::TempDir;

/// Families of equal variants, in each design.
const EQUAL_FAMILIES: u64 = 1000;

/// Comparisons in a family of equal variants.
const COMPARISONS: usize = 3;

/// Families of a baseline and one variant that is worse, in each design.
const DIFFERENT_FAMILIES: u64 = 200;

/// The change that makes a variant worse.
const WORSE: &str = "{train: {steps: 12}}";

/// The seeds of two groups of families differ by at least this number, which is above the number of runs in a
/// group.
const SEEDS_PER_GROUP: u64 = 1_000_000;

/// Highest probability that a family has a false alarm.
const LIMIT: f64 = 0.05;

/// Trains all families and prints tables of the verdicts.
pub(crate) fn measure() -> Result<()> {
    let folder = temporary_folder()?;
    let folder = folder.path();
    let started = Instant::now();
    let equal =
        [FIXED, SEQUENTIAL].map(|seeds| plan(seeds, &equal_variants(COMPARISONS), None, folder));
    let worse = [FIXED, SEQUENTIAL].map(|seeds| plan(seeds, &[WORSE.to_owned()], None, folder));
    let [equal_fixed, equal_sequential] = equal;
    let [worse_fixed, worse_sequential] = worse;
    let groups = [
        Group::train(0, FIXED, &equal_fixed?, EQUAL_FAMILIES, folder)?,
        Group::train(1, SEQUENTIAL, &equal_sequential?, EQUAL_FAMILIES, folder)?,
        Group::train(2, FIXED, &worse_fixed?, DIFFERENT_FAMILIES, folder)?,
        Group::train(
            3,
            SEQUENTIAL,
            &worse_sequential?,
            DIFFERENT_FAMILIES,
            folder,
        )?,
    ];
    print_false_alarms(&groups[..2]);
    print_power(&groups[2..]);
    let runs: usize = groups.iter().map(|group| group.runs).sum();
    let seconds = started.elapsed().as_secs_f64();
    println!("\n{runs} runs in {seconds:.0} s");
    for group in &groups[..2] {
        let rate = group.false_alarms();
        ensure!(
            rate.is_at_most(LIMIT),
            "{rate} false alarms with {}",
            group.design
        );
    }
    Ok(())
}

/// A folder in memory if the system has one, because a run waits until its files are on the disk.
fn temporary_folder() -> io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

fn print_false_alarms(groups: &[Group]) {
    println!("Equal variants\n");
    println!(
        "| Design | Families | Comparisons in each | Families with a false alarm | Rate | 95 % interval |"
    );
    println!("|:--|--:|--:|--:|--:|:--|");
    for group in groups {
        let rate = group.false_alarms();
        println!(
            "| {} | {} | {COMPARISONS} | {} | {rate:.1} | {} |",
            group.design,
            rate.of,
            rate.hits,
            interval(rate)
        );
    }
}

fn print_power(groups: &[Group]) {
    // The sequential design stops early where the difference looks large, so its mean would be biased.
    let differences: Vec<f64> = groups[0]
        .comparisons()
        .flat_map(|comparison| &comparison.differences)
        .copied()
        .collect();
    let (Some(mean), Some(sd)) = (mean(&differences), sample_sd(&differences)) else {
        return;
    };
    println!(
        "\nA variant that is worse: the differences have the mean {mean:.4} and the standard deviation \
         {sd:.4} bits per byte, ratio {:.2}\n",
        mean / sd
    );
    println!(
        "| Design | Families | Called worse | 95 % interval | Called better | Mean number of seeds |"
    );
    println!("|:--|--:|--:|:--|--:|--:|");
    for group in groups {
        let worse = group.share(Verdict::Worse);
        println!(
            "| {} | {} | {worse:.0} | {} | {:.0} | {:.1} |",
            group.design,
            worse.of,
            interval(worse),
            group.share(Verdict::Better),
            group.mean_seeds()
        );
    }
}

fn interval(rate: Rate) -> String {
    let (low, high) = rate.interval();
    format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high)
}

/// What a report says of a variant.
struct Compared {
    verdict: Verdict,
    differences: Vec<f64>,
    seeds: usize,
}

impl Compared {
    fn new(compared: &VariantComparison) -> Self {
        let comparison = compared.comparison.as_ref();
        Self {
            verdict: comparison.map_or(Verdict::Inconclusive, |comparison| comparison.verdict),
            differences: compared
                .differences
                .iter()
                .map(|(_, value)| *value)
                .collect(),
            seeds: compared.runs.len(),
        }
    }
}

/// Families with the same plan.
struct Group {
    design: &'static str,
    /// The variants of each family, without the baseline.
    families: Vec<Vec<Compared>>,
    /// Number of trained runs.
    runs: usize,
}

impl Group {
    fn train(
        number: u64,
        (design, _): SeedsOfDesign,
        plan: &SweepPlan,
        families: u64,
        folder: &Path,
    ) -> Result<Self> {
        let corpus = data::open(folder, &plan.corpora[0].key)?;
        let family = |family: u64| -> Result<(Vec<Compared>, usize)> {
            let first_seed = number * SEEDS_PER_GROUP + family * plan.runs.len() as u64;
            let results = train_family(plan, first_seed, &corpus, folder)?;
            let variants = plan.compare(&results).into_iter();
            let variants = variants.filter(|compared| compared.variant != plan.baseline);
            let ended = results.iter().filter(|result| **result != RunResult::Open);
            Ok((
                variants.map(|compared| Compared::new(&compared)).collect(),
                ended.count(),
            ))
        };
        let families: Vec<(Vec<Compared>, usize)> = (0..families)
            .into_par_iter()
            .map(family)
            .collect::<Result<_>>()?;
        Ok(Self {
            design,
            runs: families.iter().map(|(_, runs)| runs).sum(),
            families: families.into_iter().map(|(variants, _)| variants).collect(),
        })
    }

    fn comparisons(&self) -> impl Iterator<Item = &Compared> {
        self.families.iter().flatten()
    }

    /// Families in which a variant is called better or worse.
    fn false_alarms(&self) -> Rate {
        Rate::count(&self.families, |variants| {
            variants
                .iter()
                .any(|variant| matches!(variant.verdict, Verdict::Better | Verdict::Worse))
        })
    }

    /// Comparisons with this verdict.
    fn share(&self, verdict: Verdict) -> Rate {
        let comparisons: Vec<&Compared> = self.comparisons().collect();
        Rate::count(&comparisons, |compared| compared.verdict == verdict)
    }

    fn mean_seeds(&self) -> f64 {
        let seeds: Vec<f64> = self
            .comparisons()
            .map(|compared| compared.seeds as f64)
            .collect();
        mean(&seeds).unwrap_or(f64::NAN)
    }
}

/// Trains the runs of a plan that are needed, round by round. Every run of every family has a seed of its
/// own, so that equal variants differ in their random numbers and families are independent. Variants are
/// paired by the seeds of the plan.
fn train_family(
    plan: &SweepPlan,
    first_seed: u64,
    corpus: &Corpus,
    folder: &Path,
) -> Result<Vec<RunResult>> {
    let mut results = vec![RunResult::Open; plan.runs.len()];
    loop {
        let needed = plan.needed_runs(&results).into_iter();
        let open: Vec<usize> = needed
            .filter(|&run| results[run] == RunResult::Open)
            .collect();
        if open.is_empty() {
            return Ok(results);
        }
        for run in open {
            let spec = RunSpec {
                seed: first_seed + run as u64,
                ..plan.runs[run].spec.clone()
            };
            results[run] = train(&spec, corpus, folder)?;
        }
    }
}

/// Trains a run as a worker process does. Its files are removed again.
fn train(spec: &RunSpec, corpus: &Corpus, folder: &Path) -> Result<RunResult> {
    let dir = RunDir::new(folder.join(format!("run-{}", spec.seed)));
    dir.create(spec)?;
    let job = Job {
        spec,
        corpus,
        dir: &dir,
        device: Device::Cpu,
        threads: 1,
        extends: None,
        stop: &AtomicBool::new(false),
    };
    let status = train::run(job, &mut |_| {})?;
    fs::remove_dir_all(dir.path())?;
    match RunResult::new(Some(&status), &Compare::default(), Vec::new) {
        RunResult::Open => Err(anyhow!("a run did not end: {}", status.reason)),
        ended => Ok(ended),
    }
}
