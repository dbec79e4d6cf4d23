//! `runner`: a declarative experiment runner for small language models.
//!
//! One YAML file describes an experiment. Every variant is trained, and a report with plots compares
//! them. Three documents carry everything, and each stage knows only the one before it: an
//! [`spec::Experiment`] (the YAML, typed), a [`results::SweepPlan`] (every run resolved) and the
//! records that runs leave behind, which are all that reports may read.

mod caught_panic;
pub mod cli;
pub mod config;
pub mod data;
mod hash;
pub mod huggingface;
pub mod kernels;
pub mod model;
pub mod out_of_memory;
pub mod random;
mod regular_file;
pub mod report;
pub mod results;
pub mod spec;
pub mod stats;
pub mod sweep;
mod text;
pub mod train;
