//! Keys that apply only with some values of a choice. A key that a variant inherits, and that does
//! not apply to what the variant chose, is left out of its runs. A key that is set where it cannot
//! have an effect is an error.
//!
//! Which keys a choice uses is said by its type in [`crate::spec`].

use super::error_kind::ErrorKind;
use super::schema::{self, join};
use super::spans::Span;
use super::tree::{Entry, Layer, Node, Value};
use crate::spec::{
    Choice, CompareMetric, InitKind, ModelKind, Norm, OptimizerKind, PositionKind, RunSettings,
    RunSpec, ScheduleKind, TokenizerKind,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// A condition that a key has to meet.
pub(super) struct Condition {
    /// Path of the choice.
    pub(super) choice: &'static str,
    /// Values of the choice with which the key applies.
    pub(super) values: Vec<&'static str>,
}

/// All conditions of each key that has any, by the path of the key.
static CONDITIONS: LazyLock<HashMap<&'static str, Vec<Condition>>> = LazyLock::new(|| {
    let mut conditions = HashMap::new();
    collect::<ModelKind>(&mut conditions);
    collect::<Norm>(&mut conditions);
    collect::<PositionKind>(&mut conditions);
    collect::<InitKind>(&mut conditions);
    collect::<TokenizerKind>(&mut conditions);
    collect::<OptimizerKind>(&mut conditions);
    collect::<ScheduleKind>(&mut conditions);
    collect::<CompareMetric>(&mut conditions);
    conditions
});

/// Adds the conditions that come from one choice.
fn collect<C: Choice>(conditions: &mut HashMap<&'static str, Vec<Condition>>) {
    let names = schema::at(C::PATH).and_then(schema::choices);
    for (name, _) in names.unwrap_or_default() {
        let choice = C::deserialize(serde_json::Value::from(name));
        let keys = choice.map_or(&[][..], C::keys);
        for key in keys {
            let of_key = conditions.entry(key).or_default();
            match of_key.iter_mut().find(|known| known.choice == C::PATH) {
                Some(known) => known.values.push(name),
                None => of_key.push(Condition {
                    choice: C::PATH,
                    values: vec![name],
                }),
            }
        }
    }
}

impl Condition {
    /// The conditions of the key at a path, all of which have to hold.
    pub(super) fn of(path: &str) -> &'static [Self] {
        CONDITIONS.get(path).map_or(&[], Vec::as_slice)
    }

    /// The conditions of the key at a path, and of each section that it is in.
    fn of_all_sections(path: &str) -> impl Iterator<Item = &'static Self> {
        let ends = path.match_indices('.').map(|(end, _)| end);
        let paths = ends.chain([path.len()]).map(|end| &path[..end]);
        paths.flat_map(Self::of)
    }

    /// Whether it holds in a document that sets nothing.
    pub(super) fn holds_by_default(&self) -> bool {
        self.values.contains(&default(self.choice))
    }

    /// Whether it holds in a document.
    fn holds(&self, document: &Node) -> bool {
        self.values.contains(&chosen(document, self.choice).0)
    }

    /// The applicability of a key for which it does not hold.
    fn applicability(&self, variant: &Node, entry: &Entry) -> Applicability {
        let (value, layer) = chosen(variant, self.choice);
        if entry.layer < layer {
            return Applicability::Inherited;
        }
        Applicability::Unused(ErrorKind::NoEffect {
            key: entry.key.clone(),
            choice: self.choice.to_owned(),
            value: value.to_owned(),
            applies_to: self.values.iter().map(|&value| value.to_owned()).collect(),
        })
    }
}

/// Whether a key applies to a variant.
pub(super) enum Applicability {
    /// It applies.
    Used,
    /// It does not apply, and comes from a layer below the one that made the choice.
    Inherited,
    /// It does not apply, and was set together with the choice or after it.
    Unused(ErrorKind),
}

/// The span and the applicability of each key of a variant that has conditions.
pub(super) fn applicability(variant: &Node) -> Vec<(Span, Applicability)> {
    let mut found = Vec::new();
    add_section(variant, variant, "", &mut found);
    found
}

fn add_section(variant: &Node, section: &Node, path: &str, found: &mut Vec<(Span, Applicability)>) {
    for entry in section.entries() {
        let path = join(path, &entry.key);
        let conditions = Condition::of(&path);
        if !conditions.is_empty() {
            let broken = conditions.iter().find(|one| !one.holds(variant));
            let applicability = broken.map_or(Applicability::Used, |condition| {
                condition.applicability(variant, entry)
            });
            found.push((entry.key_span, applicability));
        }
        add_section(variant, &entry.value, &path, found);
    }
}

/// Whether the key at a path, and each section that it is in, applies to a run.
pub fn applies(run: &RunSpec, path: &str) -> bool {
    let settings = RunSettings::of(run).into_sections();
    let chosen = |choice: &str| settings.pointer(&format!("/{}", choice.replace('.', "/")));
    Condition::of_all_sections(path).all(|one| {
        let value = chosen(one.choice).and_then(serde_json::Value::as_str);
        value.is_some_and(|value| one.values.contains(&value))
    })
}

/// The same, for a document without its variants.
pub(super) fn applies_to(document: &Node, path: &str) -> bool {
    Condition::of_all_sections(path).all(|one| one.holds(document))
}

/// The values of a run at those of the paths that apply to it.
pub fn values_at<'p>(run: &RunSpec, paths: &[&'p str]) -> BTreeMap<&'p str, serde_json::Value> {
    let settings = RunSettings::of(run);
    let value = |&path: &&'p str| Some((path, settings.at(path)?.clone()));
    let applicable = paths.iter().filter(|path| applies(run, path));
    applicable.filter_map(value).collect()
}

/// The variant without the keys that do not apply, so that they take their defaults and make no
/// difference between runs.
pub(super) fn applicable(variant: &Node) -> Node {
    applicable_section(variant, variant, "")
}

fn applicable_section(variant: &Node, section: &Node, path: &str) -> Node {
    let Value::Map(entries) = &section.value else {
        return section.clone();
    };
    let kept = entries.iter().filter_map(|entry| {
        let path = join(path, &entry.key);
        let applies = Condition::of(&path).iter().all(|one| one.holds(variant));
        applies.then(|| Entry {
            key: entry.key.clone(),
            value: applicable_section(variant, &entry.value, &path),
            ..*entry
        })
    });
    Node {
        span: section.span,
        value: Value::Map(kept.collect()),
    }
}

/// The value of a choice, and the layer that sets it.
fn chosen<'a>(document: &'a Node, choice: &str) -> (&'a str, Layer) {
    if let Some(entry) = document.at(choice)
        && let Some(value) = entry.value.as_str()
    {
        return (value, entry.layer);
    }
    (default(choice), Layer::Default)
}

fn default(choice: &str) -> &'static str {
    let default = schema::default_of(choice);
    default
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

/// Paths of all keys that have conditions.
#[cfg(test)]
pub(super) fn conditional_paths() -> impl Iterator<Item = &'static str> {
    CONDITIONS.keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_about_keys_and_choices_that_exist() {
        for (path, conditions) in CONDITIONS.iter() {
            assert!(schema::at(path).is_some(), "{path}");
            for condition in conditions {
                assert!(
                    !default(condition.choice).is_empty(),
                    "{}",
                    condition.choice
                );
            }
        }
        let eps = Condition::of("optimizer.eps");
        assert_eq!(eps.len(), 1);
        assert_eq!(eps[0].values, ["adamw", "adam", "rmsprop", "muon"]);
    }

    /// A key that no value of its choice uses would be documented as one that always applies.
    #[test]
    fn every_value_of_a_choice_is_read_by_its_type() {
        fn check<C: Choice>() {
            let names = schema::at(C::PATH).and_then(schema::choices).unwrap();
            for (name, _) in names {
                C::deserialize(serde_json::Value::from(name)).expect(name);
            }
        }
        check::<ModelKind>();
        check::<Norm>();
        check::<PositionKind>();
        check::<InitKind>();
        check::<TokenizerKind>();
        check::<OptimizerKind>();
        check::<ScheduleKind>();
        check::<CompareMetric>();
    }
}
