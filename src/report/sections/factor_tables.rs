use super::{Findings, with_interval};
use crate::report::analysis::factors::{Factors, LevelMean, Term, has_factors};
use crate::report::analysis::metric::Metric;
use crate::report::analysis::wording::shortened;
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::text::units::{self, NO_VALUE};

/// The effects of the factors of a grid.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let ranking = findings.ranking;
    let Some(factors) = findings.factors else {
        let sweep = findings.results.plan.experiment.sweep.as_ref();
        // Random combinations have a section of their own.
        return match sweep.is_some_and(has_factors) && findings.results.has_ended() {
            true => vec![Block::heading(2, "Factors"), Block::paragraph(NOT_ANALYZED)],
            false => Vec::new(),
        };
    };
    let terms = factors.terms();
    let mut blocks = vec![
        Block::heading(2, "Factors"),
        Block::paragraph(summary(factors, &terms)),
        Block::Table(effects(factors, &terms)),
        Block::Table(levels(factors, ranking.metric)),
    ];
    blocks.extend(findings.figures(Placement::Factors));
    blocks.push(Block::paragraph(method(factors, &terms)));
    blocks
}

const NOT_ANALYZED: &str = "The effects of the factors are not analyzed. The analysis needs at least two settings, or \
    variants and a setting. Every combination needs results for the same seeds, at least two, and the number of seeds \
    must be fixed. Values must not be sections, and combinations must differ in more than their samples.";

/// Which factors matter, in a sentence.
fn summary(factors: &Factors, terms: &[Term]) -> Text {
    let name = |term: &Term| factors.name(term);
    let of = |is_significant: bool, is_pair: bool| -> Vec<String> {
        let terms = terms
            .iter()
            .filter(|term| term.is_significant == is_significant);
        terms
            .filter(|term| (term.factors.len() == 2) == is_pair)
            .map(name)
            .collect()
    };
    let main = match &of(true, false)[..] {
        [] => "No factor has a significant effect by itself.".to_owned(),
        [one] => format!("{one} has a significant effect."),
        several => format!(
            "Significant effects, the largest first: {}.",
            units::list(several)
        ),
    };
    let pairs = match &of(true, true)[..] {
        [] => "No interaction is significant, so there is no sign that the effect of one factor depends on another."
            .to_owned(),
        pairs => format!("The effect of one factor depends on the other: {}.", units::list(pairs)),
    };
    Text::new().strong(main).plain(format!(" {pairs}"))
}

fn effects(factors: &Factors, terms: &[Term]) -> Table {
    let columns = vec![
        Column::left("Effect"),
        Column::right("Share of the variation"),
        Column::right("p"),
        Column::left("Significant"),
    ];
    let row = |term: &Term| {
        Row::new(vec![
            Text::new().code(factors.name(term)),
            units::share(term.effect.share).into(),
            units::p_value(term.effect.p).into(),
            match term.is_significant {
                true => Text::new().success("yes"),
                false => "no".into(),
            },
        ])
    };
    Table {
        rows: terms.iter().map(row).collect(),
        columns,
    }
}

fn levels(factors: &Factors, metric: Metric) -> Table {
    let columns = vec![
        Column::left("Factor"),
        Column::left("Value"),
        Column::left(&format!("Mean {}", metric.title())),
        Column::left("Difference to the first value"),
    ];
    let row = |level: LevelMean| {
        let factor = &factors.factors[level.factor];
        let value = |value| metric.value(value);
        let difference = |value| metric.difference(value);
        Row::new(vec![
            Text::new().code(factor.name()),
            Text::new().code(&factor.level_names()[level.level]),
            with_interval(level.mean, Some(level.interval), &value),
            match level.difference {
                None => NO_VALUE.into(),
                Some((mean, interval)) => with_interval(mean, Some(interval), &difference),
            },
        ])
    };
    Table {
        rows: factors.level_means().into_iter().map(row).collect(),
        columns,
    }
}

fn method(factors: &Factors, terms: &[Term]) -> String {
    let left_out = match &factors.left_out[..] {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            format!(
                " Left out, because a value that they have lacks results for some runs: {}.",
                shortened(names)
            )
        }
    };
    format!(
        "Effects in the full grid, with {} as blocks: each is computed for one seed at a time, and its mean over the seeds is \
         tested by Student's t. So no variant is assumed to vary as much between seeds as another. The share \
         is that of the variation between the combinations, without the variation between the seeds. A mean is over all \
         combinations with this value, and its interval leaves out what all combinations with a seed have in common. \
         Significance is corrected for {} effects, and the intervals of the differences for their number. Interactions of \
         more than two factors are part of the variation, but not listed.{left_out}",
        units::plural(factors.seeds, "seed"),
        terms.len()
    )
}

#[cfg(test)]
mod tests {
    use crate::report::testing::{Folder, unhashed};
    use crate::spec::{RunSpec, Sweep};
    use serde_json::{Value, json};
    use serde_yaml::Mapping;

    /// A grid of two widths and three learning rates. The best learning rate of the wide model is smaller.
    fn grid(seeds: u64) -> Folder {
        grid_without(seeds, &[])
    }

    /// [`grid`], where some runs (width, learning rate, seed) diverge.
    fn grid_without(seeds: u64, diverged: &[(u32, f64, u64)]) -> Folder {
        let folder = Folder::new("grid");
        let grid = "{model.n_embd: [32, 64], optimizer.lr: [0.001, 0.01, 0.1]}";
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            grid: serde_yaml::from_str(grid).unwrap(),
            ..Sweep::default()
        });
        for (width, losses) in [(32, [1.62, 1.55, 1.59]), (64, [1.52, 1.49, 1.58])] {
            for (lr, loss) in [0.001, 0.01, 0.1].into_iter().zip(losses) {
                for seed in 1..=seeds {
                    let noise = 0.01 * seed as f64
                        + 0.002 * ((seed * u64::from(width)) as f64 * lr * 300.0).sin();
                    let run = folder
                        .run(&format!("n_embd={width}-lr={lr}"), seed)
                        .spec(|spec| {
                            spec.model.n_embd = width as usize;
                            spec.optimizer.lr = lr;
                        });
                    match diverged.contains(&(width, lr, seed)) {
                        true => run.diverged("the loss is not finite"),
                        false => run.curve(loss + noise).done(),
                    }
                }
            }
        }
        folder
    }

    #[test]
    fn a_grid_shows_which_factors_matter() {
        let folder = grid(3);
        folder.write();
        let page = folder.read("report.md");
        let start = page.find("## Factors").unwrap();
        let end = start + page[start + 1..].find("\n## ").unwrap();
        insta::assert_snapshot!(unhashed(&page[start..end]));
        let plot = folder.read("plots/interaction.svg");
        assert!(plot.contains("optimizer.lr") && plot.contains("32") && plot.contains("64"));
        assert!(folder.read("plots/heat_map.svg").contains("model.n_embd"));
    }

    #[test]
    fn variants_that_are_combined_with_a_grid_are_a_factor() {
        let folder = Folder::new("variants-and-grid");
        let mapping = |yaml: &str| -> Mapping { serde_yaml::from_str(yaml).unwrap() };
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            variants: mapping("{narrow: {}, wide: {model: {n_embd: 64}}}"),
            grid: mapping("{optimizer.lr: [0.001, 0.01, 0.1]}"),
            ..Sweep::default()
        });
        for (name, width, gain) in [("narrow", 32, 0.0), ("wide", 64, 0.1)] {
            for lr in [0.001, 0.01, 0.1] {
                for seed in 1..=2 {
                    let noise = 0.001 * ((seed * width) as f64 + 100.0 * lr).sin();
                    let run = folder.run(&format!("{name}+lr-{lr}"), seed);
                    run.spec(|spec| {
                        spec.model.n_embd = width as usize;
                        spec.optimizer.lr = lr;
                    })
                    .curve(1.6 - gain + 0.1 * lr + noise)
                    .done();
                }
            }
        }
        folder.write();
        let page = folder.read("report.md");
        let row = |value: &str| {
            let start = format!("| `variant` | `{value}` | ");
            let line = page.lines().find(|line| line.starts_with(&start));
            line.unwrap_or_else(|| panic!("{page}")).to_owned()
        };
        assert!(row("narrow").ends_with("| – |"), "{}", row("narrow"));
        assert!(row("wide").contains("−0.1"), "{}", row("wide"));
        assert!(page.contains("| `variant × optimizer.lr` | "), "{page}");
        assert!(folder.read("plots/interaction.svg").contains("wide"));
        let json: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
        let factors = &json["factors"];
        let largest = &factors["effects"][0];
        assert_eq!(largest["factors"], json!(["variant"]), "{factors}");
        assert_eq!(largest["significant"], true, "{factors}");
        assert_eq!(factors["levels"].as_array().unwrap().len(), 5);
        assert_eq!(factors["levels"][1]["value"], "wide");
        let difference = factors["levels"][1]["difference"].as_f64().unwrap();
        assert!((difference + 0.1).abs() < 0.01, "{factors}");
    }

    /// A report of two variants, of which `change` makes the second one, with the three learning rates of `key`.
    fn page_of_variants(key: &str, change: impl Fn(&mut RunSpec)) -> String {
        let folder = Folder::new("variants");
        let sweep = format!("{{variants: {{a: {{}}, b: {{}}}}, {key}, baseline: a+lr-0.001}}");
        folder.plan.borrow_mut().experiment.sweep = Some(serde_yaml::from_str(&sweep).unwrap());
        for name in ["a", "b"] {
            for lr in [0.001, 0.01, 0.1] {
                for seed in 1..=2 {
                    let run = folder.run(&format!("{name}+lr-{lr}"), seed);
                    run.spec(|spec| {
                        spec.optimizer.lr = lr;
                        if name == "b" {
                            change(spec);
                        }
                    })
                    .curve(1.6 + lr + 0.01 * seed as f64)
                    .done();
                }
            }
        }
        folder.write();
        folder.read("report.md")
    }

    #[test]
    fn variants_that_differ_in_samples_only_are_not_analyzed() {
        let grid = "grid: {optimizer.lr: [0.001, 0.01, 0.1]}";
        let page = page_of_variants(grid, |spec| spec.sample.tokens += 10);
        assert!(page.contains("The effects of the factors are not analyzed."));
    }

    /// They have a section of their own.
    #[test]
    fn random_combinations_are_no_factors() {
        let random = "random: {n: 3, settings: {optimizer.lr: {choice: [0.001, 0.01, 0.1]}}}";
        let page = page_of_variants(random, |spec| spec.model.n_embd *= 2);
        assert!(!page.contains("## Factors"), "{page}");
    }

    #[test]
    fn settings_that_are_zipped_are_one_factor() {
        let folder = Folder::new("zip");
        let mapping = |yaml: &str| -> Mapping { serde_yaml::from_str(yaml).unwrap() };
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            grid: mapping("{optimizer.lr: [0.001, 0.01]}"),
            zip: mapping("{model.n_layer: [2, 4], model.n_embd: [32, 64]}"),
            ..Sweep::default()
        });
        for (layers, width) in [(2, 32), (4, 64)] {
            for (lr, seed) in [(0.001, 1), (0.001, 2), (0.01, 1), (0.01, 2)] {
                let loss = 1.6 - 0.002 * width as f64 + 5.0 * lr;
                let noise = 0.001 * ((seed * layers) as f64 + 100.0 * lr).sin();
                let run = folder.run(&format!("n_layer={layers}-lr={lr}"), seed);
                run.spec(|spec| {
                    spec.model.n_layer = layers as usize;
                    spec.model.n_embd = width;
                    spec.optimizer.lr = lr;
                })
                .curve(loss + noise)
                .done();
            }
        }
        folder.write();
        let page = folder.read("report.md");
        assert!(
            page.contains("| `model.n_layer, model.n_embd` | "),
            "{page}"
        );
        assert!(
            page.contains("| `model.n_layer, model.n_embd × optimizer.lr` |")
                || page.contains("| `optimizer.lr × model.n_layer, model.n_embd` |")
        );
        assert!(page.contains("`4, 64`"));
    }

    #[test]
    fn a_grid_with_missing_results_has_no_analysis() {
        let is_analyzed = |folder: &Folder| {
            folder.write();
            let page = folder.read("report.md");
            assert!(page.contains("## Factors"));
            !page.contains("The effects of the factors are not analyzed.")
        };
        assert!(!is_analyzed(&grid(1)), "one seed has no error");
        let folder = grid(3);
        assert!(is_analyzed(&folder));
        folder.plan.borrow_mut().runs.truncate(15);
        assert!(!is_analyzed(&folder), "a combination has no run");
        assert!(!folder.path().join("plots/heat_map.svg").exists());
    }

    /// A learning rate that is too high for one of the widths is left out for both.
    #[test]
    fn values_that_diverge_are_left_out() {
        let folder = grid_without(3, &[(64, 0.1, 3)]);
        folder.write();
        let page = folder.read("report.md");
        assert!(page.contains(
            "Left out, because a value that they have lacks results for some runs: n_embd=32-lr=0.1 and n_embd=64-lr=0.1."
        ), "{page}");
        assert!(page.contains("| `optimizer.lr` | `0.01` |"), "{page}");
        assert!(!page.contains("| `optimizer.lr` | `0.1` |"), "{page}");
    }
}
