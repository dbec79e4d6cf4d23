use super::Findings;
use crate::report::page_blocks::{Block, Text};
use crate::results::RunState;
use crate::text::units;

/// How many runs have ended, if not all of them have.
fn progress(findings: &Findings) -> Option<Block> {
    let results = findings.results;
    let open = results.count(RunState::Stopped) + results.count(RunState::NotStarted);
    if open == 0 {
        return None;
    }
    let all = results.runs.len();
    let next = match findings.is_live {
        true => "The sweep is running, and this page is written again while it runs.",
        false => "The same command continues the sweep.",
    };
    let ended = format!(
        ": {} of {} have ended. {next}",
        all - open,
        units::plural(all, "run")
    );
    let text = Text::new().failure("Unfinished").plain(ended);
    Some(Block::paragraph(text))
}

/// Title, question, answer and what limits the answer.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let experiment = &findings.results.plan.experiment;
    let mut blocks = vec![Block::heading(1, &experiment.name)];
    blocks.extend(progress(findings));
    let question = experiment.description.trim();
    if !question.is_empty() {
        let text = question.into();
        blocks.push(Block::Question { text });
    }
    if let Some((first, others)) = findings.answer.split_first() {
        let text = Text::new().strong(first);
        blocks.push(Block::Answer { text });
        if !others.is_empty() {
            let items = others.iter().map(|text| text.into()).collect();
            blocks.push(Block::List { items });
        }
    }
    if !findings.cautions.is_empty() {
        blocks.push(Block::heading(2, "Caveats"));
        let items = findings.cautions.iter().map(|text| text.into()).collect();
        blocks.push(Block::List { items });
    }
    blocks
}
