//! The values of `random`: drawn when the document is expanded, and from then on like lists of the file.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::{Entry, Node, Value};
use crate::random::{self, Stream};
use rand_core::RngCore;

/// Digits of a drawn number: those of its range, or of a smaller number itself. They are enough for a search, and make
/// the names of variants short.
const DIGITS: usize = 3;

/// A section in which each distribution of its key `random` is replaced by the list of its values. `None` with a mistake
/// in one of them.
pub(super) fn with_drawn_values(section: &Node, errors: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut section = section.clone();
    let Value::Map(entries) = &mut section.value else {
        return Some(section);
    };
    let random = entries.iter_mut().find(|entry| entry.key == "random");
    if let Some(random) = random.filter(|random| random.value.value != Value::Null) {
        random.value.value = Value::Map(drawn(&random.value, errors)?);
    }
    Some(section)
}

/// A list for each path, or `None` with mistakes that are reported here or by the schema.
fn drawn(random: &Node, errors: &mut Vec<Diagnostic>) -> Option<Vec<Entry>> {
    let n = integer(random.get("n")?)?;
    let seed = random.get("seed").map_or(Some(1), integer)?;
    let settings = random.get("settings")?.entries();
    let lists: Vec<Result<Entry, Diagnostic>> = settings
        .iter()
        .map(|entry| list_of_values(entry, seed, n))
        .collect();
    let mistakes = lists.iter().filter_map(|list| list.as_ref().err());
    errors.extend(mistakes.cloned());
    let mut lists: Vec<Entry> = lists.into_iter().collect::<Result<_, _>>().ok()?;
    remove_repetitions(&mut lists, n as usize);
    Some(lists)
}

/// The values of a path, drawn from its distribution.
fn list_of_values(entry: &Entry, seed: u64, n: u64) -> Result<Entry, Diagnostic> {
    let [distribution] = entry.value.entries() else {
        let kind = ErrorKind::NotOneDistribution;
        return Err(Diagnostic::new(entry.value.span, kind));
    };
    let stream = Stream::new(seed, &format!("values of {}", entry.key));
    let values = (0..n).map(|index| value(distribution, &mut stream.at(index)));
    let Some(values) = values.collect::<Option<Vec<Node>>>() else {
        let kind = ErrorKind::NoDistribution(distribution.key.clone());
        return Err(Diagnostic::new(distribution.value.span, kind));
    };
    Ok(Entry {
        value: Node {
            span: entry.value.span,
            value: Value::Seq(values),
        },
        ..entry.clone()
    })
}

/// Keeps the first of equal combinations: two variants with the same settings cannot be compared.
fn remove_repetitions(lists: &mut [Entry], n: usize) {
    let value = |list: &Entry, index: usize| list.value.items()[index].value.clone();
    let rows = (0..n).map(|index| lists.iter().map(|list| value(list, index)).collect());
    let rows: Vec<Vec<Value>> = rows.collect();
    let is_first = |index: usize| !rows[..index].contains(&rows[index]);
    for list in lists {
        if let Value::Seq(items) = &mut list.value.value {
            let mut index = 0..;
            items.retain(|_| index.next().is_some_and(is_first));
        }
    }
}

fn integer(node: &Node) -> Option<u64> {
    match node.value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// A drawn value. `None` if the ends or values of the distribution make no sense.
fn value(distribution: &Entry, rng: &mut impl RngCore) -> Option<Node> {
    let items = distribution.value.items();
    let number = |node: &Node| match node.value {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value).filter(|value| value.is_finite()),
        _ => None,
    };
    let ends = || match items {
        [low, high] => Some((number(low)?, number(high)?)).filter(|(low, high)| low < high),
        _ => None,
    };
    let value = match distribution.key.as_str() {
        "uniform" => {
            let (low, high) = ends()?;
            let value = low + random::unit(rng) * (high - low);
            Value::Float(rounded(value, high - low).clamp(low, high))
        }
        "log_uniform" => {
            let (low, high) = ends().filter(|(low, _)| *low > 0.0)?;
            let (from, to) = (low.ln(), high.ln());
            let value = (from + random::unit(rng) * (to - from)).exp();
            Value::Float(rounded(value, value.min(high - low)).clamp(low, high))
        }
        "integer" => {
            let (Value::Int(low), Value::Int(high)) = (&items.first()?.value, &items.get(1)?.value)
            else {
                return None;
            };
            let count = u64::try_from(high.checked_sub(*low)?)
                .ok()?
                .checked_add(1)?;
            Value::Int(low + i128::from(random::below(rng, count)))
        }
        "choice" if !items.is_empty() => {
            return items
                .get(random::below(rng, items.len() as u64) as usize)
                .cloned();
        }
        _ => return None,
    };
    Some(Node {
        span: distribution.value.span,
        value,
    })
}

/// A value rounded to [`DIGITS`] significant digits of `scale`.
fn rounded(value: f64, scale: f64) -> f64 {
    let decimals = DIGITS as i32 - 1 - scale.log10().floor() as i32;
    format!("{value:.*}", decimals.clamp(0, 17) as usize)
        .parse()
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;
    use crate::spec::{Optimizer, OptimizerKind, RunSpec};

    fn runs(sweep: &str) -> Vec<RunSpec> {
        let text = format!("name: test\nsweep:\n  seeds: 1\n{sweep}");
        let document = from_text("test.yaml", &text, &[]).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap_or_else(|e| panic!("{e}")).runs
    }

    fn errors(sweep: &str) -> String {
        let text = format!("name: test\nsweep:\n{sweep}");
        let expanded = from_text("test.yaml", &text, &[]).and_then(|document| document.expand());
        expanded.err().unwrap().to_string()
    }

    const RANDOM: &str = "{n: 50, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, \
        model.n_layer: {integer: [1, 4]}, model.dropout: {uniform: [0.0, 0.5]}, \
        model.norm: {choice: [layernorm, rmsnorm]}}}";

    #[test]
    fn values_are_drawn_from_their_distributions() {
        let runs = runs(&format!("  random: {RANDOM}"));
        assert_eq!(runs.len(), 50);
        let share = |is: &dyn Fn(&RunSpec) -> bool| runs.iter().filter(|run| is(run)).count();
        assert!(
            runs.iter()
                .all(|run| (1e-4..=1e-1).contains(&run.optimizer.lr))
        );
        assert!(
            (8..=26).contains(&share(&|run| run.optimizer.lr < 1e-3)),
            "a third"
        );
        assert!((1..=4).all(|layers| share(&|run| run.model.n_layer == layers) > 4));
        assert!(
            (14..=36).contains(&share(&|run| run.model.dropout < 0.25)),
            "a half"
        );
        assert!((14..=36).contains(&share(&|run| run.model.norm == crate::spec::Norm::Rmsnorm)));
        assert!(
            runs.iter()
                .all(|run| run.optimizer.lr.to_string().len() < 9),
            "few digits"
        );
    }

    /// Numbers of a narrow range differ, and none is outside of it.
    #[test]
    fn rounding_stays_in_the_range() {
        let runs = runs(
            "  random: {n: 40, settings: {optimizer.lr: {uniform: [0.95, 0.9999]}, model.dropout: {log_uniform: [0.5, 0.501]}}}",
        );
        assert!(runs.len() > 30);
        assert!(
            runs.iter()
                .all(|run| (0.95..=0.9999).contains(&run.optimizer.lr))
        );
        assert!(
            runs.iter()
                .all(|run| (0.5..=0.501).contains(&run.model.dropout))
        );
    }

    #[test]
    fn draws_depend_on_the_seed_and_the_path_only() {
        let lrs = |settings: &str| -> Vec<f64> {
            let runs = runs(&format!("  random: {{n: 5, {settings}}}"));
            runs.iter().map(|run| run.optimizer.lr).collect()
        };
        let lr = "optimizer.lr: {uniform: [0.1, 0.9]}";
        let first = lrs(&format!("settings: {{{lr}}}"));
        assert_eq!(
            first,
            lrs(&format!(
                "settings: {{model.n_layer: {{integer: [1, 9]}}, {lr}}}"
            ))
        );
        assert_ne!(first, lrs(&format!("seed: 2, settings: {{{lr}}}")));
    }

    #[test]
    fn equal_draws_count_once() {
        let sweep = "  random: {n: 50, settings: {model.n_layer: {integer: [1, 2]}, model.norm: {choice: [none, rmsnorm]}}}";
        assert_eq!(runs(sweep).len(), 4);
    }

    /// Momentum belongs to one of the two optimizers. The other one is trained once for each of its own values.
    #[test]
    fn a_drawn_value_that_does_not_apply_is_left_out() {
        let tune = "  variants: {a: {}, b: {model: {n_layer: 1}}}\n  tune: {random: {n: 40, settings: {optimizer.kind: \
                    {choice: [adamw, sgd]}, optimizer.momentum: {uniform: [0.5, 0.8]}}}}";
        let runs = runs(tune);
        let is_searched = |run: &&RunSpec| run.variant == "a" && run.seed > 1000;
        let of = |kind: OptimizerKind| {
            let runs = runs.iter().filter(is_searched);
            let runs = runs.filter(move |run| run.optimizer.kind == kind);
            runs.map(|run| run.optimizer.momentum).collect::<Vec<_>>()
        };
        let default = Optimizer::default().momentum;
        assert_eq!(of(OptimizerKind::Adamw), [default], "one combination");
        let drawn = of(OptimizerKind::Sgd);
        assert!(drawn.len() > 10 && drawn.iter().all(|momentum| (0.5..=0.8).contains(momentum)));
    }

    #[test]
    fn a_name_has_the_drawn_values() {
        let sweep = "  random: {n: 3, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, model.n_layer: {integer: [2, 200]}}}";
        for run in runs(sweep) {
            let lr = match run.optimizer.lr {
                lr if lr < 1e-3 => format!("{lr:e}"),
                lr => lr.to_string(),
            };
            assert_eq!(
                run.variant,
                format!("lr-{lr}+n_layer-{}", run.model.n_layer)
            );
        }
    }

    #[test]
    fn a_choice_can_be_a_list_or_a_section() {
        let sweep = "  random: {n: 30, settings: {optimizer.betas: {choice: [[0.9, 0.99], [0.8, 0.9]]}, \
                     model: {choice: [{n_layer: 1}, {n_layer: 2}]}}}";
        assert_eq!(runs(sweep).len(), 4);
    }

    #[test]
    fn lists_of_zip_are_taken_together_and_combined_with_the_grid() {
        let sweep = "  grid: {model.norm: [layernorm, rmsnorm]}\n  \
                     zip: {model.n_layer: [1, 2, 3], model.n_embd: [32, 64, 96]}";
        let of = |run: &RunSpec| (run.model.n_layer, run.model.n_embd);
        let sizes: Vec<_> = runs(sweep).iter().map(of).collect();
        assert_eq!(
            sizes,
            [(1, 32), (2, 64), (3, 96), (1, 32), (2, 64), (3, 96)]
        );
    }

    #[test]
    fn a_search_can_be_random() {
        let tune = "  seeds: 2\n  variants: {a: {}, b: {model: {n_layer: 1}}}\n  tune: {random: {n: 4, settings: \
                    {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}}}}";
        let text = format!("name: test\nsweep:\n{tune}");
        let document = from_text("test.yaml", &text, &[]).unwrap_or_else(|e| panic!("{e}"));
        let expansion = document.expand().unwrap_or_else(|e| panic!("{e}"));
        let lrs = |variant: &str| -> Vec<f64> {
            let runs = expansion.runs.iter().filter(|run| run.variant == variant);
            runs.map(|run| run.optimizer.lr).collect()
        };
        assert_eq!(
            lrs("a"),
            lrs("b"),
            "the searches of the variants are the same"
        );
        assert_eq!(lrs("a").len(), 4 * 3);
    }

    #[test]
    fn mistakes_are_explained() {
        for (sweep, expected) in [
            (
                "  zip: {model.n_layer: [1, 2], model.n_embd: [32]}",
                "different lengths: model.n_layer has 2, model.n_embd has 1",
            ),
            (
                "  random: {n: 2, settings: {optimizer.lr: {log_uniform: [0.0, 1.0]}}}",
                "`log_uniform` has no such values",
            ),
            (
                "  random: {n: 2, settings: {train.batch_size: {integer: [0, 4]}}}",
                "`sweep.random.settings.train.batch_size.integer[0]` must be",
            ),
            (
                "  random: {n: 2, settings: {model.dropout: {uniform: [-1.0, 0.5]}}}",
                "`sweep.random.settings.model.dropout.uniform[0]` must be from 0 to",
            ),
            (
                "  random: {n: 2, settings: {model.norm: {choice: [foo, rmsnorm]}}}",
                "invalid value `foo` for `sweep.random.settings.model.norm.choice[0]`",
            ),
            (
                "  random: {n: 2, settings: {model.n_layer: {uniform: [1, 3]}}}",
                "unknown key `uniform` in `sweep.random.settings.model.n_layer`",
            ),
            (
                "  random: {n: 2, settings: {optimizer.lr: {uniform: [1.0, 0.1]}}}",
                "`uniform` has no such values",
            ),
            (
                "  random: {n: 2, settings: {optimizer.lr: {uniform: [0.1, 1.0], choice: [1]}}}",
                "exactly one of",
            ),
            (
                "  random: {n: 2, settings: {optimizer.lr: {normal: [0.1, 1.0]}}}",
                "unknown key `normal`",
            ),
            (
                "  random: {n: 2, settings: {optimizer.rl: {uniform: [0.1, 1.0]}}}",
                "optimizer.lr",
            ),
            (
                "  random: {n: 0, settings: {optimizer.lr: {uniform: [0.1, 1.0]}}}",
                "from 1 to 1000",
            ),
            (
                "  grid: {optimizer.lr: [0.1]}\n  zip: {optimizer.lr: [0.2]}",
                "`grid` and `zip` both set `optimizer.lr`",
            ),
            (
                "  zip: {optimizer: [{kind: sgd}, {kind: adam}]}\n  random: {n: 2, settings: {optimizer.lr: {choice: [1]}}}",
                "`random` sets `optimizer.lr`, and `zip` sets it through `optimizer`",
            ),
            (
                "  zip: {model.norm: [layernorm, rmsnorm]}\n  exclude: [{model.n_layer: 2}]",
                "`model.n_layer` is not a path of `zip`",
            ),
            (
                "  zip: {model: {norm: [layernorm, rmsnorm]}}",
                "a key of `zip` is a whole path; write `model.norm: [...]`",
            ),
            (
                "  variants: {a: {}, b: {model: {n_layer: 1}}}\n  tune: {seeds: 1}",
                "`tune` has nothing to search over",
            ),
        ] {
            let errors = errors(sweep);
            assert!(errors.contains(expected), "{sweep}\n{errors}");
        }
    }

    /// Without valid combinations, the variants have other names and settings than those that are meant.
    #[test]
    fn errors_that_follow_from_another_are_not_reported() {
        let reversed = "{n: 4, settings: {optimizer.lr: {uniform: [1.0, 0.1]}}}";
        let named = "baseline: lr-0.5\n  seeds: {min: 2, max: 4, until: decided}\n  \
                     exclude: [{optimizer.lr: 0.2}]\n";
        let variants = "variants: {a: {}, b: {model: {n_layer: 1}}}\n";
        for (sweep, mistakes) in [
            (format!("  random: {reversed}\n  {named}"), 1),
            (format!("  tune: {{random: {reversed}}}\n  {variants}"), 1),
            (
                format!(
                    "  tune: {{zip: {{model.n_layer: [1, 2], optimizer.lr: [0.1]}}}}\n  {variants}"
                ),
                1,
            ),
            (
                format!("  zip: {{model.n_layer: [1, 2], optimizer.lr: [0.1]}}\n  {named}"),
                1,
            ),
            (
                "  grid: {optimizer.lr: [0.1, 0.2]}\n  zip: {optimizer.lr: [0.3]}\n".to_owned(),
                1,
            ),
            (format!("  tune: {{seeds: 1}}\n  {variants}"), 1),
            (
                "  random: {n: 2, settings: {optimizer.lr: {uniform: [1.0, 0.5]}, model.n_layer: \
                 {integer: [2, 1]}}}\n"
                    .to_owned(),
                2,
            ),
        ] {
            let errors = errors(&sweep);
            assert_eq!(
                errors.matches("error: ").count(),
                mistakes,
                "{sweep}\n{errors}"
            );
        }
    }
}
