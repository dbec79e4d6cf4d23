use super::Findings;
use crate::report::analysis::setting_importance::{ImportantSetting, SettingImportance};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::text::units::{self, NO_VALUE};

/// Which settings of a search, or of random combinations, matter.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let Some(importance) = findings.importance else {
        return Vec::new();
    };
    let mut blocks = vec![
        Block::heading(2, "Which settings matter"),
        Block::paragraph(summary(importance)),
        Block::Table(table(importance)),
    ];
    blocks.extend(findings.figures(Placement::Settings));
    blocks.push(Block::paragraph(method(findings, importance)));
    blocks
}

fn summary(importance: &SettingImportance) -> Text {
    let combinations = importance.combinations;
    let settings = || importance.settings.iter();
    if importance.is_chosen {
        let strongest = settings().next();
        let strongest = strongest.and_then(|setting| Some((&setting.path, setting.share?)));
        let text = strongest.map_or(String::new(), |(path, share)| {
            format!("{path} explains the most: {}.", units::share(share))
        });
        return Text::new().strong(text).plain(format!(
            " This is known from {combinations} combinations, most of which were chosen by results, so it is not tested."
        ));
    }
    let significant = settings().filter(|setting| setting.is_significant);
    let names: Vec<&str> = significant.map(|setting| setting.path.as_str()).collect();
    let main = match &names[..] {
        [] => "No setting has a significant effect by itself.".to_owned(),
        [one] => format!("{one} has a significant effect."),
        several => format!(
            "Significant effects, the strongest first: {}.",
            units::list(several)
        ),
    };
    let more = match (names.len(), importance.settings.len() - names.len()) {
        (_, 0) => "",
        (0, _) => " More of them could show an effect.",
        _ => " More of them could show effects of the other settings.",
    };
    Text::new().strong(main).plain(format!(
        " This is known from {combinations} combinations.{more}"
    ))
}

fn table(importance: &SettingImportance) -> Table {
    let best = format!(
        "In the best {}",
        units::plural(importance.best_combinations, "combination")
    );
    let mut columns = vec![
        Column::left("Setting"),
        Column::right("Combinations"),
        Column::right("Share of the variation"),
    ];
    if !importance.is_chosen {
        columns.push(Column::right("p (not corrected)"));
        columns.push(Column::left("Significant"));
    }
    columns.push(Column::left("Tried").wrapping());
    columns.push(Column::left(&best).wrapping());
    let row = |setting: &ImportantSetting| {
        let number = |value: fn(f64) -> String, of: Option<f64>| -> Text {
            of.map_or(NO_VALUE.to_owned(), value).into()
        };
        let mut cells = vec![
            Text::new().code(&setting.path),
            setting.combinations.to_string().into(),
            number(units::share, setting.share),
        ];
        if !importance.is_chosen {
            cells.push(number(units::p_value, setting.p));
            cells.push(match setting.is_significant {
                true => Text::new().success("yes"),
                false => "no".into(),
            });
        }
        cells.push(setting.tried.as_str().into());
        cells.push(setting.best.as_str().into());
        Row::new(cells)
    };
    Table {
        rows: importance.settings.iter().map(row).collect(),
        columns,
    }
}

fn method(findings: &Findings, importance: &SettingImportance) -> String {
    let mut text = "The results are replaced by their ranks, and each setting is looked at by itself: a parabola over the \
        ranks of its numbers, or a mean for each value that is no number. The share is adjusted for what chance explains. \
        A setting that matters only together with another one is not found."
        .to_owned();
    if !importance.is_chosen {
        text += &format!(
            " With fewer than 40 combinations, p-values come from permutations. Significance is corrected for {} settings.",
            importance.settings.len()
        );
    }
    if importance.has_variants {
        text +=
            " The ranks are those within each variant, and their mean over the variants counts.";
    }
    if importance.has_worst {
        text += " A combination that diverged, or did not reach the target, ranks behind all that were trained as long.";
    }
    if findings.ranking.has_halving {
        text += " Combinations that halving ended rank behind those that were trained longer.";
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::report::testing::{Folder, unhashed};
    use crate::spec::{Mlp, Sweep, Tune};

    const RANDOM: &str = "{n: 12, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, \
                          model.n_layer: {integer: [1, 3]}, model.mlp: {choice: [gelu_tanh, swiglu]}}}";

    /// Learning rates of twelve combinations, of which the last diverges.
    const RATES: [f64; 12] = [
        0.0001, 0.0003, 0.0005, 0.0008, 0.001, 0.0013, 0.002, 0.003, 0.005, 0.01, 0.03, 0.1,
    ];

    /// Random combinations in which the learning rate matters, and is best in the middle.
    fn random() -> Folder {
        let folder = Folder::new("random");
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            random: Some(serde_yaml::from_str(RANDOM).unwrap()),
            ..Sweep::default()
        });
        folder.plan.borrow_mut().baseline = "lr=0.001".to_owned();
        for (index, lr) in RATES.into_iter().enumerate() {
            for seed in [1, 2] {
                let run = folder.run(&format!("lr={lr}"), seed).spec(|spec| {
                    spec.optimizer.lr = lr;
                    spec.model.n_layer = 1 + index * 7 % 3;
                    if index * 5 % 11 > 4 {
                        spec.model.mlp = Mlp::Swiglu;
                    }
                });
                let distance = (lr / 0.002).ln().abs();
                match lr {
                    0.1 => run.curve(5.0).diverged("the loss is NaN at step 40"),
                    _ => run.curve(1.5 + 0.1 * distance + 0.01 * seed as f64).done(),
                }
            }
        }
        folder
    }

    fn section(page: &str) -> String {
        let start = page.find("## Which settings matter").unwrap();
        let end = start + page[start + 1..].find("\n## ").unwrap();
        unhashed(&page[start..end])
    }

    #[test]
    fn random_combinations_show_which_settings_matter() {
        let folder = random();
        folder.write();
        let page = folder.read("report.md");
        insta::assert_snapshot!(section(&page));
        assert!(!page.contains("## Factors"));
        let plot = folder.read("plots/combinations.svg");
        assert!(plot.contains("optimizer.lr") && plot.contains("no result"));
        assert!(plot.contains("swiglu"));
    }

    #[test]
    fn an_unfinished_experiment_has_no_importance() {
        let folder = random();
        let run = folder.run("lr=0.7", 1);
        run.spec(|spec| spec.model.n_layer = 5).not_started();
        folder.write();
        assert!(
            !folder
                .read("report.md")
                .contains("## Which settings matter")
        );
    }

    /// Two variants with the same eight learning rates and depths each. A line of the plot has no color of its own, and one
    /// combination of each variant is the best.
    #[test]
    fn random_combinations_of_several_variants_are_ranked_within_each() {
        let folder = Folder::new("random");
        let variants = serde_yaml::from_str("{narrow: {}, wide: {model: {n_embd: 128}}}").unwrap();
        folder.plan.borrow_mut().baseline = "narrow+lr-0.001".to_owned();
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            variants,
            random: Some(serde_yaml::from_str(RANDOM).unwrap()),
            ..Sweep::default()
        });
        for (name, width, worse) in [("narrow", 64, 0.0), ("wide", 128, 3.0)] {
            for (index, lr) in RATES[..8].iter().enumerate() {
                let run = folder.run(&format!("{name}+lr-{lr}"), 1).spec(|spec| {
                    spec.optimizer.lr = *lr;
                    spec.model.n_embd = width;
                    spec.model.n_layer = 1 + index * 7 % 3;
                });
                run.curve(1.5 + worse - 0.01 * index as f64).done();
            }
        }
        folder.write();
        let page = section(&folder.read("report.md"));
        assert!(
            page.contains(
                "**optimizer.lr has a significant effect.** This is known from 8 combinations."
            ),
            "{page}"
        );
        let plot = folder.read("plots/combinations.svg");
        assert!(plot.contains("narrow") && plot.contains("wide"));
        assert_eq!(
            plot.matches("#D55E00").count(),
            2,
            "the best line of each variant"
        );
    }

    #[test]
    fn without_any_result_nothing_is_said_of_the_settings() {
        let folder = random();
        let plan = folder.plan.borrow().clone();
        let all_diverge = Folder::new("random");
        *all_diverge.plan.borrow_mut() = crate::results::SweepPlan {
            runs: Vec::new(),
            ..plan.clone()
        };
        for run in &plan.runs {
            let again = all_diverge.run(&run.spec.variant, run.spec.seed);
            let again = again.spec(|spec| *spec = run.spec.clone());
            again.curve(5.0).diverged("the loss is NaN at step 40");
        }
        all_diverge.write();
        assert!(
            !all_diverge
                .read("report.md")
                .contains("## Which settings matter")
        );
    }

    /// Two variants over the same eight combinations. What is worse by a constant for a whole variant does not matter.
    #[test]
    fn a_search_ranks_the_combinations_within_each_variant() {
        let folder = Folder::new("tuned");
        let tune = "{grid: {optimizer.lr: [0.001, 0.003, 0.01, 0.03], model.n_layer: [1, 2]}}";
        let tune: Tune = serde_yaml::from_str(tune).unwrap();
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            tune: Some(tune),
            ..Sweep::default()
        });
        for (name, worse) in [("gpt", 0.0), ("wide", 3.0)] {
            let width = if worse > 0.0 { 128 } else { 64 };
            for combination in 0..8 {
                let (lr, layers) = (
                    [0.001, 0.003, 0.01, 0.03][combination / 2],
                    1 + combination % 2,
                );
                let run = |seed: u64, is_search: bool| {
                    let run = folder.run(name, seed).tuned(combination, is_search);
                    run.spec(|spec| {
                        spec.optimizer.lr = lr;
                        spec.model.n_layer = layers;
                        spec.model.n_embd = width;
                    })
                };
                let loss = 1.5 + 10.0 * lr + worse + 0.001 * layers as f64;
                run(1001, true).curve(loss).done();
                if combination == 0 {
                    run(1, false).curve(loss).done();
                }
            }
        }
        folder.write();
        let page = section(&folder.read("report.md"));
        assert!(
            page.contains("**optimizer.lr has a significant effect.**"),
            "{page}"
        );
        assert!(
            page.contains("This is known from 8 combinations."),
            "{page}"
        );
        let plot = folder.read("plots/combinations.svg");
        assert!(plot.contains("variant") && plot.contains("wide"));
    }
}
