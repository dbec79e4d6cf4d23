use super::Findings;
use crate::report::analysis::claim_results::{ClaimResult, TestedClaim};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::results::SweepPlan;
use crate::spec::Seeds;
use crate::text::units;

/// The claims of the experiment, with their results and numbers.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let claims = findings.claims;
    if claims.is_empty() {
        return Vec::new();
    }
    let columns = vec![
        Column::left("Claim").wrapping(),
        Column::left("Result").wrapping(),
        Column::right("Seeds"),
        Column::right("Mean"),
        Column::right("Difference"),
        Column::right("Statistic"),
        Column::right("p"),
        Column::right("Level"),
    ];
    let row = |claim: &TestedClaim| {
        Row::new(vec![
            (&claim.claim).into(),
            result(claim),
            (&claim.seeds).into(),
            (&claim.mean).into(),
            (&claim.difference).into(),
            (&claim.statistic).into(),
            (&claim.p).into(),
            (&claim.level).into(),
        ])
    };
    let rows = claims.iter().map(row).collect();
    vec![
        Block::heading(2, "Claims"),
        Block::Table(Table { columns, rows }),
        Block::paragraph(explanation(findings)),
    ]
}

fn result(claim: &TestedClaim) -> Text {
    let name = claim.result.name();
    match claim.result {
        ClaimResult::Holds => Text::new().success(name),
        ClaimResult::Fails => Text::new().failure(name),
        ClaimResult::Open => Text::new().plain(format!("{name}: {}", claim.reason)),
    }
}

/// What the results mean, and what limits them.
fn explanation(findings: &Findings) -> String {
    let results = findings.results;
    let mut sentences = vec![
        "p is the one-sided p-value of the claim. A claim holds if p is at most its level, and fails if p is at least 1 minus its level, so that the opposite is significant. Otherwise it is open. Each claim is one test at its own level, and the levels are not corrected for the number of claims.".to_owned(),
    ];
    if let Some(range) = results.plan.sequential_seeds() {
        sentences.push(format!(
            "The tests use only the first {} of each variant, because later seeds were added depending on the results. A larger `min` gives the claims more seeds.",
            units::plural(range.min as usize, "seed")
        ));
    }
    if have_changed_seeds(&results.plan) {
        sentences.push(
            "The seeds were changed after results were known, so a claim may hold by chance more often than its level says."
                .to_owned(),
        );
    }
    if findings.claims.iter().any(|claim| claim.seeds == "any") {
        sentences.push(
            "A claim about n-gram counts alone is exact, because they are the same for every seed. It has no p-value."
                .to_owned(),
        );
    }
    if findings.claims.iter().any(|claim| claim.failed_runs > 0) {
        sentences.push(
            "A claim with runs that failed or diverged is open, because the mean of the other runs can be too good."
                .to_owned(),
        );
    }
    sentences.join(" ")
}

/// Whether an earlier plan has tested the claims with other seeds.
fn have_changed_seeds(plan: &SweepPlan) -> bool {
    // Claims use the first seeds of a sequential design only.
    let tested = |seeds: &Seeds| {
        let first = seeds.sequential().map(|range| range.min as usize);
        let all = seeds.all().into_iter();
        all.take(first.unwrap_or(usize::MAX)).collect::<Vec<u64>>()
    };
    let now = plan
        .experiment
        .sweep
        .as_ref()
        .map(|sweep| tested(&sweep.seeds));
    let mut earlier = plan.earlier_designs().map(|design| tested(&design.seeds));
    earlier.any(|earlier| Some(earlier) != now)
}
