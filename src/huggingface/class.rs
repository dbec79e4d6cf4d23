use super::llama::LlamaKind;
use super::requirements::{Conflict, Requirements};
use super::tensors::Tensors;
use super::{gpt_neox, gpt2, llama};
use crate::spec;
use serde_json::{Map, Value};

/// A class of `transformers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Gpt2,
    GptNeox,
    Llama(LlamaKind),
}

/// No class of `transformers` has a model.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "transformers has no class for this model\nthe nearest is {}, which needs\n{}",
    nearest.name(),
    lines(conflicts)
)]
pub struct Inexpressible {
    nearest: Class,
    conflicts: Vec<Conflict>,
}

impl Class {
    pub(super) const ALL: [Self; 5] = [
        Self::Gpt2,
        Self::GptNeox,
        Self::Llama(LlamaKind::Llama),
        Self::Llama(LlamaKind::Mistral),
        Self::Llama(LlamaKind::Qwen3),
    ];

    /// The first class that has a GPT. Settings that have no effect after training, such as dropout, do not matter.
    ///
    /// # Errors
    /// The class with the fewest settings that differ.
    pub fn of(model: &spec::Model) -> Result<Self, Inexpressible> {
        let all = Self::ALL.map(|class| (class, class.conflicts(model)));
        let (nearest, conflicts) = all
            .into_iter()
            .min_by_key(|(_, conflicts)| conflicts.len())
            .expect("there are classes");
        match conflicts.is_empty() {
            true => Ok(nearest),
            false => Err(Inexpressible { nearest, conflicts }),
        }
    }

    /// The name of the class in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "GPT2LMHeadModel",
            Self::GptNeox => "GPTNeoXForCausalLM",
            Self::Llama(LlamaKind::Llama) => "LlamaForCausalLM",
            Self::Llama(LlamaKind::Mistral) => "MistralForCausalLM",
            Self::Llama(LlamaKind::Qwen3) => "Qwen3ForCausalLM",
        }
    }

    /// `model_type` in config.json.
    fn model_type(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::GptNeox => "gpt_neox",
            Self::Llama(LlamaKind::Llama) => "llama",
            Self::Llama(LlamaKind::Mistral) => "mistral",
            Self::Llama(LlamaKind::Qwen3) => "qwen3",
        }
    }

    fn conflicts(self, model: &spec::Model) -> Vec<Conflict> {
        let mut all = Requirements::of_all_classes(model);
        match self {
            Self::Gpt2 => gpt2::require(model, &mut all),
            Self::GptNeox => gpt_neox::require(model, &mut all),
            Self::Llama(kind) => llama::require(kind, model, &mut all),
        }
        all.conflicts
    }

    /// The content of config.json for a model of this class.
    pub(super) fn config(self, model: &spec::Model, vocab_size: usize) -> Map<String, Value> {
        let mut config = match self {
            Self::Gpt2 => gpt2::config(model),
            Self::GptNeox => gpt_neox::config(model),
            Self::Llama(kind) => llama::config(kind, model),
        };
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("architectures", vec![self.name()].into());
        set("model_type", self.model_type().into());
        set("vocab_size", vocab_size.into());
        set("tie_word_embeddings", model.tie_weights.into());
        set("dtype", "float32".into());
        // Without these, classes have tokens of their own published models.
        for token in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            set(token, Value::Null);
        }
        config
    }

    /// The tensors of a model of this class. `all` has the shapes of its parameters.
    pub(super) fn tensors<'a>(self, model: &spec::Model, mut all: Tensors<'a>) -> Tensors<'a> {
        match self {
            Self::Gpt2 => gpt2::tensors(model, &mut all),
            Self::GptNeox => gpt_neox::tensors(model, &mut all),
            Self::Llama(kind) => llama::tensors(kind, model, &mut all),
        }
        all
    }
}

fn lines(conflicts: &[Conflict]) -> String {
    let line = |conflict: &Conflict| format!("  {conflict}");
    conflicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Mlp, Model, Norm, PositionKind};

    #[test]
    fn the_class_follows_from_the_architecture() {
        let class = |change: &dyn Fn(&mut Model)| {
            let mut model = Model::default();
            change(&mut model);
            Class::of(&model).map_err(|error| error.to_string())
        };
        let llama = |model: &mut Model| {
            model.norm = Norm::Rmsnorm;
            model.mlp = Mlp::Swiglu;
            model.positions.kind = PositionKind::Rotary;
        };
        assert_eq!(class(&|_| {}), Ok(Class::Gpt2));
        assert_eq!(
            class(&|model| model.positions.kind = PositionKind::Rotary),
            Ok(Class::GptNeox)
        );
        assert_eq!(class(&llama), Ok(Class::Llama(LlamaKind::Llama)));
        let mistral = |model: &mut Model| {
            llama(model);
            model.sliding_window = Some(8);
        };
        // A window that holds every context is none.
        let wide = |model: &mut Model| {
            llama(model);
            model.sliding_window = Some(model.block_size);
        };
        assert_eq!(class(&wide), class(&llama));
        assert_eq!(class(&mistral), Ok(Class::Llama(LlamaKind::Mistral)));
        let qwen = |model: &mut Model| {
            mistral(model);
            model.qk_norm = true;
        };
        assert_eq!(class(&qwen), Ok(Class::Llama(LlamaKind::Qwen3)));
    }

    #[test]
    fn the_error_names_the_settings_and_the_nearest_class() {
        let model = Model {
            norm: Norm::Rmsnorm,
            logit_soft_cap: Some(30.0),
            ..Model::default()
        };
        let error = Class::of(&model).unwrap_err();
        assert_eq!(
            error.to_string(),
            "transformers has no class for this model\n\
             the nearest is GPT2LMHeadModel, which needs\n  \
             model.logit_soft_cap: null (it is 30.0)\n  \
             model.norm: layernorm (it is rmsnorm)"
        );
    }
}
