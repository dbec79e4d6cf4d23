use super::{Findings, with_interval};
use crate::report::analysis::test_results::{TestResult, recorded_scores, test_results};
use crate::report::analysis::wording;
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::ranking_columns::in_heading;
use crate::text::units::{self, loss, plural, signed};

/// The variants that `runner confirm` has scored on the test split.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let results = test_results(findings.results);
    let others = recorded_scores(findings.results) - results.len();
    if results.is_empty() && others == 0 {
        return Vec::new();
    }
    let mut blocks = vec![Block::heading(2, "Test split")];
    if !results.is_empty() {
        blocks.push(Block::Table(table(findings.ranking.baseline, &results)));
    }
    blocks.push(Block::paragraph(explanation(others)));
    blocks
}

fn table(baseline: &str, results: &[TestResult]) -> Table {
    let columns = vec![
        Column::left("Variant"),
        Column::right("Bits per byte"),
        Column::right(&format!("Bits per byte of {}", in_heading(baseline))),
        Column::left("Difference"),
        Column::right("Level of the interval"),
        Column::right("Seeds"),
        Column::left("Verdict"),
        Column::right("Use of the test split"),
    ];
    let difference = |value: f64| signed(value, loss);
    let row = |result: &TestResult| {
        let comparison = &result.tested.comparison;
        let percent = (1000.0 * result.tested.confidence).round() / 10.0;
        Row::new(vec![
            result.variant.into(),
            loss(result.mean).into(),
            loss(result.baseline_mean).into(),
            with_interval(comparison.mean, comparison.corrected, &difference),
            format!("{} %", units::as_written(percent)).into(),
            comparison.pairs.to_string().into(),
            wording::name_of(comparison.verdict).into(),
            result.test_uses.to_string().into(),
        ])
    };
    Table {
        columns,
        rows: results.iter().map(row).collect(),
    }
}

fn explanation(others: usize) -> Text {
    let text = "These variants were scored on the test split, on which no choice depends. Each use of the test split \
                widens the interval, so that all uses together call a variant better or worse by chance in at most 5 % of \
                cases.";
    let others = match others {
        0 => String::new(),
        others => format!(
            " {} of this experiment scored runs that this report does not have.",
            plural(others, "other use")
        ),
    };
    format!("{text}{others}").into()
}

#[cfg(test)]
mod tests {
    use crate::hash;
    use crate::report::testing::Folder;
    use crate::results::{TestUse, TestUses};
    use std::fs;

    /// The results of two variants in a folder of their own, so that the uses of the test split are in it, too.
    fn confirmed(runs: Option<&str>) -> Folder {
        let folder = Folder::inside("confirmed");
        for (name, n_layer, bits) in [("gpt", 1, 1.5), ("deep", 2, 1.4)] {
            for seed in 1..=3 {
                let run = folder.run(name, seed).spec(|spec| {
                    spec.model.n_layer = n_layer;
                    spec.data.test_fraction = 0.1;
                });
                run.curve(bits + 0.01 * seed as f64).done();
            }
        }
        let values = |bits: f64| {
            (1..=3)
                .map(|seed| (seed, bits + 0.01 * seed as f64))
                .collect()
        };
        let plan = folder.plan.borrow();
        let of = |name: &str| -> Vec<String> {
            let runs = plan.runs.iter().filter(|run| run.spec.variant == name);
            runs.map(|run| run.identity.clone()).collect()
        };
        let scored = [of("deep"), of("gpt")].concat().join("\n");
        let test_use = TestUse {
            text: plan.corpora[0].data_sha256.clone(),
            runs: runs.map_or_else(|| hash::sha256(scored.as_bytes()), str::to_owned),
            experiment: "confirmed".to_owned(),
            variant: "deep".to_owned(),
            baseline: "gpt".to_owned(),
            values: values(1.45),
            baseline_values: values(1.5),
        };
        TestUses::record(folder.path().parent().unwrap(), test_use).unwrap();
        drop(plan);
        folder
    }

    #[test]
    fn a_score_on_the_test_split_is_in_every_format() {
        let folder = confirmed(None);
        folder.write();
        let row = "| deep | 1.4700 | 1.5200 |";
        for page in [folder.read("report.md"), folder.comment()] {
            assert!(
                page.contains("## Test split") && page.contains(row),
                "{page}"
            );
        }
        assert!(folder.read("report.html").contains("Use of the test split"));
        let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
        let result = &json["test_results"][0];
        assert_eq!(result["variant"], "deep");
        assert_eq!(
            (&result["test_uses"], &result["pairs"]),
            (&1.into(), &3.into())
        );
        assert!((result["difference"].as_f64().unwrap() + 0.05).abs() < 1e-9);
        assert_eq!(result["verdict"], "better");
    }

    #[test]
    fn the_score_of_other_runs_is_not_shown_as_that_of_these() {
        let folder = confirmed(Some("0a"));
        folder.write();
        let page = folder.read("report.md");
        assert!(
            page.contains("1 other use of this experiment scored runs"),
            "{page}"
        );
        assert!(!page.contains("| deep | 1.4700 |"), "{page}");
    }

    #[test]
    fn a_damaged_record_of_uses_is_a_caveat() {
        let folder = confirmed(None);
        let path = folder.path().parent().unwrap().join(TestUses::FILE);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replace(':', ";")).unwrap();
        folder.write();
        let page = folder.read("report.md");
        assert!(
            page.contains("test_uses.jsonl: line 1 is damaged"),
            "{page}"
        );
        assert!(!page.contains("## Test split"), "{page}");
    }
}
