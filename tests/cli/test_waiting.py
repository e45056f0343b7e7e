"""A terminal on which nothing happens is told that something does."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from arbench.cli.bars import progress_of
from arbench.cli.waiting import Waiting

SLOW = """
import sys, time
from arbench.cli.streams import prepare_streams
prepare_streams()
print("begun")
time.sleep(2.2)
print("done")
"""


class Stream:
    """Remembers what was written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def test_a_silent_terminal_is_told_and_other_output_takes_the_line_away() -> None:
    terminal, now = Stream(), [0.0]
    waiting = Waiting(terminal.write, now=lambda: now[0])
    waiting.watch(terminal)
    waiting.look()
    assert terminal.text == ""
    now[0] = 2.0
    waiting.look()
    assert terminal.text.endswith("working, 2 s")
    terminal.write("a line\n")
    assert terminal.text.endswith("working, 2 s\r\x1b[Ka line\n")
    now[0] = 3.0
    waiting.look()
    assert terminal.text.endswith("a line\n")  # it was not silent for long enough
    now[0] = 4.0
    waiting.look()
    assert terminal.text.endswith("working, 4 s")
    waiting.stop()
    now[0] = 9.0
    waiting.look()
    assert terminal.text.endswith("working, 4 s\r\x1b[K")


def test_half_a_line_is_never_written_over() -> None:
    terminal, now = Stream(), [0.0]
    waiting = Waiting(terminal.write, now=lambda: now[0])
    waiting.watch(terminal)
    terminal.write("KING LE")
    now[0] = 9.0
    waiting.look()
    assert terminal.text == "KING LE"


def test_after_a_bar_the_terminal_is_told_again() -> None:
    out, now = io.StringIO(), [0.0]
    waiting = Waiting(out.write, now=lambda: now[0])
    waiting.watch(out)
    with progress_of(Console(file=out, force_terminal=True, width=80), live=False) as progress:
        progress.add_task("drawing", total=1.0, note="")
        now[0] = 2.0
        waiting.look()
        assert "working" not in out.getvalue()
    now[0] = 4.0
    waiting.look()
    assert out.getvalue().endswith("working, 4 s")


def test_who_reads_a_pipe_is_left_alone_from_the_first_word() -> None:
    terminal, pipe, now = Stream(), Stream(), [0.0]
    waiting = Waiting(terminal.write, now=lambda: now[0])
    waiting.watch(pipe, ends=True)
    pipe.write("row 1\n")
    now[0] = 9.0
    waiting.look()
    assert terminal.text == ""


@pytest.mark.parametrize("of_terminal", [True, False])
def test_a_slow_process_says_so_on_a_terminal_alone(of_terminal: bool) -> None:
    reader, writer = pty.openpty() if of_terminal else os.pipe()
    if of_terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([sys.executable, "-c", SLOW], stdout=writer, stderr=writer) as process:
        process.wait(timeout=60)
    os.close(writer)
    said = os.read(reader, 10_000).decode()
    os.close(reader)
    assert said.startswith("begun")
    assert said.rstrip().endswith("done")
    assert ("working, " in said) == of_terminal
