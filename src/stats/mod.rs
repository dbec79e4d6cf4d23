//! Statistics for the comparison of variants, as pure functions.
//!
//! Variants with the same seed see the same batches. A variant is therefore compared with the baseline
//! by paired differences, one per seed, so that the effect of the seed cancels. The intervals are
//! Student's t intervals of these differences. Their levels are corrected for the number of compared
//! variants (Holm 1979).

mod compare;
mod descriptive;
mod holm;
mod paired;

pub use compare::{Comparison, Verdict, compare};
pub use descriptive::{mean, sample_sd};
pub use holm::{Step, holm};
pub use paired::{ConfidenceInterval, Paired, paired_differences};
