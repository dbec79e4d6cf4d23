//! Reading a `summary.csv` again.

use super::ReportError;
use crate::caught_panic::caught;
use crate::regular_file;
use crate::spec::CompareMetric;
use polars::prelude::*;
use std::io;
use std::io::Cursor;
use std::path::Path;

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
}

/// The lines of the `summary.csv` of a results folder.
///
/// # Errors
/// If it cannot be read, or lacks a column.
pub fn read_summary(results_dir: &Path) -> Result<Vec<SummaryRow>, ReportError> {
    let path = results_dir.join("summary.csv");
    let csv = match regular_file::read(&path) {
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
    // Tables of earlier versions have no searches and no sizes.
    let optional = |name: &str| column(name).unwrap_or(vec![None; table.height()]);
    let (search, smaller_size) = (optional("search"), optional("size"));
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
        is_compared: search[i].as_deref() != Some("true") && smaller_size[i].is_none(),
    };
    Ok((0..table.height()).map(row).collect())
}
