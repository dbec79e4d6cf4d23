//! The course of a play: who is on stage, who speaks, and what is remembered. All choices are made by
//! a [`Choices`], which draws them or reads them back.

use super::choices::Choices;
use super::grammar::{Grammar, Part, Rule, grammar};
use super::slot::Slot;

/// Runs one play from its title to its end.
pub(super) fn run<C: Choices>(choices: &mut C) -> Result<(), C::Error> {
    Play::new(choices).run()
}

/// A person in the play.
struct Person {
    name: &'static str,
    /// Possessive pronoun.
    his: &'static str,
    trade: &'static str,
    /// Whether the person is on stage.
    present: bool,
}

/// What may happen next. Persons are given by their index in the cast.
#[derive(Clone, Copy)]
enum Event {
    Speech(usize),
    /// A stage direction in which a person acts.
    Business(usize),
    Enter(usize),
    Exit(usize),
    Scene,
    Curtain,
}

/// The state of a play. Persons are given by their index in the cast.
struct Play<'a, C> {
    grammar: &'static Grammar,
    choices: &'a mut C,
    cast: Vec<Person>,
    /// The object in the title.
    prop: String,
    /// The place of the scene.
    place: String,
    /// The last speaker in this scene.
    speaker: Option<usize>,
    /// The person whom the speaker addresses.
    addressed: Option<usize>,
    /// The content of a question that is not answered yet.
    asked: Option<String>,
    /// The last word of the first verse of a couplet, until the second verse has its rhyme.
    rhyme: Option<usize>,
    /// The person who acts in the stage direction.
    actor: usize,
    speech_over: bool,
    speeches: u32,
    speeches_in_scene: u32,
}

impl<'a, C: Choices> Play<'a, C> {
    fn new(choices: &'a mut C) -> Self {
        Self {
            grammar: grammar(),
            choices,
            cast: Vec::new(),
            prop: String::new(),
            place: String::new(),
            speaker: None,
            addressed: None,
            asked: None,
            rhyme: None,
            actor: 0,
            speech_over: false,
            speeches: 0,
            speeches_in_scene: 0,
        }
    }

    fn run(&mut self) -> Result<(), C::Error> {
        self.title()?;
        self.persons()?;
        self.choices.write("Scene: ")?;
        self.scene()?;
        loop {
            match self.next_event()? {
                Event::Speech(person) => self.speech(person)?,
                Event::Business(person) => {
                    self.actor = person;
                    self.expand("direction")?;
                }
                Event::Enter(person) => self.cast[person].present = true,
                Event::Exit(person) => self.cast[person].present = false,
                Event::Scene => self.scene()?,
                Event::Curtain => return Ok(()),
            }
        }
    }

    fn title(&mut self) -> Result<(), C::Error> {
        self.choices.write("The ")?;
        self.expand("genre")?;
        self.choices.write(" of the ")?;
        let adjective = self.capitalised("adjective")?;
        self.choices.write(" ")?;
        let noun = self.capitalised("noun")?;
        self.prop = format!("{adjective} {noun}");
        self.choices.write("\n\n")
    }

    /// The list of three to five persons, each with a trade.
    fn persons(&mut self) -> Result<(), C::Error> {
        self.choices.write("Persons: ")?;
        let mut names = unused(self.grammar.rule("name"));
        let mut trades = unused(self.grammar.rule("trade"));
        loop {
            // The grammar lists a name with its pronoun, as in `Oswin:his`. The text has only the name.
            let heads: Vec<_> = names
                .iter()
                .map(|&(weight, entry)| (weight, entry.split(':').next().unwrap_or(entry)))
                .collect();
            let name = self.choices.choose(&heads)?;
            self.choices.write(", a ")?;
            let trade = self.choices.choose(&trades)?;
            let (_, entry) = names.remove(name);
            let (name, his) = entry.split_once(':').unwrap_or((entry, "their"));
            let (_, trade) = trades.remove(trade);
            self.cast.push(Person {
                name,
                his,
                trade,
                present: false,
            });
            let more = match self.cast.len() {
                0..3 => &[(1, "; ")][..],
                3 | 4 => &[(2, "; "), (3, ".\n\n")],
                _ => &[(1, ".\n\n")],
            };
            let chosen = self.choices.choose(more)?;
            if more[chosen].1 != "; " {
                return Ok(());
            }
        }
    }

    /// The start of a scene: a new place, and the first two persons on stage.
    fn scene(&mut self) -> Result<(), C::Error> {
        self.expand("setting")?;
        self.choices.write(" ")?;
        self.place = ["place_start", "place_middle", "place_end"]
            .into_iter()
            .map(|rule| self.word(rule))
            .collect::<Result<_, _>>()?;
        self.choices.write(".\n\n(Enter ")?;
        self.speaker = None;
        self.addressed = None;
        self.asked = None;
        self.speeches_in_scene = 0;
        for person in &mut self.cast {
            person.present = false;
        }
        let first = self.one_of(|_, _| 1, |person| person.name)?;
        self.cast[first].present = true;
        self.choices.write(" and ")?;
        let second = self.one_of(|_, person| u32::from(!person.present), |person| person.name)?;
        self.cast[second].present = true;
        self.choices.write(".)\n\n")
    }

    /// Chooses the next event. Its first words are written.
    fn next_event(&mut self) -> Result<Event, C::Error> {
        let present = self.cast.iter().filter(|person| person.present).count();
        let mut events = Vec::new();
        for (number, person) in self.cast.iter().enumerate() {
            let name = person.name;
            if !person.present {
                events.push((Event::Enter(number), 3, format!("(Enter {name}.)\n\n")));
                continue;
            }
            if self.speaker != Some(number) {
                let weight = if self.addressed == Some(number) {
                    40
                } else {
                    4
                };
                let heading = format!("{}.\n", name.to_uppercase());
                events.push((Event::Speech(number), weight, heading));
            }
            events.push((Event::Business(number), 2, format!("({name} ")));
            if present > 2 {
                events.push((Event::Exit(number), 1, format!("(Exit {name}.)\n\n")));
            }
        }
        if self.speeches_in_scene > 4 {
            events.push((Event::Scene, 4, "Scene: ".to_owned()));
        }
        if self.speeches > 9 {
            events.push((Event::Curtain, self.speeches - 9, "Curtain.\n\n".to_owned()));
        }
        let heads: Vec<_> = events
            .iter()
            .map(|(_, weight, head)| (*weight, head))
            .collect();
        let chosen = self.choices.choose(&heads)?;
        Ok(events[chosen].0)
    }

    /// A speech: the answer to an open question if there is one, then couplets.
    fn speech(&mut self, person: usize) -> Result<(), C::Error> {
        self.speeches += 1;
        self.speeches_in_scene += 1;
        // The speaker addresses the previous speaker until they turn to another person.
        self.addressed = self.speaker;
        self.speaker = Some(person);
        if self.asked.is_some() {
            self.expand("answer")?;
            self.asked = None;
        }
        self.expand("first")?;
        self.speech_over = false;
        while !self.speech_over {
            self.expand("pause")?;
            self.expand("second")?;
            self.expand("stop")?;
            self.expand("after")?;
        }
        Ok(())
    }

    /// Writes an alternative of a rule, which is chosen at random.
    fn expand(&mut self, name: &str) -> Result<(), C::Error> {
        self.expand_rule(self.grammar.rule(name))
    }

    fn expand_rule(&mut self, rule: &'static Rule) -> Result<(), C::Error> {
        let chosen = self.choices.choose(&rule.heads)?;
        for part in &rule.rests[chosen] {
            match part {
                Part::Words(words) => self.choices.write(words)?,
                Part::Rule(number) => self.expand_rule(self.grammar.rule_at(*number))?,
                Part::Slot(slot) => self.fill(*slot)?,
            }
        }
        Ok(())
    }

    /// Writes the text of a slot.
    fn fill(&mut self, slot: Slot) -> Result<(), C::Error> {
        match slot {
            Slot::Prop => self.choices.write(&self.prop),
            Slot::Place => self.choices.write(&self.place),
            Slot::Me => self.write_name(self.speaker),
            Slot::You => self.address(|person| person.name),
            Slot::YourTrade => self.address(|person| person.trade),
            Slot::Anyone => {
                let speaker = self.speaker;
                self.one_of(
                    |number, _| u32::from(speaker != Some(number)),
                    |person| person.name,
                )?;
                Ok(())
            }
            Slot::Rhyme => self.rhyme(),
            Slot::Ask => {
                let did = self.word("did")?;
                self.choices.write(" the ")?;
                let adjective = self.word("adjective")?;
                self.choices.write(" ")?;
                let noun = self.word("noun")?;
                self.asked = Some(format!("{did} the {adjective} {noun}"));
                Ok(())
            }
            Slot::Asked => self
                .choices
                .write(self.asked.as_deref().unwrap_or_default()),
            Slot::End => {
                self.speech_over = true;
                Ok(())
            }
            Slot::Actor => self.write_name(Some(self.actor)),
            Slot::His => self.choices.write(self.cast[self.actor].his),
        }
    }

    fn write_name(&mut self, person: Option<usize>) -> Result<(), C::Error> {
        self.choices
            .write(person.map_or("", |number| self.cast[number].name))
    }

    /// Turns to a person on stage and names them. The person who is addressed already is most likely.
    fn address(&mut self, called: impl Fn(&Person) -> &'static str) -> Result<(), C::Error> {
        let (speaker, addressed) = (self.speaker, self.addressed);
        let weight = |number, person: &Person| match () {
            () if !person.present || speaker == Some(number) => 0,
            () if addressed == Some(number) => 6,
            () => 2,
        };
        self.addressed = Some(self.one_of(weight, called)?);
        Ok(())
    }

    /// Chooses a person by weight and names them. Persons with weight 0 are excluded.
    fn one_of(
        &mut self,
        weight: impl Fn(usize, &Person) -> u32,
        called: impl Fn(&Person) -> &'static str,
    ) -> Result<usize, C::Error> {
        let cast = self.cast.iter().enumerate();
        let (numbers, heads): (Vec<_>, Vec<_>) = cast
            .map(|(number, person)| (number, (weight(number, person), called(person))))
            .filter(|(_, (weight, _))| *weight > 0)
            .unzip();
        Ok(numbers[self.choices.choose(&heads)?])
    }

    /// Chooses the last word of a verse.
    fn rhyme(&mut self) -> Result<(), C::Error> {
        let rule = self.grammar.rule("ending");
        let Some(first) = self.rhyme.take() else {
            self.rhyme = Some(self.choices.choose(&rule.heads)?);
            return Ok(());
        };
        let partners: Vec<_> = (0..rule.heads.len())
            .filter(|&word| word != first && rule.families[word] == rule.families[first])
            .map(|word| (rule.heads[word].0, rule.heads[word].1.as_str()))
            .collect();
        self.choices.choose(&partners)?;
        Ok(())
    }

    /// Chooses a word of a rule.
    fn word(&mut self, rule: &str) -> Result<&'static str, C::Error> {
        let rule = self.grammar.rule(rule);
        Ok(&rule.heads[self.choices.choose(&rule.heads)?].1)
    }

    /// Chooses a word, which is written with a capital letter and returned without.
    fn capitalised(&mut self, rule: &str) -> Result<&'static str, C::Error> {
        let rule = self.grammar.rule(rule);
        let titles: Vec<_> = rule
            .heads
            .iter()
            .map(|(weight, word)| (*weight, word[..1].to_uppercase() + &word[1..]))
            .collect();
        Ok(&rule.heads[self.choices.choose(&titles)?].1)
    }
}

/// The weights and words of a rule, as a list from which words can be removed.
fn unused(rule: &'static Rule) -> Vec<(u32, &'static str)> {
    let heads = rule.heads.iter();
    heads
        .map(|(weight, word)| (*weight, word.as_str()))
        .collect()
}
