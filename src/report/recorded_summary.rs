//! Reading a `summary.csv` again.

use super::ReportError;
use crate::caught_panic::caught;
use crate::results::RunState;
use crate::spec::CompareMetric;
use polars::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::{fs, io};

/// A line of `summary.csv`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SummaryRow {
    pub variant: String,
    pub seed: Option<u64>,
    /// Name of the run.
    pub run: String,
    pub status: String,
    pub device: String,
    pub steps: Option<f64>,
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    pub bits_per_byte: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub seconds: Option<f64>,
    pub peak_memory_mb: Option<f64>,
    /// `None` in tables of earlier versions.
    pub flops_per_token: Option<f64>,
    /// SHA-256 of the text, and of the tokenizer. `None` in tables of earlier versions.
    pub data_sha256: Option<String>,
    pub tokenizer_sha256: Option<String>,
    /// Whether it compares its variant. The others belong to the search for its best settings, or to a smaller size.
    pub is_compared: bool,
}

impl SummaryRow {
    /// The value of a metric. `None` if it has none, and for one that is not in the table.
    pub fn value(&self, metric: CompareMetric) -> Option<f64> {
        match metric {
            CompareMetric::BitsPerByte => self.bits_per_byte,
            CompareMetric::ValLoss => self.val_loss,
            CompareMetric::TrainLoss => self.train_loss,
            CompareMetric::StepsToLoss => None,
            CompareMetric::TokensPerSecond => self.tokens_per_second,
            CompareMetric::Seconds => self.seconds,
            CompareMetric::PeakMemoryMb => self.peak_memory_mb,
        }
    }

    /// The finite value of a metric of a finished run.
    pub fn result(&self, metric: CompareMetric) -> Option<f64> {
        let is_done = self.status == RunState::Done.name();
        self.value(metric)
            .filter(|value| is_done && value.is_finite())
    }

    /// Whether its value of a metric is the same with every seed: that of a model that is counted and not trained,
    /// which costs no FLOPs. Times and memory are measurements.
    pub fn is_seed_free(&self, metric: CompareMetric) -> bool {
        self.flops_per_token == Some(0.0) && !metric.is_measurement()
    }
}

/// The lines of the `summary.csv` of a results folder.
///
/// # Errors
/// If it cannot be read, or lacks a column.
pub fn read_summary(results_dir: &Path) -> Result<Vec<SummaryRow>, ReportError> {
    let path = results_dir.join("summary.csv");
    let csv = match fs::read(&path) {
        Ok(csv) => csv,
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    parse_summary(csv).map_err(|source| ReportError::Read { path, source })
}

/// The lines of the contents of a `summary.csv`.
///
/// # Errors
/// If it is not a table, lacks a column, or if the system does not start a thread.
pub fn parse_summary(csv: Vec<u8>) -> io::Result<Vec<SummaryRow>> {
    // Polars panics if the system does not start its threads.
    match caught(|| rows(csv)) {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(panic) => Err(io::Error::other(panic)),
    }
}

fn rows(csv: Vec<u8>) -> PolarsResult<Vec<SummaryRow>> {
    // All columns are read as text, and numbers are parsed here, exactly.
    let options = CsvReadOptions::default().with_infer_schema_length(Some(0));
    let table = options
        .into_reader_with_file_handle(Cursor::new(csv))
        .finish()?;
    let column = |name: &str| -> PolarsResult<Vec<Option<String>>> {
        let column = table.column(name)?.str()?;
        Ok(column.iter().map(|cell| cell.map(str::to_owned)).collect())
    };
    let number = |cell: &Option<String>| cell.as_ref()?.parse::<f64>().ok();
    let (run, status, device) = (column("run")?, column("status")?, column("device")?);
    let (steps, train_loss) = (column("steps")?, column("train_loss")?);
    let (val_loss, bits_per_byte) = (column("val_loss")?, column("bits_per_byte")?);
    let (variant, seed) = (column("variant")?, column("seed")?);
    let (speed, seconds) = (column("tokens_per_second")?, column("seconds")?);
    let memory = column("peak_memory_mb")?;
    // Tables of earlier versions have no searches, no sizes and no hashes.
    let optional = |name: &str| column(name).unwrap_or(vec![None; table.height()]);
    let (search, smaller_size) = (optional("search"), optional("size"));
    let flops_per_token = optional("flops_per_token");
    let (data, tokenizer) = (optional("data_sha256"), optional("tokenizer_sha256"));
    let row = |i: usize| SummaryRow {
        variant: variant[i].clone().unwrap_or_default(),
        seed: seed[i].as_ref().and_then(|seed| seed.parse().ok()),
        run: run[i].clone().unwrap_or_default(),
        status: status[i].clone().unwrap_or_default(),
        device: device[i].clone().unwrap_or_default(),
        steps: number(&steps[i]),
        train_loss: number(&train_loss[i]),
        val_loss: number(&val_loss[i]),
        bits_per_byte: number(&bits_per_byte[i]),
        tokens_per_second: number(&speed[i]),
        seconds: number(&seconds[i]),
        peak_memory_mb: number(&memory[i]),
        flops_per_token: number(&flops_per_token[i]),
        data_sha256: data[i].clone(),
        tokenizer_sha256: tokenizer[i].clone(),
        is_compared: search[i].as_deref() != Some("true") && smaller_size[i].is_none(),
    };
    Ok((0..table.height()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "variant,seed,run,status,device,steps,train_loss,val_loss,bits_per_byte,tokens_per_second,\
                          seconds,peak_memory_mb";

    fn only_row(more_columns: &str, row: &str) -> SummaryRow {
        let table = format!("{HEADER}{more_columns}\n{row}\n");
        let rows = parse_summary(table.into_bytes()).unwrap();
        <[SummaryRow; 1]>::try_from(rows)
            .unwrap()
            .into_iter()
            .next()
            .unwrap()
    }

    #[test]
    fn tables_of_earlier_versions_are_read() {
        let row = only_row("", "a,1,a-s1,done,cpu,0,,1.5,2.5,1,2,3");
        assert_eq!(row.result(CompareMetric::BitsPerByte), Some(2.5));
        assert!(row.is_compared && !row.is_seed_free(CompareMetric::BitsPerByte));
        assert_eq!((row.data_sha256, row.tokenizer_sha256), (None, None));
    }

    #[test]
    fn a_model_without_flops_does_not_depend_on_the_seed() {
        let columns = ",flops_per_token,data_sha256,tokenizer_sha256";
        let row = only_row(columns, "a,1,a-s1,done,cpu,0,,1.5,2.5,1,2,3,0,aa,bb");
        assert!(row.is_seed_free(CompareMetric::BitsPerByte));
        assert!(!row.is_seed_free(CompareMetric::Seconds));
        assert_eq!(row.data_sha256.as_deref(), Some("aa"));
        assert_eq!(row.tokenizer_sha256.as_deref(), Some("bb"));
        let trained = only_row(columns, "a,1,a-s1,done,cpu,9,,1.5,2.5,1,2,3,390,aa,bb");
        assert!(!trained.is_seed_free(CompareMetric::BitsPerByte));
    }

    #[test]
    fn only_finite_values_of_finished_runs_are_results() {
        for row in [
            "a,1,a-s1,diverged,cpu,0,,1.5,2.5,1,2,3",
            "a,1,a-s1,done,cpu,0,,1.5,NaN,1,2,3",
            "a,1,a-s1,done,cpu,0,,1.5,inf,1,2,3",
            "a,1,a-s1,done,cpu,0,,1.5,much,1,2,3",
            "a,1,a-s1,done,cpu,0,,1.5,,1,2,3",
        ] {
            let value = only_row("", row).result(CompareMetric::BitsPerByte);
            assert_eq!(value, None, "{row}");
        }
    }
}
