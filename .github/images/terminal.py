"""Runs a command in a terminal of 100 columns and draws its final screen, with colors, as SVG.

    pip install pyte rich
    python .github/images/terminal.py terminal.svg 'runner sweep experiments/quickstart.yaml'
"""

import os
import pty
import sys

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 100, 60


def run(command: str) -> pyte.HistoryScreen:
    """Runs a shell command in a pseudo-terminal and returns its final screen."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        os.execvp("sh", ["sh", "-c", f"stty cols {COLUMNS} rows {LINES}; {command}"])
    try:
        while output := os.read(terminal, 65536):
            stream.feed(output)
    except OSError:  # Linux reports the end of a pseudo-terminal as an error.
        pass
    os.waitpid(pid, 0)
    return screen


def style(character: pyte.screens.Char) -> Style:
    """The color and weight of a character. pyte names yellow "brown" and writes RGB colors without "#"."""
    color = {"default": None, "brown": "yellow"}.get(character.fg, character.fg)
    if color and all(digit in "0123456789abcdef" for digit in color) and len(color) == 6:
        color = f"#{color}"
    return Style(color=color, bold=character.bold)


def main() -> None:
    path, command = sys.argv[1:]
    screen = run(command)
    lines = [f"$ {command}"] + [line.rstrip() for line in screen.display]
    while not lines[-1]:
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True, color_system="truecolor")
    console.print(Text(lines[0], style="bold"))
    for row in range(len(lines) - 1):
        text = Text()
        for column in range(len(lines[row + 1])):
            character = screen.buffer[row][column]
            text.append(character.data, style(character))
        console.print(text, no_wrap=True, overflow="crop")
    console.save_svg(path, title="runner", unique_id="terminal")


if __name__ == "__main__":
    main()
