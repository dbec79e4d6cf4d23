//! Sweeps from end to end: which runs are trained or skipped, and which files are written.

use crate::support::{Lab, Running, TINY, kill, without_digest};
use std::collections::BTreeMap;
use std::fs;

/// More steps than a test waits for.
const ENDLESS: &str = "train.steps=1000000 train.eval_every=1000000";

#[test]
fn results_do_not_depend_on_the_number_of_jobs() {
    let (one, two) = (Lab::new(TINY), Lab::new(TINY));
    one.run("sweep tiny.yaml --jobs 1")
        .exits(0)
        .says("tiny: 4 runs, 4 to train on the CPU, 1 at a time")
        .shows("report.md");
    two.run("sweep tiny.yaml --jobs 2")
        .exits(0)
        .says("2 at a time");
    assert_eq!(one.results(), two.results());
    assert_eq!(one.results().len(), 4);
    assert!(one.column("status").values().all(|status| status == "done"));
    let losses = one.column("val_loss");
    assert_ne!(losses["gpt-1"], losses["gpt-2"], "seeds differ");
}

#[test]
fn finished_runs_are_skipped_and_the_report_is_unchanged() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0).says("4 to train");
    let report = fs::read(lab.path("results/tiny/report.md")).unwrap();
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says("none to train\n4 finished runs are skipped\n")
        .never_says("started");
    assert_eq!(
        fs::read(lab.path("results/tiny/report.md")).unwrap(),
        report
    );
    fs::remove_file(lab.path("results/tiny/report.md")).unwrap();
    lab.run("report results/tiny").exits(0).shows("report.md");
    assert_eq!(
        fs::read(lab.path("results/tiny/report.md")).unwrap(),
        report
    );
}

#[test]
fn epochs_are_converted_to_steps() {
    let epochs = "train: {epochs: 0.5, batches: sequential, eval_every: 0.25 epochs";
    let text = TINY
        .replace("train: {steps: 30", epochs)
        .replace(", eval_every: 15", "");
    let lab = Lab::new(&text);
    lab.run("sweep tiny.yaml optimizer.schedule.warmup_steps=200")
        .exits(2)
        .says("is more than the 156 steps of the run");
    let claim = r#"{"variant":"gpt","metric":"val_loss","below":9,"at_step":157}"#;
    lab.run(&format!("sweep tiny.yaml claims=[{claim}]"))
        .exits(2)
        .says("there is no evaluation at step 157")
        .says("after the last step (156)");
    assert!(lab.is_untouched());
    lab.run("sweep tiny.yaml").exits(0);
    // Half of 19,919 characters, in sequences of 16, in batches of 4.
    assert_eq!(lab.column("steps")["gpt-1"], "156");
    // The command line overrides the length.
    lab.run("plan tiny.yaml train.steps=7")
        .exits(0)
        .shows("448");
}

#[test]
fn changed_configuration_is_a_new_run_and_the_old_one_is_kept() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    lab.run("sweep tiny.yaml --only bigram train.steps=31")
        .exits(0)
        .says("2 to train");
    // Without options that select runs or change the speed.
    let plan = fs::read_to_string(lab.path("results/tiny/plan.json")).unwrap();
    assert!(plan.contains(r#""command": "runner sweep tiny.yaml train.steps=31","#));
    lab.run("sweep tiny.yaml --only bigram")
        .exits(0)
        .says("none to train");
    let steps = lab.column("steps");
    assert_eq!(steps["bigram-1"], "30");
}

#[test]
fn sweep_says_that_it_replaces_the_report_of_other_settings() {
    let lab = Lab::new(TINY);
    let replaces = "this sweep replaces results/tiny/report.md";
    let keep = "to keep the old report, add `--results DIR` or `name=other` to the command";
    let only = "--only bigram-s1-*";
    let plain = format!("sweep tiny.yaml {only}");
    let shorter = format!("{plain} train.steps=20");
    lab.run(&plain).exits(0).never_says(replaces);
    lab.run(&plain).exits(0).never_says(replaces);
    lab.run(&shorter)
        .exits(0)
        .says(&format!("{replaces}, which `runner sweep tiny.yaml` wrote"))
        .says(keep);
    lab.run(&shorter).exits(0).never_says(replaces);
    lab.run(&plain)
        .exits(0)
        .says("which `runner sweep tiny.yaml train.steps=20` wrote");
    lab.run(&format!("{shorter} name=other"))
        .exits(0)
        .never_says(replaces);

    // The same command after a change of the file. Nothing is lost by more runs.
    fs::write(lab.path("tiny.yaml"), TINY.replace("[1, 2]", "[1, 2, 3]")).unwrap();
    lab.run(&plain).exits(0).never_says(replaces);
    fs::write(lab.path("tiny.yaml"), TINY).unwrap();
    lab.run(&plain)
        .exits(0)
        .says(&format!("{replaces}, which is about other runs"));

    // A report that was committed comes without its plan.
    fs::remove_file(lab.path("results/tiny/plan.json")).unwrap();
    lab.run(&shorter)
        .exits(0)
        .says(&format!("{replaces}; {keep}"));
}

#[test]
fn only_selects_runs_and_the_rest_is_trained_later() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-*")
        .exits(0)
        .says("tiny: 1 run, 1 to train");
    assert_eq!(lab.column("status")["gpt-1"], "done");
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says("tiny: 4 runs, 3 to train");
    assert!(lab.column("status").values().all(|status| status == "done"));
}

#[test]
fn restart_trains_finished_runs_again() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let before = lab.results();
    let mark = lab.run_folder("gpt-s1-").unwrap().join("mark");
    fs::write(&mark, "").unwrap();
    lab.run("sweep tiny.yaml --restart")
        .exits(0)
        .says("4 to train");
    assert!(!mark.exists());
    assert_eq!(lab.results(), before);
}

#[test]
fn diverged_run_is_recorded_and_the_others_continue() {
    let lab = Lab::new(&TINY.replace(
        "    gpt: {}",
        "    wild: {optimizer: {kind: sgd, lr: 1000.0, momentum: 0.99, grad_clip: 0.0}}\n    gpt: {}",
    ));
    lab.run("sweep tiny.yaml")
        .exits(1)
        .says("diverged")
        .says("--retry-failed");
    let status = lab.column("status");
    assert_eq!(
        (&*status["wild-1"], &*status["gpt-1"]),
        ("diverged", "done")
    );
    assert!(!lab.column("reason")["wild-1"].is_empty());

    lab.run("sweep tiny.yaml")
        .exits(1)
        .says("none to train")
        .says("2 runs not done:\n  wild-s1-")
        .says(": diverged: ")
        .says("2 runs failed or diverged (exit code 1)");
    let claim = r#"claims=[{"variant":"gpt","metric":"val_loss","below":0.1}]"#;
    let both = "2 runs failed or diverged, 1 of 1 claim fails (exit code 1)";
    lab.run(&format!("sweep tiny.yaml {claim}"))
        .exits(1)
        .says(both);
    lab.run("report results/tiny").exits(1).says(both);
    lab.run("sweep tiny.yaml").exits(1);
    lab.run("report results/tiny")
        .exits(1)
        .says("2 runs failed or diverged (exit code 1)");
    lab.run("sweep tiny.yaml --retry-failed --only wild")
        .exits(1)
        .says("tiny: 2 runs, 2 to train");
    lab.run("sweep tiny.yaml --only gpt").exits(0);
}

/// The system kills processes when memory is short. That is no fault of the run.
#[test]
fn killed_worker_ends_the_sweep_and_continues_from_its_checkpoint() {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(&format!(
        "sweep tiny.yaml --jobs 1 --only gpt-s1-* {ENDLESS}"
    ));
    sweep.until_exists(|lab| {
        Some(
            lab.run_folder("gpt-s1-")?
                .join("checkpoint/state.safetensors"),
        )
    });
    kill_workers(&sweep);
    sweep
        .wait()
        .exits(1)
        .says(": stopped: killed by SIGKILL")
        .says("error: the sweep was stopped: killed by SIGKILL")
        .says("free memory, raise the limit of memory (`ulimit -v`), or train fewer runs")
        .says("the same command then continues every run from its last checkpoint");
    let mut again = lab.start(&format!(
        "sweep tiny.yaml --jobs 1 --only gpt-s1-* {ENDLESS}"
    ));
    again.until_says(": continues from step ");
}

#[test]
fn run_whose_worker_is_killed_twice_without_progress_has_failed() {
    let lab = Lab::new(&TINY.replace(
        "    gpt: {}",
        "    gpt: {}\n    victim: {train: {steps: 1000000, eval_every: 1000000, checkpoint_every: 1000000}}",
    ));
    let command = "sweep tiny.yaml --jobs 1 --only [gv]*s1*";
    for exits in [
        "the sweep was stopped: killed by SIGKILL",
        "failed: its process ended twice after step 0",
    ] {
        let mut sweep = lab.start(command);
        sweep.until_says("victim-s1-");
        sweep.until_exists(|lab| Some(lab.run_folder("victim-s1-")?.join("metrics.jsonl")));
        kill_workers(&sweep);
        sweep.wait().exits(1).says(exits);
    }
    let status = lab.column("status");
    assert_eq!(
        (&*status["victim-1"], &*status["gpt-1"]),
        ("failed", "done")
    );
    let reason = &lab.column("reason")["victim-1"];
    assert!(reason.contains("killed by SIGKILL"), "{reason}");
    // It is tried again.
    let mut sweep = lab.start(&format!("{command} --retry-failed"));
    sweep.until_exists(|lab| Some(lab.run_folder("victim-s1-")?.join("metrics.jsonl")));
    kill_workers(&sweep);
    sweep
        .wait()
        .exits(1)
        .says("the sweep was stopped: killed by SIGKILL");
}

/// Kills the workers of a sweep as soon as there are any.
fn kill_workers(sweep: &Running) {
    let mut workers = Vec::new();
    while workers.is_empty() {
        workers = sweep.workers();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for worker in workers {
        kill("KILL", &worker.to_string());
    }
}

#[test]
fn second_sweep_is_told_which_process_uses_the_folder() {
    let lab = Lab::new(TINY);
    let other = Lab::new(TINY);
    let results = lab.path("results");
    let command = |more: &str| format!("sweep tiny.yaml --results {} {more}", results.display());
    let mut first = other.start(&command(ENDLESS));
    first.until_says("started");
    lab.run(&command("")).exits(2).says(&format!(
        "results/tiny is in use by another sweep (process {}",
        first.pid()
    ));
    // A plan only reads.
    lab.run("plan tiny.yaml").exits(0);
    first.signal_all("KILL");
    first.wait();
    lab.run(&command("--only bigram")).exits(0);
}

#[test]
fn run_with_a_damaged_file_is_named_and_trained_again() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-*").exits(0);
    let (before, folder) = (lab.results(), lab.run_folder("gpt-s1-").unwrap());
    for name in ["status.json", "metrics.jsonl"] {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap();
        // One digit of a number.
        fs::write(&path, text.replacen("3", "4", 1)).unwrap();
        let damage = format!(
            "runs/{}/{name} is damaged",
            folder.file_name().unwrap().display()
        );
        lab.run("verify results/tiny").exits(1).shows(&damage);
        let report = lab.run("report results/tiny").exits(1);
        assert!(
            report.stdout.contains(&format!("{name} is damaged")),
            "{}",
            report.stdout
        );
        assert_eq!(
            lab.column("val_loss")["gpt-1"],
            "",
            "no number of a damaged run is shown"
        );
        lab.run("sweep tiny.yaml --only gpt-s1-*")
            .exits(0)
            .says(" is trained again: ")
            .says(&damage);
        assert_eq!(lab.results(), before);
        lab.run("verify results/tiny")
            .exits(0)
            .shows("1 verified, 3 not ended");
    }
}

#[test]
fn files_of_another_run_are_damage() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let before = lab.results();
    let [first, second] = ["gpt-s1-", "gpt-s2-"].map(|name| lab.run_folder(name).unwrap());
    for file in fs::read_dir(first).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), second.join(file.file_name())).unwrap();
        }
    }
    let damage = "status.json is damaged: it is the record of another run";
    lab.run("verify results/tiny").exits(1).shows(damage);
    lab.run("report results/tiny").exits(1).shows(damage);
    assert_eq!(lab.column("val_loss")["gpt-2"], "");
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says(" is trained again: ")
        .says(damage);
    assert_eq!(lab.results(), before);
}

#[test]
fn reproducible_runs_are_confirmed_and_others_are_not() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let verified = lab.run("verify results/tiny --rerun 2 --seed 1").exits(0);
    assert_eq!(
        verified.stdout.matches(": identical\n").count(),
        2,
        "{}",
        verified.stdout
    );
    assert!(
        verified
            .stdout
            .contains("4 runs: 4 verified\nreport: agrees with the runs\n")
    );
    let page = lab.path("results/tiny/report.md");
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, text.replacen('1', "2", 1)).unwrap();
    lab.run("verify results/tiny")
        .exits(1)
        .shows("report: report.md is not what this version of runner writes for these runs");
    fs::write(&page, text).unwrap();
    // As in a folder that was committed.
    for name in ["plan.json", "runs", "cache"] {
        let path = lab.path("results/tiny").join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    lab.run("verify results/tiny")
        .exits(2)
        .says("with --rerun N, N of its runs are trained again");
    lab.run("verify results/tiny --rerun 1")
        .exits(2)
        .says("the experiment file experiments/tiny.yaml does not exist");
    let rerun = "verify results/tiny --rerun 9 --experiment tiny.yaml";
    let verified = lab.run(rerun).exits(0);
    assert_eq!(
        verified.stdout.matches(": identical\n").count(),
        4,
        "{}",
        verified.stdout
    );
    let csv = lab.path("results/tiny/summary.csv");
    let rows = fs::read_to_string(&csv).unwrap();
    let loss = lab.column("val_loss")["gpt-2"].clone();
    fs::write(&csv, rows.replace(&loss, "1.25")).unwrap();
    lab.run(rerun).exits(1).shows(&format!(
        "NOT identical: val_loss is {loss} instead of 1.25"
    ));
}

#[test]
fn missed_expected_value_has_its_own_exit_code() {
    let expect = "expect:
  - {metric: params, value: 3721}
  - {variant: gpt, metric: val_loss, step: 15, value: 1.0, tolerance: 0.01}
  - {metric: train_loss, value: 3, tolerance_percent: 50}
";
    let text =
        format!("{TINY}{expect}").replace("eval_every: 15", "eval_every: 15, eval_train: true");
    let lab = Lab::new(&text);
    lab.run("plan tiny.yaml").exits(0).shows("parameters");
    lab.run("sweep tiny.yaml")
        .exits(3)
        .shows("Results of the 3 expected metrics: 2 met and 1 missed.")
        .shows("validation loss at step 15")
        .says("1 of 3 expected values was missed (exit code 3)");
    lab.run("report results/tiny")
        .exits(3)
        .says("1 of 3 expected values was missed (exit code 3)");
    assert!(
        lab.column("train_split_loss")
            .values()
            .all(|loss| !loss.is_empty())
    );
    let text = text.replace("value: 3721", "value: 3722");
    Lab::new(&text)
        .run("plan tiny.yaml train.steps=10")
        .exits(3)
        .shows("missed")
        .says("1 of 1 expected value was missed (exit code 3)");
}

#[test]
fn claims_decide_the_exit_code() {
    let claim = |claim: &str| Lab::new(&format!("{TINY}claims: [{claim}]\n"));
    let lab = claim("{variant: gpt, metric: val_loss, better_than: baseline, by: 3}");
    lab.run("plan tiny.yaml").exits(0);
    lab.run("sweep tiny.yaml --only gpt")
        .exits(0)
        .shows("2 of 4 runs not finished");
    lab.run("sweep tiny.yaml")
        .exits(3)
        .shows("The claim fails. Fails: The mean validation loss of gpt is below that of")
        .shows("t(1) = ")
        .says("1 of 1 claim fails (exit code 3)");
    lab.run("report results/tiny")
        .exits(3)
        .says("1 of 1 claim fails (exit code 3)");

    // Claims do not belong to the runs, so that another claim needs no training.
    let change = |claim: &str| {
        fs::write(lab.path("tiny.yaml"), format!("{TINY}claims: [{claim}]\n")).unwrap();
        lab.run("sweep tiny.yaml --jobs 2").says("none to train")
    };
    change("{variant: gpt, metric: bits_per_byte, below: 9, at_step: 15, sigma: 0.1}")
        .exits(0)
        .shows("The claim holds.");
    // The level is smaller than what two seeds can give.
    change("{variant: gpt, metric: val_loss, below: 9, p: 1.0e-9}")
        .exits(4)
        .shows("Open: The mean validation loss of gpt is below 9 (not significant")
        .says("1 of 1 claim is open (exit code 4)");
    lab.run("report results/tiny")
        .exits(4)
        .says("1 of 1 claim is open (exit code 4)");
    // An override of the seeds leaves claims open.
    lab.run("sweep tiny.yaml sweep.seeds=[1]")
        .exits(4)
        .shows("too few seeds: 1 seed with a value, and the test needs two");
    claim("{variant: gtp, metric: val_loss, below: 9}")
        .run("sweep tiny.yaml")
        .exits(2)
        .says("did you mean `gpt`?");
}

#[test]
fn former_option_names_work_and_print_a_hint() {
    let lab = Lab::new(TINY);
    let once = "sweep tiny.yaml --only bigram-s1-*";
    lab.run(once).exits(0).never_says("note:");
    lab.run(&format!("{once} --fresh"))
        .exits(0)
        .says("1 to train")
        .says("note: --fresh is now named --restart\n");
    lab.run(&format!("{once} --retry"))
        .exits(0)
        .says("none to train")
        .says("note: --retry is now named --retry-failed\n");
}

#[test]
fn report_command_uses_a_template_only_if_it_is_given() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("mine.md.j2"), "mine: {{ name }}\n").unwrap();
    let report = || fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    lab.run("sweep tiny.yaml --only bigram report.template=mine.md.j2")
        .exits(0);
    assert_eq!(report(), "mine: tiny\n");
    // The plan can come from somebody else, and a template can read files.
    lab.run("report results/tiny")
        .exits(0)
        .says("the experiment names another, which `--template /")
        .says("/mine.md.j2` uses");
    assert!(report().starts_with("# tiny"));
    lab.run("report results/tiny --template mine.md.j2")
        .exits(0);
    assert_eq!(report(), "mine: tiny\n");
}

#[test]
fn run_names_of_a_foreign_plan_stay_in_its_folder() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram-s1-*").exits(0);
    let path = lab.path("results/tiny/plan.json");
    let plan = fs::read_to_string(&path).unwrap();
    let plan = plan.replacen("\"name\": \"bigram-s1-", "\"name\": \"../../bigram-s1-", 1);
    fs::write(&path, &plan).unwrap();
    lab.run("report results/tiny")
        .exits(1)
        .says("its contents do not agree with the digest at its end");
    fs::write(&path, without_digest(&plan)).unwrap();
    lab.run("report results/tiny")
        .exits(1)
        .says("is not a plain file name");
}

#[test]
fn control_characters_are_made_visible() {
    let lab = Lab::new(TINY);
    lab.run("sweep \u{1b}[31m.yaml").exits(2).says("␛[31m.yaml");
    lab.run("sweep tiny.yaml \u{1b}[31m")
        .exits(2)
        .never_says("\u{1b}");
    lab.run("sweep tiny.yaml --only bigram-s1-*").exits(0);
    let status = lab.run_folder("bigram-s1-").unwrap().join("status.json");
    let failed = r#"{"state": "failed", "reason": "\u001b[2Jgone", "outcome": null}"#;
    fs::write(status, failed).unwrap();
    lab.run("sweep tiny.yaml --only bigram-s1-*")
        .exits(1)
        .says("failed: ␛[2Jgone")
        .never_says("\u{1b}");
}

/// A variant that is clearly worse than the baseline, and a transformer with large differences between the
/// seeds.
fn sequential(max: u64) -> String {
    let seeds = format!("{{min: 3, max: {max}, until: decided}}");
    TINY.replace("[1, 2]", &seeds)
        .replace("steps: 30", "steps: 300")
        + "    slow: {model: {kind: bigram}, optimizer: {lr: 1.0e-6}}\n"
}

#[test]
fn only_undecided_variants_get_more_seeds() {
    let seeds = |lab: &Lab, variant: &str| {
        let of_variant = |name: &&String| name.rsplit_once('-').unwrap().0 == variant;
        lab.column("status").keys().filter(of_variant).count()
    };
    let lab = Lab::new(&sequential(5));
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("15 runs: 15 not started; to train:\n")
        .shows("at least: ")
        .shows("at most, if comparisons stay undecided: ");
    lab.run("sweep tiny.yaml --jobs 2")
        .exits(0)
        .says("9 runs, 9 to train")
        .shows("worse")
        .shows("inconclusive");
    let of_lab = |lab: &Lab| ["bigram", "gpt", "slow"].map(|variant| seeds(lab, variant));
    assert_eq!(of_lab(&lab), [5, 5, 3]);
    // The variant `slow` was decided by its first seeds.
    lab.run("plan tiny.yaml").exits(0).shows("13 runs: 13 done");
    lab.run("sweep tiny.yaml").exits(0).says("none to train");

    // In another order, and interrupted: the same runs and results.
    let other = Lab::new(&sequential(5));
    let mut running = other.start("sweep tiny.yaml --jobs 1");
    running.until_says("gpt-s2-");
    running.signal("INT");
    running
        .wait()
        .exits(130)
        .says("interrupted; the same command");
    other.run("sweep tiny.yaml --jobs 1").exits(0);
    assert_eq!(lab.results(), other.results());

    // A larger maximum continues within the error rate.
    fs::write(lab.path("tiny.yaml"), sequential(6)).unwrap();
    lab.run("sweep tiny.yaml")
        .exits(0)
        .never_says("slow-")
        .never_shows("were changed after results were known");
    assert_eq!(of_lab(&lab), [6, 6, 3]);

    // Other first seeds are another test, and the report says what that does to the error rate.
    fs::write(
        lab.path("tiny.yaml"),
        sequential(6).replace("min: 3", "min: 2"),
    )
    .unwrap();
    lab.run("sweep tiny.yaml")
        .exits(0)
        .shows("The seeds were changed after results were known");

    // What is not needed is not trained.
    lab.run("sweep tiny.yaml --only slow-s6-*")
        .exits(0)
        .says("none of the selected runs is needed");
}

#[test]
fn a_model_that_does_not_depend_on_the_seed_is_counted_once() {
    let variants = "    pairs: {model: {kind: ngram, order: 2}}
    triples: {model: {kind: ngram, order: 3}}\n";
    let lab = Lab::new(&format!("{TINY}{variants}").replace("baseline: bigram", "baseline: pairs"));
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("6 runs: 6 not started")
        .shows("counted once, because the result does not depend on the seed: pairs and triples");
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says("tiny: 6 runs, 6 to train")
        .shows("the same for every seed");
    let runs: Vec<String> = lab.column("status").into_keys().collect();
    assert_eq!(
        runs,
        [
            "bigram-1",
            "bigram-2",
            "gpt-1",
            "gpt-2",
            "pairs-1",
            "triples-1"
        ]
    );
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    let row = |name: &str| {
        let row = report
            .lines()
            .find(|line| line.contains(&format!("| {name} |")));
        row.unwrap_or_else(|| panic!("{report}")).to_owned()
    };
    assert!(row("pairs").contains("| any |") && !row("pairs").contains('±'));
    assert!(row("triples").contains("(exact) | better |"), "{report}");
    assert!(
        row("gpt").contains("| 2 |") && row("gpt").contains('['),
        "{report}"
    );
    assert!(report.contains("**Any** in the column of the seeds"));
    lab.run("sweep tiny.yaml").exits(0).says("none to train");
}

#[test]
fn every_variant_is_compared_with_its_best_settings() {
    let tune = "  seeds: 3\n  tune: {grid: {optimizer.lr: [0.0001, 0.001, 0.01]}, seeds: 1}\n";
    let experiment = TINY.replace("  seeds: [1, 2]\n", tune);
    let lab = Lab::new(&experiment);
    // The seeds 1 to 3 are needed with the best of the three rates.
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("12 runs: 12 not started")
        .shows("until the search has ended: ")
        .shows("in all: ");
    lab.run("sweep tiny.yaml --only gpt-s1-*")
        .exits(0)
        .says("a variant is compared after the search for its best settings has ended");
    lab.run("sweep tiny.yaml --jobs 2").exits(0).shows("better");
    let runs: Vec<String> = lab.column("status").into_keys().collect();
    assert_eq!(runs.len(), 2 * (1 + 3), "{runs:?}");
    let done = |row: &BTreeMap<String, String>| row["status"] == "done";
    assert_eq!(
        lab.results().iter().filter(|row| done(row)).count(),
        2 * (3 + 3)
    );
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(report.contains("## Tuning") && lab.path("results/tiny/plots/tuning.svg").exists());

    // In another order, and interrupted: the same runs and results.
    let other = Lab::new(&experiment);
    let mut running = other.start("sweep tiny.yaml --jobs 1");
    running.until_says("gpt-s1001-");
    running.signal("INT");
    running.wait().exits(130);
    other.run("sweep tiny.yaml --jobs 1").exits(0);
    assert_eq!(lab.results(), other.results());
}

/// Three rates: all with 10 steps, the best of them with 30. The results of both trainings are those of plain runs.
#[test]
fn halving_trains_the_best_settings_further() {
    let tune = "  seeds: 2\n  tune: {grid: {optimizer.lr: [0.0001, 0.001, 0.01]}, \
                halving: {steps: [10]}}\n";
    let experiment = TINY.replace("  seeds: [1, 2]\n", tune);
    let lab = Lab::new(&experiment);
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("depends on results")
        .shows("after the search")
        .shows("12 runs: 12 not started");
    lab.run("sweep tiny.yaml --jobs 2")
        .exits(0)
        .says("continues the run ");
    // For each variant: three short trainings, one long one, and two seeds of the comparison.
    let steps = |lab: &Lab| {
        let mut steps: Vec<String> = lab
            .results()
            .into_iter()
            .map(|row| row["steps"].clone())
            .collect();
        steps.sort();
        steps
    };
    assert_eq!(steps(&lab), [["10"; 6], ["30"; 6]].concat());
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(
        report.contains("successive halving: 3 combinations with 10 steps"),
        "{report}"
    );
    // The table of trainings: two rates of each variant ended early.
    let trained = |steps: &str| {
        let rows = report.lines().filter(|line| line.starts_with("| gpt | 0."));
        rows.filter(|line| line.contains(&format!(" | {steps} | ")))
            .count()
    };
    assert_eq!((trained("10"), trained("all")), (2, 1), "{report}");
    lab.run("sweep tiny.yaml").exits(0).says("none to train");

    let other = Lab::new(&experiment);
    let mut running = other.start("sweep tiny.yaml --jobs 1");
    running.until_says("gpt-s1001-");
    running.signal("INT");
    running.wait().exits(130);
    other.run("sweep tiny.yaml --jobs 1").exits(0);
    assert_eq!(lab.results(), other.results());
}

/// Of twelve random combinations, three are trained first and two more by results. Where the sweep is interrupted makes no
/// difference to the choice.
#[test]
fn a_search_by_results_is_the_same_after_an_interrupt() {
    let tune = "  seeds: 2\n  tune: {random: {n: 12, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, \
                optimizer.weight_decay: {uniform: [0.0, 0.3]}}}, tpe: {n_trials: 5, n_startup: 3, batch: 1}}\n";
    let experiment = TINY.replace("  seeds: [1, 2]\n", tune);
    let lab = Lab::new(&experiment);
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("depends on results")
        // Five combinations and two seeds of the comparison for each of two variants.
        .shows("14 runs: 14 not started");
    lab.run("sweep tiny.yaml --jobs 2").exits(0);
    assert_eq!(lab.results().len(), 14);
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(
        report.contains(
            "trained with 5 of 12 combinations of optimizer.lr and optimizer.weight_decay"
        ),
        "{report}"
    );
    lab.run("sweep tiny.yaml").exits(0).says("none to train");

    let other = Lab::new(&experiment);
    let mut running = other.start("sweep tiny.yaml --jobs 1");
    running.until_says("gpt-s1001-");
    running.signal("INT");
    running.wait().exits(130);
    other.run("sweep tiny.yaml --jobs 1").exits(0);
    assert_eq!(lab.results(), other.results());
}

#[test]
fn variants_are_compared_at_the_largest_of_several_sizes() {
    let sizes = "  scale: {sizes: [{model: {n_embd: 4}}, {model: {n_embd: 8}}, {model: {n_embd: 16}}, \
                 {model: {n_embd: 32}}]}\n  variants:\n    wide: {model: {mlp_hidden: 8x}}\n";
    let experiment = TINY
        .replace("baseline: bigram", "baseline: gpt")
        .replace("  variants:\n    bigram: {model: {kind: bigram}}\n", sizes)
        + "expect: [{metric: params, variant: gpt, value: 1}]\n";
    let lab = Lab::new(&experiment);
    lab.run("plan tiny.yaml")
        .shows("(size 1)")
        .shows("16 runs: 16 not started");
    // The expected value is that of the largest size.
    lab.run("sweep tiny.yaml --jobs 2")
        .exits(3)
        .says("(size 3): done");
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    let scaling = report.split("## Scaling").nth(1).unwrap();
    assert!(
        scaling.contains("| wide |") && scaling.contains("Measured"),
        "{scaling}"
    );
    let sizes = |lab: &Lab| -> Vec<String> {
        lab.results()
            .into_iter()
            .map(|row| row["size"].clone())
            .collect()
    };
    assert_eq!(sizes(&lab).iter().filter(|size| size.is_empty()).count(), 4);
    // A short name is that of the compared run.
    lab.run("generate gpt-s1 --num-samples 1").exits(0);
    lab.run("verify results/tiny --rerun 1").exits(0);
    let events = lab.run("sweep tiny.yaml --format json --restart --only *-s2-*");
    events
        .shows("\"smaller_size\":1")
        .shows("\"smaller_size\":null");

    let other = Lab::new(&experiment);
    let mut running = other.start("sweep tiny.yaml --jobs 1");
    running.until_says("wide-s1-");
    running.signal("INT");
    running.wait().exits(130);
    other.run("sweep tiny.yaml --jobs 1").exits(3);
    assert_eq!(lab.results(), other.results());
}

/// That a run of a search diverges is a result, which is kept.
#[test]
fn diverged_runs_of_a_search_are_not_trained_again() {
    let tune = "  seeds: 2\n  tune: {grid: {optimizer.lr: [0.01, 1000.0]}, seeds: 1}\n";
    let lab = Lab::new(&TINY.replace("  seeds: [1, 2]\n", tune));
    lab.run("sweep tiny.yaml").exits(0).says("diverged");
    lab.run("sweep tiny.yaml --retry-failed")
        .exits(0)
        .says("none to train");
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(!report.contains("Failed and unfinished runs"), "{report}");
}

#[test]
fn later_seeds_of_tuned_variants_depend_on_the_comparison_after_the_search() {
    let tune = "  seeds: {min: 2, max: 3, until: decided}\n  \
                tune: {grid: {optimizer.lr: [0.001, 0.01]}, seeds: 1}\n";
    let lab = Lab::new(&TINY.replace("  seeds: [1, 2]\n", tune));
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows(" after the search\n")
        .shows("until the search has ended: ")
        .shows("at least: ")
        .shows("at most, if comparisons stay undecided: ");
    lab.run("sweep tiny.yaml --only *-s1001-*").exits(0);
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("only while undecided")
        .never_shows("after the search")
        .never_shows("until the search has ended")
        .shows("at least: ")
        .shows("at most, if comparisons stay undecided: ");
}

#[test]
fn a_run_that_is_not_continued_with_more_steps_is_mentioned() {
    let unsaved = TINY.replace(", checkpoint_every: 5", "");
    let cosine = TINY.replace("lr: 1.0e-2", "lr: 1.0e-2, schedule: {kind: cosine}");
    for (experiment, reason) in [
        (
            unsaved,
            "it trained for less than 5 seconds and kept no checkpoint",
        ),
        (
            cosine,
            "its learning rate schedule depends on the number of steps",
        ),
    ] {
        let lab = Lab::new(&experiment);
        lab.run("sweep tiny.yaml --only gpt-s1-*").exits(0);
        lab.run("sweep tiny.yaml train.steps=60 --only gpt-s1-*")
            .exits(0)
            .says("has finished with 30 steps, but is not continued to 60 steps")
            .says(reason);
    }
}

#[test]
fn the_fewest_runs_of_a_plan_include_every_run_of_the_search() {
    let tpe = "{random: {n: 40, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}}}, \
               tpe: {n_trials: 24, n_startup: 6, batch: 3}}";
    let halving = "{grid: {optimizer.lr: [0.001, 0.01]}, halving: {steps: [10, 20]}}";
    for (tune, search, least, most) in [(tpe, 48, 54, 60), (halving, 8, 14, 20)] {
        let seeds = format!("  seeds: {{min: 3, max: 6, until: decided}}\n  tune: {tune}\n");
        let experiment = TINY
            .replace("  seeds: [1, 2]\n", &seeds)
            .replace("{model: {kind: bigram}}", "{}");
        let experiment = experiment.replace("gpt: {}", "gpt: {model: {norm: rmsnorm}}");
        let lab = Lab::new(&experiment);
        let plan = lab.run("plan tiny.yaml").exits(0);
        let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = spaces(&plan.stdout);
        for (case, runs) in [
            ("until the search has ended", search),
            ("at least", least),
            ("at most, if comparisons stay undecided", most),
        ] {
            let line = format!("{case}: {runs} runs");
            assert!(text.contains(&line), "{line}\n{}", plan.stdout);
        }
    }
}

/// [`TINY`] with a gated MLP that is matched to the baseline in parameters.
fn matched(matching: &str) -> String {
    let text = TINY.replace("baseline: bigram", "baseline: gpt");
    format!("{text}    swiglu: {{model: {{mlp: swiglu}}}}\n  match: {{{matching}}}\n")
}

#[test]
fn matched_variants_are_shown_by_the_plan_and_the_report() {
    let lab = Lab::new(&matched("what: params, by: model.mlp_hidden"));
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("matched to gpt:")
        .shows("bigram: not matched, because it is another kind of model")
        .shows("swiglu: model.mlp_hidden 43, parameters +0.");
    lab.run("sweep tiny.yaml").exits(0);
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    let changed = "`model.mlp_hidden` is `43` instead of `64`";
    assert!(report.contains(changed), "{report}");
    assert!(report.contains("(matched: parameters +0."), "{report}");
    // An old plan has no list of matched variants.
    let path = lab.path("results/tiny/plan.json");
    let plan = without_digest(&fs::read_to_string(&path).unwrap());
    let mut plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["matched"][1]["chosen"]["value"], 43);
    plan.as_object_mut().unwrap().remove("matched");
    fs::write(&path, plan.to_string()).unwrap();
    lab.run("report results/tiny").exits(0);
}

#[test]
fn variant_that_cannot_be_matched_is_refused() {
    let lab = Lab::new(&matched("what: params, by: model.n_embd"));
    lab.run("sweep tiny.yaml")
        .exits(2)
        .says("`swiglu` cannot be matched to `gpt`: with `model.n_embd: 16`, the closest value")
        .says("the difference in parameters is −2.9 %, and the tolerance is 1 %")
        .says("match by another setting (`model.mlp_hidden`, `model.n_layer`)")
        .says("`sweep.match.tolerance` to 3% or more")
        .says("tiny.yaml:14:5");
    assert!(lab.is_untouched());
    lab.run("plan tiny.yaml sweep.match.tolerance=3%")
        .exits(0)
        .shows("swiglu: model.n_embd 16, parameters −2.9 %");
}

#[test]
fn matched_steps_replace_every_other_length() {
    let text = matched("what: tokens, by: train.steps")
        .replace("{steps: 30,", "{epochs: 0.1,")
        .replace("{mlp: swiglu}}", "{mlp: swiglu}, train: {batch_size: 8}}");
    let lab = Lab::new(&text);
    lab.run("sweep tiny.yaml").exits(0);
    // A tenth of 19,919 characters, in sequences of 16.
    let steps = lab.column("steps");
    assert_eq!(
        [&*steps["gpt-1"], &steps["bigram-1"], &steps["swiglu-1"]],
        ["32", "32", "16"]
    );
}

#[test]
fn flops_are_converted_to_steps_for_each_model() {
    let text = TINY.replace("{steps: 30,", "{flops: 1e8,") + "    deep: {model: {n_layer: 2}}\n";
    let lab = Lab::new(&text);
    lab.run("sweep tiny.yaml").exits(0);
    let steps = lab.column("steps");
    let steps = ["gpt-1", "deep-1"].map(|run| steps[run].parse::<f64>().unwrap());
    let flops = lab.column("flops_per_token");
    let flops = ["gpt-1", "deep-1"].map(|run| flops[run].parse::<f64>().unwrap());
    for (steps, flops) in steps.iter().zip(flops) {
        // 64 tokens in a step.
        assert_eq!(*steps, (1e8 / (64.0 * flops)).ceil());
    }
    assert!(steps[0] > steps[1] && flops[0] < flops[1]);
    lab.run("plan tiny.yaml train.flops=1e25")
        .exits(2)
        .says("optimizer steps, and at most 1,000,000,000 are possible");
}

#[test]
fn seconds_bound_the_training_time_and_are_a_caution() {
    let text = TINY.replace("{steps: 30,", "{seconds: 0.2,");
    let lab = Lab::new(&text);
    lab.run("plan tiny.yaml").exits(0).shows("about ");
    lab.run("sweep tiny.yaml --jobs 1")
        .exits(0)
        .shows("The runs are trained for a fixed time (train.seconds).");
    let steps = lab.column("steps");
    let steps: Vec<u64> = steps.values().map(|steps| steps.parse().unwrap()).collect();
    assert!(steps.iter().all(|steps| *steps > 1), "{steps:?}");
    // Runs that ignored the time would all have the default number of steps.
    assert!(steps.iter().any(|steps| *steps != 500), "{steps:?}");
    for run in ["bigram-s1-", "bigram-s2-", "gpt-s1-", "gpt-s2-"] {
        let metrics = lab.run_folder(run).unwrap().join("metrics.jsonl");
        let metrics = fs::read_to_string(metrics).unwrap();
        let evaluation = metrics.lines().rfind(|line| line.contains("val_loss"));
        let evaluation: serde_json::Value = serde_json::from_str(evaluation.unwrap()).unwrap();
        let seconds = evaluation["seconds"].as_f64().unwrap();
        // The last step ends after the time is over, and takes longer on a slow machine.
        assert!((0.2..10.0).contains(&seconds), "{run}: {seconds}");
    }
    lab.run("sweep tiny.yaml").exits(0).says("none to train");
}

#[test]
fn a_search_without_a_result_fails() {
    let tune = "  tune: {grid: {optimizer.lr: [900.0, 1000.0]}}\n  seeds: [1, 2]\n";
    let experiment = TINY.replace("  seeds: [1, 2]\n", tune).replace(
        "gpt: {}",
        "gpt: {optimizer: {kind: sgd, grad_clip: 0}, train: {steps: 200}}",
    );
    let lab = Lab::new(&experiment);
    lab.run("sweep tiny.yaml --jobs 2")
        .exits(1)
        .says("2 runs not done")
        .says("2 runs failed or diverged (exit code 1)")
        .shows("search failed");
    lab.run("report results/tiny")
        .exits(1)
        .says("2 runs failed or diverged (exit code 1)");
}

/// The estimate is for the machine of benches/README.md. Another system may count other pages.
#[cfg(target_os = "linux")]
#[test]
fn planned_memory_is_close_to_the_peak_of_each_run() {
    let variants = "    gpt: {}
    wide: {model: {n_layer: 4, n_embd: 128, block_size: 64}, train: {batch_size: 16}}
    table: {model: {kind: bigram}, tokenizer: {kind: bpe, vocab_size: 1500}}
";
    let text = TINY
        .replace("plays_bytes: 20000", "plays_bytes: 200000")
        .replace("seeds: [1, 2]", "seeds: [1]")
        .replace("steps: 30", "steps: 6")
        .replace("    gpt: {}\n", variants);
    let lab = Lab::new(&text);
    let plan = lab.run("plan tiny.yaml --jobs 1").exits(0).stdout;
    lab.run("sweep tiny.yaml --jobs 1").exits(0);
    let csv = fs::read_to_string(lab.path("results/tiny/summary.csv")).unwrap();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name| header.iter().position(|column| *column == name).unwrap();
    let (variant, peak) = (column("variant"), column("peak_memory_mb"));
    let mut checked = 0;
    for line in lines {
        let name = format!(" {}-s1-", line[variant]);
        let planned = plan.lines().find(|planned| planned.starts_with(&name));
        let planned = planned.unwrap().split(" MiB").next().unwrap();
        let planned: f64 = planned.rsplit(' ').next().unwrap().parse().unwrap();
        let ratio = planned / line[peak].parse::<f64>().unwrap();
        assert!((0.6..1.6).contains(&ratio), "{name} {ratio}\n{plan}\n{csv}");
        checked += 1;
    }
    assert_eq!(checked, 4);
}
