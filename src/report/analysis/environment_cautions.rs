//! Runs of one report that do not come from the same program and machine, in a sentence.

use crate::report::loaded_results::Results;
use crate::results::Environment;
use crate::text::units::{list, plural};

/// A property of an environment, with its name.
type Property = (&'static str, fn(&Environment) -> &str);

/// What can change a result.
const OF_THE_PROGRAM: [Property; 2] = [
    ("version", |environment| &environment.version),
    ("build", |environment| &environment.build),
];

/// What changes times, but no loss of a run on the CPU.
const OF_THE_MACHINE: [Property; 2] = [
    ("processor", |environment| {
        environment.processor.as_deref().unwrap_or("unknown")
    }),
    ("instruction set", |environment| {
        &environment.instruction_set
    }),
];

/// [`mixed_environments`] of the runs that have ended.
pub(super) fn environments(results: &Results) -> Option<String> {
    let ended = results.runs.iter().filter(|run| run.damage.is_none());
    let ended = ended.filter_map(|run| Some((run.planned.name.as_str(), run.status.as_ref()?)));
    let ended = ended.flat_map(|(name, status)| {
        let earlier = status.earlier_environments.iter().map(Some);
        let all = earlier.chain([status.environment.as_ref()]);
        all.map(move |environment| (name, environment))
    });
    mixed_environments(&ended.collect::<Vec<_>>())
}

/// Said if the runs come from several versions, builds, processors or instruction sets. `runs` are the names of
/// the runs that have ended, each with its environment if it is recorded, and again with each other environment in which
/// a part of it was trained. Nothing is said if none is recorded.
fn mixed_environments(runs: &[(&str, Option<&Environment>)]) -> Option<String> {
    let differing = |properties: &[Property]| -> Vec<String> {
        let differing = properties
            .iter()
            .filter_map(|property| values(runs, property));
        differing.collect()
    };
    let (program, machine) = (differing(&OF_THE_PROGRAM), differing(&OF_THE_MACHINE));
    let all = [program.as_slice(), machine.as_slice()].concat();
    if all.is_empty() {
        return None;
    }
    let mut text = format!(
        "The runs do not all come from the same program and machine: {}.",
        all.join("; ")
    );
    if !program.is_empty() {
        text += " Another version or build can give other losses with the same settings.";
    }
    if !machine.is_empty() {
        text += " Their times and their memory cannot be compared.";
    }
    Some(text)
}

/// The values of a property, each with its runs: `version 0.1.0 (4 runs) and 0.2.0 (gpt-s1-0a1b2c3d)`. `None` if
/// there is only one value.
fn values(runs: &[(&str, Option<&Environment>)], (name, property): &Property) -> Option<String> {
    let mut groups: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
    for (run, environment) in runs {
        let value = environment.map(property);
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, names)) => names.push(*run),
            None => groups.push((value, vec![*run])),
        }
    }
    let shown = groups.iter().map(|(value, names)| {
        let runs = match names.as_slice() {
            [only] => (*only).to_owned(),
            several => plural(several.len(), "run"),
        };
        format!("{} ({runs})", value.unwrap_or("not recorded"))
    });
    let shown: Vec<String> = shown.collect();
    (shown.len() > 1).then(|| format!("{name} {}", list(&shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Environment {
        Environment {
            version: "0.1.0".to_owned(),
            build: "release".to_owned(),
            processor: Some("AMD EPYC".to_owned()),
            instruction_set: "avx512".to_owned(),
        }
    }

    #[test]
    fn equal_and_unknown_environments_are_no_caution() {
        assert_eq!(mixed_environments(&[]), None);
        assert_eq!(mixed_environments(&[("a-s1", None), ("a-s2", None)]), None);
        let first = first();
        let same = [("a-s1", Some(&first)), ("a-s2", Some(&first))];
        assert_eq!(mixed_environments(&same), None);
    }

    #[test]
    fn what_differs_is_named_with_its_runs() {
        let first = first();
        let newer = Environment {
            version: "0.2.0".to_owned(),
            ..first.clone()
        };
        let runs = [
            ("a-s1", Some(&first)),
            ("a-s2", Some(&first)),
            ("a-s3", Some(&newer)),
        ];
        assert_eq!(
            mixed_environments(&runs).unwrap(),
            "The runs do not all come from the same program and machine: version 0.1.0 (2 runs) and 0.2.0 (a-s3). Another version or build can give other losses with the same settings."
        );
        let elsewhere = Environment {
            processor: Some("Intel Xeon".to_owned()),
            instruction_set: "avx2".to_owned(),
            ..first.clone()
        };
        let runs = [("a-s1", Some(&first)), ("a-s2", Some(&elsewhere))];
        assert_eq!(
            mixed_environments(&runs).unwrap(),
            "The runs do not all come from the same program and machine: processor AMD EPYC (a-s1) and Intel Xeon (a-s2); instruction set avx512 (a-s1) and avx2 (a-s2). Their times and their memory cannot be compared."
        );
    }

    #[test]
    fn runs_without_a_record_are_named_beside_those_with_one() {
        let first = first();
        let runs = [("a-s1", None), ("a-s2", Some(&first)), ("a-s3", None)];
        let text = mixed_environments(&runs).unwrap();
        let version = "version not recorded (2 runs) and 0.1.0 (a-s2); build ";
        assert!(text.contains(version), "{text}");
    }
}
