//! The screen: progress, runs, curves and verdicts.

use super::sweep_state::{Activity, RunProgress, SweepState};
use crate::results::RunState;
use crate::stats::without_far_above;
use crate::text::escape::visible_line;
use crate::text::units::{self, NO_VALUE};
use crate::text::width::{display_width, shorten};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Cell, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table,
};

/// The colors of the curves.
const COLORS: [Color; 6] = [
    Color::Cyan,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::Red,
];

/// Share of the steps at the beginning whose losses the y axis need not contain.
const UNSETTLED: f64 = 0.1;

/// Width of the table of runs without the names, with its frame.
const OTHER_COLUMNS: u16 = 59;

/// Longest name of a run that is shown whole beside the curves.
const LONGEST_NAME: usize = 32;

/// What the user has chosen to see.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Runs above the first one that is shown.
    pub(super) scroll: usize,
    /// The variant whose runs and curves are shown, or all.
    variant: Option<usize>,
}

impl View {
    /// Moves to another variant. Before the first and after the last one are all variants.
    pub(super) fn choose(&mut self, step: isize, state: &SweepState) {
        let choices = state.variants().len() as isize + 1;
        let now = self.variant.map_or(0, |variant| variant as isize + 1);
        let next = (now + step).rem_euclid(choices);
        self.variant = (next > 0).then(|| next as usize - 1);
        self.scroll = 0;
    }
}

pub(super) fn draw(frame: &mut Frame, state: &SweepState, view: &mut View) {
    let variants = state.variants();
    let chosen = view.variant.and_then(|index| variants.get(index).copied());
    let shown: Vec<&RunProgress> = state
        .runs
        .iter()
        .filter(|run| chosen.is_none_or(|variant| run.variant == variant))
        .collect();
    let verdict_rows = state
        .summary
        .as_ref()
        .map_or(0, |summary| summary.ranking.rows.len());
    let [head, middle, verdicts, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Fill(1),
        Constraint::Length(
            (verdict_rows as u16)
                .saturating_add(3)
                .min(frame.area().height / 3),
        ),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let names = shown
        .iter()
        .map(|run| display_width(&visible_line(&run.name)));
    let longest = names.max().unwrap_or(0).min(LONGEST_NAME) as u16;
    let [runs, curves] = match middle.width >= 100 {
        true => {
            let runs = Constraint::Length(OTHER_COLUMNS + longest);
            Layout::horizontal([runs, Constraint::Fill(1)]).areas(middle)
        }
        false => Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle),
    };
    draw_head(frame, head, state);
    draw_runs(frame, runs, &shown, view);
    let shown_curves = Curves::of(state, &shown, chosen.is_some());
    draw_curves(frame, curves, &shown_curves);
    draw_verdicts(frame, verdicts, state);
    let choice = chosen.map_or("all variants".to_owned(), visible_line);
    let text = format!("↑ ↓ scroll   ← → variant: {choice}   q end");
    frame.render_widget(
        Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM)),
        keys,
    );
}

fn draw_head(frame: &mut Frame, area: Rect, state: &SweepState) {
    let (name, question) = state.experiment();
    let (ended, all) = state.ended();
    let running = state
        .runs
        .iter()
        .filter(|run| run.state == Activity::Running)
        .count();
    let left = state.seconds_left().map_or(String::new(), |seconds| {
        format!(", {} left", units::duration(seconds))
    });
    let label = format!(
        "{ended} of {} ended, {running} running{left}",
        units::plural(all, "run")
    );
    let [title, gauge] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let text = Line::from(vec![
        Span::styled(visible_line(name), Modifier::BOLD),
        Span::raw("  "),
        Span::raw(visible_line(question)),
    ]);
    frame.render_widget(Paragraph::new(text), title);
    let done: f64 = state.runs.iter().map(share).sum();
    let gauge_widget = Gauge::default()
        .ratio((done / all.max(1) as f64).clamp(0.0, 1.0))
        .label(label)
        .gauge_style(Style::new().fg(Color::Cyan).bg(Color::DarkGray));
    frame.render_widget(gauge_widget, gauge);
}

/// How much of a run is done.
fn share(run: &RunProgress) -> f64 {
    match (run.state.has_ended(), run.steps) {
        (true, _) => 1.0,
        (false, Some(steps)) => run.step as f64 / steps.max(1) as f64,
        (false, None) => 0.0,
    }
}

fn draw_runs(frame: &mut Frame, area: Rect, runs: &[&RunProgress], view: &mut View) {
    let rows_shown = usize::from(area.height.saturating_sub(3));
    let name_width = usize::from(area.width.saturating_sub(OTHER_COLUMNS));
    view.scroll = view.scroll.min(runs.len().saturating_sub(rows_shown));
    let value =
        |value: Option<f64>, format: fn(f64) -> String| value.map_or(NO_VALUE.to_owned(), format);
    let rows = runs.iter().skip(view.scroll).take(rows_shown).map(|run| {
        let steps = run.steps.map_or(String::new(), |steps| format!("/{steps}"));
        let style = match run.state {
            Activity::Running => Style::new().fg(Color::Cyan),
            Activity::Is(RunState::Failed | RunState::Diverged) => Style::new().fg(Color::Red),
            Activity::Is(RunState::Done) => Style::new(),
            Activity::Is(_) => Style::new().add_modifier(Modifier::DIM),
        };
        let right = |text: String| Cell::new(Line::from(text).alignment(Alignment::Right));
        Row::new(vec![
            Cell::new(shorten(&visible_line(&run.name), name_width)),
            Cell::new(run.state.name()),
            right(format!("{}{steps}", run.step)),
            right(value(run.loss, units::loss)),
            right(value(
                run.evaluations.last().map(|(_, bits)| *bits),
                units::loss,
            )),
            right(value(run.tokens_per_second, units::rate)),
            right(value(run.seconds_left, units::duration)),
        ])
        .style(style)
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(8),
    ];
    let header = ["run", "state", "step", "loss", "bits/B", "tok/s", "left"];
    let header = header.iter().enumerate().map(|(column, text)| {
        let side = if column < 2 {
            Alignment::Left
        } else {
            Alignment::Right
        };
        Cell::new(Line::from(*text).alignment(side))
    });
    let header = Row::new(header).style(Style::new().add_modifier(Modifier::DIM));
    let hidden = runs.len().saturating_sub(view.scroll + rows_shown);
    let title = match hidden {
        0 => " Runs ".to_owned(),
        hidden => format!(" Runs ({hidden} below) "),
    };
    let table = Table::new(rows, widths)
        .header(header)
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// The runs whose curves are shown.
struct Curves<'a> {
    title: String,
    runs: Vec<Curve<'a>>,
}

struct Curve<'a> {
    run: &'a RunProgress,
    /// Its variant or its size, in the legend.
    label: String,
    color: Color,
}

impl<'a> Curves<'a> {
    /// Losses of different sizes are in one chart only for a single variant, with a color for each size. For several
    /// variants, they are those of the largest size that has been evaluated.
    fn of(state: &SweepState, runs: &[&'a RunProgress], is_one_variant: bool) -> Self {
        let title = "Bits per byte on the validation split";
        let sizes = state.sizes();
        let color = |index: usize| COLORS[index % COLORS.len()];
        if sizes > 1 && is_one_variant {
            let curve = |run: &&'a RunProgress| Curve {
                run,
                label: format!("size {}", run.size.saturating_add(1)),
                color: color(run.size),
            };
            return Self {
                title: format!(" {title} "),
                runs: runs.iter().map(curve).collect(),
            };
        }
        let evaluated = runs.iter().filter(|run| !run.evaluations.is_empty());
        let size = evaluated.map(|run| run.size).max();
        let title = match size {
            Some(size) if sizes > 1 && size.saturating_add(1) >= sizes => {
                format!(" Largest size: {} ", title.to_lowercase())
            }
            Some(size) if sizes > 1 => {
                format!(" Size {} of {sizes}: {} ", size + 1, title.to_lowercase())
            }
            _ => format!(" {title} "),
        };
        let variants = state.variants();
        let curve = |run: &&'a RunProgress| {
            let index = variants.iter().position(|name| *name == run.variant);
            Curve {
                run,
                label: visible_line(&run.variant),
                color: color(index.unwrap_or(0)),
            }
        };
        let of_size = runs.iter().filter(|run| Some(run.size) == size);
        Self {
            title,
            runs: of_size.map(curve).collect(),
        }
    }
}

fn draw_curves(frame: &mut Frame, area: Rect, curves: &Curves) {
    let block = Block::bordered().title(curves.title.as_str());
    let runs: Vec<&RunProgress> = curves.runs.iter().map(|curve| curve.run).collect();
    let end = |run: &&RunProgress| run.evaluations.last().map_or(0.0, |(step, _)| *step);
    let x_end = runs
        .iter()
        .map(|run| run.steps.map_or(end(run), |steps| steps as f64))
        .fold(0.0, f64::max);
    let Some((low, high)) = y_range(&runs).filter(|_| x_end > 0.0) else {
        let text = Paragraph::new("No run has been evaluated yet.").block(block);
        frame.render_widget(text, area);
        return;
    };
    let clipped: Vec<Vec<(f64, f64)>> = runs
        .iter()
        .map(|run| {
            let inside = run
                .evaluations
                .iter()
                .filter(|(_, bits)| (low..=high).contains(bits));
            inside.copied().collect()
        })
        .collect();
    let mut named: Vec<&str> = Vec::new();
    let datasets = curves.runs.iter().zip(&clipped).map(|(curve, points)| {
        let dataset = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(curve.color))
            .data(points);
        // The legend has each label once.
        match named.contains(&curve.label.as_str()) {
            true => dataset,
            false => {
                named.push(&curve.label);
                dataset.name(curve.label.as_str())
            }
        }
    });
    let x_labels = [0.0, x_end / 2.0, x_end].map(units::tick);
    let y_labels = [low, (low + high) / 2.0, high].map(|bits| units::fixed(bits, 3));
    let chart = Chart::new(datasets.collect())
        .block(block)
        // On a small screen, the legend is needed as well.
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(3, 4)))
        .x_axis(
            Axis::default()
                .title("step")
                .bounds([0.0, x_end])
                .labels(x_labels),
        )
        .y_axis(Axis::default().bounds([low, high]).labels(y_labels));
    frame.render_widget(chart, area);
}

/// The ends of the y axis: the settled losses of the runs that have not diverged or, if these have fewer than two, of all
/// runs. `None` before an evaluation.
fn y_range(runs: &[&RunProgress]) -> Option<(f64, f64)> {
    /// Largest distance from the lowest loss, in distances of the median. A run can be far above before it diverges.
    const FAR: f64 = 20.0;
    let settled = |run: &&RunProgress| {
        let last = run.evaluations.last().map_or(0.0, |(step, _)| *step);
        let points = run.evaluations.iter();
        let settled = points.filter(|(step, bits)| *step >= UNSETTLED * last && bits.is_finite());
        settled.map(|(_, bits)| *bits).collect::<Vec<f64>>()
    };
    let has_diverged = |run: &&&RunProgress| run.state == Activity::Is(RunState::Diverged);
    let others = runs.iter().filter(|run| !has_diverged(run));
    let mut losses: Vec<f64> = others.flat_map(settled).collect();
    if losses.len() < 2 {
        losses = runs.iter().flat_map(settled).collect();
    }
    let near = without_far_above(losses, FAR);
    let (low, high) = (*near.first()?, *near.last()?);
    let margin = (0.05 * (high - low)).max(1e-6);
    Some(((low - margin).max(0.0), high + margin))
}

fn draw_verdicts(frame: &mut Frame, area: Rect, state: &SweepState) {
    let Some(summary) = &state.summary else {
        return;
    };
    let table = &summary.ranking;
    let width = |&column: &usize| {
        let cells = table.rows.iter().map(|row| row[column].as_str());
        let texts = cells.chain([table.headings[column]]);
        texts
            .map(|text| display_width(&visible_line(text)))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.headings.len())
        .map(|column| width(&column))
        .collect();
    let inside = usize::from(area.width.saturating_sub(2));
    let columns = fitting_columns(&table.headings, widths, inside);
    let side = |column: usize| match table.right_aligned[column] {
        true => Alignment::Right,
        false => Alignment::Left,
    };
    let cells = |text: &dyn Fn(usize) -> String| {
        let cell = |&(column, width): &(usize, usize)| {
            let text = shorten(&text(column), width);
            Cell::new(Line::from(text).alignment(side(column)))
        };
        Row::new(columns.iter().map(cell))
    };
    let rows = table
        .rows
        .iter()
        .map(|row| cells(&|column| visible_line(&row[column])));
    let header = cells(&|column| table.headings[column].to_owned());
    let header = header.style(Style::new().add_modifier(Modifier::DIM));
    let widths = columns
        .iter()
        .map(|(_, width)| Constraint::Length(*width as u16));
    let table = Table::new(rows, widths)
        .header(header)
        .column_spacing(COLUMN_SPACING as u16)
        .block(Block::bordered().title(" Verdicts so far "));
    frame.render_widget(table, area);
}

/// Space between two columns of the verdicts.
const COLUMN_SPACING: usize = 2;

/// The columns that fit into `inside`, each with its width. Columns are left out from the right, but not the names and
/// the verdicts. If these two do not fit, the names get what is left.
fn fitting_columns(headings: &[&str], widths: Vec<usize>, inside: usize) -> Vec<(usize, usize)> {
    let is_kept = |column: usize| ["variant", "verdict"].contains(&headings[column]);
    let mut columns: Vec<(usize, usize)> = widths.into_iter().enumerate().collect();
    let excess = |columns: &[(usize, usize)]| {
        let texts: usize = columns.iter().map(|(_, width)| width).sum();
        let spaces = COLUMN_SPACING * columns.len().saturating_sub(1);
        (texts + spaces).saturating_sub(inside)
    };
    while excess(&columns) > 0
        && let Some(last) = columns.iter().rposition(|(column, _)| !is_kept(*column))
    {
        columns.remove(last);
    }
    let excess = excess(&columns);
    if let Some((_, width)) = columns.first_mut() {
        *width = width.saturating_sub(excess);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TextTable;
    use crate::results::testing::plan_of;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(state: &SweepState, view: &mut View, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, view)).unwrap();
        terminal.backend().to_string()
    }

    fn state() -> SweepState {
        let plan = plan_of(
            "{name: x, description: Is it better?, sweep: {seeds: 2, variants: {a: {}, b: {model: {n_layer: 2}}}}}",
        );
        let run = RunProgress::example;
        let runs = vec![
            run("a", 1, Activity::Is(RunState::Done), 100),
            run("a", 2, Activity::Running, 60),
            run("b", 1, Activity::Is(RunState::Diverged), 30),
            run("b", 2, Activity::Is(RunState::NotStarted), 0),
        ];
        SweepState::of(plan, runs, None)
    }

    #[test]
    fn screen_of_a_running_sweep() {
        insta::assert_snapshot!(screen(&state(), &mut View::default(), (110, 26)));
    }

    #[test]
    fn a_variant_can_be_chosen_on_a_narrow_screen() {
        let state = state();
        let mut view = View::default();
        view.choose(-1, &state);
        insta::assert_snapshot!(screen(&state, &mut view, (80, 24)));
        view.choose(1, &state);
        assert_eq!(view.variant, None);
    }

    #[test]
    fn curves_of_different_sizes_are_told_apart() {
        let plan = plan_of(
            "{name: x, sweep: {seeds: 1, scale: {sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}, {model: \
             {n_embd: 96}}]}, variants: {a: {}, b: {model: {n_layer: 2}}}}}",
        );
        let run = |variant: &str, size, steps| {
            let mut run = RunProgress::example(variant, 1, Activity::Is(RunState::Done), steps);
            run.size = size;
            run
        };
        let not_evaluated = |variant: &str| {
            let mut run = run(variant, 2, 0);
            run.evaluations.clear();
            run
        };
        let started = vec![
            run("a", 0, 100),
            run("a", 1, 80),
            not_evaluated("a"),
            run("b", 0, 60),
            run("b", 1, 30),
            not_evaluated("b"),
        ];
        let mut state = SweepState::of(plan, started, None);
        let shown = |state: &SweepState, is_one_variant: bool| {
            let variant = |run: &&RunProgress| !is_one_variant || run.variant == "a";
            let runs: Vec<&RunProgress> = state.runs.iter().filter(variant).collect();
            let curves = Curves::of(state, &runs, is_one_variant);
            let labels = curves.runs.iter();
            let labels = labels.map(|curve| (curve.label.clone(), curve.run.size));
            let labels: Vec<_> = labels.collect();
            (curves.title, labels)
        };
        let labels = |labels: &[(&str, usize)]| -> Vec<(String, usize)> {
            let labels = labels.iter();
            labels
                .map(|(label, size)| ((*label).to_owned(), *size))
                .collect()
        };
        let (title, all) = shown(&state, false);
        assert_eq!(
            title,
            " Size 2 of 3: bits per byte on the validation split "
        );
        assert_eq!(all, labels(&[("a", 1), ("b", 1)]));
        let (_, own) = shown(&state, true);
        assert_eq!(own, labels(&[("size 1", 0), ("size 2", 1), ("size 3", 2)]));
        state.runs[2] = run("a", 2, 50);
        let (title, all) = shown(&state, false);
        assert_eq!(
            title,
            " Largest size: bits per byte on the validation split "
        );
        assert_eq!(all, labels(&[("a", 2), ("b", 2)]));
        let mut view = View::default();
        view.choose(1, &state);
        let screen = screen(&state, &mut view, (80, 40));
        assert!(
            screen.contains("size 1") && screen.contains("size 3"),
            "{screen}"
        );
    }

    #[test]
    fn spikes_of_diverged_runs_do_not_set_the_axis() {
        let run = |state, losses: &[f64]| {
            let mut run = RunProgress::example("a", 1, Activity::Is(state), 100);
            let steps = (1..).map(|step| 10.0 * f64::from(step));
            run.evaluations = steps.zip(losses.iter().copied()).collect();
            run
        };
        let done = run(RunState::Done, &[2.0, 1.8, 1.7, 1.65]);
        let diverged = run(RunState::Diverged, &[2.0, 1.9, 1e11]);
        // It has not diverged yet.
        let far = run(RunState::Stopped, &[2.0, 1.9, 1e11]);
        let (low, high) = y_range(&[&done, &diverged, &far]).unwrap();
        assert!(low > 1.6 && high < 2.1, "{low} {high}");
        let (low, _) = y_range(&[&diverged]).unwrap();
        assert!(low >= 0.0);
        assert_eq!(y_range(&[]), None);
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_whole() {
        let headings = [
            "#",
            "variant",
            "validation loss",
            "difference",
            "verdict",
            "time",
        ];
        let widths = vec![1, 10, 15, 30, 12, 6];
        let fitting = |inside| {
            let columns = fitting_columns(&headings, widths.clone(), inside);
            columns
                .iter()
                .map(|(column, _)| *column)
                .collect::<Vec<_>>()
        };
        assert_eq!(fitting(84), [0, 1, 2, 3, 4, 5]);
        assert_eq!(fitting(83), [0, 1, 2, 3, 4]);
        assert_eq!(fitting(75), [0, 1, 2, 4]);
        assert_eq!(fitting(24), [1, 4]);
        assert_eq!(fitting_columns(&headings, widths, 20), [(1, 6), (4, 12)]);
    }

    #[test]
    fn no_cell_of_the_verdicts_is_cut_without_a_mark() {
        let mut state = state();
        let ranking = TextTable {
            headings: vec!["#", "variant", "validation loss", "difference", "verdict"],
            right_aligned: vec![false; 5],
            rows: vec![vec![
                "1".to_owned(),
                "a_variant_with_a_name".to_owned(),
                "1.9340 ± 0.0012".to_owned(),
                "−0.0312 [−0.0412, −0.0201]".to_owned(),
                "better".to_owned(),
            ]],
        };
        state.summary = Some(crate::report::Summary {
            ranking,
            ..Default::default()
        });
        for (width, shown) in [
            (80, "−0.0312 [−0.0412, −0.0201]  better"),
            (79, "1  a_variant_with_a_name  1.9340 ± 0.0012  better"),
            (26, "a_varia…_a_name  better"),
        ] {
            let text = screen(&state, &mut View::default(), (width, 24));
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn no_size_of_a_terminal_is_an_error() {
        let mut state = state();
        let ranking = TextTable {
            headings: vec!["variant", "verdict"],
            right_aligned: vec![false, true],
            rows: vec![vec!["a".to_owned(), "\u{1b}[31mbetter".to_owned()]],
        };
        state.summary = Some(crate::report::Summary {
            ranking,
            ..Default::default()
        });
        for width in [1, 5, 40, 99, 100, 300] {
            for height in [1, 2, 7, 24, 100] {
                let text = screen(&state, &mut View::default(), (width, height));
                assert!(!text.contains('\u{1b}'));
            }
        }
        state.runs.clear();
        screen(&state, &mut View::default(), (80, 24));
    }
}
