//! Names that keys and values of an experiment had in earlier versions.
//!
//! Experiments, plans and configurations written with an old name still load: the serde alias on
//! the field or choice reads it, and `config` replaces it before validation and prints a note.
//! The text behind a run's identity keeps the oldest names, so that runs finished by an earlier
//! version are found again.

/// A key that was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenamedKey {
    /// Path of the section that has the key, with today's names.
    pub section: &'static str,
    pub old: &'static str,
    pub new: &'static str,
}

/// A choice that was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenamedChoice {
    /// Path of the field, with today's names. `[]` stands for the items of a list.
    pub path: &'static str,
    pub old: &'static str,
    pub new: &'static str,
}

/// Every key that was renamed.
pub const RENAMED_KEYS: &[RenamedKey] = &[
    key("model", "window", "sliding_window"),
    key("model", "parallel", "parallel_block"),
    key("model", "bias_in", "bias_overrides"),
    key("model.positions", "base", "rope_theta"),
    key("model.positions", "fraction", "rotary_pct"),
    key("train", "accumulate", "gradient_accumulation_steps"),
    key("train", "debug", "detect_anomaly"),
    key("train", "keep_weights_every", "save_every"),
    key("sample", "num", "num_samples"),
];

/// Every choice that was renamed. `gelu` was the tanh approximation and `gelu_exact` the function
/// itself, while other libraries call the function itself `gelu`; neither of today's names can be
/// mistaken.
pub const RENAMED_CHOICES: &[RenamedChoice] = &[
    choice("model.mlp", "gelu", "gelu_tanh"),
    choice("model.mlp", "gelu_exact", "gelu_erf"),
    choice("expect[].metric", "train_loss", "train_split_loss"),
];

const fn key(section: &'static str, old: &'static str, new: &'static str) -> RenamedKey {
    RenamedKey { section, old, new }
}

const fn choice(path: &'static str, old: &'static str, new: &'static str) -> RenamedChoice {
    RenamedChoice { path, old, new }
}

impl RenamedKey {
    /// The renaming whose old name is a key of a section.
    pub fn with_old(section: &str, old: &str) -> Option<&'static Self> {
        let mut all = RENAMED_KEYS.iter();
        all.find(|key| key.section == section && key.old == old)
    }

    /// The renaming whose new name is a key of a section.
    pub fn with_new(section: &str, new: &str) -> Option<&'static Self> {
        let mut all = RENAMED_KEYS.iter();
        all.find(|key| key.section == section && key.new == new)
    }
}

impl RenamedChoice {
    /// The renaming whose old name is a value of a field.
    pub fn with_old(path: &str, old: &str) -> Option<&'static Self> {
        let mut all = RENAMED_CHOICES.iter();
        all.find(|choice| choice.path == path && choice.old == old)
    }

    /// The renaming whose new name is a value of a field.
    pub fn with_new(path: &str, new: &str) -> Option<&'static Self> {
        let mut all = RENAMED_CHOICES.iter();
        all.find(|choice| choice.path == path && choice.new == new)
    }
}
