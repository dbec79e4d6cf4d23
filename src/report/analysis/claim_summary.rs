//! The results of all claims in sentences.

use super::claim_results::{ClaimResult, TestedClaim};
use crate::text::units::list;

/// The results of all claims in sentences. `None` without claims.
pub(crate) fn summary(claims: &[TestedClaim]) -> Option<String> {
    let with = |result| claims.iter().filter(move |claim| claim.result == result);
    let count = |result| with(result).count();
    let all = claims.len();
    let mut sentences = match claims {
        [] => return None,
        [claim] => match claim.result {
            ClaimResult::Holds => "The claim holds.".to_owned(),
            ClaimResult::Fails => "The claim fails.".to_owned(),
            ClaimResult::Open => "The claim is open.".to_owned(),
        },
        [_, _] if count(ClaimResult::Holds) == all => "Both claims hold.".to_owned(),
        _ if count(ClaimResult::Holds) == all => format!("All {all} claims hold."),
        _ => {
            let counted = [
                (ClaimResult::Holds, "holds", "hold"),
                (ClaimResult::Fails, "fails", "fail"),
                (ClaimResult::Open, "is open", "are open"),
            ];
            let counted = counted.map(|(result, one, several)| match count(result) {
                0 => None,
                1 => Some(format!("1 {one}")),
                count => Some(format!("{count} {several}")),
            });
            let counted: Vec<String> = counted.into_iter().flatten().collect();
            format!("Of {all} claims, {}.", list(&counted))
        }
    };
    let failed: Vec<String> = with(ClaimResult::Fails)
        .map(|claim| match claim.p.as_str() {
            "" => format!("{} ({})", claim.claim, claim.statistic),
            p => format!("{} (p {p})", claim.claim),
        })
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
                failed_runs: 0,
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
                "The claim fails. Fails: The mean is below 3 (p 0.9990).",
            ),
            (
                &[Open],
                "The claim is open. Open: The mean is below 3 (too few seeds).",
            ),
            (
                &[Holds, Open],
                "Of 2 claims, 1 holds and 1 is open. Open: The mean is below 3 (too few seeds).",
            ),
            (
                &[Fails, Open],
                "Of 2 claims, 1 fails and 1 is open. Fails: The mean is below 3 (p 0.9990). \
                 Open: The mean is below 3 (too few seeds).",
            ),
            (
                &[Fails, Fails],
                "Of 2 claims, 2 fail. Fails: The mean is below 3 (p 0.9990); \
                 The mean is below 3 (p 0.9990).",
            ),
        ] {
            assert_eq!(claims(results).as_deref(), Some(sentence));
        }
        assert_eq!(claims(&[]), None);
    }
}
