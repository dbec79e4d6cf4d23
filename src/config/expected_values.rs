//! What an experiment expects, against what its runs will measure.

use super::diagnostic::Diagnostic;
use super::error_kind::Problem;
use super::suggest::hint;
use super::tree::{Layer, Node};
use crate::results::is_logged;
use crate::spec::{Expect, Measure, RunSpec};

/// Figures that no run will measure.
pub(super) fn check(
    tree: &Node,
    expected: &[Expect],
    specs: &[RunSpec],
    baseline: &str,
    found: &mut Vec<Diagnostic>,
) {
    // Somebody who tries a file for a few steps is not to be sent back for a figure of its last: it
    // stays open.
    let retimed = [
        "train.steps",
        "train.tokens",
        "train.epochs",
        "train.eval_every",
    ];
    let retimed = retimed.iter().any(|path| {
        let entry = tree.at(path);
        entry.is_some_and(|entry| entry.layer == Layer::Override)
    });
    let items = tree.get("expect").map_or(&[][..], Node::items);
    for (item, expect) in items.iter().zip(expected) {
        let place = |key: &str| item.get(key).map_or(item.place, |value| value.place);
        let name = expect.variant.as_deref().unwrap_or(baseline);
        let Some(spec) = specs.iter().find(|spec| spec.variant == name) else {
            let names: Vec<_> = specs.iter().map(|spec| spec.variant.as_str()).collect();
            let problem = Problem::ExpectUnknownVariant {
                name: name.to_owned(),
                hint: hint(name, &names),
            };
            found.push(Diagnostic::new(place("variant"), problem));
            continue;
        };
        if expect.metric == Measure::TrainLoss && !spec.train.eval_train {
            let problem = Problem::ExpectTrainLoss;
            found.push(Diagnostic::new(place("metric"), problem));
        }
        if !retimed
            && let Some(step) = expect.step
            && let Some(problem) = wrong_step(expect.metric, step, spec)
        {
            found.push(Diagnostic::new(place("step"), problem));
        }
    }
}

/// Why nothing is measured at a step.
fn wrong_step(metric: Measure, step: u64, spec: &RunSpec) -> Option<Problem> {
    match metric {
        Measure::Params | Measure::VocabSize | Measure::Tokens | Measure::SampledTokens => {
            Some(Problem::ExpectStepOfStatic)
        }
        Measure::ValLoss | Measure::BitsPerByte | Measure::TrainLoss => {
            // In epochs and tokens only the text can tell.
            let (steps, eval_every) = (spec.known_steps()?, spec.train.eval_every.steps()?);
            let evaluated = step.is_multiple_of(eval_every) || step == steps;
            let measured = evaluated && step <= steps;
            (!measured).then_some(Problem::ExpectNoEvaluation {
                step,
                eval_every,
                steps,
            })
        }
        Measure::BatchLoss => {
            let steps = spec.known_steps()?;
            let measured = (1..=steps).contains(&step) && is_logged(step, steps);
            (!measured).then_some(Problem::ExpectNoStep { step, steps })
        }
    }
}
