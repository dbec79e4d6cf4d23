use crate::spec::{ModelKind, RunSettings, RunSpec, shortest};
use serde_json::Value;

/// One configuration value in which a variant differs from the baseline.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// Path in the configuration: `model.norm`.
    pub path: String,
    pub value: String,
    pub baseline: String,
}

/// Every value in which `variant` differs from `baseline`, in the order of the document.
pub fn changes(variant: &RunSpec, baseline: &RunSpec) -> Vec<Change> {
    let mut changes = Vec::new();
    let [own, other] = [variant, baseline].map(|run| RunSettings::of(run).into_sections());
    collect("", &own, &other, &mut changes);
    if [variant, baseline]
        .iter()
        .any(|run| run.train.planned_steps().is_none())
    {
        changes.retain(|change| change.path != "train.steps"); // it has no effect with `train.seconds`
    }
    show_widths(&mut changes, variant, baseline);
    let either = |kind| [variant, baseline].iter().any(|run| run.model.kind == kind);
    if either(ModelKind::Ngram) {
        // An n-gram model ignores the architecture and the training settings of other models.
        changes.retain(|change| {
            let section = change.path.split('.').next();
            !matches!(section, Some("model" | "optimizer" | "train"))
                || matches!(change.path.as_str(), "model.kind" | "model.order")
        });
        changes.retain(|change| {
            change.path != "model.order" || variant.model.kind == baseline.model.kind
        });
        if variant.model.kind == ModelKind::Ngram && baseline.model.kind != ModelKind::Ngram {
            changes.push(Change {
                path: "model.order".to_owned(),
                value: variant.model.order.to_string(),
                baseline: "none".to_owned(),
            });
        }
    } else if either(ModelKind::Bigram) {
        // A bigram model uses only these keys of the model section.
        changes.retain(|change| {
            let path = change.path.as_str();
            let used = ["model.kind", "model.block_size", "model.init.embedding_std"];
            !path.starts_with("model.") || used.contains(&path)
        });
    }
    changes
}

/// Replaces the widths of the MLP by numbers if one of them is a number. `21` cannot be compared with `4x`.
fn show_widths(changes: &mut [Change], variant: &RunSpec, baseline: &RunSpec) {
    let is_number = |text: &str| text.parse::<usize>().is_ok();
    let width = changes
        .iter_mut()
        .find(|change| change.path == "model.mlp_hidden");
    if let Some(change) = width.filter(|c| is_number(&c.value) || is_number(&c.baseline)) {
        change.value = variant.model.mlp_width().to_string();
        change.baseline = baseline.model.mlp_width().to_string();
    }
}

fn collect(path: &str, variant: &Value, baseline: &Value, changes: &mut Vec<Change>) {
    if variant == baseline {
        return;
    }
    if let (Some(variant), Some(baseline)) = (variant.as_object(), baseline.as_object()) {
        for (key, value) in variant {
            let other = baseline.get(key).unwrap_or(&Value::Null);
            let path = match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            collect(&path, value, other, changes);
        }
        return;
    }
    changes.push(Change {
        path: path.to_owned(),
        value: shown(variant),
        baseline: shown(baseline),
    });
}

pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => shortest(number).to_string(),
        Value::Object(object) => match object.get("url") {
            Some(url) => shown(url),
            None => value.to_string(),
        },
        other => other.to_string().replace(',', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::spec;
    use crate::spec::{MlpHidden, Norm, Source};

    fn change(path: &str, value: &str, baseline: &str) -> Change {
        Change {
            path: path.to_owned(),
            value: value.to_owned(),
            baseline: baseline.to_owned(),
        }
    }

    #[test]
    fn changes_are_listed_by_path() {
        let baseline = spec("gpt", 1);
        let mut variant = spec("other", 2);
        assert_eq!(changes(&variant, &baseline), []);
        variant.model.norm = Norm::Rmsnorm;
        variant.model.dropout = 0.1;
        variant.optimizer.betas = [0.9, 0.95];
        variant.data.source = Source::Url {
            url: "http://x/y".to_owned(),
            sha256: "0".to_owned(),
        };
        let mut found = changes(&variant, &baseline);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(
            found,
            [
                change("data.source", "http://x/y", "builtin:plays"),
                change("model.dropout", "0.1", "0.0"),
                change("model.norm", "rmsnorm", "layernorm"),
                change("optimizer.betas", "[0.9, 0.95]", "[0.9, 0.99]"),
            ]
        );
    }

    #[test]
    fn widths_are_compared_as_numbers() {
        let (baseline, mut variant) = (spec("gpt", 1), spec("other", 1));
        variant.model.mlp_hidden = MlpHidden::Width(100);
        let width = baseline.model.mlp_width().to_string();
        let expected = change("model.mlp_hidden", "100", &width);
        assert_eq!(changes(&variant, &baseline), [expected]);
    }

    #[test]
    fn keys_that_a_bigram_model_ignores_are_no_changes() {
        let baseline = spec("gpt", 1);
        let mut bigram = spec("bigram", 1);
        bigram.model.kind = ModelKind::Bigram;
        bigram.model.norm = Norm::Rmsnorm;
        assert_eq!(
            changes(&bigram, &baseline),
            [change("model.kind", "bigram", "gpt")]
        );
    }
}
