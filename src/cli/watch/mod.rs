//! The state of a sweep in a terminal.

mod screen;
mod sweep_state;

use super::args;
use super::{Error, Exit, print};
use crate::report;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use screen::{View, draw};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use sweep_state::SweepState;

/// Shortest time between two looks at the folder.
const REFRESH: Duration = Duration::from_secs(1);

/// Between two looks there are at least so many times the duration of one.
const COST_FACTOR: u32 = 20;

/// Width and height of the screen that is printed without a terminal, unless the environment gives others.
const PRINTED: (u16, u16) = (120, 40);

/// Largest width and height of a screen that is printed.
const MAX_PRINTED: u16 = 1000;

pub(super) fn run(arguments: &args::Watch) -> Result<Exit, Error> {
    let plan = report::read_plan(&arguments.results).map_err(Error::Report)?;
    let mut state = SweepState::new(&arguments.results, plan);
    state.refresh()?;
    if !io::stdout().is_terminal() {
        let size = (
            printed_size("COLUMNS", PRINTED.0),
            printed_size("LINES", PRINTED.1),
        );
        print(&printed(&state, size)?)?;
        return Ok(Exit::Success);
    }
    let mut terminal = ratatui::try_init().map_err(Error::Output)?;
    let result = watch(&mut terminal, &mut state);
    ratatui::restore();
    result.map(|()| Exit::Success)
}

/// Draws and refreshes until the user ends it.
fn watch(terminal: &mut ratatui::DefaultTerminal, state: &mut SweepState) -> Result<(), Error> {
    let mut view = View::default();
    let mut refreshed = Instant::now();
    let mut interval = REFRESH;
    loop {
        terminal
            .draw(|frame| draw(frame, state, &mut view))
            .map_err(Error::Output)?;
        if event::poll(interval.saturating_sub(refreshed.elapsed())).map_err(Error::Output)?
            && let Event::Key(key) = event::read().map_err(Error::Output)?
            && key.kind == KeyEventKind::Press
        {
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(());
                }
                KeyCode::Down => view.scroll = view.scroll.saturating_add(1),
                KeyCode::Up => view.scroll = view.scroll.saturating_sub(1),
                KeyCode::Right => view.choose(1, state),
                KeyCode::Left => view.choose(-1, state),
                _ => {}
            }
        }
        if refreshed.elapsed() >= interval {
            let start = Instant::now();
            state.refresh()?;
            refreshed = Instant::now();
            // The processor belongs to the runs.
            interval = REFRESH.max(start.elapsed() * COST_FACTOR);
        }
    }
}

/// The number in a variable of the environment, if it can be the width or height of a screen.
fn printed_size(variable: &str, otherwise: u16) -> u16 {
    let value = std::env::var(variable).ok();
    let value = value.and_then(|value| value.trim().parse().ok());
    let value = value.filter(|value| (1..=MAX_PRINTED).contains(value));
    value.unwrap_or(otherwise)
}

/// The screen as text.
fn printed(state: &SweepState, (width, height): (u16, u16)) -> Result<String, Error> {
    let mut terminal =
        Terminal::new(TestBackend::new(width, height)).unwrap_or_else(|never| match never {});
    terminal
        .draw(|frame| draw(frame, state, &mut View::default()))
        .unwrap_or_else(|never| match never {});
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in 0..height {
        let line: String = (0..width)
            .map(|column| buffer[(column, row)].symbol())
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    Ok(text.trim_end().to_owned() + "\n")
}
