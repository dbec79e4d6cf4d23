//! Families of random numbers in place of trained models.
//!
//! Every run of a plan gets a result, and `SweepPlan::compare` then uses only the seeds that a sweep would
//! have trained. It goes through the same looks as a sweep, and the first look that decides is final.

use crate::plans::{FIXED, SEQUENTIAL, SeedsOfDesign, equal_variants, plan};
use crate::rate::Rate;
use anyhow::{Result, ensure};
use rand_core::RngCore;
use rayon::prelude::*;
use runner::random::{Stream, unit};
use runner::results::{RunResult, SweepPlan};
use runner::stats::Verdict;
use std::f64::consts::PI;
use std::path::Path;
use std::time::Instant;

/// Families in each design and case.
const FAMILIES: u64 = 100_000;

/// Comparisons in a family, unless a table says otherwise.
const COMPARISONS: usize = 3;

/// True differences of the variants in the coverage of the sequential design, in standard deviations of the paired
/// differences.
const EFFECTS: [f64; COMPARISONS] = [2.0, 1.0, 0.0];

/// The true difference in the table of the power.
const LARGE_EFFECT: f64 = 2.0;

/// Most families with a false alarm, or with an interval that does not contain its true difference.
const LIMIT: f64 = 0.05;

const DESIGNS: [SeedsOfDesign; 2] = [FIXED, SEQUENTIAL];

/// How the results of runs are distributed.
#[derive(Debug, Clone, Copy)]
struct Noise {
    name: &'static str,
    baseline_sd: f64,
    first_variant_sd: f64,
    /// Probability that one run among those of the first five seeds diverges.
    divergence: f64,
    /// Student's t distribution with 3 degrees of freedom instead of a normal distribution.
    heavy_tails: bool,
}

const NORMAL: Noise = Noise {
    name: "normal",
    baseline_sd: 1.0,
    first_variant_sd: 1.0,
    divergence: 0.0,
    heavy_tails: false,
};

/// The differences of all variants share the noise of the baseline, so they are correlated. The
/// correlation is 0.5 with equal standard deviations, 0 for a baseline without noise, and 0.96 for a
/// baseline with 5 times the noise.
const NOISES: [Noise; 6] = [
    NORMAL,
    Noise {
        name: "normal, baseline without noise",
        baseline_sd: 0.0,
        ..NORMAL
    },
    Noise {
        name: "normal, baseline 5 times as noisy",
        baseline_sd: 5.0,
        ..NORMAL
    },
    Noise {
        name: "normal, one variant 5 times as noisy",
        first_variant_sd: 5.0,
        ..NORMAL
    },
    Noise {
        name: "normal, a run diverges in half of the families",
        divergence: 0.5,
        ..NORMAL
    },
    Noise {
        name: "heavy tails (t with 3 degrees of freedom)",
        heavy_tails: true,
        ..NORMAL
    },
];

/// What a report says of a family, against the truth.
#[derive(Debug, Clone, Default)]
struct Family {
    verdicts: Vec<Verdict>,
    /// Whether all corrected intervals contain the true differences.
    covers: bool,
    /// Number of seeds of each variant.
    seeds: Vec<usize>,
}

impl Family {
    /// Whether a variant is called better or worse.
    fn has_alarm(&self) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|verdict| matches!(verdict, Verdict::Better | Verdict::Worse))
    }
}

/// Simulates all tables and prints them.
pub(crate) fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    print_error_rates(folder.path())?;
    print_power(folder.path())?;
    print_equivalence(folder.path())?;
    println!("\n{:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn print_error_rates(folder: &Path) -> Result<()> {
    println!("{FAMILIES} simulated families of {COMPARISONS} comparisons\n");
    print!("| Distribution ");
    for column in ["false alarm", "all intervals contain the true differences"] {
        for (design, _) in DESIGNS {
            print!("| {design}: {column} ");
        }
    }
    println!("|\n|:--|--:|--:|--:|--:|");
    for noise in NOISES {
        let plans = DESIGNS.map(|seeds| plan(seeds, &equal_variants(COMPARISONS), None, folder));
        let [fixed, sequential] = plans;
        let sequential = sequential?;
        let equal = [
            simulate(&fixed?, &noise, &[0.0; COMPARISONS]),
            simulate(&sequential, &noise, &[0.0; COMPARISONS]),
        ];
        // An interval of a fixed design moves with the true difference, so its coverage is that of equal
        // variants. In a sequential design, the true difference affects the number of seeds.
        let different = simulate(&sequential, &noise, &EFFECTS);
        let alarms = equal
            .each_ref()
            .map(|families| Rate::count(families, Family::has_alarm));
        let covered = [&equal[0], &different].map(|families| Rate::count(families, |f| f.covers));
        let cells: Vec<String> = alarms.iter().chain(&covered).map(Rate::to_string).collect();
        println!("| {} | {} |", noise.name, cells.join(" | "));
        if !noise.heavy_tails {
            ensure!(
                alarms.iter().all(|rate| rate.is_at_most(LIMIT)),
                "too many false alarms"
            );
            ensure!(
                covered.iter().all(|rate| rate.is_at_least(1.0 - LIMIT)),
                "too many intervals without the true difference"
            );
        }
    }
    Ok(())
}

fn print_power(folder: &Path) -> Result<()> {
    println!("\nTrue differences of {LARGE_EFFECT} standard deviations, normal\n");
    println!("| Comparisons | Design | Correct verdict | Wrong verdict | Mean number of seeds |");
    println!("|--:|:--|--:|--:|--:|");
    for comparisons in [1, 3, 5] {
        for seeds in DESIGNS {
            let plan = plan(seeds, &equal_variants(comparisons), None, folder)?;
            let families = simulate(&plan, &NORMAL, &vec![LARGE_EFFECT; comparisons]);
            let verdicts: Vec<Verdict> = families.iter().flat_map(|f| f.verdicts.clone()).collect();
            let used: usize = families.iter().flat_map(|family| &family.seeds).sum();
            println!(
                "| {comparisons} | {} | {:.2} | {:.3} | {:.2} |",
                seeds.0,
                Rate::count(&verdicts, |verdict| *verdict == Verdict::Worse),
                Rate::count(&verdicts, |verdict| *verdict == Verdict::Better),
                used as f64 / verdicts.len() as f64
            );
        }
    }
    Ok(())
}

/// The worst case for equivalence: the true differences are exactly as large as the margin.
fn print_equivalence(folder: &Path) -> Result<()> {
    println!(
        "\nTrue differences as large as the margin: how often the first variant is called equivalent\n"
    );
    print!("| Comparisons | Margin, in standard deviations | Limit ");
    for (design, _) in DESIGNS {
        print!("| {design} ");
    }
    println!("|\n|--:|--:|--:|--:|--:|");
    for (comparisons, margin) in [(1, 2.0), (1, 4.0), (3, 2.0), (3, 4.0), (3, 8.0)] {
        let mut rates = Vec::new();
        for seeds in DESIGNS {
            let absolute = margin * NORMAL.sd_of_difference(1);
            let plan = plan(seeds, &equal_variants(comparisons), Some(absolute), folder)?;
            let families = simulate(&plan, &NORMAL, &vec![margin; comparisons]);
            let is_equivalent = |family: &Family| family.verdicts[0] == Verdict::Equivalent;
            rates.push(Rate::count(&families, is_equivalent));
        }
        let limit = LIMIT / comparisons as f64;
        println!(
            "| {comparisons} | {margin} | {:.2} % | {} | {} |",
            100.0 * limit,
            rates[0],
            rates[1]
        );
        ensure!(
            rates.iter().all(|rate| rate.is_at_most(limit)),
            "too many equivalent variants"
        );
    }
    Ok(())
}

/// Simulates families. `effects` are the true differences of the variants, in standard deviations of their
/// paired differences.
fn simulate(plan: &SweepPlan, noise: &Noise, effects: &[f64]) -> Vec<Family> {
    let stream = Stream::new(1, noise.name);
    let truths: Vec<f64> = (1..)
        .zip(effects)
        .map(|(v, effect)| effect * noise.sd_of_difference(v))
        .collect();
    let family = |family: u64| {
        let results = noise.results(plan.runs.len(), &truths, &mut stream.at(family));
        judge(plan, &results, &truths)
    };
    (0..FAMILIES).into_par_iter().map(family).collect()
}

/// Compares the variants of a family with its baseline, and the intervals with the true differences.
fn judge(plan: &SweepPlan, results: &[RunResult], truths: &[f64]) -> Family {
    let mut family = Family {
        covers: true,
        ..Family::default()
    };
    // The baseline is the first variant.
    for (compared, truth) in plan.compare(results).iter().skip(1).zip(truths) {
        let comparison = compared.comparison.as_ref();
        let interval = comparison.and_then(|comparison| comparison.corrected);
        family.covers &= interval.is_none_or(|interval| interval.contains(*truth));
        family
            .verdicts
            .push(comparison.map_or(Verdict::Inconclusive, |comparison| comparison.verdict));
        family.seeds.push(compared.runs.len());
    }
    family
}

impl Noise {
    /// Standard deviation of the results of a variant. The baseline is variant 0.
    fn sd(&self, variant: usize) -> f64 {
        match variant {
            0 => self.baseline_sd,
            1 => self.first_variant_sd,
            _ => 1.0,
        }
    }

    fn sd_of_difference(&self, variant: usize) -> f64 {
        self.baseline_sd.hypot(self.sd(variant))
    }

    /// Results of the runs of the baseline and of the variants, each in the order of its seeds.
    fn results(&self, runs: usize, truths: &[f64], rng: &mut impl RngCore) -> Vec<RunResult> {
        let seeds = runs / (truths.len() + 1);
        let means = [0.0].into_iter().chain(truths.iter().copied());
        let mut results = Vec::with_capacity(runs);
        for (variant, mean) in means.enumerate() {
            for _ in 0..seeds {
                let value = mean + self.sd(variant) * self.standard(rng);
                results.push(RunResult::Ended(Some(value)));
            }
        }
        if unit(rng) < self.divergence {
            let variant = below(rng, truths.len() + 1);
            results[variant * seeds + below(rng, seeds.min(5))] = RunResult::Ended(None);
        }
        results
    }

    /// A number with mean 0 and standard deviation 1.
    fn standard(&self, rng: &mut impl RngCore) -> f64 {
        if !self.heavy_tails {
            return normal(rng);
        }
        // t with 3 degrees of freedom has the variance 3.
        let squares: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
        normal(rng) / squares.sqrt()
    }
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl RngCore) -> f64 {
    let (u, v) = (1.0 - unit(rng), unit(rng));
    (-2.0 * u.ln()).sqrt() * (2.0 * PI * v).cos()
}

fn below(rng: &mut impl RngCore, bound: usize) -> usize {
    runner::random::below(rng, bound as u64) as usize
}
