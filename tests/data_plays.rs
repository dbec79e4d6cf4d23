//! Properties of the generated plays, checked on the text without the grammar.

use runner::data::plays::{floor_bits_per_byte, generate};
use std::collections::{BTreeMap, HashMap, HashSet};

fn text() -> String {
    generate(11, 400_000).text
}

/// The plays of a text, each from its title to its curtain.
fn plays(text: &str) -> Vec<&str> {
    text.split_inclusive("Curtain.\n\n").collect()
}

/// The paragraphs of a play that are not empty.
fn paragraphs(play: &str) -> impl Iterator<Item = &str> {
    play.split("\n\n").filter(|paragraph| !paragraph.is_empty())
}

/// The name above a speech, and the lines of the speech.
fn speech(paragraph: &str) -> Option<(&str, Vec<&str>)> {
    let mut lines = paragraph.lines();
    let name = lines.next()?.strip_suffix('.')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase());
    is_name.then(|| (name, lines.collect()))
}

#[test]
fn stage_directions_end_with_the_name_they_start_with() {
    let text = text();
    let mut seen = 0;
    for direction in text.lines().filter(|line| line.starts_with('(')) {
        let direction = direction.trim_start_matches('(').trim_end_matches(')');
        let (name, rest) = direction.split_once(' ').unwrap();
        if name == "Enter" || name == "Exit" {
            continue;
        }
        assert!(
            rest.trim_end_matches(['.', '!']).ends_with(name),
            "{direction}"
        );
        seen += 1;
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn only_persons_of_the_cast_who_are_on_stage_speak() {
    let text = text();
    let all = plays(&text);
    assert!(all.len() > 50, "{}", all.len());
    for play in all {
        let (_, persons) = play.split_once("Persons: ").unwrap();
        let (persons, rest) = persons.split_once(".\n").unwrap();
        let cast: HashSet<String> = persons
            .split("; ")
            .map(|person| person.split(", a ").next().unwrap().to_uppercase())
            .collect();
        assert!((3..=5).contains(&cast.len()), "{persons}");
        let mut present: HashSet<String> = HashSet::new();
        for paragraph in paragraphs(rest) {
            if paragraph.starts_with("Scene: ") {
                present.clear();
            } else if let Some(names) = paragraph.strip_prefix("(Enter ") {
                let names = names.trim_end_matches(".)").split(" and ");
                present.extend(names.map(str::to_uppercase));
                assert!(present.is_subset(&cast), "{paragraph}");
            } else if let Some(name) = paragraph.strip_prefix("(Exit ") {
                assert!(present.remove(&name.trim_end_matches(".)").to_uppercase()));
            } else if let Some((name, _)) = speech(paragraph) {
                assert!(present.contains(name), "{name} is not on stage:\n{play}");
            }
        }
    }
}

#[test]
fn an_answer_repeats_the_words_of_its_question() {
    let text = text();
    let mut answered = 0;
    for play in plays(&text) {
        let mut asked: Option<&str> = None;
        for paragraph in paragraphs(play) {
            if paragraph.starts_with("Scene: ") {
                asked = None;
            }
            let Some((_, lines)) = speech(paragraph) else {
                continue;
            };
            if let Some(question) = asked {
                assert!(lines[0].contains(question), "{question}: {}", lines[0]);
                answered += 1;
            }
            let last = lines.last().unwrap();
            asked = last
                .strip_prefix("Who ")
                .and_then(|line| line.strip_suffix('?'));
        }
    }
    assert!(answered > 200, "{answered}");
}

#[test]
fn an_addressed_person_usually_answers() {
    let text = text();
    let (mut answers, mut addresses) = (0, 0);
    for play in plays(&text) {
        let speeches: Vec<_> = paragraphs(play).filter_map(speech).collect();
        for pair in speeches.windows(2) {
            let ((_, lines), (next, _)) = (&pair[0], &pair[1]);
            let first = lines.iter().find_map(|line| {
                let words = line.strip_prefix("Good ").or(line.strip_prefix("Dear "))?;
                words.split_once(',').map(|(name, _)| name.to_uppercase())
            });
            if let Some(name) = first {
                addresses += 1;
                answers += usize::from(name == *next);
            }
        }
    }
    assert!(addresses > 200, "{addresses}");
    assert!(answers * 10 > addresses * 7, "{answers} of {addresses}");
}

/// Rhymes are recognized statistically: in many couplets, each last word of a first verse is followed
/// by few different last words of a second verse.
#[test]
fn couplets_rhyme() {
    let text = text();
    let mut partners: HashMap<&str, HashSet<&str>> = HashMap::new();
    for play in plays(&text) {
        for (_, lines) in paragraphs(play).filter_map(speech) {
            let ends: Vec<_> = lines
                .iter()
                .map(|line| line.trim_end_matches(|c: char| c.is_ascii_punctuation()))
                .map(|line| line.rsplit(' ').next().unwrap())
                .collect();
            let pauses = |line: &str| line.ends_with([',', ';', ':']);
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| pauses(line)) {
                assert_ne!(ends[at], ends[at + 1], "{line}");
                partners.entry(ends[at]).or_default().insert(ends[at + 1]);
            }
        }
    }
    assert!(partners.len() > 100, "{}", partners.len());
    for (word, rhymes) in partners {
        assert!(rhymes.len() <= 5, "{word}: {rhymes:?}");
    }
}

#[test]
fn few_words_are_frequent_and_many_are_rare() {
    let text = text();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    assert!(counts.len() > 900, "{}", counts.len());
    assert!(
        counts[20] > 50 * counts[counts.len() * 9 / 10],
        "{counts:?}"
    );
}

/// A model that predicts a word from the word before it is worse than the entropy of the source.
#[test]
fn the_lower_bound_is_far_below_a_model_of_word_pairs() {
    let text = generate(12, 300_000).text;
    let words: Vec<_> = text.split_inclusive([' ', '\n']).collect();
    let mut pairs: HashMap<(&str, &str), f64> = HashMap::new();
    let mut firsts: HashMap<&str, f64> = HashMap::new();
    for pair in words.windows(2) {
        *pairs.entry((pair[0], pair[1])).or_default() += 1.0;
        *firsts.entry(pair[0]).or_default() += 1.0;
    }
    // The pairs are counted in the text that they predict, so no model of pairs is better.
    let bits: f64 = pairs
        .iter()
        .map(|((first, _), count)| count * (firsts[first] / count).log2())
        .sum();
    let floor = floor_bits_per_byte(&text, 0..text.len()).unwrap();
    let pairs = bits / text.len() as f64;
    assert!(floor < 0.95 * pairs, "{floor} {pairs}");
}
