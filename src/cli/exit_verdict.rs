//! The exit codes of commands that answer with a verdict.

use super::{Error, Exit};
use crate::report::{Summary, VariantVerdict, WordedVerdict};
use crate::results::SweepPlan;
use crate::text::units;

/// The verdict on a variant that the report does not have.
const NO_VERDICT: WordedVerdict = WordedVerdict {
    verdict: VariantVerdict::Inconclusive,
    words: "no result",
};

/// Checks that a variant can have a verdict.
pub(super) fn check_has_verdict(plan: &SweepPlan, variant: &str) -> Result<(), Error> {
    let names = plan.runs.iter().map(|run| run.spec.variant.as_str());
    // The runs of a variant follow each other.
    let mut variants: Vec<&str> = names.filter(|name| *name != plan.baseline).collect();
    variants.dedup();
    let reason = match variant {
        _ if variants.contains(&variant) => return Ok(()),
        _ if variant == plan.baseline => {
            format!("{variant} is the baseline, with which the variants are compared")
        }
        _ => format!("there is no variant {variant}"),
    };
    Err(Error::NoVerdict {
        reason,
        variants: variants.into_iter().map(str::to_owned).collect(),
    })
}

/// The exit code that says whether a variant is better than the baseline.
pub(super) fn exit_of(verdict: VariantVerdict) -> Exit {
    match verdict {
        VariantVerdict::Better => Exit::Success,
        VariantVerdict::Worse | VariantVerdict::Equivalent | VariantVerdict::Baseline => {
            Exit::Missed
        }
        VariantVerdict::Inconclusive => Exit::Undecided,
    }
}

/// The exit code of `--exit-verdict`, and why it is not 0. `failed` is the number of failed or diverged runs of the
/// variant and the baseline.
pub(super) fn exit_by_verdict(
    summary: &Summary,
    variant: &str,
    failed: usize,
) -> (Exit, Option<String>) {
    let worded = summary.verdicts.get(variant).copied();
    let WordedVerdict { verdict, words } = worded.unwrap_or(NO_VERDICT);
    let (exit, failures) = match failed {
        0 => (exit_of(verdict), String::new()),
        runs => (
            Exit::Failed,
            format!(", {} failed or diverged", units::plural(runs, "run")),
        ),
    };
    let reason = format!("{variant}: {words}{failures} (exit code {})", exit as u8);
    (exit, (exit != Exit::Success).then_some(reason))
}
