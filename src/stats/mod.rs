//! Statistics for the comparison of variants, as pure functions.
//!
//! Variants with the same seed see the same batches. A variant is therefore compared with the baseline
//! by paired differences, one per seed, so that the effect of the seed cancels. The intervals are
//! Student's t intervals of these differences. A [`Design`] corrects their levels for the number of
//! compared variants, and for the number of tests if seeds are added until a comparison is decided.
//!
//! [`PowerLaw`] says how a loss falls with the cost of training.
//!
//! [`Factorial`] says which factors of a grid matter, and whether they depend on each other.
//!
//! [`Association`] says which settings of a random search go together with its results.
//!
//! The claims of an experiment have one-sided tests of their own, of means and of differences of means.

mod association;
mod compare;
mod descriptive;
mod design;
mod factorial;
mod far_values;
mod group_sequential;
mod integral;
mod mean_tests;
mod paired;
mod percentiles;
mod power;
mod power_law;
mod root;

pub use association::{Association, Levels, ranks};
pub use compare::{Comparison, Verdict, compare};
pub use descriptive::{mean, sample_sd};
pub use design::{ALPHA, Design, UsedDesign, rate_of_repeated_designs};
pub use factorial::{Effect, Factorial};
pub use far_values::without_far_above;
pub use mean_tests::{MeanTest, SampleMean, t_test, welch_test, z_test};
pub use paired::{ConfidenceInterval, Paired, paired_differences};
pub use percentiles::percentile_interval;
pub use power::{PairsToDecide, pairs_to_decide};
pub use power_law::{LossesAtCost, PowerLaw};
