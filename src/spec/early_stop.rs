use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ends a run whose validation loss does not fall any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStop {
    /// Number of consecutive evaluations without a lower validation loss after which the run ends. `null`
    /// means that every run takes all of its steps.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub patience: Option<u64>,
    /// A validation loss counts as lower if it is lower than the best one so far by more than this number of
    /// nats per token.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_delta: f64,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self {
            patience: None,
            min_delta: 0.0,
        }
    }
}

impl EarlyStop {
    /// Whether a run with these validation losses so far ends.
    pub fn is_due(&self, losses: impl Iterator<Item = f64>) -> bool {
        let Some(patience) = self.patience else {
            return false;
        };
        let (mut best, mut since_best) = (f64::INFINITY, 0);
        for loss in losses {
            if loss < best - self.min_delta || best.is_infinite() {
                (best, since_best) = (loss, 0);
            } else {
                since_best += 1;
            }
        }
        since_best >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ends_after_enough_evaluations_without_a_lower_loss() {
        let is_due = |patience, min_delta, losses: &[f64]| {
            let early_stop = EarlyStop {
                patience,
                min_delta,
            };
            early_stop.is_due(losses.iter().copied())
        };
        let losses = [3.0, 2.0, 2.1, 2.0];
        assert!(is_due(Some(2), 0.0, &losses));
        assert!(!is_due(Some(3), 0.0, &losses));
        assert!(!is_due(None, 0.0, &losses));
        assert!(!is_due(Some(1), 0.0, &[]));
        // Slowly falling losses count only if they fall by more than `min_delta` in all.
        let slow = [3.0, 2.9, 2.8, 2.7];
        assert!(!is_due(Some(1), 0.0, &slow));
        assert!(is_due(Some(2), 0.25, &slow[..3]));
        assert!(!is_due(Some(2), 0.25, &slow));
    }
}
