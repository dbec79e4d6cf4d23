//! Damage to every file of a results folder.

use crate::support::{Lab, Ran, Row, TINY};
use crate::{Cases, SWEEP, choose, files_in};
use rand_chacha::ChaCha8Rng;
use regex::Regex;
use runner::random::below;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The columns of `summary.csv` that are measured by the run. The others are those of the plan.
const MEASURED: [&str; 7] = [
    "steps",
    "tokens",
    "train_loss",
    "val_loss",
    "bits_per_byte",
    "device",
    "train_split_loss",
];

#[test]
fn no_number_of_a_damaged_file_is_shown() {
    let finished = Origin::finished();
    let half = Origin::half();
    let (mut damages, mut named) = (0, 0);
    for mut rng in Cases::new("damage", 12) {
        let origin = *choose(&mut rng, &[&finished, &half]);
        let lab = origin.copy();
        let results = lab.path("results/tiny");
        let mut files = files_in(&results);
        files.retain(|file| !file.ends_with(".lock"));
        let file = choose(&mut rng, &files);
        let name = file.strip_prefix(&results).unwrap().to_str().unwrap();
        let before = fs::read(file).unwrap();
        let what = loop {
            let what = damage(file, &mut rng);
            // Some changes change nothing, such as zeros where there are zeros.
            if fs::read(file).ok().as_ref() != Some(&before) {
                break what;
            }
        };
        let case = Case {
            origin,
            lab: &lab,
            part: Part::of(origin, name),
            file: file.file_name().unwrap().to_str().unwrap(),
            is_deleted: !file.exists(),
            context: format!("{name}: {what}"),
        };
        let verified = lab.run("verify results/tiny");
        named += u32::from(case.check_verification(&verified));
        case.check_report(&lab.run("report results/tiny"));
        let swept = lab.run(SWEEP);
        case.check_sweep(&swept);
        assert_eq!(lab.results(), finished.rows, "{}", case.context);
        let again = lab.run("verify results/tiny");
        // Damage to weights, tokenizers and old checkpoints does not change a report, so the run is not trained again.
        let stays = match case.part {
            Part::Unreported(_) | Part::OldCheckpoint => true,
            Part::OpenRun(_) => case.file == "state-previous.safetensors",
            _ => false,
        };
        if !stays {
            assert_eq!(again.code(), Some(0), "{}: {}", case.context, again.stdout);
        }
        damages += 1;
    }
    println!(
        "damage: {damages} damaged files, of which `verify` named {named}; no number of a damaged run was shown"
    );
}

/// Digests alone do not find this: all files of the folder agree with the record in it.
#[test]
fn no_number_of_one_run_is_shown_as_that_of_another() {
    let finished = Origin::finished();
    let mut replaced = 0;
    for mut rng in Cases::new("exchanged folders", 3) {
        let lab = finished.copy();
        let folders = fs::read_dir(lab.path("results/tiny/runs")).unwrap();
        let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        let to = folders.swap_remove(below(&mut rng, folders.len() as u64) as usize);
        let from = choose(&mut rng, &folders);
        fs::remove_dir_all(&to).unwrap();
        copy(from, &to);
        let run = to.file_name().unwrap().to_str().unwrap();
        let case = Case {
            origin: &finished,
            lab: &lab,
            part: Part::Reported(run),
            file: "status.json",
            is_deleted: false,
            context: format!("{run} is replaced by {}", from.display()),
        };
        case.check_verification(&lab.run("verify results/tiny"));
        case.check_report(&lab.run("report results/tiny"));
        case.check_sweep(&lab.run(SWEEP));
        assert_eq!(lab.results(), finished.rows, "{}", case.context);
        lab.run("verify results/tiny").exits(0);
        replaced += 1;
    }
    println!(
        "exchanged folders: {replaced} runs replaced by another run; no number of another run was shown"
    );
}

/// A results folder without damage.
struct Origin {
    lab: Lab,
    rows: Vec<Row>,
    pages: BTreeMap<String, String>,
}

impl Origin {
    fn finished() -> Self {
        let lab = Lab::new(TINY);
        lab.run(SWEEP).exits(0);
        Self::new(lab)
    }

    /// Some runs have ended, and one was stopped after it had written checkpoints.
    fn half() -> Self {
        let lab = Lab::new(TINY);
        let mut sweep = lab.start(&SWEEP.replace("--jobs 2", "--jobs 1"));
        sweep.until_exists(|lab| {
            Some(
                lab.run_folder("gpt-s2-")?
                    .join("checkpoint/state.safetensors"),
            )
        });
        sweep.signal_all("INT");
        sweep.wait();
        Self::new(lab)
    }

    fn new(lab: Lab) -> Self {
        lab.run("report results/tiny").exits(0);
        Self {
            rows: lab.results(),
            pages: pages(&lab),
            lab,
        }
    }

    fn copy(&self) -> Lab {
        let lab = Lab::new(TINY);
        copy(&self.lab.path("results"), &lab.path("results"));
        lab
    }

    fn has_ended(&self, run: &str) -> bool {
        let folder = self.lab.path("results/tiny/runs").join(run);
        folder.join("status.json").exists()
    }

    /// What a report shows if nothing of a run is left but a damaged record.
    fn pages_without(&self, run: &str) -> BTreeMap<String, String> {
        let lab = self.copy();
        let folder = lab.path("results/tiny/runs").join(run);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("status.json"), "{").unwrap();
        lab.run("report results/tiny").exits(1);
        pages(&lab)
    }
}

/// The pages and plots of a report, without `summary.csv`, by their names.
fn pages(lab: &Lab) -> BTreeMap<String, String> {
    let results = lab.path("results/tiny");
    let plots = files_in(&results.join("plots")).into_iter();
    let pages = ["report.md", "report.html", "report.json"].map(|name| results.join(name));
    let pages = plots.chain(pages).map(|path| {
        let name = path.strip_prefix(&results).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    });
    pages.collect()
}

/// Pages without what they say of the damage.
fn without_reasons(pages: BTreeMap<String, String>) -> BTreeMap<String, String> {
    static REASON: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\w.\\]+ is damaged: [^|<\n]*").unwrap());
    let pages = pages.into_iter();
    pages
        .map(|(name, page)| {
            // A page allows line breaks inside long words.
            let page = page.replace("<wbr>", "");
            (name, REASON.replace_all(&page, "DAMAGE").into_owned())
        })
        .collect()
}

/// What a file belongs to. A run is given by its name.
enum Part<'a> {
    Plan,
    Summary,
    /// The pages and plots of the report.
    Report,
    Cache,
    /// A file of a run that has ended which a report checks.
    Reported(&'a str),
    /// Weights or tokenizer of a run that has ended.
    Unreported(&'a str),
    /// A checkpoint of a run that has ended.
    OldCheckpoint,
    /// A file of a run that has not ended.
    OpenRun(&'a str),
}

impl<'a> Part<'a> {
    fn of(origin: &Origin, name: &'a str) -> Self {
        let parts: Vec<&str> = name.split('/').collect();
        match *parts {
            ["plan.json"] => Self::Plan,
            ["summary.csv"] => Self::Summary,
            ["report.md" | "report.html" | "report.json"] | ["plots", _] => Self::Report,
            ["cache", ..] => Self::Cache,
            ["runs", run, ..] if !origin.has_ended(run) => Self::OpenRun(run),
            ["runs", _, "checkpoint", _] => Self::OldCheckpoint,
            ["runs", run, "model.safetensors" | "tokenizer.json"] => Self::Unreported(run),
            ["runs", run, _] => Self::Reported(run),
            _ => panic!("a new kind of file: {name}"),
        }
    }
}

/// A folder with one damaged file.
struct Case<'a> {
    origin: &'a Origin,
    lab: &'a Lab,
    part: Part<'a>,
    /// Name of the damaged file in its folder.
    file: &'a str,
    is_deleted: bool,
    context: String,
}

impl Case<'_> {
    /// A run whose record is deleted is a run that has not ended.
    fn lacks_record(&self) -> bool {
        self.file == "status.json" && self.is_deleted
    }

    /// Checks what `runner verify` says. Returns whether it names the file.
    fn check_verification(&self, verified: &Ran) -> bool {
        let context = format!("{}: {}{}", self.context, verified.stdout, verified.stderr);
        let is_deleted_weights = self.file.ends_with(".safetensors") && self.is_deleted;
        let named = match self.part {
            Part::Plan => {
                assert!(matches!(verified.code(), Some(1 | 2)), "{context}");
                verified.stderr.contains("plan.json")
            }
            Part::Reported(_) if self.lacks_record() => {
                // The table of runs still has its numbers.
                assert_eq!(verified.code(), Some(1), "{context}");
                assert!(verified.stdout.contains(" not ended"), "{context}");
                return false;
            }
            Part::Unreported(_) if is_deleted_weights => {
                assert_eq!(verified.code(), Some(0), "{context}");
                return false;
            }
            Part::Reported(run) | Part::Unreported(run) => {
                assert_eq!(verified.code(), Some(1), "{context}");
                let mut lines = verified.stdout.lines();
                lines.any(|line| line.contains(run) && line.contains(self.file))
            }
            Part::Summary | Part::Report => {
                // What is absent is written by the next sweep.
                let (code, start) = match self.is_deleted {
                    true => (0, "absent: "),
                    false => (1, "report: "),
                };
                assert_eq!(verified.code(), Some(code), "{context}");
                let mut lines = verified.stdout.lines();
                lines.any(|line| line.starts_with(start) && line.contains(self.file))
            }
            Part::Cache => {
                assert_eq!(verified.code(), Some(1), "{context}");
                verified.stdout.contains("cache: ")
            }
            Part::OpenRun(run) if self.is_checked_before_the_end() => {
                assert_eq!(verified.code(), Some(1), "{context}");
                let mut lines = verified.stdout.lines();
                let what = match self.file {
                    "metrics.jsonl" => "metrics",
                    file => file,
                };
                lines.any(|line| line.contains(run) && line.contains(what))
            }
            Part::OldCheckpoint if !self.is_deleted => {
                assert_eq!(verified.code(), Some(1), "{context}");
                let mut lines = verified.stdout.lines();
                lines.any(|line| line.contains("/checkpoint/") && line.contains(self.file))
            }
            // The other files of a run that has not ended are written again when it continues.
            Part::OpenRun(_) | Part::OldCheckpoint => {
                assert_eq!(verified.code(), Some(0), "{context}");
                return false;
            }
        };
        assert!(named, "the damaged file is not named: {context}");
        true
    }

    /// The report names the damage, and is otherwise that of a folder without the damaged run.
    fn check_report(&self, reported: &Ran) {
        let context = format!("{}: {}", self.context, reported.stderr);
        match self.part {
            Part::Plan => {
                assert!(matches!(reported.code(), Some(1 | 2)), "{context}");
                assert!(reported.stderr.contains("plan.json"), "{context}");
            }
            Part::Reported(run) if self.lacks_record() => {
                assert_eq!(reported.code(), Some(0), "{context}");
                self.assert_rows_without(run);
            }
            Part::Reported(run) => {
                assert_eq!(reported.code(), Some(1), "{context}");
                self.assert_shows_nothing_of(run);
                let page = fs::read_to_string(self.lab.path("results/tiny/report.md")).unwrap();
                let named = format!("{run}: {} is damaged: ", self.file);
                assert!(page.contains(&named), "{context}: no {named:?} in {page}");
            }
            Part::OpenRun(run) => {
                // Without metrics, it is a run that has taken no step.
                let is_damaged = self.file == "metrics.jsonl" && !self.is_deleted;
                assert!(matches!(reported.code(), Some(0 | 1)), "{context}");
                assert!(is_damaged || reported.code() == Some(0), "{context}");
                self.assert_rows_without(run);
            }
            _ => {
                assert_eq!(reported.code(), Some(0), "{context}");
                assert_eq!(self.lab.results(), self.origin.rows, "{context}");
                assert_eq!(pages(self.lab), self.origin.pages, "{context}");
            }
        }
    }

    /// The whole report is as if nothing of a run were left.
    fn assert_shows_nothing_of(&self, run: &str) {
        self.assert_rows_without(run);
        let shown = without_reasons(pages(self.lab));
        let expected = without_reasons(self.origin.pages_without(run));
        assert_eq!(shown, expected, "{}", self.context);
    }

    /// The rows of the other runs are those without damage, and that of the damaged run has no measurement.
    fn assert_rows_without(&self, run: &str) {
        let is_other = |row: &&Row| row["run"] != run;
        let rows = self.lab.results();
        let others: Vec<&Row> = rows.iter().filter(is_other).collect();
        let expected: Vec<&Row> = self.origin.rows.iter().filter(is_other).collect();
        assert_eq!(others, expected, "{}", self.context);
        for row in rows.iter().filter(|row| row["run"] == run) {
            assert_ne!(row["status"], "done", "{}: {row:?}", self.context);
            for column in MEASURED {
                assert_eq!(row[column], "", "{}: {column} in {row:?}", self.context);
            }
        }
    }

    /// The sweep says which damaged file it found, and ends well.
    fn check_sweep(&self, swept: &Ran) {
        let context = format!("{}: {}", self.context, swept.stderr);
        assert_eq!(swept.code(), Some(0), "{context}");
        let mut lines = swept.stderr.lines();
        match self.part {
            Part::Plan if !self.is_deleted => {
                let noticed = lines.any(|line| line.contains("plan.json is damaged: "));
                assert!(noticed, "{context}");
            }
            Part::Reported(run) if !self.lacks_record() => {
                let start = format!("note: {run} is trained again: ");
                let mut reasons = lines.filter_map(|line| line.strip_prefix(&start));
                let noticed = reasons.any(|reason| reason.contains(self.file));
                assert!(noticed, "{context}");
            }
            Part::OpenRun(run) if self.must_be_noticed_on_resume() => {
                let start = format!("{run}: cannot continue from ");
                let noticed = lines.any(|line| {
                    let what = match self.file {
                        "metrics.jsonl" => "the metrics that were recorded before it are damaged",
                        file => file,
                    };
                    line.starts_with(&start) && line.contains(what)
                });
                assert!(noticed, "{context}");
            }
            _ => {}
        }
    }

    /// Whether the file is one of those of an open run that have digests, and is still there.
    fn is_checked_before_the_end(&self) -> bool {
        match self.file {
            "metrics.jsonl" => true,
            file => file.ends_with(".safetensors") && !self.is_deleted,
        }
    }

    /// Whether an open run cannot overlook the damage. It reads the newest checkpoint, and all metrics before it. Lines
    /// after those of the checkpoint are dropped, and the other files are written again.
    fn must_be_noticed_on_resume(&self) -> bool {
        match self.file {
            "state.safetensors" => !self.is_deleted,
            "metrics.jsonl" => !self.context.ends_with(APPENDED),
            _ => false,
        }
    }
}

const APPENDED: &str = "a line is appended";

/// Changes a file at random, and says how.
fn damage(file: &Path, rng: &mut ChaCha8Rng) -> String {
    let mut bytes = fs::read(file).unwrap();
    let at = below(rng, bytes.len().max(1) as u64) as usize;
    let what = match below(rng, 6) {
        0 if !bytes.is_empty() => {
            bytes[at] ^= 1 << below(rng, 8);
            format!("a bit of byte {at} is flipped")
        }
        1 => {
            bytes.truncate(at);
            format!("only {at} bytes are left")
        }
        2 => {
            let end = (at + 64).min(bytes.len());
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} are zero")
        }
        3 => {
            bytes.extend(b"{\"event\": 1}\n");
            APPENDED.to_owned()
        }
        4 => match bytes.iter().position(u8::is_ascii_digit) {
            Some(first) => {
                let digits = bytes
                    .iter_mut()
                    .skip(first.max(at))
                    .filter(|byte| byte.is_ascii_digit());
                for digit in digits.take(1) {
                    *digit = b'0' + (*digit - b'0' + 1) % 10;
                }
                format!("the digit at or after byte {at} is increased")
            }
            None => "nothing".to_owned(),
        },
        _ => {
            fs::remove_file(file).unwrap();
            return "it is deleted".to_owned();
        }
    };
    fs::write(file, bytes).unwrap();
    what
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}
