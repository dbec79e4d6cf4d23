use crate::data::Tokenizer;
use crate::kernels::CpuBackend;
use crate::model::{Model, prompt_tokens};
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

impl Exported<'_> {
    /// The tokens of the prompt of the run's own texts.
    pub(super) fn prompt_tokens(&self) -> Vec<usize> {
        let tokens = prompt_tokens(self.tokenizer, &self.spec.sample.prompt);
        tokens.unwrap_or_else(|_| vec![0])
    }
}
