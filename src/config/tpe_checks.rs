//! The rules of `sweep.tune.tpe`.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::Node;
use crate::spec::Tune;

/// The first error of `sweep.tune.tpe` in the document `tree`. `combinations` is the number of different ones that the
/// variant with the most has.
pub(super) fn check(tree: &Node, tune: &Tune, combinations: usize) -> Option<Diagnostic> {
    let tpe = tune.tpe?;
    let error = |key: &str, kind| {
        let entry = tree.nearest(&format!("sweep.tune.tpe{key}"));
        let span = entry.map_or(tree.span, |entry| entry.value.span);
        Some(Diagnostic::new(span, kind))
    };
    let problem = match () {
        () if tune.random.is_none() => Some("none"),
        () if !tune.grid.is_empty() => Some("`grid` beside them"),
        () if !tune.zip.is_empty() => Some("`zip` beside them"),
        () if tune.halving.is_some() => Some("`halving` beside them"),
        () => None,
    };
    let n_trials = tpe.n_trials;
    let n_startup = tpe.n_startup.unwrap_or_else(|| tpe.startup());
    match problem {
        Some(what) => error("", ErrorKind::TpeWithout(what)),
        None if n_trials > combinations => {
            let n = combinations;
            error(".n_trials", ErrorKind::TooFewCandidates { n_trials, n })
        }
        None if n_startup > n_trials => {
            let kind = ErrorKind::TooManyStartups {
                n_startup,
                n_trials,
            };
            error(".n_startup", kind)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;

    #[test]
    fn a_search_that_cannot_choose_is_refused() {
        const RANDOM: &str =
            "random: {n: 20, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}}}";
        for (tune, expected) in [
            (
                "grid: {optimizer.lr: [0.1, 0.2]}, tpe: {n_trials: 2}",
                "`tune` has none",
            ),
            (
                "RANDOM, grid: {model.n_layer: [1, 2]}, tpe: {n_trials: 9}",
                "`tune` has `grid` beside them",
            ),
            (
                "RANDOM, halving: {steps: [10]}, tpe: {n_trials: 9}",
                "`tune` has `halving` beside them",
            ),
            (
                "RANDOM, tpe: {n_trials: 30}",
                "chooses 30 of 20 different combinations",
            ),
            (
                "RANDOM, tpe: {n_trials: 9, n_startup: 10}",
                "`n_startup` (10) is more than the 9 combinations",
            ),
            ("RANDOM, tpe: {n_trials: 1}", "from 2 to 200"),
        ] {
            let tune = tune.replace("RANDOM", RANDOM);
            let text = format!(
                "name: test\nsweep:\n  variants: {{a: {{}}, b: {{model: {{n_layer: 1}}}}}}\n  tune: {{{tune}}}"
            );
            let expanded =
                from_text("test.yaml", &text, &[]).and_then(|document| document.expand());
            let error = expanded.err().unwrap().to_string();
            assert!(
                error.contains(expected) && error.contains("test.yaml:4:"),
                "{error}"
            );
        }
    }
}
