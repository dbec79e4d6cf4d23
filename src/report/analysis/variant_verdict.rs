use super::ranking::Variant;
use super::wording;
use crate::stats::Verdict;
use schemars::JsonSchema;
use serde::Serialize;

/// How a variant compares with the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariantVerdict {
    Better,
    Worse,
    /// The difference is too small to matter.
    Equivalent,
    /// Not decided, or not tested yet.
    Inconclusive,
    /// It is the baseline.
    Baseline,
}

impl From<Verdict> for VariantVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Better => Self::Better,
            Verdict::Worse => Self::Worse,
            Verdict::Equivalent => Self::Equivalent,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

impl VariantVerdict {
    pub(in crate::report) fn of(variant: &Variant) -> Self {
        match variant.comparison {
            _ if variant.is_baseline => Self::Baseline,
            Some(comparison) if variant.untested().is_none() => comparison.verdict.into(),
            _ => Self::Inconclusive,
        }
    }
}

/// A verdict in the words of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordedVerdict {
    pub verdict: VariantVerdict,
    /// One or a few words, such as `better`, `no result` or `same results`.
    pub words: &'static str,
}

impl WordedVerdict {
    pub(in crate::report) fn of(variant: &Variant) -> Self {
        Self {
            verdict: VariantVerdict::of(variant),
            words: wording::verdict(variant),
        }
    }
}
