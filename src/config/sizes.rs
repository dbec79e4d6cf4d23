//! The sizes of `sweep.scale`.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::merge::merge;
use super::tree::{Layer, Node, Value};

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
        return vec![document.clone()];
    }
    let sizes = scale.value.get("sizes").map_or(&[][..], Node::items);
    let sized = sizes.iter().map(|size| merge(document, size, Layer::Size));
    match sizes {
        [] => vec![document.clone()],
        _ => sized.collect(),
    }
}
