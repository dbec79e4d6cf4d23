//! The order of a ranking.

/// What decides the position of a variant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) class: Class,
    /// Lower values come first. Not NaN.
    pub(super) value: f64,
    pub(super) is_baseline: bool,
}

/// Variants of an earlier class come first, whatever their values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Every run has a result.
    Complete,
    /// Some runs failed, diverged or have not ended. The mean of the others can be too good.
    Incomplete,
    /// Not every run reached the target loss, which is worse than any number of steps. The value is minus the share of
    /// the runs that reached it.
    SometimesReached,
    /// No run reached the target loss.
    NeverReached,
    NoResult,
}

impl Class {
    fn has_rank(self) -> bool {
        self < Self::NeverReached
    }
}

/// The index of each place and its rank, from 1, best first. Places of one class with equal values have the same
/// rank; among them, the baseline comes first, and the others keep their order. Places without a value have no rank.
pub(super) fn ordered(places: &[Place]) -> Vec<(usize, Option<usize>)> {
    // Negative zero is equal to 0.
    let key = |index: usize| (places[index].class, places[index].value + 0.0);
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| {
        let ((a_class, a_value), (b_class, b_value)) = (key(a), key(b));
        let values = a_class.cmp(&b_class).then(a_value.total_cmp(&b_value));
        values.then(places[b].is_baseline.cmp(&places[a].is_baseline))
    });
    let mut rank = 0;
    let numbered = order.iter().enumerate().map(|(position, &index)| {
        if position == 0 || key(order[position - 1]) != key(index) {
            rank = position + 1;
        }
        (index, places[index].class.has_rank().then_some(rank))
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_variants_come_first_and_equal_ones_share_a_rank() {
        let place = |class, value| Place {
            class,
            value,
            is_baseline: value == 0.0 && class == Class::Complete,
        };
        let places = [
            place(Class::NoResult, 0.0),
            place(Class::Incomplete, -5.0),
            place(Class::Complete, 1.0),
            place(Class::NeverReached, 0.0),
            place(Class::SometimesReached, -0.25),
            place(Class::SometimesReached, -0.5),
            place(Class::Complete, 1.0),
            place(Class::Complete, 2.0),
            place(Class::Incomplete, -0.0),
            place(Class::Incomplete, 0.0),
            place(Class::NeverReached, 0.0),
        ];
        assert_eq!(
            ordered(&places),
            [
                (2, Some(1)),
                (6, Some(1)),
                (7, Some(3)),
                (1, Some(4)),
                (8, Some(5)),
                (9, Some(5)),
                (5, Some(7)),
                (4, Some(8)),
                (3, None),
                (10, None),
                (0, None)
            ]
        );
        let equal = [-0.0_f64, 0.0].map(|value| Place {
            is_baseline: value.is_sign_positive(),
            ..place(Class::Complete, value)
        });
        assert_eq!(ordered(&equal), [(1, Some(1)), (0, Some(1))]);
    }
}
