use super::Findings;
use crate::report::analysis::wording;
use crate::report::page_blocks::{Block, Text};

/// What the values of the report mean.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let ranking = findings.ranking;
    let mut items = vec![term(
        "Bits per byte",
        ": the number of bits that the model needs per byte of unseen text. Lower is better. Bits per byte can be compared across tokenizers; a loss per token cannot.",
    )];
    if ranking.entropy_bound().is_some() {
        items.push(term(
            "Above entropy bound",
            ": bits per byte above the entropy of the text. The entropy is known because the text is generated. On average, no model can go below it.",
        ));
    }
    if ranking.same_tokens() {
        items.push(term(
            "Nats/token",
            ": the unit of a loss, which is the mean negative natural logarithm of the probability of each token. 1 nat is 1.4427 bits.",
        ));
    }
    if ranking.has_comparison() {
        let correction = wording::correction(ranking);
        let mut difference = term(
            "Difference",
            ": bits per byte of the variant minus bits per byte of the baseline. It is computed for each seed and then averaged. Variants with the same seed see the same batches. A negative difference means that the variant has the lower loss.",
        );
        if ranking.corrected_comparisons() > 0 {
            difference = difference.plain(format!(
                " The brackets contain the 95 % interval (Student's t{correction})."
            ));
            items.push(difference);
            items.push(verdicts(ranking.margin.is_some()));
            if ranking.sequential.is_some() {
                items.push(term(
                    "Seeds",
                    " were added to undecided variants until they had a verdict. A comparison that ends early overstates the difference on average.",
                ));
            }
        } else {
            items.push(difference);
        }
        items.push(term(
            "±",
            " is the standard deviation over the seeds. Deviations and intervals describe the effect of the seed. They do not describe other texts, model sizes or learning rates.",
        ));
    }
    items.push(
        term("Tokens/s", " counts training steps only. ")
            .strong("Memory")
            .plain(" is the peak memory of a run. ")
            .strong("Time")
            .plain(" is the duration of a whole run, evaluation and sampling included. All three are means over the seeds on the machine below."),
    );
    vec![Block::heading(2, "How to read this"), Block::List { items }]
}

fn verdicts(has_margin: bool) -> Text {
    let more = "More seeds may give a clear result. Inconclusive does not mean that there is no difference.";
    if !has_margin {
        return term("Better", " means that the whole interval is below 0. ")
            .strong("Worse")
            .plain(" means that the whole interval is above 0. ")
            .strong("Inconclusive")
            .plain(format!(" means that the interval contains 0. {more}"));
    }
    term("Equivalent", " means that the whole interval lies within the margin of the experiment, so that the difference is too small to matter. Otherwise, ")
        .strong("better")
        .plain(" means that the whole interval is below 0, and ")
        .strong("worse")
        .plain(" that it is above 0. ")
        .strong("Inconclusive")
        .plain(format!(" means none of these. {more}"))
}

fn term(name: &str, meaning: &str) -> Text {
    Text::new().strong(name).plain(meaning)
}
