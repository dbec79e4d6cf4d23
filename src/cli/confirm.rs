use super::args;
use super::args::ConfirmFormat;
use super::confirm_error::ConfirmError;
use super::confirmation::Confirmation;
use super::exit_verdict::exit_of;
use super::scored_runs::{ScoredRuns, needed_runs};
use super::shell_quoting;
use super::test_scores::scores;
use super::{Error, Exit, print};
use crate::report;
use crate::results::{CountedUse, SweepPlan, TestUse, TestUses, VariantComparison};
use crate::sweep::Store;
use crate::text::terminal::{columns, print_note};
use crate::text::wrap::wrapped;

pub(super) fn run(arguments: &args::Confirm) -> Result<Exit, Error> {
    let folder = &arguments.results;
    let plan = report::read_plan(folder).map_err(Error::Report)?.value;
    let store = Store::open_readonly(folder.clone());
    let results = store.results(&plan)?;
    let compared = plan.compare(&results);
    let [variant, baseline] = find(&plan, &compared, &arguments.variant)?;
    let needed = needed_runs([variant, baseline])?;
    let text = test_text(&plan, &needed, &arguments.variant)?;
    let scored = ScoredRuns::new(&store, &plan, &results, [variant, baseline])?;
    let parent = TestUses::folder(folder).map_err(|source| ConfirmError::Uses {
        path: folder.clone(),
        source,
    })?;
    let failed = |source| ConfirmError::Uses {
        path: parent.join(TestUses::FILE),
        source,
    };
    let uses = TestUses::read(&parent).map_err(failed)?;
    let identities: Vec<&str> = scored.all().map(|run| run.identity.as_str()).collect();
    let identities = TestUse::hash_of_runs(&identities);
    let CountedUse {
        number,
        test_use,
        is_new,
    } = match uses.find(&text, &identities) {
        Some(earlier) => earlier,
        None if !scored.can_be_decided() => {
            return Err(ConfirmError::OnePair {
                variant: variant.variant.clone(),
                baseline: baseline.variant.clone(),
            }
            .into());
        }
        None => {
            let new = TestUse {
                text,
                runs: identities,
                experiment: plan.experiment.name.clone(),
                variant: variant.variant.clone(),
                baseline: baseline.variant.clone(),
                values: scores(&store, &plan, &scored.variant)?,
                baseline_values: scores(&store, &plan, &scored.baseline)?,
            };
            TestUses::record(&parent, new).map_err(failed)?
        }
    };
    let margin = plan.margin(&results);
    let result = Confirmation::new(&plan, margin, [variant, baseline], (number, &test_use))?;
    print(&match arguments.format {
        ConfirmFormat::Text => wrapped(&result.text(is_new), columns()),
        ConfirmFormat::Json => result.json()?,
    })?;
    if is_new {
        print_note(&format!(
            "`runner report {}` adds this result to the report",
            shell_quoting::word(&arguments.results.to_string_lossy())
        ));
    }
    Ok(exit_of(result.verdict.into()))
}

/// The variant and the baseline.
fn find<'a>(
    plan: &SweepPlan,
    compared: &'a [VariantComparison],
    variant: &str,
) -> Result<[&'a VariantComparison; 2], ConfirmError> {
    if variant == plan.baseline {
        return Err(ConfirmError::IsBaseline(variant.to_owned()));
    }
    let of = |name: &str| compared.iter().find(|compared| compared.variant == name);
    of(variant)
        .zip(of(&plan.baseline))
        .map(<[_; 2]>::from)
        .ok_or_else(|| {
            let others = compared.iter().map(|compared| compared.variant.clone());
            ConfirmError::NoVariant {
                variant: variant.to_owned(),
                variants: others.filter(|name| *name != plan.baseline).collect(),
            }
        })
}

/// The hash of the text, which all runs share. Test splits of different sizes have a part in common, so they are
/// counted together.
fn test_text(plan: &SweepPlan, runs: &[usize], variant: &str) -> Result<String, ConfirmError> {
    let mut texts = Vec::new();
    for run in runs.iter().map(|&run| &plan.runs[run]) {
        if run.spec.data.test_fraction == 0.0 {
            let experiment = plan.experiment.name.clone();
            return Err(ConfirmError::NoTestSplit(experiment));
        }
        let text = &plan.corpora[run.corpus].data_sha256;
        texts.push((text, run.spec.data.test_fraction.to_bits()));
    }
    texts.dedup();
    match texts[..] {
        [(text, _)] => Ok(text.clone()),
        _ => Err(ConfirmError::DifferentTexts {
            variant: variant.to_owned(),
            baseline: plan.baseline.clone(),
        }),
    }
}
