use super::Findings;
use crate::report::analysis::metric::Metric;
use crate::report::analysis::ranking::Ranking;
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
        let mut difference = term("Difference", &difference_in_words(ranking.metric));
        if ranking.corrected_comparisons() > 0 {
            difference = difference.plain(format!(
                " The brackets contain the 95 % interval (Student's t{correction})."
            ));
            items.push(difference);
            items.push(verdicts(ranking));
            if ranking.sequential.is_some() {
                items.push(term(
                    "Seeds",
                    " were added to undecided variants until they had a verdict. A comparison that ends early overstates the difference on average.",
                ));
            }
        } else {
            items.push(difference);
        }
        if ranking.variants.iter().any(|variant| variant.is_seed_free) {
            items.push(term(
                "Any",
                " in the column of the seeds means that the model counts n-grams and is not trained. Its loss is the same for every seed, so it is counted once and has no spread. The interval of its difference from a trained variant is that of the seeds of the trained variant. The difference of two such models is exact, and has no interval.",
            ));
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
            .plain(" is the duration of a whole run, evaluation and sampling included. All three are means over the seeds, and depend on the machine and on what else it does."),
    );
    vec![Block::heading(2, "How to read this"), Block::List { items }]
}

/// What a difference is, and which sign is better.
fn difference_in_words(metric: Metric) -> String {
    let what = match metric.is_bits_per_byte() {
        true => "bits per byte of the variant minus bits per byte of the baseline".to_owned(),
        false => format!(
            "{} of the variant minus that of the baseline",
            metric.title()
        ),
    };
    let sign = match metric.kind.is_better_higher() {
        true => "positive",
        false => "negative",
    };
    format!(
        ": {what}. It is computed for each seed and then averaged. Variants with the same seed see the same batches. A {sign} difference means that the variant has {}.",
        metric.better()
    )
}

fn verdicts(ranking: &Ranking) -> Text {
    let (better, worse) = match ranking.metric.kind.is_better_higher() {
        true => ("above", "below"),
        false => ("below", "above"),
    };
    let more = "More seeds may give a clear result. Inconclusive does not mean that there is no difference.";
    if ranking.margin.is_none() {
        return Text::new()
            .strong("Better")
            .plain(format!(" means that the whole interval is {better} 0. "))
            .strong("Worse")
            .plain(format!(" means that the whole interval is {worse} 0. "))
            .strong("Inconclusive")
            .plain(format!(" means that the interval contains 0. {more}"));
    }
    term("Equivalent", " means that the whole interval lies within the margin of the experiment, so that the difference is too small to matter. Otherwise, ")
        .strong("better")
        .plain(format!(" means that the whole interval is {better} 0, and "))
        .strong("worse")
        .plain(format!(" that it is {worse} 0. "))
        .strong("Inconclusive")
        .plain(format!(" means none of these. {more}"))
}

fn term(name: &str, meaning: &str) -> Text {
    Text::new().strong(name).plain(meaning)
}
