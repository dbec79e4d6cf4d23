//! How a play goes: who is there, who speaks, what they remember. It speaks through a
//! [`Voice`], which draws the choices or reads them back.

use super::choices::Voice;
use super::grammar::{Grammar, Part, Rule, grammar};

/// Something that the play remembers, or a choice that depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The thing that the play is named after.
    Prop,
    /// Where the scene is.
    Place,
    /// The name of the speaker.
    Me,
    /// The name of somebody present, who is thereby addressed.
    You,
    /// The same by trade.
    YourTrade,
    /// The name of anybody in the play but the speaker.
    Anyone,
    /// The last word of a verse: any for the first of a couplet, one that rhymes for the second.
    Rhyme,
    /// What is asked, remembered until it is answered.
    Ask,
    /// What was asked last, word for word.
    Asked,
    /// The speech is over.
    End,
    /// Who acts in a stage direction.
    Actor,
    /// `his` or `her`, as the actor's name has it.
    His,
}

impl Slot {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "prop" => Self::Prop,
            "place" => Self::Place,
            "me" => Self::Me,
            "you" => Self::You,
            "your_trade" => Self::YourTrade,
            "anyone" => Self::Anyone,
            "rhyme" => Self::Rhyme,
            "ask" => Self::Ask,
            "asked" => Self::Asked,
            "end" => Self::End,
            "actor" => Self::Actor,
            "his" => Self::His,
            _ => return None,
        })
    }
}

/// Performs one play.
pub(super) fn play<V: Voice>(voice: &mut V) -> Result<(), V::Error> {
    Stage::new(voice).play()
}

/// Somebody in the play.
struct Person {
    name: &'static str,
    his: &'static str,
    trade: &'static str,
    present: bool,
}

/// What may happen next, with its weight.
#[derive(Clone, Copy)]
enum Event {
    Speech(usize),
    Business(usize),
    Enter(usize),
    Exit(usize),
    Scene,
    Curtain,
}

/// People are numbers into the cast.
struct Stage<'a, V> {
    grammar: &'static Grammar,
    voice: &'a mut V,
    cast: Vec<Person>,
    prop: String,
    place: String,
    /// Who spoke last, in this scene.
    speaker: Option<usize>,
    /// Whom they addressed.
    addressed: Option<usize>,
    /// A question that is not answered yet.
    asked: Option<String>,
    /// The rhyme that waits for its partner.
    rhyme: Option<usize>,
    /// Who acts in the stage direction.
    actor: usize,
    speech_over: bool,
    speeches: u32,
    speeches_in_scene: u32,
}

impl<'a, V: Voice> Stage<'a, V> {
    fn new(voice: &'a mut V) -> Self {
        Self {
            grammar: grammar(),
            voice,
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

    fn play(&mut self) -> Result<(), V::Error> {
        self.title()?;
        self.persons()?;
        self.voice.say("Scene: ")?;
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

    fn title(&mut self) -> Result<(), V::Error> {
        self.voice.say("The ")?;
        self.expand("genre")?;
        self.voice.say(" of the ")?;
        let adjective = self.capitalised("adjective")?;
        self.voice.say(" ")?;
        let noun = self.capitalised("noun")?;
        self.prop = format!("{adjective} {noun}");
        self.voice.say("\n\n")
    }

    /// Three to five persons, each with a trade.
    fn persons(&mut self) -> Result<(), V::Error> {
        self.voice.say("Persons: ")?;
        let mut names = unused(self.grammar.rule("name"));
        let mut trades = unused(self.grammar.rule("trade"));
        loop {
            // A name is listed with its pronoun, which the text does not show.
            let heads: Vec<_> = names
                .iter()
                .map(|&(weight, entry)| (weight, entry.split(':').next().unwrap_or(entry)))
                .collect();
            let name = self.voice.choose(&heads)?;
            self.voice.say(", a ")?;
            let trade = self.voice.choose(&trades)?;
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
            let chosen = self.voice.choose(more)?;
            if more[chosen].1 != "; " {
                return Ok(());
            }
        }
    }

    /// A new place, and the first two to enter.
    fn scene(&mut self) -> Result<(), V::Error> {
        self.expand("setting")?;
        self.voice.say(" ")?;
        self.place = ["place_start", "place_middle", "place_end"]
            .into_iter()
            .map(|rule| self.word(rule))
            .collect::<Result<_, _>>()?;
        self.voice.say(".\n\n(Enter ")?;
        self.speaker = None;
        self.addressed = None;
        self.asked = None;
        self.speeches_in_scene = 0;
        for person in &mut self.cast {
            person.present = false;
        }
        let first = self.one_of(|_, _| 1, |person| person.name)?;
        self.cast[first].present = true;
        self.voice.say(" and ")?;
        let second = self.one_of(|_, person| u32::from(!person.present), |person| person.name)?;
        self.cast[second].present = true;
        self.voice.say(".)\n\n")
    }

    fn next_event(&mut self) -> Result<Event, V::Error> {
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
        let chosen = self.voice.choose(&heads)?;
        Ok(events[chosen].0)
    }

    /// The answer to a question, where one is open, then couplets.
    fn speech(&mut self, person: usize) -> Result<(), V::Error> {
        self.speeches += 1;
        self.speeches_in_scene += 1;
        // Until the speaker turns to somebody else, they speak to whoever spoke before.
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

    fn expand(&mut self, name: &str) -> Result<(), V::Error> {
        self.expand_rule(self.grammar.rule(name))
    }

    fn expand_rule(&mut self, rule: &'static Rule) -> Result<(), V::Error> {
        let chosen = self.voice.choose(&rule.heads)?;
        for part in &rule.rests[chosen] {
            match part {
                Part::Words(words) => self.voice.say(words)?,
                Part::Rule(number) => self.expand_rule(self.grammar.rule_at(*number))?,
                Part::Slot(slot) => self.fill(*slot)?,
            }
        }
        Ok(())
    }

    fn fill(&mut self, slot: Slot) -> Result<(), V::Error> {
        match slot {
            Slot::Prop => self.voice.say(&self.prop),
            Slot::Place => self.voice.say(&self.place),
            Slot::Me => self.say_name(self.speaker),
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
                self.voice.say(" the ")?;
                let adjective = self.word("adjective")?;
                self.voice.say(" ")?;
                let noun = self.word("noun")?;
                self.asked = Some(format!("{did} the {adjective} {noun}"));
                Ok(())
            }
            Slot::Asked => self.voice.say(self.asked.as_deref().unwrap_or_default()),
            Slot::End => {
                self.speech_over = true;
                Ok(())
            }
            Slot::Actor => self.say_name(Some(self.actor)),
            Slot::His => self.voice.say(self.cast[self.actor].his),
        }
    }

    fn say_name(&mut self, person: Option<usize>) -> Result<(), V::Error> {
        self.voice
            .say(person.map_or("", |number| self.cast[number].name))
    }

    /// Turns to somebody present, most often to whom the speech is addressed already.
    fn address(&mut self, called: impl Fn(&Person) -> &'static str) -> Result<(), V::Error> {
        let (speaker, addressed) = (self.speaker, self.addressed);
        let weight = |number, person: &Person| match () {
            () if !person.present || speaker == Some(number) => 0,
            () if addressed == Some(number) => 6,
            () => 2,
        };
        self.addressed = Some(self.one_of(weight, called)?);
        Ok(())
    }

    /// One of the cast; nobody whose weight is 0.
    fn one_of(
        &mut self,
        weight: impl Fn(usize, &Person) -> u32,
        called: impl Fn(&Person) -> &'static str,
    ) -> Result<usize, V::Error> {
        let cast = self.cast.iter().enumerate();
        let (numbers, heads): (Vec<_>, Vec<_>) = cast
            .map(|(number, person)| (number, (weight(number, person), called(person))))
            .filter(|(_, (weight, _))| *weight > 0)
            .unzip();
        Ok(numbers[self.voice.choose(&heads)?])
    }

    fn rhyme(&mut self) -> Result<(), V::Error> {
        let rule = self.grammar.rule("ending");
        let Some(first) = self.rhyme.take() else {
            self.rhyme = Some(self.voice.choose(&rule.heads)?);
            return Ok(());
        };
        let partners: Vec<_> = (0..rule.heads.len())
            .filter(|&word| word != first && rule.families[word] == rule.families[first])
            .map(|word| (rule.heads[word].0, rule.heads[word].1.as_str()))
            .collect();
        self.voice.choose(&partners)?;
        Ok(())
    }

    fn word(&mut self, rule: &str) -> Result<&'static str, V::Error> {
        let rule = self.grammar.rule(rule);
        Ok(&rule.heads[self.voice.choose(&rule.heads)?].1)
    }

    /// A word said with a capital and returned without.
    fn capitalised(&mut self, rule: &str) -> Result<&'static str, V::Error> {
        let rule = self.grammar.rule(rule);
        let titles: Vec<_> = rule
            .heads
            .iter()
            .map(|(weight, word)| (*weight, word[..1].to_uppercase() + &word[1..]))
            .collect();
        Ok(&rule.heads[self.voice.choose(&titles)?].1)
    }
}

/// The words of a rule, of which each is taken once.
fn unused(rule: &'static Rule) -> Vec<(u32, &'static str)> {
    let heads = rule.heads.iter();
    heads
        .map(|(weight, word)| (*weight, word.as_str()))
        .collect()
}
