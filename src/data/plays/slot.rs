//! The slots of the grammar: text that depends on the state of the play.

/// A `{slot}` in the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The object in the title of the play.
    Prop,
    /// The place of the scene.
    Place,
    /// The name of the speaker.
    Me,
    /// The name of a person on stage, to whom the speaker turns.
    You,
    /// The trade of a person on stage, to whom the speaker turns.
    YourTrade,
    /// The name of any person in the play except the speaker.
    Anyone,
    /// The last word of a verse. In the first verse of a couplet it is any word, and in the second a
    /// word that rhymes.
    Rhyme,
    /// The content of a question. It is remembered until it is answered.
    Ask,
    /// The content of the last question, word for word.
    Asked,
    /// The end of a speech.
    End,
    /// The person who acts in a stage direction.
    Actor,
    /// The possessive pronoun of the actor: `his` or `her`.
    His,
}

impl Slot {
    /// The slot with a name in the grammar.
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
