//! No results folder is a crash, a hang or a claim on all memory: whatever its files hold, reading them gives results or
//! an error that names the file. The digests of the files do not help, because a folder can come from somebody else,
//! who has computed them again.
//!
//! `PROPTEST_CASES=100000 cargo test --test record_fuzz` tries more cases. If the process ends at once, the last case of
//! each test is in `target/tmp`.

mod changes;
mod damaged_matrices;
#[path = "../command_line/support.rs"]
#[expect(dead_code, reason = "the tests of the command line use the rest")]
mod support;
mod watch;

use changes::{apply, changes};
use damaged_matrices::matrices_damage;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use runner::data;
use runner::kernels::CpuBackend;
use runner::model::Model;
use runner::report::{self, Report};
use runner::results::{RunDir, RunState, Sealed, SweepPlan, Thoroughness, write_sealed_json};
use runner::sweep::{RunCheck, Store};
use runner::train::{self, Device, Job, Update};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use support::Lab;
use tempfile::TempDir;
use watch::Watched;

/// Cases of each test, unless the environment variable `PROPTEST_CASES` is set.
const CASES: u32 = 48;

const COMPARED: &str = "\
name: tiny
description: Does a transformer beat a bigram?
data: {source: 'builtin:plays', plays_bytes: 20000}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
optimizer: {lr: 1.0e-2}
train: {steps: 30, batch_size: 4, eval_every: 10, eval_train: true, checkpoint_every: 7}
sample: {tokens: 20, every: 15}
compare: {margin: 0.05}
sweep:
  seeds: [1, 2]
  baseline: bigram
  variants:
    bigram: {model: {kind: bigram}}
    gpt: {}
expect:
  - {variant: gpt, metric: params, value: 1000}
  - {variant: gpt, metric: tokens, value: 20000}
  - {variant: gpt, metric: val_loss, step: 10, value: 3.0, tolerance: 0.5}
claims:
  - {variant: gpt, metric: val_loss, better_than: bigram, by: 0.005, p: 0.01}
  - {variant: gpt, metric: bits_per_byte, below: 3.28, at_step: 10}
";

/// An experiment whose number of runs depends on results.
const TUNED: &str = "\
name: tiny
data: {source: 'builtin:plays', plays_bytes: 20000}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
train: {steps: 20, batch_size: 4, eval_every: 10, checkpoint_every: 7}
sample: {tokens: 20}
compare: {margin: 0.05}
sweep:
  seeds: {min: 2, max: 3, until: decided}
  tune: {grid: {optimizer.lr: [1.0e-3, 1.0e-2]}}
  variants:
    gpt: {}
    relu: {model: {mlp: relu}}
claims:
  - {variant: relu, metric: val_loss, better_than: gpt}
";

/// The files of a results folder, by their paths in it.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// Folders of finished sweeps.
static FINISHED: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let sweep = |experiment: &str| {
        let lab = Lab::new(experiment);
        let swept = lab.run("sweep tiny.yaml");
        let is_finished = matches!(swept.code(), Some(0 | 3 | 4));
        assert!(is_finished, "{}{}", swept.stdout, swept.stderr);
        let mut files = Files::new();
        read_files(&lab.path("results/tiny"), Path::new(""), &mut files);
        files
    };
    [COMPARED, TUNED].map(sweep).into()
});

fn read_files(folder: &Path, inside: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = inside.join(path.file_name().unwrap());
        match path.is_dir() {
            true => read_files(&path, &name, files),
            false => files.push((name, fs::read(path).unwrap())),
        }
    }
}

/// A copy of one of the finished folders.
struct Folder(TempDir);

impl Folder {
    fn copy_of(which: &Index) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in which.get(&FINISHED) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder of one of the runs.
    fn run(&self, which: &Index) -> PathBuf {
        let entries = fs::read_dir(self.path().join("runs")).unwrap();
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        which.get(&runs).clone()
    }
}

fn settings() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => default.cases,
            None => CASES,
        },
        failure_persistence: None,
        max_shrink_iters: 200,
        ..default
    }
}

fn read_json(path: &Path) -> Value {
    let json = fs::read(path).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Writes a record. Without a digest, it is one of an earlier version.
fn write_record(path: &Path, value: &Value, is_sealed: bool) {
    let has_members = value.as_object().is_some_and(|fields| !fields.is_empty());
    match is_sealed && has_members {
        true => write_sealed_json(path, value).unwrap(),
        false => fs::write(path, value.to_string()).unwrap(),
    }
}

/// A line of `metrics.jsonl` as an earlier version wrote it.
fn without_digest(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap();
    line.as_object_mut().unwrap().remove("digest").unwrap();
    line
}

/// Reads a folder in every way. Whatever it holds, no call may panic.
fn read_folder(folder: &Path) -> TestCaseResult {
    let plan = match report::read_plan(folder) {
        Ok(plan) => plan,
        Err(error) => {
            let text = error.to_string();
            prop_assert!(text.contains("plan.json"), "{}", text);
            return Ok(());
        }
    };
    let sealed = plan.clone();
    let plan = plan.value;
    report::checks_of_plan(&plan);
    report::matched_variants(&plan);
    report::tokenizers(&plan);
    let store = Store::open_readonly(folder.to_owned());
    for run in &plan.runs {
        let damage = match store.verify(run) {
            RunCheck::Damaged(error) => error.to_string(),
            RunCheck::Verified { .. } | RunCheck::NotVerified | RunCheck::NotEnded => continue,
        };
        prop_assert!(damage.contains(&run.name), "{}", damage);
    }
    let errors = [
        store.found_settings(&plan).err(),
        store.needed_runs(&plan).err(),
        store.possible_runs(&plan).err(),
    ];
    for error in errors.into_iter().flatten() {
        let text = error.to_string();
        prop_assert!(text.contains("runs/"), "{}", text);
    }
    check_report(folder, sealed)
}

fn check_report(folder: &Path, plan: Sealed<SweepPlan>) -> TestCaseResult {
    let summary = match report::write(folder, plan.clone(), None) {
        Ok(report) => report.summary,
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::from(error));
            prop_assert!(text.contains(&folder.display().to_string()), "{}", text);
            return Ok(());
        }
    };
    let again = Report::render(folder, plan.clone(), None).unwrap();
    prop_assert_eq!(again.outdated_files().unwrap(), Vec::<PathBuf>::new());
    let comment = report::render_comment(folder, plan.clone()).unwrap();
    prop_assert!(comment.chars().count() <= 60_000);
    report::read_summary(folder).unwrap();
    // Nothing that a damaged run has recorded is used, and the report says so.
    let plan = plan.value;
    for run in &plan.runs {
        let dir = RunDir::new(folder.join("runs").join(&run.name));
        let is_readable = dir
            .checked_record(run, Thoroughness::Reported)
            .and_then(|record| {
                let record = record.as_ref();
                dir.metrics(record)?;
                dir.read_samples(record)
            });
        if let Err(error) = is_readable {
            let text = error.to_string();
            prop_assert!(text.contains(&run.name), "{}", text);
            prop_assert!(summary.counts.failed > 0 || plan.depends_on_results());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_plan(folder in any::<Index>(), changes in changes(), is_sealed in any::<bool>()) {
        let _watched = Watched::new(&(&folder, &changes, is_sealed));
        let folder = Folder::copy_of(&folder);
        let path = folder.path().join("plan.json");
        let mut plan = read_json(&path);
        plan.as_object_mut().unwrap().remove("sha256");
        apply(&mut plan, &changes);
        write_record(&path, &plan, is_sealed);
        read_folder(folder.path())?;
    }

    #[test]
    fn any_record(
        folder in any::<Index>(),
        run in any::<Index>(),
        file in prop::sample::select(vec!["status.json", "metrics.jsonl", "samples.json"]),
        changes in changes(),
        has_digests in any::<bool>(),
        is_sealed in any::<bool>(),
    ) {
        let _watched = Watched::new(&(&folder, &run, file, &changes, has_digests, is_sealed));
        let folder = Folder::copy_of(&folder);
        let run = folder.run(&run);
        let status_file = run.join("status.json");
        let mut status = read_json(&status_file);
        status.as_object_mut().unwrap().remove("sha256");
        let path = run.join(file);
        if file == "status.json" {
            apply(&mut status, &changes);
        } else {
            let mut contents = match file {
                "metrics.jsonl" => {
                    let text = fs::read_to_string(&path).unwrap();
                    text.lines().map(without_digest).collect()
                }
                _ => read_json(&path),
            };
            apply(&mut contents, &changes);
            let text = match (file, &contents) {
                ("metrics.jsonl", Value::Array(lines)) => {
                    lines.iter().map(|line| format!("{line}\n")).collect()
                }
                _ => contents.to_string(),
            };
            fs::write(&path, &text).unwrap();
            status["files"][file] = json!({"bytes": text.len(), "sha256": hex_of(text.as_bytes())});
        }
        if let Some(fields) = status.as_object_mut().filter(|_| !has_digests) {
            fields.remove("files");
        }
        write_record(&status_file, &status, is_sealed);
        read_folder(folder.path())?;
    }

    /// Bytes at random, in the files that hold texts and numbers.
    #[test]
    fn any_bytes(
        folder in any::<Index>(),
        run in any::<Index>(),
        file in prop::sample::select(vec![
            "plan.json", "status.json", "metrics.jsonl", "samples.json", "samples.md", "config.yaml",
        ]),
        bytes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..8),
        end in any::<Index>(),
        is_cut in any::<bool>(),
        has_record in any::<bool>(),
    ) {
        let _watched = Watched::new(&(&folder, &run, file, &bytes, end, is_cut, has_record));
        let folder = Folder::copy_of(&folder);
        let run = folder.run(&run);
        let path = match file {
            "plan.json" => folder.path().join(file),
            _ => run.join(file),
        };
        let mut contents = fs::read(&path).unwrap();
        for (at, byte) in bytes {
            let at = at.index(contents.len());
            contents[at] = byte;
        }
        if is_cut {
            contents.truncate(end.index(contents.len()));
        }
        fs::write(&path, contents).unwrap();
        if !has_record && file != "status.json" {
            fs::remove_file(run.join("status.json")).unwrap();
        }
        let _ = RunDir::new(&run).spec(None);
        read_folder(folder.path())?;
    }

    #[test]
    fn any_weights(
        folder in any::<Index>(),
        run in any::<Index>(),
        is_checkpoint in any::<bool>(),
        damage in matrices_damage(),
    ) {
        let _watched = Watched::new(&(&folder, &run, is_checkpoint, &damage));
        let folder = Folder::copy_of(&folder);
        let run = folder.run(&run);
        let path = match is_checkpoint {
            true => run.join("checkpoint/state.safetensors"),
            false => run.join("model.safetensors"),
        };
        let contents = damage.apply(fs::read(&path).unwrap());
        fs::write(&path, contents).unwrap();
        match is_checkpoint {
            true => continue_run(folder.path(), &run, &path)?,
            false => load_weights(folder.path(), &run, &path)?,
        }
        read_folder(folder.path())?;
    }
}

fn hex_of(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn load_weights(folder: &Path, run: &Path, path: &Path) -> TestCaseResult {
    let plan = report::read_plan(folder).unwrap();
    let name = run.file_name().unwrap().to_str().unwrap();
    let planned = plan.value.runs.iter().find(|run| run.name == name).unwrap();
    let vocab_size = plan.value.corpora[planned.corpus].vocab_size;
    let device = dfdx::prelude::Cpu::default();
    let model = Model::<CpuBackend>::zeros(&device, &planned.spec.model, vocab_size);
    if let Err(error) = model.unwrap().load(path) {
        let named = path.display().to_string();
        prop_assert!(error.to_string().contains(&named), "{}", error);
    }
    Ok(())
}

/// Continues a run from a checkpoint, and stops it at once.
fn continue_run(folder: &Path, run: &Path, path: &Path) -> TestCaseResult {
    train::saved_step(path.parent().unwrap());
    let plan = report::read_plan(folder).unwrap();
    let name = run.file_name().unwrap().to_str().unwrap();
    let planned = plan.value.runs.iter().find(|run| run.name == name).unwrap();
    let corpus = data::open(
        &folder.join("cache"),
        &plan.value.corpora[planned.corpus].key,
    )
    .unwrap();
    let dir = RunDir::new(run);
    let job = Job {
        spec: &planned.spec,
        corpus: &corpus,
        dir: &dir,
        device: Device::Cpu,
        threads: 1,
        extends: None,
        stop: &AtomicBool::new(true),
    };
    let mut notices = Vec::new();
    let end = train::run(job, &mut |update| {
        if let Update::Notice(notice) = update {
            notices.push(notice);
        }
    });
    let named = path.display().to_string();
    prop_assert!(
        notices.iter().all(|notice| notice.contains("state")),
        "{:?}",
        notices
    );
    match end {
        Ok(status) => prop_assert!(
            matches!(
                status.state,
                RunState::Stopped | RunState::Done | RunState::Diverged
            ),
            "{:?}",
            status
        ),
        Err(error) => prop_assert!(error.to_string().contains(&named), "{}", error),
    }
    Ok(())
}
