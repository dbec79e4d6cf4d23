//! The folder of an exported model.

use super::class::Class;
use super::config_values::decimal;
use super::exported::Exported;
use super::model_card::model_card;
use super::tensors::Tensors;
use crate::data::portable_tokenizer;
use crate::results::{PartialFolder, create_folders, partial_folder, sync_folder};
use crate::spec::Sample;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Start of the name of a folder that is being written, beside the one that it becomes.
const PREFIX: &str = ".runner-export-";

/// Writes a model of this class to `folder`, which must not exist. It is complete or absent afterwards.
///
/// # Errors
/// If a file cannot be written.
pub fn write(exported: &Exported, class: Class, folder: &Path) -> io::Result<()> {
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_folders(parent)?;
    partial_folder::remove_killed(parent, PREFIX);
    let mut partial = PartialFolder::with_prefix(parent, PREFIX)?;
    let Exported {
        spec,
        model,
        tokenizer,
        ..
    } = exported;
    let at = |name: &str| partial.path().join(name);
    let write = |name: &str, text: &str| {
        fs::write(at(name), text)?;
        File::open(at(name))?.sync_all()
    };
    let config = class.config(&spec.model, tokenizer.vocab_size());
    write("config.json", &pretty(config.into()))?;
    let prompt = exported.prompt_tokens();
    let settings = generation_config(&spec.sample, spec.sequence_length(), prompt.len());
    write("generation_config.json", &pretty(settings.into()))?;
    write(
        "tokenizer_config.json",
        &pretty(tokenizer_config(spec.sequence_length())),
    )?;
    let json = tokenizer.to_json().map_err(io::Error::other)?;
    let json = portable_tokenizer(spec.tokenizer.kind, &json);
    write("tokenizer.json", &json)?;
    write("README.md", &model_card(exported, class)?)?;
    let tensors = class.tensors(&spec.model, Tensors::of(model));
    tensors.write(&at("model.safetensors"))?;
    File::open(at("model.safetensors"))?.sync_all()?;
    sync_folder(partial.path())?;
    partial.rename(folder)?;
    sync_folder(parent)
}

fn pretty(value: Value) -> String {
    format!("{value:#}\n")
}

/// The sampling of the run's own texts as the default of `generate` in Python. It ends when the context is full: there,
/// no older tokens are dropped.
fn generation_config(sample: &Sample, context: usize, prompt: usize) -> Map<String, Value> {
    let room = context.saturating_sub(prompt).max(1);
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    set("max_new_tokens", sample.tokens.clamp(1, room).into());
    set("do_sample", (sample.temperature > 0.0).into());
    if sample.temperature > 0.0 {
        set("temperature", decimal(sample.temperature));
        // 0 means all tokens there. Without the key, it would be 50.
        set("top_k", sample.top_k.unwrap_or(0).into());
        set("top_p", decimal(sample.top_p));
        if sample.min_p > 0.0 {
            set("min_p", decimal(sample.min_p));
        }
    }
    set("repetition_penalty", decimal(sample.repetition_penalty));
    config
}

fn tokenizer_config(context: usize) -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_keeps_its_settings() {
        let sample = Sample {
            tokens: 20,
            temperature: 0.7,
            top_k: None,
            min_p: 0.05,
            ..Sample::default()
        };
        let expected = json!({
            "max_new_tokens": 20, "do_sample": true, "temperature": 0.7, "top_k": 0, "top_p": 1.0, "min_p": 0.05,
            "repetition_penalty": 1.0,
        });
        assert_eq!(Value::from(generation_config(&sample, 64, 1)), expected);
        let greedy = Sample {
            temperature: 0.0,
            ..Sample::default()
        };
        let expected = json!({"max_new_tokens": 60, "do_sample": false, "repetition_penalty": 1.0});
        assert_eq!(Value::from(generation_config(&greedy, 64, 4)), expected);
    }
}
