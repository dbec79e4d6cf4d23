use super::{Evaluation, Metric, RunStatus, write_atomic, write_json_atomic};
use crate::spec::RunSpec;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Folder of the weights of steps before the last.
const WEIGHTS_FOLDER: &str = "weights";

/// The folder of one run: `runs/<variant>-s<seed>-<hash8>/`.
///
/// A file in it is complete or absent. Only `metrics.jsonl` is appended line by line, and an incomplete
/// last line is dropped on reading.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the folder and writes `config.yaml` into it.
    pub fn create(&self, spec: &RunSpec) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let yaml = serde_yaml::to_string(spec).map_err(io::Error::other)?;
        write_atomic(&self.0.join("config.yaml"), yaml.as_bytes())
    }

    /// The configuration in `config.yaml`. It is as written, which does not mean that it is valid.
    pub fn spec(&self) -> io::Result<RunSpec> {
        let yaml = fs::read_to_string(self.0.join("config.yaml"))?;
        serde_yaml::from_str(&yaml)
            .map_err(|error| io::Error::other(format!("config.yaml: {error}")))
    }

    /// `status.json`. `None` if the run has not ended.
    pub fn status(&self) -> io::Result<Option<RunStatus>> {
        match fs::read(self.0.join("status.json")) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn write_status(&self, status: &RunStatus) -> io::Result<()> {
        write_json_atomic(&self.0.join("status.json"), status)
    }

    pub fn samples(&self) -> PathBuf {
        self.0.join("samples.json")
    }

    /// The texts of [`Self::samples`] for people.
    pub fn samples_markdown(&self) -> PathBuf {
        self.0.join("samples.md")
    }

    pub fn tokenizer(&self) -> PathBuf {
        self.0.join("tokenizer.json")
    }

    pub fn weights(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// The weights that `train.save_every` keeps of a step.
    pub fn weights_at(&self, step: u64) -> PathBuf {
        self.0
            .join(WEIGHTS_FOLDER)
            .join(format!("step-{step:07}.safetensors"))
    }

    /// The steps whose weights were saved, in increasing order.
    pub fn saved_steps(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(self.0.join(WEIGHTS_FOLDER)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("step-"));
            let step = step.and_then(|name| name.strip_suffix(".safetensors"));
            steps.extend(step.and_then(|step| step.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// Whether a run that has not ended can be continued.
    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint().exists()
    }

    fn metrics_path(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// All complete lines of `metrics.jsonl`. Empty if there is no such file.
    pub fn metrics(&self) -> io::Result<Vec<Metric>> {
        let file = match File::open(self.metrics_path()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut metrics = Vec::new();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if !line.ends_with('\n') {
                break; // the process was killed during the write
            }
            metrics.push(serde_json::from_str(&line)?);
            line.clear();
        }
        Ok(metrics)
    }

    /// The evaluations of `metrics.jsonl`.
    pub fn evaluations(&self) -> io::Result<Vec<Evaluation>> {
        let evaluation = |metric| match metric {
            Metric::Eval(evaluation) => Some(evaluation),
            Metric::Step(_) => None,
        };
        Ok(self.metrics()?.into_iter().filter_map(evaluation).collect())
    }

    /// Opens `metrics.jsonl` for appending, and removes every line after `step`, because a run that
    /// continues from this step writes them again. Returns the remaining lines.
    pub fn open_metrics(&self, step: u64) -> io::Result<(MetricsWriter, Vec<Metric>)> {
        let mut kept = self.metrics()?;
        kept.retain(|metric| metric.step() <= step);
        let mut text = Vec::new();
        for metric in &kept {
            serde_json::to_writer(&mut text, metric)?;
            text.push(b'\n');
        }
        write_atomic(&self.metrics_path(), &text)?;
        let file = OpenOptions::new().append(true).open(self.metrics_path())?;
        Ok((MetricsWriter(file), kept))
    }
}

/// Appends lines to `metrics.jsonl`.
#[derive(Debug)]
pub struct MetricsWriter(File);

impl MetricsWriter {
    pub fn write(&mut self, metrics: &[Metric]) -> io::Result<()> {
        let mut lines = Vec::new();
        for metric in metrics {
            serde_json::to_writer(&mut lines, metric)?;
            lines.push(b'\n');
        }
        self.0.write_all(&lines)
    }
}
