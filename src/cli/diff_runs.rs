use super::args;
use super::find_run::find_run;
use super::result_tables::layout;
use super::{Error, Exit, print};
use crate::config::load_run;
use crate::report::{TextTable, setting_changes};
use crate::results::{Environment, Evaluation, Metric, Outcome, RunDir, RunState, RunStatus};
use crate::spec::RunSpec;
use crate::text::escape::visible_line;
use crate::text::units::{self, NO_VALUE};
use std::collections::HashMap;
use std::path::Path;

/// Most evaluations that are shown.
const MAX_EVALUATIONS: usize = 12;

/// One of the two runs.
struct Side {
    dir: RunDir,
    spec: RunSpec,
    state: RunState,
    status: Option<RunStatus>,
    metrics: Vec<Metric>,
}

pub(super) fn run(arguments: &args::Diff) -> Result<Exit, Error> {
    let read = |run| Side::read(&arguments.results, run);
    let (a, b) = (read(&arguments.a)?, read(&arguments.b)?);
    let mut text = String::new();
    for (letter, side) in [("a", &a), ("b", &b)] {
        let path = side.dir.path().display().to_string();
        text += &format!("{letter}  {} ({})\n", visible_line(&path), side.state);
    }
    for (title, table) in [
        ("Settings", settings(&a, &b)),
        ("Environment", environments(&a, &b)),
        ("Results", outcomes(&a, &b)),
        ("Bits per byte on the validation split", evaluations(&a, &b)),
    ] {
        let contents = match table {
            Contents::Table(rows) => layout(&rows),
            Contents::Text(text) => text,
        };
        text += &format!("\n{title}\n{contents}\n");
    }
    text += &format!("\n{}\n", first_different_step(&a.metrics, &b.metrics));
    print(&text)?;
    Ok(Exit::Success)
}

impl Side {
    fn read(results: &Path, run: &str) -> Result<Self, Error> {
        let dir = find_run(results, run)?;
        let record = dir.record().map_err(Error::Record)?;
        if let Some(record) = &record {
            dir.check_file(&dir.config(), record)
                .map_err(Error::Record)?;
        }
        let spec = load_run(&dir.config())?;
        let metrics = match &record {
            Some(record) => dir.metrics(Some(record)),
            None => dir.readable_metrics(),
        };
        let status = record.map(|record| record.status);
        Ok(Self {
            spec,
            state: RunState::new(status.as_ref(), dir.has_checkpoint()),
            status,
            metrics: metrics.map_err(Error::Record)?,
            dir,
        })
    }

    fn environments(&self) -> Vec<&Environment> {
        let status = self.status.iter();
        let environments = status.flat_map(|status| {
            let earlier = status.earlier_environments.iter();
            earlier.chain(&status.environment)
        });
        environments.collect()
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.status.as_ref()?.outcome.as_ref()
    }

    fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.metrics.iter().filter_map(Metric::evaluation)
    }
}

enum Contents {
    Table(TextTable),
    Text(String),
}

impl Contents {
    /// A table of what each run has, with names on the left.
    fn of(rows: Vec<[String; 3]>, when_empty: &str) -> Self {
        if rows.is_empty() {
            return Self::Text(when_empty.to_owned());
        }
        Self::Table(TextTable {
            headings: vec!["", "a", "b"],
            right_aligned: vec![false; 3],
            rows: rows.into_iter().map(Vec::from).collect(),
        })
    }
}

fn settings(a: &Side, b: &Side) -> Contents {
    let changes = setting_changes(&b.spec, &a.spec);
    let mut rows: Vec<[String; 3]> = changes
        .into_iter()
        .map(|change| [change.path, change.baseline, change.value])
        .collect();
    if a.spec.seed != b.spec.seed {
        let seeds = [&a.spec, &b.spec].map(|spec| spec.seed.to_string());
        let [a, b] = seeds;
        rows.push(["seed".to_owned(), a, b]);
    }
    Contents::of(rows, "the same")
}

fn environments(a: &Side, b: &Side) -> Contents {
    type Get = fn(&Environment) -> &str;
    let fields: [(&str, Get); 4] = [
        ("version", |e| &e.version),
        ("build", |e| &e.build),
        ("processor", |e| e.processor.as_deref().unwrap_or(NO_VALUE)),
        ("instruction set", |e| &e.instruction_set),
    ];
    let mut rows = Vec::new();
    let mut push = |name: &str, [a, b]: [String; 2]| {
        if a != b {
            rows.push([name.to_owned(), a, b]);
        }
    };
    for (name, get) in fields {
        push(
            name,
            [a, b].map(|side| {
                let mut values: Vec<&str> = side.environments().into_iter().map(get).collect();
                values.dedup();
                match values.is_empty() {
                    true => "not recorded".to_owned(),
                    false => values.join(", then "),
                }
            }),
        );
    }
    let device = |side: &Side| side.outcome().map_or(NO_VALUE, |o| &o.device).to_owned();
    push("device", [device(a), device(b)]);
    Contents::of(rows, "the same")
}

fn outcomes(a: &Side, b: &Side) -> Contents {
    type Get = fn(&Outcome) -> Option<f64>;
    /// Name, value, format, and whether the values are shown although they are equal.
    type Field = (&'static str, Get, fn(f64) -> String, bool);
    const FIELDS: [Field; 9] = [
        ("bits per byte", |o| o.bits_per_byte, units::loss, true),
        ("validation loss", |o| o.val_loss, units::loss, true),
        ("training loss", |o| o.train_loss, units::loss, true),
        ("steps", |o| Some(o.steps as f64), units::rounded, false),
        ("tokens", |o| Some(o.tokens as f64), units::count, false),
        ("parameters", |o| Some(o.params as f64), units::count, false),
        ("tokens/s", |o| Some(o.tokens_per_second), units::rate, true),
        ("time", |o| Some(o.seconds), units::measured_duration, true),
        ("memory", |o| Some(o.peak_memory_mb), units::memory, true),
    ];
    let rows = FIELDS.iter().filter_map(|(name, get, format, always)| {
        let values = [a, b].map(|side| side.outcome().and_then(get));
        let [before, after] = values;
        if before.or(after).is_none() || !always && before == after {
            return None;
        }
        let text = |value: Option<f64>| value.map_or(NO_VALUE.to_owned(), format);
        let ratio = before.zip(after).map(|(before, after)| after / before);
        let change = match ratio {
            _ if before == after => "equal".to_owned(),
            Some(ratio) if ratio.is_finite() => units::change(ratio),
            _ => String::new(),
        };
        Some(vec![(*name).to_owned(), text(before), text(after), change])
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return Contents::Text("neither run has results".to_owned());
    }
    Contents::Table(TextTable {
        headings: vec!["", "a", "b", "change"],
        right_aligned: vec![false, true, true, true],
        rows,
    })
}

/// The evaluations at the steps that both runs have evaluated, some of them if there are many.
fn evaluations(a: &Side, b: &Side) -> Contents {
    let other = |step: u64| {
        b.evaluations()
            .find(move |evaluation| evaluation.step == step)
    };
    let shared: Vec<(&Evaluation, &Evaluation)> = a
        .evaluations()
        .filter_map(|evaluation| Some((evaluation, other(evaluation.step)?)))
        .collect();
    let Some(last) = shared.len().checked_sub(1) else {
        return Contents::Text("no step was evaluated in both runs".to_owned());
    };
    let shown = last.clamp(1, MAX_EVALUATIONS - 1);
    let mut indices: Vec<usize> = (0..=shown).map(|index| index * last / shown).collect();
    indices.dedup();
    let rows = indices.into_iter().map(|index| {
        let (a, b) = shared[index];
        let [before, after] = [a, b].map(|evaluation| evaluation.bits_per_byte);
        vec![
            units::exact(a.step),
            units::loss(before),
            units::loss(after),
            match before == after {
                true => "equal".to_owned(),
                false => units::signed(after - before, units::loss),
            },
        ]
    });
    Contents::Table(TextTable {
        headings: vec!["step", "a", "b", "difference"],
        right_aligned: vec![true; 4],
        rows: rows.collect(),
    })
}

/// Up to which step the losses of the runs are identical, as a sentence. The runs may record other steps, so only
/// those that both have are compared. Times are not compared.
fn first_different_step(a: &[Metric], b: &[Metric]) -> String {
    let key = |metric: &Metric| (metric.step(), metric.evaluation().is_some());
    let loss = |metric: &Metric| match metric {
        Metric::Step(step) => step.loss.to_bits(),
        Metric::Eval(evaluation) => evaluation.val_loss.to_bits(),
    };
    let of_b: HashMap<_, u64> = b.iter().map(|metric| (key(metric), loss(metric))).collect();
    let shared = a
        .iter()
        .filter_map(|metric| Some((metric, *of_b.get(&key(metric))?)));
    let shared: Vec<(&Metric, u64)> = shared.collect();
    let same = shared
        .iter()
        .take_while(|(metric, other)| loss(metric) == *other);
    let same = same.count();
    let step = |index: usize| units::exact(shared[index].0.step());
    match (same, shared.len()) {
        (_, 0) => "The runs have no recorded step in common.".to_owned(),
        (0, _) => "The losses differ from the beginning.".to_owned(),
        (same, all) if same == all => format!(
            "All losses that both runs have recorded are identical, up to step {}.",
            step(all - 1)
        ),
        (same, _) => format!(
            "The losses are identical up to step {}, and differ at step {}.",
            step(same - 1),
            step(same)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::StepMetric;

    #[test]
    fn the_first_different_step_is_found() {
        let step = |step, loss| {
            Metric::Step(StepMetric {
                step,
                loss,
                lr: 1.0,
                grad_norm: 1.0,
            })
        };
        let a = [step(1, 3.0), step(2, 2.5), step(3, 2.0)];
        let differs = [step(1, 3.0), step(2, 2.5), step(3, 2.1)];
        let other_steps = [step(2, 2.5), step(4, 1.5)];
        let cases = [
            (
                &a[..],
                &a[..],
                "All losses that both runs have recorded are identical, up to step 3.",
            ),
            (
                &a,
                &differs,
                "The losses are identical up to step 2, and differ at step 3.",
            ),
            (
                &a,
                &other_steps,
                "All losses that both runs have recorded are identical, up to step 2.",
            ),
            (&differs[2..], &a, "The losses differ from the beginning."),
            (
                &a[..1],
                &a[1..],
                "The runs have no recorded step in common.",
            ),
            (&[], &[], "The runs have no recorded step in common."),
        ];
        for (a, b, expected) in cases {
            assert_eq!(first_different_step(a, b), expected);
        }
    }
}
