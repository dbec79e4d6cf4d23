//! Names that are short enough for a plot and differ from each other.

use crate::text::escape;
use crate::text::width::{display_width, end_of, shorten, start_of};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Largest width of a name, in columns of text.
const MAX_COLUMNS: usize = 24;

const SECTIONS: [&str; 5] = ["model.", "optimizer.", "schedule.", "train.", "tokenizer."];

/// A short name for each name, in the same order. No two of them are equal.
pub(super) fn short_names(names: &[&str]) -> Vec<String> {
    let visible: Vec<String> = names.iter().map(|name| without_sections(name)).collect();
    let mut short: Vec<String> = visible
        .iter()
        .map(|name| shorten(name, MAX_COLUMNS))
        .collect();
    for group in equal(&short) {
        let alike: Vec<&str> = group.iter().map(|&index| visible[index].as_str()).collect();
        for (index, name) in group.iter().zip(around_differences(&alike)) {
            short[*index] = name;
        }
    }
    number_equal(&mut short);
    short
}

/// A long name without the sections of its keys, which the names of a grid repeat.
fn without_sections(name: &str) -> String {
    let visible = escape::visible_line(name);
    match display_width(&visible) > MAX_COLUMNS {
        true => SECTIONS
            .iter()
            .fold(visible, |name, section| name.replace(section, "")),
        false => visible,
    }
}

/// The groups of two and more equal texts, as indices.
fn equal(texts: &[String]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        groups.entry(text.as_str()).or_default().push(index);
    }
    groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// Shortens what the names have in common at their start and end, and keeps what differs.
fn around_differences(names: &[&str]) -> Vec<String> {
    let fits = |&(start, end): &(usize, usize)| {
        let middle = |name: &str| display_width(&name[start..name.len() - end]);
        names.iter().all(|name| middle(name) + 2 <= MAX_COLUMNS)
    };
    // Words and numbers stay whole where there is room for it.
    let whole = shared_ends(names, is_in_word);
    let (start, end) = Some(whole)
        .filter(fits)
        .unwrap_or_else(|| shared_ends(names, |_| false));
    names
        .iter()
        .map(|name| {
            let (rest, end) = name.split_at(name.len() - end);
            let (start, middle) = rest.split_at(start);
            composed(start, middle, end)
        })
        .collect()
}

fn is_in_word(character: char) -> bool {
    character.is_alphanumeric() || character == '.'
}

/// Length in bytes of the start and of the end that all names share. Both stop before characters that belong
/// to the part between them: those next to it for which `keep` holds.
fn shared_ends(names: &[&str], keep: fn(char) -> bool) -> (usize, usize) {
    let kept_whole = |shared: usize, characters: &mut dyn Iterator<Item = char>| {
        let cut = characters.take_while(|c| keep(*c)).map(char::len_utf8);
        shared - cut.sum::<usize>().min(shared)
    };
    let first = names[0];
    let starts = names.iter().map(|name| {
        let both = first.chars().zip(name.chars());
        both.take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum::<usize>()
    });
    let start = starts.min().unwrap_or(0);
    let start = kept_whole(start, &mut first[..start].chars().rev());
    let ends = names.iter().map(|name| {
        let both = first[start..]
            .chars()
            .rev()
            .zip(name[start..].chars().rev());
        both.take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum::<usize>()
    });
    let end = ends.min().unwrap_or(0);
    let end = kept_whole(end, &mut first[first.len() - end..].chars());
    (start, end)
}

/// A name whose start and end are shortened, so that its middle has enough room.
fn composed(start: &str, middle: &str, end: &str) -> String {
    let room = MAX_COLUMNS.saturating_sub(display_width(middle));
    let start = match room.saturating_sub(display_width(end)).max(room / 2) {
        columns if display_width(start) <= columns => start.to_owned(),
        0 => String::new(),
        columns => format!("{}…", start_of(start, columns - 1)),
    };
    let end = match room.saturating_sub(display_width(&start)) {
        columns if display_width(end) <= columns => end.to_owned(),
        0 => String::new(),
        columns => format!("…{}", end_of(end, columns - 1)),
    };
    shorten(&format!("{start}{middle}{end}"), MAX_COLUMNS)
}

/// Adds a number to each text that occurs before.
fn number_equal(texts: &mut [String]) {
    let mut taken = HashSet::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let plain = text.clone();
        while !taken.insert(text.clone()) {
            let number = numbers.entry(plain.clone()).or_insert(1);
            *number += 1;
            let suffix = format!(" ({number})");
            *text = shorten(&plain, MAX_COLUMNS.saturating_sub(suffix.len())) + &suffix;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_name_keeps_its_distinct_parts() {
        let short = |name: &str| short_names(&[name]).remove(0);
        assert_eq!(short("model.norm=rmsnorm"), "model.norm=rmsnorm");
        assert_eq!(
            short("model.n_embd=160-model.n_layer=15"),
            "n_embd=160-n_layer=15"
        );
        assert_eq!(
            short("a-very-long-name-of-one-variant-2"),
            "a-very-long-…e-variant-2"
        );
    }

    #[test]
    fn what_is_common_is_shortened_and_what_differs_stays() {
        for (names, expected) in [
            (
                &[
                    "counts_of_pairs_2_with_witten_bell_smoothing",
                    "counts_of_pairs_3_with_witten_bell_smoothing",
                    "plain",
                ][..],
                &[
                    "counts_of_…2…l_smoothing",
                    "counts_of_…3…l_smoothing",
                    "plain",
                ][..],
            ),
            (
                &[
                    "baseline_of_the_first_experiment_lr=0.0012_with_decay",
                    "baseline_of_the_first_experiment_lr=0.0013_with_decay",
                ],
                &["baseline…0.0012…th_decay", "baseline…0.0013…th_decay"],
            ),
            (
                &[
                    "大規模言語モデルの基準一となる実験の結果",
                    "大規模言語モデルの基準二となる実験の結果",
                ],
                &["大規模言語…一…実験の結果", "大規模言語…二…実験の結果"],
            ),
            (&["same", "same", "same"], &["same", "same (2)", "same (3)"]),
            (&["a\u{7}", "a␇"], &["a␇", "a␇ (2)"]),
        ] {
            let short = short_names(names);
            assert_eq!(short, expected);
            assert!(short.iter().all(|name| display_width(name) <= MAX_COLUMNS));
        }
    }

    /// Names of a few pieces, so that many of them are alike.
    fn alike() -> impl Strategy<Value = Vec<String>> {
        let piece = prop_oneof![
            Just("counts_of_pairs_with_smoothing".to_owned()),
            Just("model.n_layer=".to_owned()),
            Just("東京".to_owned()),
            Just("👩\u{200d}👩\u{200d}👧".to_owned()),
            Just("\u{202e}\n".to_owned()),
            "[ab0-2.\u{301}]{1,2}",
        ];
        let name = prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat());
        prop::collection::vec(name, 1..12)
    }

    proptest! {
        #[test]
        fn no_two_names_are_equal(names in alike()) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let short = short_names(&names);
            let distinct: HashSet<&String> = short.iter().collect();
            prop_assert_eq!(distinct.len(), names.len(), "{:?}", short);
            let widest = short.iter().map(|name| display_width(name)).max();
            prop_assert!(widest <= Some(MAX_COLUMNS), "{:?}", short);
        }
    }
}
