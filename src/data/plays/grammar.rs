//! The rules of `grammar.txt`, which describes its own syntax.

use super::slot::Slot;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The embedded grammar.
pub(super) fn grammar() -> &'static Grammar {
    static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
        Grammar::parse(include_str!("grammar.txt"))
            .expect("the embedded grammar is valid: it is a constant, and a test parses it")
    });
    &GRAMMAR
}

/// The rules. [`Part::Rule`] refers to a rule by its number.
#[derive(Debug)]
pub(super) struct Grammar {
    rules: Vec<Rule>,
    by_name: HashMap<&'static str, usize>,
}

/// A weighted choice between alternatives.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Weight and first words of each alternative. No first words start with those of another
    /// alternative.
    pub(super) heads: Vec<(u32, String)>,
    /// What follows the first words of each alternative.
    pub(super) rests: Vec<Vec<Part>>,
    /// For rules of rhyming words: the line number of each word. Words on one line rhyme.
    pub(super) families: Vec<usize>,
}

/// A part of an alternative.
#[derive(Debug)]
pub(super) enum Part {
    Words(String),
    Rule(usize),
    Slot(Slot),
}

impl Grammar {
    /// The rule with a name.
    ///
    /// # Panics
    /// If there is no such rule. All callers pass constants.
    pub(super) fn rule(&self, name: &str) -> &Rule {
        &self.rules[self.by_name[name]]
    }

    /// The rule with a number.
    pub(super) fn rule_at(&self, number: usize) -> &Rule {
        &self.rules[number]
    }

    fn parse(text: &'static str) -> Result<Self, String> {
        let mut by_name = HashMap::new();
        let mut sections = Vec::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("== ") {
                let (name, style) = heading.split_once(' ').unwrap_or((heading, ""));
                by_name.insert(name, sections.len());
                sections.push((style, Vec::new()));
            } else if !line.is_empty() && !line.starts_with('#') {
                let (_, lines) = sections
                    .last_mut()
                    .ok_or("there is a line before the first rule")?;
                lines.push(line);
            }
        }
        let rules = sections
            .iter()
            .map(|(style, lines)| match *style {
                "" => weighted(lines, &by_name),
                _ => Ok(zipf(lines)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules, by_name })
    }
}

/// Parses a rule of weighted alternatives.
fn weighted(lines: &[&str], names: &HashMap<&'static str, usize>) -> Result<Rule, String> {
    let mut rule = Rule::default();
    for line in lines {
        let (weight, text) = line
            .split_once(' ')
            .ok_or(format!("the weight is missing: {line}"))?;
        let weight = weight
            .parse()
            .map_err(|_| format!("the weight is missing: {line}"))?;
        let text = text.replace("\\n", "\n");
        let mut pieces = text.split('{');
        let head = pieces.next().unwrap_or_default();
        let mut rest = Vec::new();
        for piece in pieces {
            let (name, words) = piece
                .split_once('}')
                .ok_or(format!("a brace is not closed: {line}"))?;
            rest.push(match (Slot::named(name), names.get(name)) {
                (Some(slot), None) => Part::Slot(slot),
                (None, Some(&rule)) => Part::Rule(rule),
                _ => return Err(format!("{name} must be either a rule or a slot: {line}")),
            });
            if !words.is_empty() {
                rest.push(Part::Words(words.to_owned()));
            }
        }
        rule.heads.push((weight, head.to_owned()));
        rule.rests.push(rest);
    }
    Ok(rule)
}

/// Parses a rule of words whose weights are proportional to 1 / (rank + 8), which is Zipf's law with
/// less weight on the first words. The ranks continue from line to line.
fn zipf(lines: &[&str]) -> Rule {
    let mut rule = Rule::default();
    for (family, line) in lines.iter().enumerate() {
        for word in line.split_whitespace() {
            let rank = rule.heads.len() as u32;
            rule.heads.push((10_000 / (rank + 8), word.to_owned()));
            rule.rests.push(Vec::new());
            rule.families.push(family);
        }
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_alternative_starts_with_another() {
        let grammar = grammar();
        for (name, &number) in &grammar.by_name {
            let heads = &grammar.rules[number].heads;
            assert!(!heads.is_empty(), "{name} is empty");
            for (i, (_, head)) in heads.iter().enumerate() {
                for (j, (_, other)) in heads.iter().enumerate() {
                    assert!(
                        i == j || !other.starts_with(head),
                        "{name}: {head:?}, {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn articles_and_plurals_are_correct_for_every_word() {
        for name in ["noun", "adjective", "trade", "ending"] {
            for (_, word) in &grammar().rule(name).heads {
                assert!(!word.starts_with(['a', 'e', 'i', 'o', 'u']), "a {word}");
            }
        }
        for (_, noun) in &grammar().rule("noun").heads {
            assert!(!noun.ends_with(['s', 'x', 'z', 'h']), "{noun}s");
        }
    }

    #[test]
    fn no_name_starts_with_another() {
        let names: Vec<_> = grammar()
            .rule("name")
            .heads
            .iter()
            .map(|(_, entry)| entry)
            .collect();
        for (i, entry) in names.iter().enumerate() {
            let (name, _) = entry.split_once(':').unwrap();
            for (j, other) in names.iter().enumerate() {
                assert!(i == j || !other.starts_with(name), "{name}, {other}");
            }
        }
    }

    #[test]
    fn every_rhyme_has_a_partner() {
        let families = &grammar().rule("ending").families;
        for family in families {
            assert!(families.iter().filter(|&other| other == family).count() > 1);
        }
    }

    #[test]
    fn errors_in_a_grammar_are_reported() {
        for (text, expected) in [
            ("1 x", "there is a line before the first rule"),
            ("== a\nx", "the weight is missing"),
            ("== a\n1 x {b}", "b must be either a rule or a slot"),
            ("== a\n1 x {a", "a brace is not closed"),
        ] {
            let error = Grammar::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
