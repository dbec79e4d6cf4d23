use crate::results::VariantComparison;
use crate::text::units;
use std::io;
use std::path::PathBuf;

/// Why a variant cannot be scored on the test split.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    #[error(
        "the experiment {0} keeps no test split; set `data.test_fraction`, such as to 0.1, and train it again: the \
         test split must not be part of the training text"
    )]
    NoTestSplit(String),
    #[error(
        "there is no variant {variant}; the variants are {}",
        units::list(variants)
    )]
    NoVariant {
        variant: String,
        variants: Vec<String>,
    },
    #[error("{0} is the baseline, with which a variant is compared")]
    IsBaseline(String),
    #[error("the variant {variant} and the baseline {baseline} have different texts")]
    DifferentTexts { variant: String, baseline: String },
    #[error("the run {0} is not done; `runner sweep` continues it")]
    NotDone(String),
    #[error("the search for the best settings of {0} has not ended; `runner sweep` continues it")]
    IsSearching(String),
    #[error(
        "no seed has a finished run of both {variant} and the baseline {baseline}; `runner sweep` with \
         `--retry-failed` trains failed and diverged runs again"
    )]
    NoPair { variant: String, baseline: String },
    #[error(
        "only one seed has a finished run of both {variant} and the baseline {baseline}, and an interval needs two; \
         the test split was not used"
    )]
    OnePair { variant: String, baseline: String },
    #[error("the text or the tokenizer of {0} has changed since it was trained")]
    TextChanged(String),
    #[error("{name} cannot be scored: {reason}")]
    NotScored { name: String, reason: String },
    #[error("cannot use {}: {source}", path.display())]
    Uses { path: PathBuf, source: io::Error },
}

impl ConfirmError {
    pub(super) fn no_pair([variant, baseline]: [&VariantComparison; 2]) -> Self {
        Self::NoPair {
            variant: variant.variant.clone(),
            baseline: baseline.variant.clone(),
        }
    }
}
