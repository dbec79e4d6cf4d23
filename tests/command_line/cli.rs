//! Help, and the errors of commands that cannot be carried out.

use crate::support::{Lab, TINY};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

#[track_caller]
fn screen(arguments: &str) -> String {
    Lab::new(TINY).run(arguments).screen()
}

#[test]
fn help() {
    insta::assert_snapshot!(screen("--help"));
}

#[test]
fn help_is_also_a_command() {
    let lab = Lab::new(TINY);
    let help = |arguments| lab.run(arguments).exits(0).stdout;
    assert_eq!(help("help"), help("--help"));
    assert_eq!(help("help sweep"), help("sweep --help"));
}

#[test]
fn help_of_sweep() {
    insta::assert_snapshot!(screen("sweep --help"));
}

#[test]
fn help_of_plan() {
    insta::assert_snapshot!(screen("plan --help"));
}

#[test]
fn help_of_report() {
    insta::assert_snapshot!(screen("report --help"));
}

#[test]
fn sweep_without_a_file_names_experiments() {
    insta::assert_snapshot!(screen("sweep"));
}

#[test]
fn invalid_arguments() {
    let tries = [
        "sweep tiny.yaml other.yaml",
        "sweep train.steps=3 tiny.yaml",
        "sweep nothere.yaml",
        "sweep tiny.yaml --jobs 0",
        "sweep tiny.yaml --device gpu",
        "sweep tiny.yaml --only [",
        "swep tiny.yaml",
        "report nowhere",
        "report tiny.yaml",
        "report .",
        "worker",
    ];
    let screens: Vec<String> = tries.iter().map(|arguments| screen(arguments)).collect();
    insta::assert_snapshot!(screens.join("\n\n"));
}

#[test]
fn experiment_with_an_error_leaves_no_files() {
    let lab = Lab::new(TINY);
    lab.run("sweep missing.yaml").exits(2).says("missing.yaml");
    lab.run("sweep tiny.yaml model.n_had=3")
        .exits(2)
        .says("n_head");
    lab.run("sweep tiny.yaml model.n_head=3")
        .exits(2)
        .says("n_head");
    // Errors that are found after the data is read and tokenized.
    lab.run("sweep tiny.yaml data.source=nowhere.txt").exits(2);
    lab.run("sweep tiny.yaml report.template=none.j2").exits(2);
    lab.run("sweep tiny.yaml model.block_size=100000").exits(2);
    lab.run("sweep tiny.yaml sample.prompt=é").exits(2);
    lab.run("sweep tiny.yaml --only nothing").exits(2);
    assert!(lab.is_untouched());
}

#[test]
fn experiment_with_an_error_leaves_results_unchanged() {
    let lab = Lab::new(TINY);
    let report = lab.path("results/tiny/report.md");
    fs::create_dir_all(report.parent().unwrap()).unwrap();
    fs::write(&report, "as committed").unwrap();
    lab.run("sweep tiny.yaml model.block_size=100000").exits(2);
    let left = fs::read_dir(report.parent().unwrap()).unwrap();
    assert_eq!(left.count(), 1, "the report alone");
}

#[test]
fn errors_of_the_data_name_the_place_in_the_file() {
    let lab = Lab::new(TINY);
    let long = TINY.replace("block_size: 16", "block_size: 100000");
    fs::write(lab.path("long.yaml"), long).unwrap();
    lab.run("sweep tiny.yaml data.source=nowhere.txt")
        .exits(2)
        .says("nowhere.txt");
    lab.run("sweep tiny.yaml data.source=shakespeare")
        .exits(2)
        .says("there is no file shakespeare")
        .says("did you mean `tiny-shakespeare`? a source is `builtin:plays`, `tiny-shakespeare`");
    lab.run("sweep tiny.yaml tokenizer.kind=bpe tokenizer.vocab_size=900000")
        .exits(2)
        .says("command line:1:")
        .says("tokenizer.vocab_size=900000")
        .says("set tokenizer.vocab_size to at most");
    lab.run("sweep long.yaml")
        .exits(2)
        .says("long.yaml:4:56")
        .says("sequences of 100000 tokens need at least 100001");
    lab.run("sweep tiny.yaml report.template=none.j2")
        .exits(2)
        .says("cannot read the template none.j2");
}

#[test]
fn errors_of_the_tokenizer_name_the_place_in_the_file() {
    let lab = Lab::new(TINY);
    let file = "sweep tiny.yaml tokenizer.kind=file tokenizer.path=";
    fs::write(lab.path("torn.json"), r#"{"version": "1.0", "model": {"ty"#).unwrap();
    lab.run(&format!("{file}none.json"))
        .exits(2)
        .says("tokenizer.path=none.json")
        .says("there is no file none.json");
    lab.run(&format!("{file}torn.json"))
        .exits(2)
        .says("torn.json is not a valid tokenizer: EOF while parsing a string")
        .says("give a `tokenizer.json` as the library tokenizers writes it");
    lab.run("sweep tiny.yaml tokenizer.kind=unigram tokenizer.vocab_size=20")
        .exits(2)
        .says("tokenizer.vocab_size=20")
        .says("a unigram vocabulary of 20 tokens is too small for the characters of the training split");
    let published = "sweep tiny.yaml tokenizer.kind=tiktoken tokenizer.encoding=o200k_base";
    lab.run(&format!("{published} --only bigram"))
        .exits(2)
        .says("tiny.yaml:12:28")
        .says("the weights, gradients and optimizer states of bigram take 596")
        .says("a bigram has 200019 x 200019 weights, one for each pair of tokens");
    assert!(lab.is_untouched());
}

#[test]
fn sweep_over_tokenizers_has_a_table_of_them() {
    let grid = "grid: {tokenizer: [{kind: unigram, vocab_size: 90, alpha: 0.1}, {kind: wordpiece, vocab_size: 150}]}";
    let tokenizers = TINY.replace(
        "variants:\n    bigram: {model: {kind: bigram}}\n    gpt: {}",
        grid,
    );
    let lab = Lab::new(&tokenizers.replace("  baseline: bigram\n", ""));
    lab.run("sweep tiny.yaml").exits(0);
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(
        report.contains("### Tokenizers") && report.contains(" sampled, "),
        "{report}"
    );
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("unigram 90, alpha 0.1")
        .shows("wordpiece 150");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn build_without_cuda_rejects_a_gpu() {
    let lab = Lab::new(TINY);
    insta::assert_snapshot!(lab.run("sweep tiny.yaml --device cuda").screen());
    assert!(lab.is_untouched());
}

#[test]
fn empty_selection_names_the_variants() {
    Lab::new(TINY)
        .run("sweep tiny.yaml --only swiglu*")
        .exits(2)
        .says("no run matches --only 'swiglu*'\nthe variants are bigram, gpt");
}

#[test]
fn plan_shows_every_run_and_leaves_no_files() {
    let lab = Lab::new(TINY);
    let plan = lab.run("plan tiny.yaml").exits(0);
    let dry_run = lab.run("sweep tiny.yaml --dry-run").exits(0);
    // Each measures the machine for itself.
    let times = regex::Regex::new(r" +[0-9.]+ s\b").unwrap();
    let timeless = |text: &str| times.replace_all(text, " [TIME]").into_owned();
    assert_eq!(timeless(&plan.stdout), timeless(&dry_run.stdout));
    assert!(lab.is_untouched());
    insta::with_settings!({filters => vec![
        // Said where the machine is slow.
        ("reading builtin:plays and encoding it\n", ""),
        (r"-[0-9a-f]{8}\b", "-[HASH]"),
        (r"[0-9.]+ s\b", "[TIME]"),
        (r"[0-9.]+ MiB", "[MEMORY]"),
        (r"with \d+ runs? at", "with [N] at"),
        (" {2,}", "  "),
    ]}, { insta::assert_snapshot!(plan.screen()) });
}

#[test]
fn plan_shows_the_state_of_runs() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    lab.run("plan tiny.yaml")
        .exits(0)
        .shows("4 runs: 2 done, 2 not started; about ");
    lab.run("plan tiny.yaml --only gpt-s2-*")
        .exits(0)
        .shows("1 run: 1 not started; about ");
}

#[test]
fn the_schema_is_json() {
    let schema = Lab::new(TINY).run("schema").exits(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["sweep"].is_object());
}

#[test]
fn an_error_shows_no_raw_control_character_of_a_file_name() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("a\u{1b}[2J.yaml"), "name: a\nmodel: {x: 1}\n").unwrap();
    let config = runner::config::load(&lab.path("a\u{1b}[2J.yaml"), &[]);
    let error = config.err().unwrap().to_string();
    assert!(error.contains("a␛[2J.yaml:2:9"), "{error}");
}

#[test]
fn no_message_repeats_a_control_character_of_an_argument() {
    let lab = Lab::new(TINY);
    for argument in ["\u{1b}[2J", "\u{7}", "\u{9b}2J", "\u{202e}"] {
        for command in [
            argument.to_owned(),
            format!("sweep {argument}.yaml"),
            format!("plan tiny.yaml {argument}"),
            format!("plan tiny.yaml model.{argument}=1"),
            format!("plan tiny.yaml model.norm={argument}"),
            format!("plan tiny.yaml data.source={argument}"),
            format!("plan tiny.yaml report.template={argument}"),
            format!("plan tiny.yaml --only {argument}"),
            format!("plan tiny.yaml --jobs {argument}"),
            format!("generate {argument}"),
            format!("generate {argument} {argument}"),
            format!("report {argument}"),
        ] {
            lab.run(&command)
                .exits(2)
                .never_says(argument)
                .never_shows(argument);
        }
    }
}

#[test]
fn runs_of_other_configurations_are_mentioned() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-*")
        .exits(0)
        .never_says("other configurations");
    for command in ["plan", "sweep"] {
        lab.run(&format!(
            "{command} tiny.yaml --only gpt-s1-* model.n_embd=8"
        ))
        .exits(0)
        .says("results/tiny/runs has 1 run of other configurations, such as gpt-s1-");
    }
}

#[test]
fn schedule_that_never_falls_is_a_warning_at_its_place() {
    let lab = Lab::new(TINY);
    let file = TINY.replace(
        "optimizer: {lr: 1.0e-2}",
        "optimizer: {lr: 1.0e-2, schedule: {kind: cosine, warmup_steps: 29}}",
    );
    fs::write(lab.path("warm.yaml"), file).unwrap();
    lab.run("plan warm.yaml")
        .exits(0)
        .says("warning: the learning rate never falls to `min_lr` (0): 29 of the 30 steps are warm-up")
        .says("--> warm.yaml:5:64");
    lab.run("plan warm.yaml optimizer.schedule.warmup_steps=28")
        .exits(0)
        .never_says("warning");
    lab.run("plan tiny.yaml optimizer.schedule.kind=wsd optimizer.schedule.decay_fraction=0.01")
        .exits(0)
        .says("--> command line:1:35");
}

#[test]
fn results_folder_that_is_not_utf_8_is_an_error() {
    let lab = Lab::new(TINY);
    let plan = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["plan", "tiny.yaml", "--results"])
        .arg(OsStr::from_bytes(b"results-\xff"))
        .current_dir(lab.path("."))
        .output()
        .unwrap();
    assert_eq!(plan.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&plan.stderr).into_owned();
    assert!(errors.contains("tiny is not UTF-8"), "{errors}");
}
