//! The screen: progress, runs, curves and verdicts.

use super::sweep_state::{Activity, RunProgress, SweepState};
use crate::results::RunState;
use crate::text::escape::visible_line;
use crate::text::units::{self, NO_VALUE};
use crate::text::width::display_width;
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
    draw_curves(frame, curves, state, &shown);
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
            Cell::new(visible_line(&run.name)),
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

fn draw_curves(frame: &mut Frame, area: Rect, state: &SweepState, runs: &[&RunProgress]) {
    let variants = state.variants();
    let block = Block::bordered().title(" Bits per byte on the validation split ");
    let end = |run: &&RunProgress| run.evaluations.last().map_or(0.0, |(step, _)| *step);
    let x_end = runs
        .iter()
        .map(|run| run.steps.map_or(end(run), |steps| steps as f64))
        .fold(0.0, f64::max);
    let settled = runs.iter().flat_map(|run| {
        let from = UNSETTLED * end(run);
        run.evaluations
            .iter()
            .filter(move |(step, _)| *step >= from)
            .map(|(_, bits)| *bits)
    });
    let settled: Vec<f64> = settled.filter(|bits| bits.is_finite()).collect();
    let low = settled.iter().copied().fold(f64::INFINITY, f64::min);
    let high = settled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if settled.is_empty() || x_end == 0.0 {
        let text = Paragraph::new("No run has been evaluated yet.").block(block);
        frame.render_widget(text, area);
        return;
    }
    let margin = (0.05 * (high - low)).max(1e-6);
    let (low, high) = (low - margin, high + margin);
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
    let datasets = runs.iter().zip(&clipped).map(|(run, points)| {
        let index = variants
            .iter()
            .position(|variant| *variant == run.variant)
            .unwrap_or(0);
        let dataset = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(COLORS[index % COLORS.len()]))
            .data(points);
        // The legend has each variant once.
        match named.contains(&run.variant.as_str()) {
            true => dataset,
            false => {
                named.push(&run.variant);
                dataset.name(visible_line(&run.variant))
            }
        }
    });
    let x_labels = [0.0, x_end / 2.0, x_end].map(units::tick);
    let y_labels = [low, (low + high) / 2.0, high].map(|bits| units::fixed(bits, 3));
    let chart = Chart::new(datasets.collect())
        .block(block)
        .x_axis(
            Axis::default()
                .title("step")
                .bounds([0.0, x_end])
                .labels(x_labels),
        )
        .y_axis(Axis::default().bounds([low, high]).labels(y_labels));
    frame.render_widget(chart, area);
}

fn draw_verdicts(frame: &mut Frame, area: Rect, state: &SweepState) {
    let Some(summary) = &state.summary else {
        return;
    };
    let table = &summary.ranking;
    let width = |column: usize| {
        let cells = table.rows.iter().map(|row| row[column].as_str());
        let texts = cells.chain([table.headings[column]]);
        texts
            .map(|text| display_width(&visible_line(text)))
            .max()
            .unwrap_or(0) as u16
    };
    let widths: Vec<Constraint> = (0..table.headings.len())
        .map(|column| Constraint::Length(width(column)))
        .collect();
    let side = |column: usize| match table.right_aligned[column] {
        true => Alignment::Right,
        false => Alignment::Left,
    };
    let cells = |texts: Vec<String>| {
        let cells = texts.into_iter().enumerate();
        Row::new(cells.map(|(column, text)| Cell::new(Line::from(text).alignment(side(column)))))
    };
    let rows = table
        .rows
        .iter()
        .map(|row| cells(row.iter().map(|text| visible_line(text)).collect()));
    let header = cells(
        table
            .headings
            .iter()
            .map(|text| (*text).to_owned())
            .collect(),
    );
    let header = header.style(Style::new().add_modifier(Modifier::DIM));
    let table = Table::new(rows, widths)
        .header(header)
        .column_spacing(2)
        .block(Block::bordered().title(" Verdicts so far "));
    frame.render_widget(table, area);
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
