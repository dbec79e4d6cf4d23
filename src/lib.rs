//! `runner`: a declarative experiment runner for small language models.
//!
//! One YAML file in; every variant trained; one comparison report with plots out. Three documents
//! carry everything, and each stage knows only the one before it: an [`spec::Experiment`] (the
//! YAML, typed), a [`record::SweepPlan`] (every run resolved) and the records that runs leave
//! behind, which are all that reports may read.

pub mod cli;
pub mod commands;
pub mod config;
pub mod data;
mod hash;
pub mod model;
pub mod ops;
pub mod random;
pub mod record;
pub mod report;
pub mod runner;
pub mod spec;
pub mod stats;
pub mod train;
