use super::Exit;
use crate::report::{CheckResult, ClaimResult, MetricCheck, Summary, TestedClaim, TextTable};
use crate::text::escape::visible_line;
use crate::text::units;
use crate::text::wrap::wrapped;
use comfy_table::{CellAlignment, Table, presets};

/// The answer, the tables, the cautions and the path of a report, for a terminal of `columns` or for a program.
pub(super) fn render(summary: &Summary, columns: Option<usize>) -> String {
    let mut text = String::from("\n");
    for sentence in &summary.answer {
        text += &format!("{}\n", wrapped(&visible_line(sentence), columns));
    }
    if !summary.ranking.rows.is_empty() {
        text += &format!("\n{}\n", layout(&summary.ranking));
    }
    if !summary.claims.is_empty() {
        text += &format!("\n{}\n", claims(&summary.claims));
    }
    if !summary.checks.is_empty() {
        text += &format!("\n{}\n", checks(&summary.checks));
    }
    for caution in &summary.cautions {
        let note = format!("note: {}", visible_line(caution));
        text += &format!("\n{}", wrapped(&note, columns));
    }
    let path = summary.markdown.display().to_string();
    text += &format!("\nreport: {}\n", visible_line(&path));
    text
}

/// Number of runs without a result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unfinished {
    /// Failed or diverged.
    pub(super) failed: usize,
    /// Stopped, so that the same command continues them.
    pub(super) stopped: usize,
}

/// The exit code of a command that succeeds unless a run has no result, a check is missed or a claim does not
/// hold, and one line that says why it does not succeed.
pub(super) fn exit(
    unfinished: Unfinished,
    checks: &[MetricCheck],
    claims: &[TestedClaim],
) -> (Exit, Option<String>) {
    let count = |result: &dyn Fn(&TestedClaim) -> bool| claims.iter().filter(|c| result(c)).count();
    let failed = count(&|claim| claim.result == ClaimResult::Fails);
    let open = count(&|claim| claim.result == ClaimResult::Open && !claim.waits_for_runs);
    let missed = checks
        .iter()
        .filter(|check| check.result == CheckResult::Missed);
    let missed = of_all(
        missed.count(),
        checks.len(),
        "expected value",
        ["was", "were"],
    );
    let without_result = unfinished.failed + unfinished.stopped;
    let exit = match (without_result, &missed, failed, open) {
        (0, None, 0, 0) => return (Exit::Success, None),
        (0, None, 0, _) => Exit::Undecided,
        (0, ..) => Exit::Missed,
        _ => Exit::Failed,
    };
    let runs = |n, what: &str| (n > 0).then(|| format!("{} {what}", units::plural(n, "run")));
    let reasons = [
        runs(unfinished.failed, "failed or diverged"),
        runs(unfinished.stopped, "stopped"),
        missed.map(|missed| missed + " missed"),
        of_all(failed, claims.len(), "claim", ["fails", "fail"]),
        of_all(open, claims.len(), "claim", ["is open", "are open"]),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    let reason = format!("{} (exit code {})", reasons.join(", "), exit as u8);
    (exit, Some(reason))
}

/// `1 of 3 claims fails`, or nothing for 0.
fn of_all(some: usize, all: usize, what: &str, [one, several]: [&str; 2]) -> Option<String> {
    let verb = if some == 1 { one } else { several };
    (some > 0).then(|| format!("{some} of {} {verb}", units::plural(all, what)))
}

/// The claims of the experiment with their results.
fn claims(claims: &[TestedClaim]) -> String {
    let row = |claim: &TestedClaim| {
        vec![
            claim.claim.clone(),
            claim.difference.clone(),
            claim.statistic.clone(),
            claim.p.clone(),
            claim.result.name().to_owned(),
        ]
    };
    layout(&TextTable {
        headings: vec!["claim", "difference", "statistic", "p", "result"],
        right_aligned: vec![false, true, true, true, false],
        rows: claims.iter().map(row).collect(),
    })
}

/// The metrics that the experiment expects.
pub(super) fn checks(checks: &[MetricCheck]) -> String {
    let row = |check: &MetricCheck| {
        vec![
            check.variant.clone(),
            check.metric.clone(),
            check.expected.clone(),
            check.measured.clone(),
            check.result.name().to_owned(),
        ]
    };
    layout(&TextTable {
        headings: vec!["variant", "metric", "expected", "measured", "result"],
        right_aligned: vec![false, false, true, true, false],
        rows: checks.iter().map(row).collect(),
    })
}

/// Lays out a table by the width of its texts on a terminal. Invisible characters and line breaks are made
/// visible first, because they change the width of a cell.
pub(super) fn layout(contents: &TextTable) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(&contents.headings);
    for row in &contents.rows {
        table.add_row(row.iter().map(|cell| visible_line(cell)));
    }
    for (column, right) in table.column_iter_mut().zip(&contents.right_aligned) {
        if *right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width::display_width;

    fn check(result: CheckResult) -> MetricCheck {
        MetricCheck {
            variant: String::new(),
            metric: String::new(),
            expected: String::new(),
            measured: String::new(),
            result,
            source: String::new(),
        }
    }

    fn claim(result: ClaimResult, waits_for_runs: bool) -> TestedClaim {
        TestedClaim {
            claim: String::new(),
            result,
            reason: String::new(),
            waits_for_runs,
            failed_runs: 0,
            seeds: String::new(),
            mean: String::new(),
            difference: String::new(),
            statistic: String::new(),
            p: String::new(),
            level: String::new(),
        }
    }

    #[test]
    fn sentences_are_wrapped_for_a_terminal_and_the_path_is_not() {
        let sentence = "The variant rope is better than the baseline gpt by 0.0123 bits per byte.";
        let path = "results/a-name-that-is-longer-than-a-line/report.md";
        let summary = Summary {
            answer: vec![sentence.to_owned()],
            cautions: vec![sentence.to_owned()],
            markdown: path.into(),
            ..Summary::default()
        };
        let text = render(&summary, Some(40));
        let sentences = text.lines().filter(|line| !line.starts_with("report: "));
        assert!(sentences.clone().all(|line| line.len() <= 40), "{text}");
        assert!(
            text.contains("\nnote: The variant rope is better than\nthe "),
            "{text}"
        );
        assert!(text.ends_with(&format!("\nreport: {path}\n")), "{text}");
        let whole = render(&summary, None);
        assert!(whole.contains(&format!("\nnote: {sentence}\n")), "{whole}");
        assert_eq!(sentences.collect::<Vec<_>>().len(), 7, "{text}");
    }

    #[test]
    fn columns_stay_aligned_beside_wide_and_invisible_characters() {
        let names = [
            "gpt",
            "東京",
            "👩\u{200d}👩\u{200d}👧",
            "a\u{202e}\nb",
            "می\u{200c}خواهم",
        ];
        let table = layout(&TextTable {
            headings: vec!["variant", "loss"],
            right_aligned: vec![false, true],
            rows: names
                .iter()
                .map(|name| vec![(*name).to_owned(), "1.5".to_owned()])
                .collect(),
        });
        let widths: Vec<usize> = table.lines().map(display_width).collect();
        assert_eq!(widths.len(), 1 + names.len(), "{table}");
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
        assert!(table.contains("a⟨U+202E⟩␊b"), "{table}");
    }

    #[test]
    fn exit_code_is_that_of_the_worst_and_every_reason_is_given() {
        let missed = check(CheckResult::Missed);
        let fails = claim(ClaimResult::Fails, false);
        let open = claim(ClaimResult::Open, false);
        let harmless = [
            claim(ClaimResult::Holds, false),
            claim(ClaimResult::Open, true),
        ];
        let exit_of = |[failed, stopped]: [usize; 2], checks: &[_], claims: &[_]| {
            let (exit, reason) = exit(Unfinished { failed, stopped }, checks, claims);
            (exit, reason.unwrap_or_default())
        };
        assert_eq!(
            exit_of([0, 0], &[check(CheckResult::Met)], &harmless),
            (Exit::Success, String::new())
        );
        assert_eq!(
            exit_of([0, 0], &[], &[open]),
            (
                Exit::Undecided,
                "1 of 1 claim is open (exit code 4)".to_owned()
            )
        );
        let both = "1 of 1 expected value was missed, 1 of 1 claim fails";
        let (checks, claims) = ([missed], [fails]);
        assert_eq!(
            exit_of([0, 0], &checks, &claims),
            (Exit::Missed, format!("{both} (exit code 3)"))
        );
        assert_eq!(
            exit_of([2, 0], &checks, &claims),
            (
                Exit::Failed,
                format!("2 runs failed or diverged, {both} (exit code 1)")
            )
        );
        assert_eq!(
            exit_of([1, 1], &[], &[]),
            (
                Exit::Failed,
                "1 run failed or diverged, 1 run stopped (exit code 1)".to_owned()
            )
        );
    }
}
