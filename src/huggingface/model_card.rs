use super::class::Class;
use super::exported::Exported;
use crate::model::size;
use crate::text::{escape, units};
use std::io;

/// The README.md of an exported model. It begins with the fields that a hub reads.
pub(super) fn model_card(exported: &Exported, class: Class) -> io::Result<String> {
    let spec = exported.spec;
    let settings = escape::fence(&spec.to_yaml()?);
    let stop = match &spec.sample.stop {
        Some(stop) => format!(
            " The run ends a text at {}.",
            escape::code(&format!("{stop:?}"))
        ),
        None => String::new(),
    };
    Ok(format!(
        "---
library_name: transformers
pipeline_tag: text-generation
tags: [runner]
---
# {name}

A language model that `runner` {version} exported as `{class}`.

| | |
|:--|:--|
{facts}
It continues texts of the kind that it was trained on. It takes at most {context} tokens, with those that it \
generates.{stop}

```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = \".\"  # the folder of this file
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
tokens = torch.tensor([{prompt:?}])  # {shown}
print(tokenizer.decode(model.generate(tokens)[0]))
```

The settings of the run, with all defaults:

{settings}
",
        name = escape::markdown(exported.name),
        version = env!("CARGO_PKG_VERSION"),
        class = class.name(),
        facts = facts(exported),
        context = spec.sequence_length(),
        prompt = exported.prompt_tokens(),
        shown = match spec.sample.prompt.as_str() {
            "" => "the start of a text".to_owned(),
            prompt => format!("tokenizer({}).input_ids", serde_json::Value::from(prompt)),
        },
    ))
}

/// The rows of the table.
fn facts(exported: &Exported) -> String {
    let Exported {
        spec,
        tokenizer,
        status,
        step,
        ..
    } = exported;
    let vocab_size = tokenizer.vocab_size();
    let params = size(&spec.model, vocab_size, spec.sequence_length()).params;
    let mut rows = vec![
        ("Parameters", units::exact(params)),
        (
            "Tokenizer",
            format!("{}, {vocab_size} tokens", spec.tokenizer.kind),
        ),
        ("Text", escape::cell_code(&spec.data.source.to_string())),
        ("Seed", spec.seed.to_string()),
    ];
    if let Some(step) = step {
        rows.push(("Weights after step", units::exact(*step)));
    }
    if let Some(outcome) = status.and_then(|status| status.outcome.as_ref()) {
        rows.push(("Training tokens", units::exact(outcome.tokens)));
        if let Some((loss, bits)) = outcome.val_loss.zip(outcome.bits_per_byte) {
            let loss = format!("{} nats per token", units::loss(loss));
            rows.push(("Validation loss", loss));
            rows.push(("Bits per byte", units::loss(bits)));
        }
    }
    let row = |(name, value): &(&str, String)| format!("| {name} | {value} |\n");
    rows.iter().map(row).collect()
}
