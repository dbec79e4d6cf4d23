//! The results of all claims in sentences.

use super::claim_results::{ClaimResult, TestedClaim};

/// The results of all claims in sentences. `None` without claims.
pub(crate) fn summary(claims: &[TestedClaim]) -> Option<String> {
    let with = |result| claims.iter().filter(move |claim| claim.result == result);
    let holding = with(ClaimResult::Holds).count();
    let mut sentences = match (claims.len(), holding) {
        (0, _) => return None,
        (1, 1) => "The claim holds.".to_owned(),
        (1, _) => "The claim does not hold.".to_owned(),
        (2, 2) => "Both claims hold.".to_owned(),
        (all, holding) if all == holding => format!("All {all} claims hold."),
        (all, 0) => format!("None of the {all} claims holds."),
        (all, 1) => format!("1 of {all} claims holds."),
        (all, holding) => format!("{holding} of {all} claims hold."),
    };
    let failed: Vec<String> = with(ClaimResult::Fails)
        .map(|claim| format!("{} (p {})", claim.claim, claim.p))
        .collect();
    let open: Vec<String> = with(ClaimResult::Open)
        .map(|claim| format!("{} ({})", claim.claim, claim.reason))
        .collect();
    for (name, claims) in [("Fails", failed), ("Open", open)] {
        if !claims.is_empty() {
            sentences += &format!(" {name}: {}.", claims.join("; "));
        }
    }
    Some(sentences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_counts_the_claims() {
        let claims = |results: &[ClaimResult]| {
            let claim = |&result: &ClaimResult| TestedClaim {
                claim: "The mean is below 3".to_owned(),
                result,
                reason: "too few seeds".to_owned(),
                waits_for_runs: false,
                seeds: String::new(),
                mean: String::new(),
                difference: String::new(),
                statistic: String::new(),
                p: "0.9990".to_owned(),
                level: String::new(),
            };
            summary(&results.iter().map(claim).collect::<Vec<_>>())
        };
        use ClaimResult::{Fails, Holds, Open};
        for (results, sentence) in [
            (&[Holds][..], "The claim holds."),
            (&[Holds, Holds], "Both claims hold."),
            (&[Holds, Holds, Holds], "All 3 claims hold."),
            (
                &[Fails],
                "The claim does not hold. Fails: The mean is below 3 (p 0.9990).",
            ),
            (
                &[Holds, Open],
                "1 of 2 claims holds. Open: The mean is below 3 (too few seeds).",
            ),
            (
                &[Fails, Open],
                "None of the 2 claims holds. Fails: The mean is below 3 (p 0.9990). \
                 Open: The mean is below 3 (too few seeds).",
            ),
        ] {
            assert_eq!(claims(results).as_deref(), Some(sentence));
        }
        assert_eq!(claims(&[]), None);
    }
}
