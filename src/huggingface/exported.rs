use crate::data::Tokenizer;
use crate::kernels::CpuBackend;
use crate::model::Model;
use crate::results::RunStatus;
use crate::spec::RunSpec;

/// A trained model, and what is known of its run.
#[derive(Debug, Clone, Copy)]
pub struct Exported<'a> {
    /// Name of the run.
    pub name: &'a str,
    pub spec: &'a RunSpec,
    pub model: &'a Model<CpuBackend>,
    pub tokenizer: &'a Tokenizer,
    /// How the run ended. `None` if it has not ended, and for the weights of an earlier step.
    pub status: Option<&'a RunStatus>,
    /// The step after which the weights were saved, if it is not the last one.
    pub step: Option<u64>,
}
