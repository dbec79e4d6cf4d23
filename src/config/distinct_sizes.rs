//! The sizes of `sweep.scale` that make a difference to a variant.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::variants::{Variant, Variants};
use crate::spec::RunSpec;
use std::collections::HashSet;

/// Removes the smaller sizes of variants that no size changes, such as counts of n-grams: they are trained once. It is
/// an error if that is the baseline, or if some sizes of a variant are the same and others are not.
pub(super) fn keep_distinct_sizes(
    variants: &Variants,
    resolved: &mut Vec<(&Variant, RunSpec)>,
    baseline: &str,
) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut unchanged = HashSet::new();
    for sizes in resolved.chunk_by(|(a, _), (b, _)| a.name == b.name) {
        let settings: Vec<_> = sizes
            .iter()
            .map(|(_, spec)| spec.result_settings())
            .collect();
        let repeated = |second: &usize| settings[..*second].contains(&settings[*second]);
        let variant = sizes[0].0;
        let name = &variant.name;
        let Some(second) = (0..sizes.len()).find(repeated) else {
            continue;
        };
        if name != baseline && settings.iter().all(|own| *own == settings[0]) {
            unchanged.insert(name.clone());
            continue;
        }
        let first = settings.iter().position(|own| *own == settings[second]);
        let kind = ErrorKind::SameSizes {
            variant: name.clone(),
            first: first.unwrap_or(0) + 1,
            second: second + 1,
        };
        let overlay = variants.sizes().get(second).copied();
        let diagnostic = Diagnostic::new(overlay.unwrap_or(variant.span), kind);
        errors.push(diagnostic.related(variant.span, "the variant"));
    }
    resolved.retain(|(variant, _)| {
        variant.smaller_size.is_none() || !unchanged.contains(&variant.name)
    });
    errors
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;
    use crate::spec::RunSpec;

    fn expand(sweep: &str) -> Result<Vec<(RunSpec, Option<usize>)>, String> {
        let text = format!("name: test\nsweep:\n{sweep}");
        let document = from_text("test.yaml", &text, &[]).map_err(|error| error.to_string())?;
        let expansion = document.expand().map_err(|error| error.to_string())?;
        let sizes = expansion.parts.iter().map(|part| part.smaller_size);
        Ok(expansion.runs.into_iter().zip(sizes).collect())
    }

    const SIZES: &str =
        "  scale: {sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}, {model: {n_embd: 96}}]}\n";

    #[test]
    fn every_variant_has_every_size_and_the_largest_is_compared() {
        let variants = "  variants: {a: {}, b: {model: {mlp: swiglu}}, c: {model: {n_embd: 96}}}\n";
        let error = expand(&(SIZES.to_owned() + variants)).unwrap_err();
        assert!(error.contains("`a` and `c` are identical"), "{error}");
        let variants = "  variants: {a: {}, b: {model: {mlp: swiglu}}}\n  seeds: 2\n";
        let runs = expand(&(SIZES.to_owned() + variants)).unwrap();
        let runs = runs
            .iter()
            .map(|(spec, size)| (spec.variant.as_str(), spec.model.n_embd, spec.seed, *size));
        let of = |variant| {
            [(32, Some(0)), (64, Some(1)), (96, None)]
                .into_iter()
                .flat_map(move |(width, size)| [1, 2].map(|seed| (variant, width, seed, size)))
        };
        assert_eq!(
            runs.collect::<Vec<_>>(),
            of("a").chain(of("b")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_variant_that_no_size_changes_is_trained_once() {
        let variants = "  variants: {a: {}, count: {model: {kind: ngram}}}\n";
        let runs = expand(&(SIZES.to_owned() + variants)).unwrap();
        let sizes: Vec<_> = runs
            .iter()
            .map(|(spec, size)| (spec.variant.as_str(), *size))
            .collect();
        assert_eq!(
            sizes,
            [("a", Some(0)), ("a", Some(1)), ("a", None), ("count", None)]
        );
    }

    #[test]
    fn sizes_that_change_nothing_or_too_much_are_refused() {
        let cases = [
            (
                "  baseline: fixed\n  variants: {fixed: {model: {n_embd: 128}}, a: {}}\n",
                "the sizes 1 and 2 of the variant `fixed`",
            ),
            (
                "  tune: {grid: {optimizer.lr: [0.1, 0.2]}}\n",
                "`scale` and `tune` cannot be combined",
            ),
        ];
        for (rest, message) in cases {
            let error = expand(&(SIZES.to_owned() + rest)).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let error = expand("  scale: {sizes: [{data: {source: names}}, {model: {n_embd: 64}}]}")
            .unwrap_err();
        assert!(error.contains("a size cannot change `data`"), "{error}");
        let error = expand("  scale: {sizes: [{model: {n_embd: 64}}, {model: {n_embdd: 32}}]}")
            .unwrap_err();
        assert!(
            error.contains("n_embdd") && error.contains("test.yaml:3"),
            "{error}"
        );
    }
}
