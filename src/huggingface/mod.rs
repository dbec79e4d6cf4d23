//! Models as folders that the Python library `transformers` loads, with a class that it has.
//!
//! [`Class::of`] finds the class for a model, and [`write`] writes the folder.
//!
//! - [`Exported`] is what is written, and `folder` writes it.
//! - `class` lists the classes. Each family has a file with its requirements, its `config.json` and the names of its
//!   tensors: `gpt2`, `gpt_neox`, `llama` (also Mistral and Qwen3). To add a class, add it to [`Class`] and write such a
//!   file.
//! - `config_values` are values of `config.json` that several classes share.
//! - `requirements` collects the settings that a class cannot express.
//! - `tensors` says which numbers of a model each tensor of a class holds, and writes them.
//! - `model_card` describes the run for people.

mod class;
mod config_values;
mod exported;
mod folder;
mod gpt2;
mod gpt_neox;
mod llama;
mod model_card;
mod requirements;
mod tensors;
#[cfg(test)]
mod transformers_library;

pub use class::{Class, Inexpressible};
pub use exported::Exported;
pub use folder::write;
pub use llama::LlamaKind;
