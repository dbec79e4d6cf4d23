use super::{Evaluation, Outcome, RunState, RunStatus};
use crate::spec::{Compare, CompareMetric};

/// What a comparison knows of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RunResult {
    /// It has not started, or it was stopped.
    Open,
    /// It has ended. The value is that of the metric of the comparison. It is infinite if the run did not
    /// reach the target loss, and `None` if the run failed or diverged.
    Ended(Option<f64>),
}

impl RunResult {
    /// The result of a run with this `status.json`, if it has one. `evaluations` reads the evaluations of
    /// the run, for a metric that needs them.
    pub fn new(
        status: Option<&RunStatus>,
        compare: &Compare,
        evaluations: impl FnOnce() -> Vec<Evaluation>,
    ) -> Self {
        let Some(status) = status else {
            return Self::Open;
        };
        match (status.state, &status.outcome) {
            (RunState::NotStarted | RunState::Stopped, _) => Self::Open,
            // A run that diverges may have reached the loss before. If it has not, it never will.
            (RunState::Diverged, _) if compare.metric == CompareMetric::StepsToLoss => {
                Self::Ended(steps_to_loss(&evaluations(), compare.target_loss))
            }
            (RunState::Failed | RunState::Diverged, _) | (RunState::Done, None) => {
                Self::Ended(None)
            }
            (RunState::Done, Some(outcome)) => Self::Ended(match measured(outcome, compare) {
                Some(value) => value.filter(|value| value.is_finite()),
                None => steps_to_loss(&evaluations(), compare.target_loss),
            }),
        }
    }

    /// The result of a run that has ended with a value of the metric.
    pub fn measured(value: f64) -> Self {
        Self::Ended(Some(value).filter(|value| value.is_finite()))
    }

    /// The value of the metric.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Open => None,
            Self::Ended(value) => value,
        }
    }
}

/// The metric in the outcome of a run. The outer `None` means that it depends on the evaluations.
fn measured(outcome: &Outcome, compare: &Compare) -> Option<Option<f64>> {
    Some(match compare.metric {
        CompareMetric::BitsPerByte => outcome.bits_per_byte,
        CompareMetric::ValLoss => outcome.val_loss,
        CompareMetric::TrainLoss => outcome.train_loss,
        CompareMetric::TokensPerSecond => Some(outcome.tokens_per_second),
        CompareMetric::Seconds => Some(outcome.seconds),
        CompareMetric::PeakMemoryMb => Some(outcome.peak_memory_mb),
        CompareMetric::StepsToLoss => return None,
    })
}

/// The step at which the validation loss first is at most `target`, interpolated between evaluations.
/// Infinite if it never is. `None` without a finite evaluation.
fn steps_to_loss(evaluations: &[Evaluation], target: Option<f64>) -> Option<f64> {
    let target = target?;
    let finite = evaluations.iter().filter(|e| e.val_loss.is_finite());
    let mut before: Option<&Evaluation> = None;
    for evaluation in finite {
        if evaluation.val_loss > target {
            before = Some(evaluation);
            continue;
        }
        let step = evaluation.step as f64;
        return Some(before.map_or(step, |before| {
            let share = (before.val_loss - target) / (before.val_loss - evaluation.val_loss);
            before.step as f64 + share * (step - before.step as f64)
        }));
    }
    before.map(|_| f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluations(points: &[(u64, f64)]) -> Vec<Evaluation> {
        let evaluation = |&(step, val_loss): &(u64, f64)| Evaluation {
            step,
            val_loss,
            bits_per_byte: val_loss,
            train_loss: None,
            seconds: 0.0,
        };
        points.iter().map(evaluation).collect()
    }

    #[test]
    fn a_run_that_diverges_may_have_reached_the_loss() {
        let status = RunStatus {
            state: RunState::Diverged,
            reason: String::new(),
            outcome: None,
            environment: None,
            earlier_environments: Vec::new(),
        };
        let result = |target_loss: f64| {
            let compare = Compare {
                metric: CompareMetric::StepsToLoss,
                target_loss: Some(target_loss),
                ..Compare::default()
            };
            RunResult::new(Some(&status), &compare, || {
                evaluations(&[(0, 4.0), (100, 2.0)])
            })
        };
        assert_eq!(result(3.0), RunResult::Ended(Some(50.0)));
        assert_eq!(result(1.0), RunResult::Ended(Some(f64::INFINITY)));
        let other = RunResult::new(Some(&status), &Compare::default(), Vec::new);
        assert_eq!(other, RunResult::Ended(None));
    }

    #[test]
    fn steps_to_a_loss_are_interpolated() {
        let curve = evaluations(&[(0, 4.0), (100, 3.0), (200, 2.0), (300, 2.5), (400, 1.9)]);
        assert_eq!(steps_to_loss(&curve, Some(2.5)), Some(150.0));
        assert_eq!(steps_to_loss(&curve, Some(2.0)), Some(200.0));
        assert_eq!(steps_to_loss(&curve, Some(5.0)), Some(0.0));
        assert_eq!(steps_to_loss(&curve, Some(1.0)), Some(f64::INFINITY));
        assert_eq!(steps_to_loss(&[], Some(1.0)), None);
        let gap = evaluations(&[(0, 4.0), (100, f64::NAN), (200, 2.0)]);
        assert_eq!(steps_to_loss(&gap, Some(3.0)), Some(100.0));
    }
}
