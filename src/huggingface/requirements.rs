use crate::spec::{self, Mlp, NormPosition};
use serde::Serialize;
use std::fmt;

/// A setting that a class cannot express.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conflict {
    /// The key, such as `model.norm`.
    key: &'static str,
    value: String,
    /// The values that the class has.
    possible: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            possible,
        } = self;
        write!(f, "{key}: {possible} (it is {value})")
    }
}

/// Collects the settings of a model that a class cannot express.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    pub(super) conflicts: Vec<Conflict>,
}

impl Requirements {
    /// The requirements that all classes share.
    pub(super) fn of_all_classes(model: &spec::Model) -> Self {
        let mut all = Self::default();
        all.one_of(
            "model.norm_position",
            model.norm_position,
            &[NormPosition::Pre],
        );
        all.one_of("model.scale_embedding", model.scale_embedding, &[false]);
        all.one_of("model.logit_soft_cap", model.logit_soft_cap, &[None]);
        all.one_of(
            "model.bias_overrides.head",
            model.bias_overrides.head,
            &[false],
        );
        all
    }

    /// Requires that a setting has one of the `possible` values.
    pub(super) fn one_of<T: PartialEq + Serialize>(
        &mut self,
        key: &'static str,
        value: T,
        possible: &[T],
    ) {
        if possible.contains(&value) {
            return;
        }
        let possible: Vec<String> = possible.iter().map(written).collect();
        let conflict = Conflict {
            key,
            value: written(&value),
            possible: possible.join(" or "),
        };
        if !self.conflicts.contains(&conflict) {
            self.conflicts.push(conflict);
        }
    }

    /// Requires that a part has no bias. `exception` is its own setting, with its key, which `model.bias` has otherwise.
    pub(super) fn no_bias(&mut self, has_bias: bool, exception: (&'static str, Option<bool>)) {
        let key = match exception {
            (key, Some(_)) => key,
            (_, None) => "model.bias",
        };
        self.one_of(key, has_bias, &[false]);
    }

    /// Requires an MLP without a gate.
    pub(super) fn no_gate(&mut self, model: &spec::Model) {
        let plain = Mlp::ALL.into_iter().filter(|mlp| !mlp.gated());
        self.one_of("model.mlp", model.mlp, &plain.collect::<Vec<_>>());
    }

    /// Requires that each head has its own keys and values, which are used as they are, over the whole context.
    pub(super) fn full_heads(&mut self, model: &spec::Model) {
        self.one_of("model.n_kv_head", model.kv_heads(), &[model.n_head]);
        self.one_of("model.qk_norm", model.qk_norm, &[false]);
        self.one_of("model.sliding_window", model.effective_window(), &[None]);
    }
}

/// A value as it is written in an experiment.
fn written<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("settings are written as JSON in every record");
    json.trim_matches('"').to_owned()
}
