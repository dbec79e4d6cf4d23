//! The shorter trainings of `sweep.tune.halving`.

use super::cross_checks::check_schedule;
use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::Node;
use crate::spec::{Halving, RunSpec};

/// The trainings with which the search compares a combination, the shortest first. The last one is `spec` itself. A
/// model that is not trained has only this one.
pub(super) fn rungs(halving: Option<&Halving>, spec: &RunSpec) -> Vec<RunSpec> {
    let shorter = halving.filter(|_| spec.model.kind.is_trained());
    let shorter = shorter.into_iter().flat_map(|halving| &halving.steps);
    let shorter = shorter.map(|&steps| {
        let mut spec = spec.clone();
        spec.train.set_steps(steps);
        spec
    });
    shorter.chain([spec.clone()]).collect()
}

/// All errors of `sweep.tune.halving` in the document `tree` with these variants.
pub(super) fn check<'a>(
    tree: &Node,
    halving: &Halving,
    specs: impl Iterator<Item = &'a RunSpec>,
) -> Vec<Diagnostic> {
    let entry = tree.nearest("sweep.tune.halving.steps");
    let span = entry.map_or(tree.span, |entry| entry.value.span);
    if halving.steps.windows(2).any(|pair| pair[0] >= pair[1]) {
        return vec![Diagnostic::new(span, ErrorKind::RungsNotIncreasing)];
    }
    let error = |kind| Diagnostic::new(span, kind);
    let problem = |spec: &RunSpec| {
        let Some(all) = spec.known_steps() else {
            return Some(error(ErrorKind::HalvingLength(spec.train.length().path())));
        };
        let is_beyond = |steps: &&u64| **steps >= all;
        if let Some(&steps) = halving.steps.iter().find(is_beyond) {
            let variant = spec.variant.clone();
            return Some(error(ErrorKind::RungNotBelow {
                variant,
                steps,
                all,
            }));
        }
        let mut of_schedule = halving
            .steps
            .iter()
            .flat_map(|&steps| check_schedule(spec, steps, tree));
        of_schedule.next()
    };
    let mut trained = specs.filter(|spec| spec.model.kind.is_trained());
    trained.find_map(problem).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Expansion, from_text};

    fn expand(rest: &str) -> Result<Expansion, String> {
        let text = format!("name: test\ntrain: {{steps: 90}}\n{rest}");
        let document = from_text("test.yaml", &text, &[]).map_err(|error| error.to_string())?;
        document.expand().map_err(|error| error.to_string())
    }

    const TUNE: &str = "sweep: {seeds: 2, variants: {a: {}, b: {model: {kind: ngram}}}, \
                        tune: {grid: {optimizer.lr: [0.1, 0.2]}, halving: {steps: [10, 30]}}}";

    #[test]
    fn every_combination_has_shorter_trainings_of_the_search() {
        let expansion = expand(TUNE).unwrap();
        let runs = expansion
            .runs
            .iter()
            .zip(&expansion.parts)
            .map(|(spec, part)| {
                let tuned = part.tuned.unwrap();
                (
                    tuned.combination,
                    tuned.rung,
                    tuned.is_search,
                    spec.train.steps,
                )
            });
        let of = |combination| {
            [
                (combination, 0, true, 10),
                (combination, 1, true, 30),
                (combination, 2, true, 90),
                (combination, 2, false, 90),
                (combination, 2, false, 90),
            ]
        };
        // Counts are neither searched nor trained.
        let counted = [(0, 0, true, 0), (0, 0, false, 0), (0, 0, false, 0)];
        let expected: Vec<_> = of(0).into_iter().chain(of(1)).chain(counted).collect();
        assert_eq!(runs.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn steps_that_do_not_lead_to_the_end_are_refused() {
        for (change, message) in [
            ("[10, 30]|[30, 10]", "the steps of `halving` must increase"),
            (
                "[10, 30]|[10, 90]",
                "after 90 steps, and its training has only 90",
            ),
        ] {
            let (from, to) = change.split_once('|').unwrap();
            let error = expand(&TUNE.replace(from, to)).unwrap_err();
            assert!(
                error.contains(message) && error.contains("test.yaml:3:"),
                "{error}"
            );
        }
        let warmup = format!("optimizer: {{schedule: {{warmup_steps: 20}}}}\n{TUNE}");
        let error = expand(&warmup).unwrap_err();
        assert!(
            error.contains("`warmup_steps` (20) is more than the 10 steps"),
            "{error}"
        );
        let error = from_text(
            "test.yaml",
            &format!("name: test\ntrain: {{epochs: 2}}\n{TUNE}"),
            &[],
        )
        .unwrap()
        .expand()
        .unwrap_err()
        .to_string();
        assert!(error.contains("`train.epochs` sets it"), "{error}");
    }
}
