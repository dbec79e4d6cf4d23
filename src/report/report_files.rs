//! The files of a report: rendered in memory, then written or compared with those of a folder.

use super::analysis::answer::answer;
use super::analysis::cautions::{cautions, unfinished};
use super::analysis::claim_results::test_claims;
use super::analysis::claim_summary;
use super::analysis::factors::Factors;
use super::analysis::ranking::Ranking;
use super::analysis::reproduction;
use super::analysis::scaling::Scaling;
use super::analysis::setting_importance::SettingImportance;
use super::analysis::tuning::Tuning;
use super::analysis::variant_verdict::WordedVerdict;
use super::loaded_results::Results;
use super::plots::Shown;
use super::sections::Findings;
use super::template_data::TemplateData;
use super::{
    Counts, ReportError, Summary, comment, pages, plots, ranking_columns, report_json, summary_csv,
};
use crate::regular_file::{self, is_present, is_wrong_kind};
use crate::results::{RunState, Sealed, SweepPlan, create_folders, remove_if_exists, write_atomic};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const MARKDOWN: &str = "report.md";
const HTML: &str = "report.html";
const CSV: &str = "summary.csv";
const JSON: &str = "report.json";

/// Folder of the plots in a results folder.
const PLOTS: &str = "plots";

/// The path of a plot in a results folder.
fn plot_file(name: &str) -> String {
    format!("{PLOTS}/{name}.svg")
}

/// The report of a results folder, in memory.
#[derive(Debug)]
pub struct Report {
    pub summary: Summary,
    pub markdown: String,
    pub html: String,
    pub json: String,
    csv: Vec<u8>,
    plots: Vec<plots::Plot>,
    folder: PathBuf,
}

/// A file of a report.
struct ReportFile<'a> {
    /// Its path in the results folder.
    name: String,
    contents: &'a [u8],
}

impl Report {
    /// Reads `runs/` of a results folder and renders its report. `plan` is the plan of this folder, and `template`
    /// is the path of a template that replaces the built-in one of `report.md`. The template that a plan
    /// names is not opened: a plan can come from somebody else, and a template can read files.
    pub fn render(
        results_dir: &Path,
        plan: Sealed<SweepPlan>,
        template: Option<&str>,
    ) -> Result<Self, ReportError> {
        Self::render_as(results_dir, plan, template, None)
    }

    /// Same as [`Self::render`], while the runs with the names in `running` are being trained. Its HTML page loads
    /// itself again.
    pub fn render_live(
        results_dir: &Path,
        plan: Sealed<SweepPlan>,
        template: Option<&str>,
        running: &HashSet<String>,
    ) -> Result<Self, ReportError> {
        Self::render_as(results_dir, plan, template, Some(running))
    }

    fn render_as(
        results_dir: &Path,
        plan: Sealed<SweepPlan>,
        template: Option<&str>,
        running: Option<&HashSet<String>>,
    ) -> Result<Self, ReportError> {
        let mut results = Results::read(results_dir, plan)?;
        if let Some(running) = running {
            results.mark_running(running);
        }
        analyze(&results, Extent::Pages, |analysis| {
            let plots = plots::draw(&Shown {
                ranking: analysis.ranking,
                factors: analysis.factors,
                importance: analysis.importance,
                scaling: analysis.scaling,
            })?;
            let findings = Findings {
                plots: &plots,
                is_live: running.is_some(),
                ..*analysis
            };
            let data = TemplateData::new(&findings);
            let summary = summary(&findings, results_dir);
            Ok(Self {
                markdown: pages::markdown(&data, template)?,
                html: pages::html(&data)?,
                json: report_json::report_json(&findings, summary.counts)?,
                csv: summary_csv::summary_csv(findings.results)?,
                summary,
                plots: plots.clone(),
                folder: results_dir.to_owned(),
            })
        })
    }

    /// Writes `report.md`, `report.html`, `report.json`, `summary.csv` and `plots/` into the results folder. Each
    /// file is complete or absent. Files that have these contents already are left as they are.
    pub fn write(&self) -> Result<(), ReportError> {
        let plots = self.folder.join(PLOTS);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| ReportError::Write { path, source }
        };
        create_folders(&plots).map_err(failed(&plots))?;
        for file in self.files() {
            let path = self.folder.join(&file.name);
            if regular_file::read(&path).is_ok_and(|found| found == file.contents) {
                continue;
            }
            write_atomic(&path, file.contents).map_err(failed(&path))?;
        }
        for path in self.plots_not_drawn() {
            remove_if_exists(&path).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// The files of the results folder that are not what [`Self::write`] would write: those that are out of date,
    /// changed or absent, and plots that are not drawn any more.
    pub fn outdated_files(&self) -> Result<Vec<PathBuf>, ReportError> {
        let mut outdated = Vec::new();
        for file in self.files() {
            let path = self.folder.join(&file.name);
            match regular_file::read(&path) {
                Ok(contents) if contents == file.contents => {}
                Err(source) if source.kind() != ErrorKind::NotFound && !is_wrong_kind(&source) => {
                    return Err(ReportError::Read { path, source });
                }
                _ => outdated.push(path),
            }
        }
        outdated.extend(self.plots_not_drawn().filter(|path| is_present(path)));
        Ok(outdated)
    }

    fn files(&self) -> impl Iterator<Item = ReportFile<'_>> {
        let pages = [
            (MARKDOWN, self.markdown.as_bytes()),
            (HTML, self.html.as_bytes()),
            (CSV, &self.csv),
            (JSON, self.json.as_bytes()),
        ];
        let pages = pages.map(|(name, contents)| ReportFile {
            name: name.to_owned(),
            contents,
        });
        let plots = self.plots.iter().map(|plot| ReportFile {
            name: plot_file(plot.name),
            contents: plot.svg.as_bytes(),
        });
        pages.into_iter().chain(plots)
    }

    /// The paths of plots that a report can have and this one does not.
    fn plots_not_drawn(&self) -> impl Iterator<Item = PathBuf> {
        let is_drawn = |name: &&str| self.plots.iter().any(|plot| plot.name == *name);
        plots::names()
            .filter(move |name| !is_drawn(name))
            .map(|name| self.folder.join(plot_file(name)))
    }
}

/// Renders the report of a results folder and writes it there, as [`Report::render`] and [`Report::write`] do.
pub fn write(
    results_dir: &Path,
    plan: Sealed<SweepPlan>,
    template: Option<&str>,
) -> Result<Report, ReportError> {
    let report = Report::render(results_dir, plan, template)?;
    report.write()?;
    Ok(report)
}

/// The report of a results folder as a comment of a pull request, in Markdown.
pub fn render_comment(results_dir: &Path, plan: Sealed<SweepPlan>) -> Result<String, ReportError> {
    let results = Results::read(results_dir, plan)?;
    analyze(&results, Extent::Pages, comment::comment)
}

/// What a terminal shows of the results in a folder, without the pages and plots.
pub fn summarize(results_dir: &Path, plan: Sealed<SweepPlan>) -> Result<Summary, ReportError> {
    let results = Results::read(results_dir, plan)?;
    analyze(&results, Extent::Summary, |findings| {
        Ok(summary(findings, results_dir))
    })
}

/// How much is computed. A terminal shows less than a page, and can show it again every second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What [`summary`] needs.
    Summary,
    /// Everything that a page shows.
    Pages,
}

/// Passes what the results of a folder mean, without plots.
fn analyze<T>(
    results: &Results,
    extent: Extent,
    then: impl FnOnce(&Findings) -> Result<T, ReportError>,
) -> Result<T, ReportError> {
    let ranking = Ranking::new(results);
    let claims = test_claims(results);
    let checks = reproduction::checks(results);
    let mut scaling = Scaling::new(results, &ranking);
    let (mut factors, mut importance) = (None, None);
    if extent == Extent::Pages {
        scaling.iter_mut().for_each(Scaling::fit);
        factors = Factors::new(results, &ranking);
        importance = SettingImportance::new(results, &ranking);
    }
    let mut answer = answer(&ranking);
    answer.extend(
        scaling
            .iter()
            .flat_map(|scaling| scaling.sentences(ranking.metric)),
    );
    answer.extend(claim_summary::summary(&claims));
    answer.extend(reproduction::summary(&checks));
    let tuning = Tuning::new(results, &ranking);
    let cautions = cautions(results, &ranking, tuning.as_ref());
    then(&Findings {
        results,
        ranking: &ranking,
        factors: factors.as_ref(),
        importance: importance.as_ref(),
        scaling: scaling.as_ref(),
        tuning: tuning.as_ref(),
        plots: &[],
        answer: &answer,
        cautions: &cautions,
        claims: &claims,
        checks: &checks,
        is_live: false,
    })
}

fn summary(findings: &Findings, results_dir: &Path) -> Summary {
    let (results, ranking) = (findings.results, findings.ranking);
    let plot_path = |plot: &plots::Plot| results_dir.join(plot_file(plot.name));
    Summary {
        experiment: results.plan.experiment.name.clone(),
        markdown: results_dir.join(MARKDOWN),
        html: results_dir.join(HTML),
        csv: results_dir.join(CSV),
        plots: findings.plots.iter().map(plot_path).collect(),
        verdicts: ranking
            .variants
            .iter()
            .map(|variant| (variant.name.to_owned(), WordedVerdict::of(variant)))
            .collect(),
        counts: Counts {
            done: results.count(RunState::Done),
            failed: results.count(RunState::Failed),
            diverged: unfinished(results, RunState::Diverged).count(),
            stopped: results.count(RunState::Stopped),
            not_started: results.count(RunState::NotStarted),
            running: results.running().count(),
        },
        ranking: ranking_columns::terminal_table(ranking),
        answer: findings.answer.to_vec(),
        cautions: findings.cautions.to_vec(),
        claims: findings.claims.to_vec(),
        checks: findings.checks.to_vec(),
    }
}
