//! `runner generate`.

use crate::support::{Lab, TINY};
use std::fs;

/// A folder in which the sweep is finished.
fn swept() -> Lab {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml sample.every=15").exits(0);
    lab
}

/// The texts in the samples.json of a run.
fn samples(lab: &Lab, run: &str) -> Vec<serde_json::Value> {
    let json = fs::read(lab.run_folder(run).unwrap().join("samples.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The last text of a run, with its prompt.
fn last_sample(lab: &Lab, run: &str) -> String {
    let samples = samples(lab, run);
    let last = samples.last().unwrap();
    format!(
        "{}{}",
        last["prompt"].as_str().unwrap(),
        last["text"].as_str().unwrap()
    )
}

#[test]
fn help() {
    insta::assert_snapshot!(Lab::new(TINY).run("generate --help").screen());
}

#[test]
fn text_is_that_of_the_samples() {
    let lab = swept();
    for run in ["gpt-s1", "bigram-s2"] {
        let text = lab.run(&format!("generate {run}")).exits(0).stdout;
        assert_eq!(text.trim_end(), last_sample(&lab, run).trim_end());
        let folder = lab.run_folder(run).unwrap();
        let again = lab
            .run(&format!("generate {}", folder.display()))
            .exits(0)
            .stdout;
        assert_eq!(text, again);
    }
    // Before training, in its middle and after it.
    let samples = fs::read_to_string(lab.run_folder("gpt-s1").unwrap().join("samples.md")).unwrap();
    for title in [
        "## before training\n",
        "## after 15 steps\n",
        "## after 30 steps\n",
    ] {
        assert!(samples.contains(title), "{samples}");
    }
}

#[test]
fn text_of_an_earlier_step_is_that_of_the_samples() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml sample.every=15 train.save_every=15")
        .exits(0);
    let samples = fs::read_to_string(lab.run_folder("gpt-s1").unwrap().join("samples.md")).unwrap();
    let text = lab.run("generate gpt-s1 --step 15").exits(0).stdout;
    assert!(samples.contains(text.trim()), "{text}\n{samples}");
    let last = lab.run("generate gpt-s1").exits(0).stdout;
    assert_eq!(lab.run("generate gpt-s1 --step 30").exits(0).stdout, last);
    assert_ne!(text, last);
    let failed = lab.run("generate gpt-s1 --step 7").exits(2);
    assert!(
        failed.stderr.contains("saved steps: 15, 30"),
        "{}",
        failed.stderr
    );
}

#[test]
fn options_override_the_experiment() {
    let lab = swept();
    let text = |options: &str| {
        lab.run(&format!("generate gpt-s1 {options}"))
            .exits(0)
            .stdout
    };
    assert_ne!(text(""), text("--seed 7"));
    assert_eq!(text("--temperature 0"), text("--temperature 0 --seed 7"));
    assert_eq!(text("--temperature 0"), text("--top-k 1"));
    assert_eq!(text("--tokens 0 --prompt Enter"), "Enter\n");
    assert!(text("--prompt Enter --tokens 200").starts_with("Enter"));
    assert_eq!(
        text("--prompt Enter --tokens 200")
            .trim_end()
            .chars()
            .count()
            / 10,
        20
    );
    // Longer than the block, and past it, the same as in one go.
    let long = text("--tokens 60 --top-p 0.9 --min-p 0.01 --repetition-penalty 1.1 --top-k all");
    assert_eq!(
        long,
        text("--tokens 60 --top-p 0.9 --min-p 0.01 --repetition-penalty 1.1 --top-k all")
    );

    let three = text("--num-samples 3");
    assert!(three.starts_with("--- text 1 of 3 ---\n"), "{three}");
    assert!(three.contains("\n--- text 3 of 3 ---\n"), "{three}");
    // Each is what it would be alone.
    let first = three.split("--- text 2 of 3 ---\n").next().unwrap();
    assert_eq!(first.replace("--- text 1 of 3 ---\n", ""), text(""));

    let whole = text("--tokens 200");
    let cut = text("--tokens 200 --stop e");
    assert_eq!(
        cut.trim_end_matches('\n'),
        whole.split('e').next().unwrap().trim_end_matches('\n')
    );
}

#[test]
fn stop_string_of_the_experiment_can_be_replaced_and_ignored() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-* sample.stop=e")
        .exits(0);
    let text = |options: &str| {
        lab.run(&format!("generate gpt-s1 --tokens 200 {options}"))
            .exits(0)
            .stdout
    };
    let whole = text("--no-stop");
    let before = |stop| whole.split(stop).next().unwrap().trim_end_matches('\n');
    assert!(whole.contains('e') && whole.contains('a'), "{whole}");
    assert_eq!(text("").trim_end_matches('\n'), before('e'));
    assert_eq!(text("--stop a").trim_end_matches('\n'), before('a'));
}

#[test]
fn prompt_can_come_from_standard_input() {
    let lab = swept();
    let typed = lab
        .run("generate gpt-s1 --prompt Enter --tokens 30")
        .exits(0)
        .stdout;
    let read = lab
        .run_with("generate gpt-s1 --prompt - --tokens 30", "Enter")
        .exits(0)
        .stdout;
    assert_eq!(typed, read);
}

#[test]
fn closed_pipe_is_not_an_error() {
    let lab = swept();
    let runner = env!("CARGO_BIN_EXE_runner");
    let script =
        format!("{runner} generate gpt-s1 --tokens 100000 | head -c 10; echo ${{PIPESTATUS[0]}}");
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(lab.path("."))
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).ends_with("0\n"),
        "{output:?}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn invalid_arguments_and_damaged_runs() {
    let lab = swept();
    let folder = lab.run_folder("gpt-s2").unwrap();
    let file = |name: &str| folder.join(name);
    let tries = |tries: &[&str]| {
        let screens: Vec<String> = tries
            .iter()
            .map(|arguments| lab.run(arguments).screen())
            .collect();
        screens.join("\n\n")
    };
    let mut screens = vec![tries(&[
        "generate",
        "generate llama",
        "generate gpt",
        "generate results/tiny",
        "generate gtp-s2",
        "generate gpt-s2-0a1b2c3d",
        "generate gpt-s2 --results nowhere",
        "generate results/tiny/runs/gpt-s3-0a1b2c3d",
        "generate nowhere/gpt-s2",
        "generate gpt-s1 gpt-s2",
        "generate gpt-s2 --stop Ω",
        "generate gpt-s2 --stop=",
        "generate gpt-s2 --prompt Ænterß",
        "generate gpt-s2 --top-p 0",
        "generate gpt-s2 --top-p 1.5",
        "generate gpt-s2 --min-p nan",
        "generate gpt-s2 --temperature -1",
        "generate gpt-s2 --top-k 0",
        "generate gpt-s2 --tokens some",
        "generate gpt-s2 --repetition-penalty 0",
        "generate gpt-s2 --num-samples 0",
        "generate gpt-s2 --num-samples -1",
        "generate gpt-s2 --seed -1",
        "generate gpt-s2 --step -1",
    ])];
    let weights = fs::read(file("model.safetensors")).unwrap();
    let mut damage = |name: &str, bytes: &[u8]| {
        let before = fs::read(file(name)).unwrap();
        fs::write(file(name), bytes).unwrap();
        screens.push(tries(&["generate gpt-s2"]));
        fs::write(file(name), before).unwrap();
    };
    damage("model.safetensors", &weights[..weights.len() / 2]);
    let version = b"runner-model-2";
    let at = weights
        .windows(version.len())
        .position(|bytes| bytes == version)
        .unwrap();
    let mut bytes = weights.clone();
    bytes[at + version.len() - 1] = b'9';
    damage("model.safetensors", &bytes);
    let bigram = lab
        .run_folder("bigram-s1")
        .unwrap()
        .join("model.safetensors");
    damage("model.safetensors", &fs::read(bigram).unwrap());
    damage("tokenizer.json", b"{");
    damage("config.yaml", b"variant: gpt\nseed: two\n");
    fs::remove_file(file("model.safetensors")).unwrap();
    screens.push(tries(&["generate gpt-s2"]));
    fs::remove_file(file("status.json")).unwrap();
    screens.push(tries(&["generate gpt-s2"]));
    insta::with_settings!({filters => vec![
        (r"-[0-9a-f]{8}\b", "-[HASH]"),
        (r"\(\d+, 16\)", "(V, 16)"),
    ]}, { insta::assert_snapshot!(screens.join("\n\n")) });
}

/// Each of these would divide by zero, loop without end or allocate without bound.
#[test]
fn changed_configuration_is_an_error_at_its_place() {
    let lab = swept();
    let folder = lab.run_folder("gpt-s2").unwrap();
    let path = folder.join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    for (value, changed, message) in [
        (
            "n_head: 2",
            "n_head: 0",
            "`model.n_head` must be from 1 to 1000, not 0",
        ),
        (
            "block_size: 16",
            "block_size: 18446744073709551615",
            "`model.block_size`",
        ),
        (
            "sliding_window: null",
            "sliding_window: 0",
            "`model.sliding_window`",
        ),
        ("n_layer: 1", "n_layer: 1000000000", "`model.n_layer`"),
        (
            "tokens: 20",
            "tokens: 18446744073709551615",
            "`sample.tokens`",
        ),
        (
            "temperature: 0.8",
            "temperature: .nan",
            "`sample.temperature` must be a finite number",
        ),
    ] {
        assert!(config.contains(value), "{config}");
        fs::write(&path, config.replacen(value, changed, 1)).unwrap();
        let line = 1 + config[..config.find(value).unwrap()].matches('\n').count();
        lab.run("generate gpt-s2")
            .exits(2)
            .says(message)
            .says(&format!("/config.yaml:{line}:"));
    }
    // A valid model, and not that of the weights. The record of the run would tell that the file was changed.
    fs::remove_file(path.with_file_name("status.json")).unwrap();
    fs::write(&path, config.replacen("n_embd: 16", "n_embd: 99998", 1)).unwrap();
    lab.run("generate gpt-s2")
        .exits(2)
        .says("config.yaml is damaged: ")
        .says("model.safetensors was trained with another model");
}
