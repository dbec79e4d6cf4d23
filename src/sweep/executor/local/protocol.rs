//! Messages between a sweep and its worker processes: one line of JSON each.
//!
//! The sweep writes a [`WorkerRequest`](super::WorkerRequest) to the worker's standard input, and later
//! [`STOP`] if the worker has to end early. The end of this input tells the worker that the sweep is
//! gone. The worker writes [`Message`]s to its standard output. The last one says how the run ended. A
//! worker that ends without it has crashed.

use crate::sweep::executor::RunEnd;
use crate::train::Update;
use serde::{Deserialize, Serialize};

/// The line that asks a worker to write a checkpoint and end.
pub(super) const STOP: &str = "stop";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    Update(Update),
    Ended(RunEnd),
}
