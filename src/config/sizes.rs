//! The sizes of `sweep.scale`.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::merge::merge;
use super::tree::{Layer, Node, Value};

/// What each size changes, the smallest first. Empty without sizes, and with `tune`, with which they cannot be
/// combined.
pub(super) fn overlays(sweep: &Node) -> &[Node] {
    let tune = sweep.get("tune").filter(|tune| tune.value != Value::Null);
    let sizes = sweep.at("scale.sizes").filter(|_| tune.is_none());
    sizes.map_or(&[], |sizes| sizes.value.items())
}

/// The document at each size, the smallest first. Without sizes, the document as it is.
pub(super) fn sized_documents(
    document: &Node,
    sweep: &Node,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    let Some(scale) = sweep
        .entry("scale")
        .filter(|scale| scale.value.value != Value::Null)
    else {
        return vec![document.clone()];
    };
    if sweep
        .get("tune")
        .is_some_and(|tune| tune.value != Value::Null)
    {
        errors.push(Diagnostic::new(scale.key_span, ErrorKind::ScaleWithTune));
    }
    let sizes = overlays(sweep);
    let sized = sizes.iter().map(|size| merge(document, size, Layer::Size));
    match sizes {
        [] => vec![document.clone()],
        _ => sized.collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;

    fn errors(text: &str) -> String {
        let document = from_text("test.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_size_that_has_it() {
        let sizes = |sizes: &str, rest: &str| {
            errors(&format!(
                "name: test\nsweep:\n  scale: {{sizes: [{sizes}]}}\n{rest}"
            ))
        };
        let own = "{model: {n_embd: 30}}, {model: {n_embd: 64}}, {model: {n_embd: 96}}";
        insta::assert_snapshot!("a_value_of_a_size", sizes(own, "model: {n_head: 4}"));
        let widths = "{model: {n_embd: 40}}, {model: {n_embd: 64}}, {model: {n_embd: 96}}";
        let variant = "  variants: {a: {model: {n_head: 8}}, b: {model: {n_head: 32}}}";
        insta::assert_snapshot!("a_value_of_a_variant", sizes(widths, variant));
        let tokenizers = "{tokenizer: {kind: byte}}, {model: {n_embd: 64}}, {model: {n_embd: 96}}";
        let metric = "compare: {metric: val_loss}";
        insta::assert_snapshot!("tokens_of_a_size", sizes(tokenizers, metric));
        let fixed = "  variants: {a: {}, b: {model: {n_embd: 40}}}";
        let fixed = sizes(
            &widths.replace("n_embd: 96", "n_embd: 96, n_layer: 1"),
            fixed,
        );
        insta::assert_snapshot!("the_same_sizes", fixed);
    }

    #[test]
    fn an_error_of_all_sizes_names_none() {
        let text = "name: test
optimizer: {lr: 0.1, schedule: {kind: cosine, min_lr: 0.5}}
sweep:
  scale: {sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}]}
  variants: {a: {}, b: {model: {mlp: swiglu}}}";
        let errors = errors(text);
        assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
        assert!(errors.starts_with("error: `min_lr` (0.5)"), "{errors}");
    }
}
