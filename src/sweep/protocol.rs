//! What a sweep and its workers say to each other: JSON, a line a message.
//!
//! Down the worker's standard input come its [`Assignment`], then possibly [`STOP`]. The end of that
//! input means that the parent is gone. Up its standard output come [`Message`]s; the last one says
//! how the run ended, and a worker that ends without it has crashed.

use crate::results::RunStatus;
use crate::spec::RunSpec;
use crate::train::{Device, Progress};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The line that asks a worker to write a checkpoint and end.
pub(super) const STOP: &str = "stop";

/// Everything a worker has to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) spec: RunSpec,
    /// The run's folder.
    pub(super) dir: PathBuf,
    /// Folder of the encoded corpora, and the one to train on.
    pub(super) cache: PathBuf,
    pub(super) corpus: String,
    /// Ordinal of the GPU; none means the CPU.
    pub(super) gpu: Option<usize>,
    pub(super) threads: usize,
}

impl Assignment {
    pub(super) fn device(&self) -> Device {
        self.gpu.map_or(Device::Cpu, Device::Cuda)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(super) enum Message {
    Progress(Progress),
    Ended(RunStatus),
}
