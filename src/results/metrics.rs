use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Metric {
    Step(StepMetric),
    Eval(Evaluation),
}

impl Metric {
    /// Number of optimizer steps taken when the line was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(step) => step.step,
            Self::Eval(eval) => eval.step,
        }
    }

    /// The evaluation, if it is one.
    pub fn evaluation(&self) -> Option<&Evaluation> {
        match self {
            Self::Eval(evaluation) => Some(evaluation),
            Self::Step(_) => None,
        }
    }

    /// Writes some metrics as lines of JSON, without the digests of `metrics.jsonl`.
    pub fn write_lines(metrics: &[Self], mut out: impl Write) -> io::Result<()> {
        for metric in metrics {
            serde_json::to_writer(&mut out, metric)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// One optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetric {
    /// Number of steps taken, this one included.
    pub step: u64,
    /// Mean cross-entropy of the step's batch before the update, in nats per token.
    pub loss: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
}

/// One evaluation: the whole validation split, in which every token is scored once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of steps taken before it.
    pub step: u64,
    /// Mean cross-entropy, in nats per token.
    pub val_loss: f64,
    /// The same in bits per byte of the text, comparable across tokenizers.
    pub bits_per_byte: f64,
    /// Mean cross-entropy of the whole training split, in nats per token, if the run measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Training time so far in seconds, without evaluation and sampling. Not deterministic.
    pub seconds: f64,
}
