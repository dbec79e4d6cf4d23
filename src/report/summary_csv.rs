use super::loaded_results::{Results, Run};
use crate::results::{Outcome, RunState};
use crate::text::escape::visible_line;
use polars::prelude::*;

/// `summary.csv`: one line per started run, in the order of the plan.
///
/// Other programs rely on the columns: new columns go to the end, and no column is renamed. Losses
/// have all their digits; timings are rounded. An unknown value is empty.
///
/// `train_loss` is the mean batch loss of the last tenth of the steps. `train_split_loss` is the loss
/// of the whole training split, evaluated at the end. Both are in nats per token. `search` is `true` for a
/// run of the search for the best settings of its variant. `combination` is the number of its settings in
/// `sweep.tune.grid`, from 1, and empty without tuning. `size` is the number of the size in `sweep.scale`, from 1, for
/// those below the largest, at which the variants are compared. `data_sha256` and `tokenizer_sha256` identify the text
/// and the tokenizer. A model that is counted and not trained has 0 FLOPs per token, and the same loss with every seed.
pub(super) fn summary_csv(results: &Results) -> PolarsResult<Vec<u8>> {
    let begun: Vec<&Run> = results
        .runs
        .iter()
        .filter(|run| run.state() != RunState::NotStarted)
        .collect();
    let experiment = &results.plan.experiment.name;
    let columns = vec![
        text("experiment", &begun, |_| experiment.clone()),
        text("variant", &begun, |run| run.variant().to_owned()),
        whole("seed", &begun, |run| Some(run.planned.spec.seed)),
        text("run", &begun, |run| run.planned.name.clone()),
        text("status", &begun, |run| run.state().name().to_owned()),
        text("reason", &begun, Run::reason),
        measured("steps", &begun, |outcome| outcome.steps as f64),
        measured("tokens", &begun, |outcome| outcome.tokens as f64),
        whole("params", &begun, |run| Some(run.params())),
        whole("params_non_embedding", &begun, |run| {
            Some(run.planned.params_non_embedding)
        }),
        whole("flops_per_token", &begun, |run| {
            Some(run.planned.flops_per_token.round() as u64)
        }),
        number("train_loss", &begun, |outcome| outcome.train_loss),
        number("val_loss", &begun, |outcome| outcome.val_loss),
        number("bits_per_byte", &begun, |outcome| outcome.bits_per_byte),
        measured("tokens_per_second", &begun, |o| o.tokens_per_second),
        number("seconds", &begun, |o| Some(hundredths(o.seconds))),
        measured("peak_memory_mb", &begun, |o| o.peak_memory_mb),
        text("device", &begun, |run| {
            run.outcome().map_or(String::new(), |o| o.device.clone())
        }),
        floats("train_split_loss", &begun, Run::train_split_loss),
        text("search", &begun, |run| run.planned.is_search().to_string()),
        whole("combination", &begun, |run| {
            Some((run.planned.tuned?.combination as u64).saturating_add(1))
        }),
        whole("size", &begun, |run| {
            Some((run.planned.smaller_size? as u64).saturating_add(1))
        }),
        text("data_sha256", &begun, |run| {
            results.corpus(&run.planned).data_sha256.clone()
        }),
        text("tokenizer_sha256", &begun, |run| {
            results.corpus(&run.planned).tokenizer_sha256.clone()
        }),
    ];
    let table = DataFrame::new(begun.len(), columns)?;
    let names: Vec<&str> = table
        .get_column_names()
        .into_iter()
        .map(|name| name.as_str())
        .collect();
    // `CsvWriter` would start the threads of polars, which panics if the system has no more threads.
    let options = Arc::new(SerializeOptions::default());
    let mut csv = csv_header(&names, &options)?;
    CsvSerializer::new(table.schema().clone(), options)?.serialize_to_csv(&table, &mut csv)?;
    Ok(csv)
}

/// Texts of one line without control characters: names can come from somebody else, and the file is shown on
/// terminals.
fn text(name: &str, runs: &[&Run], value: impl Fn(&Run) -> String) -> Column {
    let value = |run: &Run| visible_line(&value(run));
    // An empty text is written as a missing value, without quotes.
    let value = |run: &&Run| Some(value(run)).filter(|text| !text.is_empty());
    Column::new(name.into(), runs.iter().map(value).collect::<Vec<_>>())
}

fn whole(name: &str, runs: &[&Run], value: impl Fn(&Run) -> Option<u64>) -> Column {
    let values: Vec<_> = runs.iter().map(|run| value(run)).collect();
    Column::new(name.into(), values)
}

/// A measured value, rounded to an integer.
fn measured(name: &str, runs: &[&Run], value: impl Fn(&Outcome) -> f64) -> Column {
    whole(name, runs, |run| {
        let value = run.outcome().map(&value);
        value.filter(|v| v.is_finite()).map(|v| v.round() as u64)
    })
}

fn number(name: &str, runs: &[&Run], value: impl Fn(&Outcome) -> Option<f64>) -> Column {
    floats(name, runs, |run| run.outcome().and_then(&value))
}

fn floats(name: &str, runs: &[&Run], value: impl Fn(&Run) -> Option<f64>) -> Column {
    // There is no negative zero in the table.
    let value = |run: &&Run| value(run).filter(|v| v.is_finite()).map(|v| v + 0.0);
    Column::new(name.into(), runs.iter().map(value).collect::<Vec<_>>())
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
