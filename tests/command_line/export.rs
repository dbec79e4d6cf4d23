//! `runner export`. That exported models compute the same is tested with the Python library: see
//! src/huggingface/transformers_library.rs.

use crate::support::{Lab, TINY};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;

#[test]
fn help() {
    insta::assert_snapshot!(Lab::new(TINY).run("export --help").screen());
}

#[test]
fn a_model_becomes_a_folder() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml train.save_every=15").exits(0);
    let said = lab
        .run("export gpt-s1 out/gpt --format huggingface")
        .exits(0);
    assert_eq!(said.stdout, "out/gpt: GPT2LMHeadModel\n");
    let mut names: Vec<String> = fs::read_dir(lab.path("out/gpt"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "README.md",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    let read = |name: &str| fs::read(lab.path("out/gpt").join(name)).unwrap();
    let run = lab.run_folder("gpt-s1").unwrap();
    assert_eq!(
        read("tokenizer.json"),
        fs::read(run.join("tokenizer.json")).unwrap()
    );
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    assert_eq!(config["architectures"][0], "GPT2LMHeadModel");
    let weights = read("model.safetensors");
    let weights = SafeTensors::deserialize(&weights).unwrap();
    let trained = fs::read(run.join("model.safetensors")).unwrap();
    let trained = SafeTensors::deserialize(&trained).unwrap();
    let tokens = |weights: &SafeTensors, name: &str| weights.tensor(name).unwrap().data().to_vec();
    let exported = tokens(&weights, "transformer.wte.weight");
    assert_eq!(exported, tokens(&trained, "wte.weight"));
    let card = String::from_utf8(read("README.md")).unwrap();
    assert!(card.contains("| Validation loss | "), "{card}");
    // Its own last step is no earlier step.
    lab.run("export gpt-s1 last --format huggingface --step 30")
        .exits(0);
    assert_eq!(
        fs::read_to_string(lab.path("last/README.md")).unwrap(),
        card
    );
    // Nothing else is left in the folder around it.
    assert_eq!(fs::read_dir(lab.path("out")).unwrap().count(), 1);

    lab.run("export gpt-s1 early --format huggingface --step 15")
        .exits(0);
    let early = fs::read(lab.path("early/model.safetensors")).unwrap();
    let early = SafeTensors::deserialize(&early).unwrap();
    assert_ne!(tokens(&early, "transformer.wte.weight"), exported);
    let card = fs::read_to_string(lab.path("early/README.md")).unwrap();
    assert!(card.contains("| Weights after step | 15 |"), "{card}");
    assert!(!card.contains("Validation loss"), "{card}");
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_is_written() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml model.norm=rmsnorm sweep.seeds=1")
        .exits(0);
    fs::create_dir(lab.path("full")).unwrap();
    fs::write(lab.path("full/file"), "").unwrap();
    fs::write(lab.path("file"), "").unwrap();
    let screens = [
        "export gpt-s1 out --format huggingface",
        "export bigram-s1 out --format huggingface",
        "export gpt-s9 out --format huggingface",
        "export gpt-s1 out",
        "export gpt-s1 out --format onnx",
    ]
    .map(|command| lab.run(command).exits(2).screen());
    insta::assert_snapshot!(screens.join("\n"));
    assert!(!lab.path("out").exists());

    lab.run("sweep tiny.yaml sweep.seeds=1").exits(0);
    for (folder, code, message) in [
        ("full", 2, "full exists; name a new folder"),
        ("file", 2, "file exists; name a new folder"),
        ("file/in", 1, "file is not a folder"),
    ] {
        let ran = lab
            .run(&format!("export gpt-s1 {folder} --format huggingface"))
            .exits(code);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(lab.path("full")).unwrap().count(), 1);
}
