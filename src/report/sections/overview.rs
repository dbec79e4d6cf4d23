use super::Findings;
use crate::report::loaded_results::Run;
use crate::report::page_blocks::{Block, Text};
use crate::results::RunState;
use crate::text::units;

/// Most running runs that are named.
const MOST_NAMES: usize = 8;

/// How many runs have ended, are running and are not, if not all of them have ended.
fn progress(findings: &Findings) -> Option<Block> {
    let results = findings.results;
    let (stopped, new) = (
        results.count(RunState::Stopped),
        results.count(RunState::NotStarted),
    );
    let running: Vec<&Run> = results.running().collect();
    let open = running.len() + stopped + new;
    if open == 0 {
        return None;
    }
    let all = results.runs.len();
    let ended = format!("{} of {} have ended", all - open, units::plural(all, "run"));
    let text = match findings.is_live {
        true => {
            let mut counts = vec![ended];
            counts.extend((!running.is_empty()).then(|| running_in_words(&running)));
            let have = |count: usize| if count == 1 { "has" } else { "have" };
            counts.extend((stopped > 0).then(|| format!("{stopped} {} stopped", have(stopped))));
            counts.extend((new > 0).then(|| format!("{new} {} not started", have(new))));
            format!(
                ": {}. The sweep is running, and this page is written again while it runs.",
                units::list(&counts)
            )
        }
        false => format!(": {ended}. The same command continues the sweep."),
    };
    Some(Block::paragraph(
        Text::new().failure("Unfinished").plain(text),
    ))
}

/// `2 are running (a-s1 at step 20 of 100 and b-s1 at step 0 of 100)`
fn running_in_words(running: &[&Run]) -> String {
    let is = if running.len() == 1 { "is" } else { "are" };
    let named = running.iter().take(MOST_NAMES);
    let mut names: Vec<String> = named
        .map(|run| format!("{} {}", run.planned.title(), run.at_step()))
        .collect();
    if running.len() > MOST_NAMES {
        names.push(format!("{} more", running.len() - MOST_NAMES));
    }
    format!("{} {is} running ({})", running.len(), names.join("; "))
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
