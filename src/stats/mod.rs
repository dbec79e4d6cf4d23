//! The statistics of a comparison, as pure functions.
//!
//! Variants with the same seed see the same batches, so a variant is compared with the baseline by
//! its differences seed by seed: what the two share cancels. Intervals are Student's t on those
//! differences, at levels corrected for the number of variants that are compared (Holm 1979).

mod compare;
mod descriptive;
mod holm;
mod paired;

pub use compare::{Comparison, Verdict, compare};
pub use descriptive::{mean, sample_sd};
pub use holm::{Step, holm};
pub use paired::{ConfidenceInterval, Paired, paired_differences};
