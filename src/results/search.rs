//! The search for the best settings of a variant: which of its runs are needed, and what it has found.

use super::parzen_choice::Candidates;
use super::{RunResult, SweepPlan};
use crate::spec::{RandomCombinations, RunSpec, Tpe, TunedRun};
use crate::stats::mean;

/// The search for the best settings of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Indices in the plan of its runs that are needed so far.
    pub runs: Vec<usize>,
    /// Number of the combinations that are trained for each number of steps, so far. One number without halving.
    pub trained: Vec<usize>,
    /// (number of the combination, mean of the metric over the seeds of the search, after all steps). The mean is
    /// `None` if a run has not ended, or has no finite value, and if halving has ended the combination before.
    pub combinations: Vec<(usize, Option<f64>)>,
    /// How far each combination was trained, in the order of the plan. Only trainings of which all runs have ended count.
    pub reached: Vec<Reached>,
    /// Number of the best combination. `None` if a run has not ended, and if no combination has a mean.
    pub best: Option<usize>,
    /// Whether all of its runs have ended.
    pub has_ended: bool,
}

/// The longest training of a combination in a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    pub combination: usize,
    /// Index of the training, the shortest first. 0 without halving.
    pub rung: usize,
    /// Mean of the metric over the seeds of the search. `None` if a run has no finite value.
    pub mean: Option<f64>,
}

/// A run of a variant: its index in the plan, and what is known of it.
pub(super) type Indexed = (usize, RunResult);

impl Search {
    /// Number of the best combination, or of the first one while the search has not ended.
    pub(super) fn likely_combination(&self) -> Option<usize> {
        match self.has_ended {
            true => self.best,
            false => self.combinations.first().map(|(number, _)| *number),
        }
    }

    /// The search among the runs of a variant. `None` without one.
    pub(super) fn of(plan: &SweepPlan, runs: &[Indexed]) -> Option<Self> {
        let searched = |run: &Indexed| {
            let tuned = plan.runs[run.0].tuned.filter(|run| run.is_search)?;
            Some((tuned.combination, *run))
        };
        let runs: Vec<(usize, Indexed)> = runs.iter().filter_map(searched).collect();
        if runs.is_empty() {
            return None;
        }
        let mut all: Vec<usize> = runs.iter().map(|(combination, _)| *combination).collect();
        all.dedup();
        let mut runs = runs;
        if let Some((random, tpe)) = plan.chosen_combinations() {
            all = chosen(plan, random, tpe, &runs, &all);
            runs.retain(|(combination, _)| all.contains(combination));
        }
        let rung = |index: usize| plan.runs[index].tuned.map_or(0, |run| run.rung);
        let mut rungs: Vec<usize> = runs.iter().map(|(_, (index, _))| rung(*index)).collect();
        rungs.sort_unstable();
        rungs.dedup();
        let last = *rungs.last()?;
        let (mut needed, mut trained) = (Vec::new(), Vec::new());
        let mut reached: Vec<Reached> = Vec::new();
        let mut left = all.clone();
        for own in rungs {
            let of_rung = runs.iter().filter(|(combination, (index, _))| {
                rung(*index) == own && left.contains(combination)
            });
            let of_rung: Vec<(usize, Indexed)> = of_rung.copied().collect();
            needed.extend(of_rung.iter().map(|(_, (index, _))| *index));
            trained.push(left.len());
            let has_ended = of_rung
                .iter()
                .all(|(_, (_, result))| *result != RunResult::Open);
            let means = means(&of_rung);
            let best_first = best_first(plan, &means);
            if has_ended {
                reached.retain(|one| !left.contains(&one.combination));
                reached.extend(means.iter().map(|&(combination, mean)| Reached {
                    combination,
                    rung: own,
                    mean,
                }));
            }
            if has_ended && own < last {
                left = Self::kept(plan, &best_first);
                continue;
            }
            let mean_of = |combination: usize| {
                let mut means = means.iter().filter(|_| own == last);
                means.find(|(other, _)| *other == combination)?.1
            };
            needed.sort_unstable();
            reached.sort_by_key(|one| one.combination);
            return Some(Self {
                reached,
                runs: needed,
                trained,
                combinations: all.iter().map(|&one| (one, mean_of(one))).collect(),
                best: best_first.first().copied().filter(|_| has_ended),
                has_ended,
            });
        }
        None
    }

    /// The combinations that halving trains further, given those with a result, the best first.
    fn kept(plan: &SweepPlan, best_first: &[usize]) -> Vec<usize> {
        let sweep = plan.experiment.sweep.as_ref();
        let halving = sweep.and_then(|sweep| sweep.tune.as_ref()?.halving.as_ref());
        let kept = halving.map_or(best_first.len(), |halving| halving.kept(best_first.len()));
        best_first[..kept].to_vec()
    }

    /// Indices of all runs that the search can have. Before it is known which combinations are better, those are taken
    /// that come first.
    pub(super) fn possible_runs(&self, plan: &SweepPlan, runs: &[Indexed]) -> Vec<usize> {
        let part = |run: usize| plan.runs[run].tuned.filter(|run| run.is_search);
        let mut possible = self.runs.clone();
        let parts = || possible.iter().filter_map(|&run| part(run));
        let Some(mut rung) = parts().map(|run| run.rung).max() else {
            return possible;
        };
        let current = parts().filter(|run| run.rung == rung);
        let mut left: Vec<usize> = current.map(|run| run.combination).collect();
        left.dedup();
        let all = || runs.iter().map(|(index, _)| *index);
        let next_rung = |rung: usize| {
            let rungs = all().filter_map(|run| Some(part(run)?.rung));
            rungs.filter(|other| *other > rung).min()
        };
        while let Some(next) = next_rung(rung) {
            rung = next;
            left = Self::kept(plan, &left);
            let is_next = |run: TunedRun| run.rung == rung && left.contains(&run.combination);
            possible.extend(all().filter(|&run| part(run).is_some_and(is_next)));
        }
        possible.extend(self.runs_to_choose(plan, runs));
        possible
    }

    /// Runs of the search of as many combinations as are still to be chosen. Before it is known which ones are, the first
    /// ones that are left.
    fn runs_to_choose(&self, plan: &SweepPlan, runs: &[Indexed]) -> Vec<usize> {
        let Some((_, tpe)) = plan.chosen_combinations() else {
            return Vec::new();
        };
        let left = tpe.n_trials.saturating_sub(self.combinations.len());
        let is_chosen = |number: usize| self.combinations.iter().any(|(own, _)| *own == number);
        let searched = runs.iter().filter_map(|(index, _)| {
            let tuned = plan.runs[*index].tuned.filter(|run| run.is_search)?;
            (!is_chosen(tuned.combination)).then_some((*index, tuned.combination))
        });
        let searched: Vec<(usize, usize)> = searched.collect();
        let groups = searched.chunk_by(|(_, a), (_, b)| a == b).take(left);
        groups.flatten().map(|(index, _)| *index).collect()
    }
}

impl SweepPlan {
    /// By what a value of the metric is multiplied so that smaller ones are better.
    fn sign_of_loss(&self) -> f64 {
        match self.experiment.compare.metric.is_better_higher() {
            true => -1.0,
            false => 1.0,
        }
    }

    /// The random combinations of the search, and how it chooses among them. `None` if it tries all of its combinations.
    fn chosen_combinations(&self) -> Option<(&RandomCombinations, &Tpe)> {
        let tune = self.experiment.sweep.as_ref()?.tune.as_ref()?;
        Some((tune.random.as_ref()?, tune.tpe.as_ref()?))
    }
}

/// The numbers of the combinations that a search by results has chosen so far, in increasing order. `all` has those of the
/// variant, and `runs` their runs of the search.
fn chosen(
    plan: &SweepPlan,
    random: &RandomCombinations,
    tpe: &Tpe,
    runs: &[(usize, Indexed)],
    all: &[usize],
) -> Vec<usize> {
    // A plan from somebody else can have more candidates and trials than a sweep.
    let all = &all[..all.len().min(RandomCombinations::MOST)];
    let n = tpe.n_trials.clamp(1, Tpe::MOST_TRIALS).min(all.len());
    let groups: Vec<&[(usize, Indexed)]> = runs.chunk_by(|(a, _), (b, _)| a == b).collect();
    let is_open = |&index: &usize| {
        let mut results = groups[index].iter().map(|(_, (_, result))| *result);
        results.any(|result| result == RunResult::Open)
    };
    let mut chosen: Vec<usize> = (0..tpe.startup().clamp(1, n)).collect(); // indices into `all`
    if chosen.len() < n && !chosen.iter().any(is_open) {
        let specs = groups[..all.len()].iter();
        let specs: Vec<&RunSpec> = specs.map(|group| &plan.runs[group[0].1.0].spec).collect();
        let candidates = Candidates::new(random, &specs);
        let means = means(runs);
        let sign = plan.sign_of_loss();
        let loss = |&index: &usize| (index, means[index].1.map(|mean| sign * mean));
        while chosen.len() < n && !chosen.iter().any(is_open) {
            let tried: Vec<(usize, Option<f64>)> = chosen.iter().map(loss).collect();
            let next = candidates.next(&tried, tpe.batch.clamp(1, n - chosen.len()));
            chosen.extend(next);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|index| all[index]).collect()
}

/// (combination, mean of its runs) of runs of a search, of which those of a combination follow each other.
fn means(runs: &[(usize, Indexed)]) -> Vec<(usize, Option<f64>)> {
    let groups = runs.chunk_by(|(a, _), (b, _)| a == b);
    let mean_of = |group: &[(usize, Indexed)]| {
        let value =
            |(_, (_, result)): &(usize, Indexed)| result.value().filter(|value| value.is_finite());
        let values: Option<Vec<f64>> = group.iter().map(value).collect();
        (group[0].0, values.and_then(|values| mean(&values)))
    };
    groups.map(mean_of).collect()
}

/// The combinations with a mean, the best first. Of equal ones, the first of the file comes first.
fn best_first(plan: &SweepPlan, means: &[(usize, Option<f64>)]) -> Vec<usize> {
    let sign = plan.sign_of_loss();
    let known = means
        .iter()
        .filter_map(|&(number, mean)| Some((number, sign * mean?)));
    let mut known: Vec<(usize, f64)> = known.collect();
    known.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    known.into_iter().map(|(number, _)| number).collect()
}
