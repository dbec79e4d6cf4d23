use crate::data::Corpus;
use crate::results::RunDir;
use crate::spec::RunSpec;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// The device that a run is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The NVIDIA GPU with this ordinal.
    Cuda(usize),
}

/// A run to train.
#[derive(Debug)]
pub struct Job<'a> {
    pub spec: &'a RunSpec,
    pub corpus: &'a Corpus,
    /// The folder of the run, for its results. It has the checkpoint of an interrupted run.
    pub dir: &'a RunDir,
    pub device: Device,
    /// Number of CPU threads. The result does not depend on it.
    pub threads: usize,
    /// A finished run that differs only in its number of steps. This run continues it, if it has not begun.
    pub extends: Option<ShorterRun>,
    /// Once another thread sets it, the run saves a checkpoint and returns.
    pub stop: &'a AtomicBool,
}

/// A finished run that takes fewer steps.
#[derive(Debug, Clone)]
pub struct ShorterRun {
    pub name: String,
    pub spec: RunSpec,
    pub dir: RunDir,
}

/// What a run says while it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    Progress(Progress),
    /// A sentence for the user.
    Notice(String),
}

/// Progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: u64,
    /// Number of steps of the run. If its length is a time, it is the number expected at the current
    /// speed, and 0 before the first step.
    pub steps: u64,
    /// Loss of the last step, in nats per token.
    pub loss: Option<f64>,
    /// Loss of the last evaluation, in nats per token.
    pub val_loss: Option<f64>,
    pub tokens_per_second: f64,
    pub phase: Phase,
}

/// What a run is doing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Training,
    Evaluating,
    Sampling,
}
