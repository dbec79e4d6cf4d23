//! Measures the error rates of the verdicts of a sweep: `cargo bench --bench false_alarms -- [PART]`.
//!
//! - `trained` trains families of equal variants and counts in how many of them a variant is called better
//!   or worse. It also trains families with a true difference.
//! - `simulated` does the same with 100,000 families of random numbers, for several distributions.
//! - `examples` prints intervals and levels as JSON, for `benches/statistics/check.py`.
//!
//! Without a part, `trained` and `simulated` run. The verdicts are those of `SweepPlan::compare`, which
//! sweeps and reports use. The program ends with an error if a rate is above its limit by more than chance.

mod examples;
mod plans;
mod rate;
mod simulated;
mod trained;

use anyhow::{Result, bail};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            trained::measure()?;
            println!();
            simulated::measure()
        }
        ["trained"] => trained::measure(),
        ["simulated"] => simulated::measure(),
        ["examples"] => examples::print(),
        _ => bail!("expected `trained`, `simulated`, `examples` or nothing, found {arguments:?}"),
    }
}
