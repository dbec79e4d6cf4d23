//! Reading a `summary.csv` again.

use super::ReportError;
use crate::caught_panic::caught;
use polars::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::{fs, io};

/// A line of `summary.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// Name of the run.
    pub run: String,
    pub status: String,
    pub device: String,
    pub steps: Option<f64>,
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    pub bits_per_byte: Option<f64>,
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
    // Polars panics if the system does not start its threads.
    let rows = match caught(|| rows(csv)) {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(panic) => Err(io::Error::other(panic)),
    };
    rows.map_err(|source| ReportError::Read { path, source })
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
    let row = |i: usize| SummaryRow {
        run: run[i].clone().unwrap_or_default(),
        status: status[i].clone().unwrap_or_default(),
        device: device[i].clone().unwrap_or_default(),
        steps: number(&steps[i]),
        train_loss: number(&train_loss[i]),
        val_loss: number(&val_loss[i]),
        bits_per_byte: number(&bits_per_byte[i]),
    };
    Ok((0..table.height()).map(row).collect())
}
