//! Intervals, verdicts and levels for an independent implementation to check.

use anyhow::Result;
use runner::random::{Stream, unit};
use runner::stats::{Design, compare, paired_differences};
use serde_json::json;

/// Numbers of comparisons.
const COMPARISONS: [usize; 4] = [1, 3, 5, 20];

/// Most seeds of an example.
const MOST_SEEDS: usize = 12;

/// First and last look of sequential designs.
const LOOKS: [(usize, usize); 3] = [(3, 12), (2, 6), (5, 30)];

/// Prints one line of JSON with a list of fixed comparisons and a list of sequential designs.
pub(crate) fn print() -> Result<()> {
    let (mut fixed, mut sequential) = (Vec::new(), Vec::new());
    for comparisons in COMPARISONS {
        for seeds in 2..=MOST_SEEDS {
            for shift in [0.0, 1.0, -4.0] {
                fixed.extend(example(comparisons, seeds, shift));
            }
        }
        for (first, last) in LOOKS {
            let design = Design::sequential(comparisons, first, &[last]);
            let levels: Vec<_> = (first..=last).map(|seeds| design.level(seeds)).collect();
            sequential.push(json!({
                "comparisons": comparisons, "first": first, "last": last, "levels": levels,
            }));
        }
    }
    println!("{}", json!({"fixed": fixed, "sequential": sequential}));
    Ok(())
}

/// A comparison of random results. `shift` is a true difference.
fn example(comparisons: usize, seeds: usize, shift: f64) -> Option<serde_json::Value> {
    let stream = Stream::new(seeds as u64, "examples");
    let mut rng = stream.at(shift.abs() as u64);
    let mut runs = |mean: f64| -> Vec<(u64, f64)> {
        let seeds = 1..=seeds as u64;
        seeds.map(|seed| (seed, mean + unit(&mut rng))).collect()
    };
    let (baseline, variant) = (runs(2.0), runs(2.0 + shift));
    let values = |pairs: &[(u64, f64)]| -> Vec<f64> { pairs.iter().map(|(_, v)| *v).collect() };
    let differences = values(&paired_differences(&variant, &baseline));
    let comparison = compare(&differences, &Design::fixed(comparisons))?;
    let interval = comparison.corrected?;
    Some(json!({
        "comparisons": comparisons,
        "baseline": values(&baseline),
        "variant": values(&variant),
        "low": interval.low,
        "high": interval.high,
        "verdict": format!("{:?}", comparison.verdict),
    }))
}
