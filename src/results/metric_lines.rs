//! The lines of `metrics.jsonl`. Each ends with a digest of itself and of the digest before it, so that damage is
//! found while a run has no record yet.

use super::Metric;
use super::line_digest::{digest, push_line, split};
use std::io;

/// Writes lines, one after the other.
#[derive(Debug, Default)]
pub(super) struct MetricLines {
    /// Digest of the last line. Empty before the first one.
    digest: String,
}

impl MetricLines {
    /// The next lines.
    pub(super) fn next(&mut self, metrics: &[Metric]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        for metric in metrics {
            let mut contents = serde_json::to_vec(metric)?;
            contents.pop(); // the brace at its end
            self.digest = digest(&self.digest, &contents);
            push_line(&mut text, &contents, &self.digest);
        }
        Ok(text)
    }
}

/// The metrics of the lines that end with a line feed: the process may have been killed while it wrote the last one.
/// A damaged line is an error, and so is every line after it. Files of earlier versions have no digests.
pub(super) fn read(text: &[u8]) -> impl Iterator<Item = Result<Metric, String>> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.filter(|line| line.ends_with(b"\n"));
    let mut before = String::new();
    let mut has_digests = None;
    lines.enumerate().map(move |(index, line)| {
        let parts = split(line);
        let expects_digest = *has_digests.get_or_insert(parts.is_some());
        let is_intact = match parts {
            Some((contents, found)) => {
                before = digest(&before, contents);
                before.as_bytes() == found
            }
            None => !expects_digest,
        };
        if !is_intact {
            return Err(format!("line {} does not agree with its digest", index + 1));
        }
        serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", index + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Evaluation, StepMetric};

    fn metrics() -> Vec<Metric> {
        let step = |step| {
            Metric::Step(StepMetric {
                step,
                loss: 0.1 + 0.2,
                lr: 1e-3,
                grad_norm: 1.0,
            })
        };
        let evaluation = Evaluation {
            step: 2,
            val_loss: 1.5,
            bits_per_byte: 2.0,
            train_loss: None,
            seconds: 0.5,
        };
        vec![step(1), step(2), Metric::Eval(evaluation), step(3)]
    }

    fn read_all(text: &[u8]) -> Result<Vec<Metric>, String> {
        read(text).collect()
    }

    #[test]
    fn reads_back_what_was_written_and_files_without_digests() {
        let metrics = metrics();
        let mut lines = MetricLines::default();
        let mut text = lines.next(&metrics[..1]).unwrap();
        text.extend(lines.next(&metrics[1..]).unwrap());
        assert_eq!(text, MetricLines::default().next(&metrics).unwrap());
        assert_eq!(read_all(&text).unwrap(), metrics);
        let mut without_digests = Vec::new();
        Metric::write_lines(&metrics, &mut without_digests).unwrap();
        assert_eq!(read_all(&without_digests).unwrap(), metrics);
        // Other programs read a line as plain JSON.
        let line = text.split(|&byte| byte == b'\n').next().unwrap();
        let plain: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(plain["loss"], 0.1 + 0.2);
        // The last line may be incomplete.
        assert_eq!(read_all(&text[..text.len() - 1]).unwrap(), metrics[..3]);
    }

    #[test]
    fn every_change_of_a_byte_is_found() {
        let text = MetricLines::default().next(&metrics()).unwrap();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                let found = read_all(&damaged);
                // Without its line feed, the last line is incomplete.
                let is_cut =
                    at == text.len() - 1 && found.as_ref().is_ok_and(|read| read.len() == 3);
                assert!(found.is_err() || is_cut, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn lines_that_are_removed_repeated_or_exchanged_are_found() {
        let text = MetricLines::default().next(&metrics()).unwrap();
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        for order in [[1, 2, 3, 3], [0, 2, 3, 3], [0, 0, 1, 2], [0, 2, 1, 3]] {
            let changed = order.map(|line| lines[line]).concat();
            assert!(read_all(&changed).is_err(), "{order:?}");
        }
    }
}
