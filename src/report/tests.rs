use super::testing::{Folder, ablation, corpus, unhashed, variant};
use super::{Counts, Report, ReportError, Summary, read_plan, write};
use crate::results::CorpusInfo;
use crate::spec::{Expect, Measure, ModelKind, TokenizerKind};
use std::fs;

#[test]
fn report_of_an_ablation() {
    let folder = ablation();
    let summary = folder.write();
    assert_eq!(summary.counts.done, 18);
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
}

/// Runs in every state.
fn failed_runs() -> Folder {
    let folder = Folder::new("trouble");
    variant(&folder, "gpt", 3, 1.52, |run| run);
    folder.run("hot", 1).curve(1.6).done();
    let start = [
        (0, 6.02),
        (25, 3.6),
        (50, 3.3),
        (75, 3.1),
        (100, 4.0),
        (125, 900.0),
    ];
    folder
        .run("hot", 2)
        .spec(|spec| spec.optimizer.lr = 0.1)
        .evaluations(&start)
        .diverged("loss is not finite at step 137");
    folder
        .run("hot", 3)
        .failed("worker ended by signal 9: <b>out of memory</b> | `dmesg`");
    folder
        .run("late", 1)
        .spec(|spec| spec.train.steps = 1000)
        .evaluations(&[(0, 6.0), (25, 3.4)])
        .interrupted();
    folder
        .run("late", 2)
        .spec(|spec| spec.train.steps = 1000)
        .not_started();
    folder
        .run("late", 3)
        .spec(|spec| spec.train.steps = 1000)
        .evaluations(&[(0, 6.0)])
        .stopped();
    folder
}

#[test]
fn report_of_a_running_sweep_names_the_running_runs() {
    let folder = failed_runs();
    folder.write_plan();
    let render = || {
        let plan = read_plan(folder.path()).unwrap();
        let runs = plan.value.runs.iter();
        let late = runs.filter(|run| run.spec.variant == "late" && run.spec.seed < 3);
        // A run that has ended in the meantime is not running.
        let done = plan.value.runs.iter().take(1);
        let running = late.chain(done).map(|run| run.name.clone()).collect();
        Report::render_live(folder.path(), plan, None, &running).unwrap()
    };
    let report = render();
    assert_eq!(
        (report.summary.counts.running, report.summary.counts.stopped),
        (2, 1)
    );
    assert_eq!(report.summary.counts.not_started, 0);
    let text = unhashed(&report.markdown);
    for part in [
        "6 of 9 runs have ended, 2 are running (late-s1-HASH at step 25 of 1000; late-s2-HASH at step 0 of 1000) \
         and 1 has stopped. The sweep is running",
        "2 running (late), 1 failed (hot)",
        "| `late-s2-HASH` | running |",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn files_that_did_not_change_are_not_written_again() {
    let folder = failed_runs();
    folder.write();
    let changed = || {
        let files = [
            "report.md",
            "report.json",
            "summary.csv",
            "plots/difference.svg",
        ];
        files.map(|file| {
            let path = folder.path().join(file);
            fs::metadata(path).unwrap().modified().unwrap()
        })
    };
    let before = changed();
    fs::remove_file(folder.path().join("report.html")).unwrap();
    folder.write();
    assert_eq!(changed(), before);
    assert!(folder.path().join("report.html").exists());
    fs::write(folder.path().join("report.md"), "changed").unwrap();
    folder.write();
    assert_ne!(changed()[0], before[0]);
    assert_eq!(changed()[1..], before[1..]);
}

#[test]
fn report_of_failed_and_unfinished_runs() {
    let folder = failed_runs();
    let counts = folder.write().counts;
    let expected = Counts {
        done: 4,
        failed: 1,
        diverged: 1,
        stopped: 2,
        not_started: 1,
        running: 0,
    };
    assert_eq!(counts, expected);
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
    insta::assert_snapshot!(
        "summary_of_failed_runs",
        unhashed(&folder.read("summary.csv"))
    );
}

fn one_seed() -> Folder {
    let folder = Folder::new("one-seed");
    variant(&folder, "gpt", 1, 1.52, |run| run);
    variant(&folder, "swiglu", 1, 1.48, |run| run.params(1_200_000));
    folder
}

#[test]
fn one_seed_has_no_interval() {
    let folder = one_seed();
    let summary = folder.write();
    assert!(
        summary.answer[0].contains("One seed cannot show"),
        "{:?}",
        summary.answer
    );
    assert_eq!(summary.ranking.cell(0, "verdict"), "one seed: no interval");
    assert!(!folder.read("report.md").contains("95 % interval ["));
    assert!(
        summary
            .cautions
            .iter()
            .any(|c| c.contains("swiglu has 1.20 M (+49 %)")),
        "{:?}",
        summary.cautions
    );
}

/// The names and ranks of the variants, in the order of the ranking.
fn ranks(summary: &Summary) -> Vec<(String, String)> {
    let rows = 0..summary.ranking.rows.len();
    let cell = |row, heading| summary.ranking.cell(row, heading).to_owned();
    rows.map(|row| (cell(row, "variant"), cell(row, "#")))
        .collect()
}

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    rows.iter().map(owned).collect()
}

#[test]
fn equal_means_have_the_same_rank_and_zero_has_no_sign() {
    let folder = Folder::new("ties");
    for (name, which, bits) in [
        ("low", 1, -0.0),
        ("gpt", 2, 0.0),
        ("high", 3, 1.5),
        ("same", 4, 1.5),
    ] {
        for seed in 1..=2 {
            let run = folder.run(name, seed);
            let run = run.spec(|spec| spec.model.n_layer = which);
            run.evaluations(&[(0, 6.0), (500, bits)]).done();
        }
    }
    let summary = folder.write();
    assert_eq!(
        ranks(&summary),
        owned(&[("gpt", "1"), ("low", "1"), ("high", "3"), ("same", "3")])
    );
    assert!(
        summary.answer[0].starts_with("No variant has a lower loss than the baseline gpt"),
        "{:?}",
        summary.answer
    );
    for file in [
        "report.md",
        "summary.csv",
        "plots/difference.svg",
        "plots/loss.svg",
    ] {
        let text = folder.read(file);
        assert!(
            !text.contains("-0.0") && !text.contains("−0.0"),
            "{file}: {text}"
        );
    }
    // Without the baseline, the headline names all that are the best.
    folder.plan.borrow_mut().baseline = "high".to_owned();
    let answer = &folder.write().answer;
    assert!(
        answer[0].contains("It has the lowest loss, tied with gpt: 0.0000 bits per byte"),
        "{answer:?}"
    );
}

#[test]
fn a_variant_without_all_results_is_ranked_last_and_named_in_the_headline() {
    let folder = Folder::new("incomplete");
    variant(&folder, "gpt", 4, 1.52, |run| run);
    folder.run("lucky", 1).curve(1.2).done();
    for seed in 2..=4 {
        let run = folder.run("lucky", seed);
        run.evaluations(&[(0, 6.0)]).diverged("loss is not finite");
    }
    variant(&folder, "worse", 4, 1.6, |run| run.params(806_000));
    let summary = folder.write();
    assert_eq!(
        ranks(&summary),
        owned(&[("gpt", "1"), ("worse", "2"), ("lucky", "3")])
    );
    let headline = &summary.answer[0];
    let start = "No complete variant has a lower loss than the baseline gpt, which reaches 1.52";
    let end = " Ranked after the others, because not every seed has a result: lucky (1 of 4).";
    assert!(
        headline.starts_with(start) && headline.ends_with(end),
        "{headline}"
    );
    // If no variant is complete, none is ranked after the others.
    let folder = Folder::new("unfinished");
    for name in ["gpt", "other"] {
        folder.run(name, 1).curve(1.5).done();
        folder.run(name, 2).not_started();
    }
    let answer = &folder.write().answer[0];
    assert!(
        answer.ends_with(" Not every seed has a result: gpt (1 of 2) and other (1 of 2)."),
        "{answer}"
    );
}

fn single() -> Folder {
    let folder = Folder::new("single");
    folder.plan.borrow_mut().experiment.description.clear();
    folder
        .run("gpt", 1)
        .evaluations(&[(0, 6.02), (500, 1.52)])
        .done();
    folder
}

#[test]
fn report_of_a_single_run() {
    let folder = single();
    let summary = folder.write();
    assert_eq!(
        summary.answer[0],
        "gpt reaches 1.5200 bits per byte (one seed)."
    );
    assert!(
        summary
            .plots
            .iter()
            .all(|plot| !plot.ends_with("difference.svg"))
    );
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
}

fn all_failed() -> Folder {
    let folder = Folder::new("failed");
    for seed in 1..=2 {
        folder.run("gpt", seed).failed("out of memory");
    }
    folder
}

#[test]
fn without_results_there_is_no_answer() {
    let folder = all_failed();
    let summary = folder.write();
    assert!(summary.answer[0].starts_with("No run has finished with a result"));
    assert_eq!(summary.plots, Vec::<std::path::PathBuf>::new());
    assert!(folder.read("report.md").contains("out of memory"));
}

fn many() -> Folder {
    let folder = Folder::new("many");
    variant(&folder, "gpt", 3, 1.52, |run| run);
    for index in 0..14u32 {
        let name = format!(
            "model.n_embd={}-model.n_layer={}",
            64 + 32 * (index % 5),
            2 + index
        );
        let params = 300_000 + 90_000 * u64::from(index);
        let end = 1.62 - 0.013 * f64::from(index);
        variant(&folder, &name, 3, end, |run| {
            run.params(params).seconds(20.0 + 4.0 * f64::from(index))
        });
    }
    folder
}

#[test]
fn plots_stay_small() {
    let folder = many();
    for plot in folder.write().plots {
        let size = fs::metadata(&plot).unwrap().len();
        assert!(size < 40_000, "{} has {size} bytes", plot.display());
    }
}

const HOSTILE: &str = "\n```\n# not a heading\n````\n</pre><script>alert(1)</script>\n| a | b |\n\u{1b}[31m\u{202e}desrever\u{0}\r\u{b}{{ 7 * 7 }} $x$ @someone\n";

#[test]
fn no_sample_can_break_out_of_the_page() {
    let folder = Folder::new("hostile");
    folder.plan.borrow_mut().experiment.description =
        "Is <img src=x onerror=alert(1)> | *safe*?".to_owned();
    variant(&folder, "gpt", 2, 1.52, |run| run.text(HOSTILE));
    variant(&folder, "<b>\u{202e}`x`<b>|", 2, 1.50, |run| {
        run.text_before(0, HOSTILE)
            .text_before(100, "nonsense")
            .text(HOSTILE)
    });
    folder.write();
    for name in ["report.md", "report.html"] {
        let report = folder.read(name);
        assert!(
            !report.contains('\u{202e}') && !report.contains('\u{0}'),
            "{name}"
        );
        assert!(
            report.contains("{{ 7 * 7 }}") || name == "report.html",
            "{name}"
        );
        assert!(!report.contains("<img"), "{name}");
    }
    let drawn = folder.read("plots/difference.svg");
    assert!(drawn.contains("&lt;b&gt;") && !drawn.contains("<b>"));
    assert!(!drawn.contains('\u{202e}'));
    let html = folder.read("report.html");
    assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;"));
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
}

#[test]
fn a_plan_without_runs_has_a_report() {
    let folder = Folder::new("empty");
    let summary = folder.write();
    assert!(summary.ranking.rows.is_empty() && summary.plots.is_empty());
    assert_eq!(folder.read("summary.csv").lines().count(), 1);
}

#[test]
fn the_baseline_may_be_missing() {
    let folder = one_seed();
    folder.plan.borrow_mut().baseline = "elsewhere".to_owned();
    let summary = folder.write();
    assert!(summary.answer[0].contains("shares no finished seed with the baseline elsewhere"));
    assert_eq!(summary.ranking.cell(0, "verdict"), "no shared seed");
}

#[test]
fn variants_with_different_tokenizers_are_ranked_by_bits_per_byte() {
    let folder = Folder::new("tokenizers");
    folder.plan.borrow_mut().corpora.push(CorpusInfo {
        key: "plays-bpe".to_owned(),
        tokenizer_sha256: "c3".repeat(32),
        val_tokens: 40_000,
        val_unknown_tokens: 60,
        lossless: false,
        bigram_count_loss: None,
        ..corpus()
    });
    variant(&folder, "gpt", 2, 1.52, |run| run);
    variant(&folder, "bpe", 2, 1.50, |run| {
        run.corpus(1)
            .spec(|spec| spec.tokenizer.kind = TokenizerKind::Bpe)
    });
    let summary = folder.write();
    assert!(
        summary
            .cautions
            .iter()
            .any(|c| c.contains("ranked by bits per byte only"))
    );
    let unknown = "Some tokens of the validation split are unknown to the tokenizer and are scored \
                   as the unknown token: 60 of 40.0 k in bpe.";
    assert!(
        summary.cautions.iter().any(|c| c == unknown),
        "{:?}",
        summary.cautions
    );
    let report = folder.read("report.md");
    assert!(!report.contains("| Validation loss"));
    let rows = "| char | gpt | 65 | 1.00 | 0 | yes | 900 k |\n\
                | bpe 512 | bpe | 65 | 2.50 | 0.15 % | no | 900 k |\n";
    assert!(report.contains(rows), "{report}");
    let plot = folder.read("plots/loss.svg");
    assert!(!plot.contains("from counts"));
    // A token of one tokenizer stands for more text than one of another.
    assert!(plot.contains("bytes of training text") && !plot.contains("training tokens"));
    let page = folder.read("report.html");
    assert!(page.contains("so losses per token cannot be compared between the variants"));
}

#[test]
fn expected_metrics_are_compared_with_measured_values() {
    let folder = Folder::new("expected");
    folder.run("gpt", 1).curve(1.52).done();
    folder.run("gpt", 2).curve(1.54).done();
    folder.run("late", 1).not_started();
    let expect = |variant: Option<&str>, metric, step, value, tolerance| Expect {
        variant: variant.map(str::to_owned),
        metric,
        step,
        value,
        tolerance,
        tolerance_percent: 0.0,
        source: "a paper | <b>table 1</b>".to_owned(),
    };
    folder.plan.borrow_mut().experiment.expect = vec![
        expect(None, Measure::Params, None, 804_096.0, 0.0),
        expect(None, Measure::Tokens, None, 1_100_000.0, 0.0),
        expect(None, Measure::BitsPerByte, None, 1.53, 0.001),
        expect(Some("gpt"), Measure::ValLoss, Some(0), 4.0, 0.1),
        expect(None, Measure::BatchLoss, Some(500), 1.05, 0.1),
        expect(None, Measure::TrainSplitLoss, None, 1.0, 0.1),
        expect(Some("late"), Measure::VocabSize, None, 65.0, 0.0),
        expect(Some("late"), Measure::ValLoss, None, 1.0, 0.1),
    ];
    let summary = folder.write();
    let results: Vec<&str> = summary.checks.iter().map(|c| c.result.name()).collect();
    assert_eq!(
        results,
        [
            "met", "missed", "met", "missed", "met", "pending", "met", "pending"
        ]
    );
    assert!(
        summary.answer.last().unwrap().starts_with(
            "Results of the 8 expected metrics: 4 met, 2 missed and 2 pending. Missed: tokens"
        ),
        "{:?}",
        summary.answer
    );
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
    assert!(
        folder
            .read("report.html")
            .contains("<span class=\"failure\">missed</span>")
    );
}

#[test]
fn a_longer_training_is_a_caution() {
    let folder = Folder::new("unmatched");
    variant(&folder, "gpt", 2, 1.52, |run| run);
    variant(&folder, "long", 2, 1.50, |run| {
        run.spec(|spec| spec.train.steps = 1000)
    });
    let cautions = folder.write().cautions;
    assert!(
        cautions
            .iter()
            .any(|c| c.contains("long has 768 k (+100 %)")),
        "{cautions:?}"
    );
}

#[test]
fn the_lowest_mean_can_be_significantly_worse_than_the_baseline() {
    let folder = Folder::new("lucky");
    for (seed, bits_per_byte) in [(1, 1.50), (2, 1.51), (3, 9.0)] {
        let run = folder.run("gpt", seed);
        run.evaluations(&[(500, bits_per_byte)]).done();
    }
    for (seed, bits_per_byte) in [(1, 1.600), (2, 1.611)] {
        let run = folder.run("lucky", seed);
        run.evaluations(&[(500, bits_per_byte)]).done();
    }
    let summary = folder.write();
    assert_eq!(summary.ranking.cell(0, "verdict"), "worse");
    let answer = &summary.answer[0];
    assert!(
        answer.contains("However, it is worse than the baseline gpt on the seeds that both have"),
        "{answer}"
    );
}

#[test]
fn unchanged_records_give_the_same_bytes() {
    let folder = ablation();
    let read = || {
        ["report.md", "report.html", "summary.csv", "plots/loss.svg"].map(|name| folder.read(name))
    };
    folder.write();
    let first = read();
    folder.write();
    assert_eq!(first, read());
}

#[test]
fn a_plot_that_is_no_longer_drawn_is_removed() {
    let folder = one_seed();
    folder.write();
    assert!(folder.path().join("plots/difference.svg").exists());
    folder.plan.borrow_mut().runs.truncate(1);
    folder.write();
    assert!(!folder.path().join("plots/difference.svg").exists());
    assert!(folder.path().join("plots/loss.svg").exists());
}

#[test]
fn a_broken_record_affects_only_its_run() {
    let folder = one_seed();
    let run = folder.plan.borrow().runs[1].name.clone();
    let run = folder.path().join("runs").join(run);
    fs::write(run.join("status.json"), "{").unwrap();
    // An incomplete last line, as a killed run leaves it, is not an error.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    fs::write(run.join("metrics.jsonl"), metrics + "{\"event\":\"st").unwrap();
    let summary = folder.write();
    assert_eq!((summary.counts.done, summary.counts.failed), (1, 1));
    assert!(folder.read("report.md").contains("status.json is damaged"));
}

#[test]
fn a_bigram_model_is_compared_with_the_best_transformer() {
    let folder = one_seed();
    variant(&folder, "bigram", 1, 3.5, |run| {
        run.spec(|spec| spec.model.kind = ModelKind::Bigram)
    });
    folder.write();
    let report = folder.read("report.md");
    assert!(report.contains("## Bigram against transformer"));
    assert!(
        report.contains("reaches 3.4769"),
        "bits of 2.41 nats a character"
    );
    assert!(report.contains("swiglu, which sees its whole context, reaches 1.4"));
}

#[test]
fn a_transformer_worse_than_bigram_counts_is_reported() {
    let folder = one_seed();
    variant(&folder, "lazy", 1, 3.6, |run| run);
    let answer = folder.write().answer;
    let told = "Counting pairs of tokens in the training split reaches 3.4769 bits per byte. lazy does not have a lower mean.";
    assert!(answer.contains(&told.to_owned()), "{answer:?}");
}

#[test]
fn trained_models_worse_than_ngram_counts_are_reported() {
    let folder = one_seed();
    variant(&folder, "bigram", 1, 3.5, |run| {
        run.spec(|spec| spec.model.kind = ModelKind::Bigram)
    });
    folder
        .run("ngram", 1)
        .spec(|spec| {
            spec.model.kind = ModelKind::Ngram;
            spec.train.steps = 0;
        })
        .params(0)
        .evaluations(&[(0, 2.5)])
        .done();
    let summary = folder.write();
    assert!(
        summary.answer.contains(
            &"ngram, which only counts n-grams, reaches 2.5000 bits per byte. bigram does not have a lower mean."
                .to_owned()
        ),
        "{:?}",
        summary.answer
    );
    let of_ngram = |sentences: &[String]| sentences.iter().any(|s| s.contains("ngram"));
    assert!(!of_ngram(&summary.cautions), "{:?}", summary.cautions);
    let report = folder.read("report.md");
    assert!(
        report.contains(
            "`model.kind` is `ngram` instead of `gpt`, `model.order` is `3` instead of `none`\n"
        ),
        "{report}"
    );
    assert!(folder.read("plots/loss.svg").contains("ngram"));
}

#[test]
fn errors_about_plans_say_what_to_do() {
    let folder = Folder::new("none");
    let error = read_plan(folder.path()).unwrap_err();
    assert!(matches!(error, ReportError::NoPlan(_)));
    assert!(error.to_string().contains("`runner sweep FILE`"));
    let absent = read_plan(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(absent, ReportError::NoFolder(_)));
    let file = folder.path().join("file.yaml");
    fs::write(&file, "").unwrap();
    assert!(matches!(read_plan(&file), Err(ReportError::NotAFolder(_))));
    fs::write(folder.path().join("plan.json"), "[]").unwrap();
    assert!(matches!(
        read_plan(folder.path()),
        Err(ReportError::BadPlan { .. })
    ));
}

#[test]
fn custom_template() {
    let folder = one_seed();
    let template = folder.path().join("mine.md.j2");
    let path = template.to_str().unwrap().to_owned();
    folder.plan.borrow_mut().experiment.report.template = Some(path.clone());
    fs::write(&template, "{{ name }}: {{ ranking[0].variant }}\n").unwrap();
    folder.write();
    assert_eq!(folder.read("report.md"), "one-seed: swiglu\n");

    let import = "{% import \"report.md.j2\" as report %}\n\
                  {{ report.show_section(sections, \"variants\") }}";
    fs::write(&template, import).unwrap();
    folder.write();
    assert_eq!(
        folder.read("report.md"),
        "### What each variant changes\n\n- `gpt`: the baseline\n- `swiglu`: no change\n"
    );

    fs::write(&template, "{{ name }}: {{ ranking[0].variant }}\n").unwrap();
    folder.write();
    // A plan can come from somebody else, so the template that it names is not opened.
    let plan = read_plan(folder.path()).unwrap();
    write(folder.path(), plan, None).unwrap();
    assert!(folder.read("report.md").contains("# one-seed"));
    folder.write();

    fs::write(&template, "one\n{{ nmae }}\n").unwrap();
    folder.write_plan();
    let error = folder.try_write().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("template {path}:2: undefined value: `nmae` is undefined")
    );
    assert_eq!(
        folder.read("report.md"),
        "one-seed: swiglu\n",
        "the last report stays"
    );

    fs::write(&template, "\n\n{% if %}").unwrap();
    let error = folder.try_write().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("template {path}:3: syntax error")),
        "{error}"
    );

    fs::remove_file(&template).unwrap();
    let refused = || match folder.try_write() {
        Err(ReportError::ReadTemplate { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused().contains("No such file"));
    fs::create_dir(&template).unwrap();
    assert_eq!(refused(), "it is a folder");
    fs::remove_dir(&template).unwrap();
    fs::write(&template, "x".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(refused(), "it is larger than 1 MiB");
    fs::write(&template, [0xff]).unwrap();
    assert_eq!(refused(), "it is not UTF-8");
}
