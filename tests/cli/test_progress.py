"""Commands at work on a terminal of 80 columns: bars within it, each on one line of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

WIDTH = 80
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BAR = re.compile(r"(.+?) [━╸╺]{8,30} +(\d+)% (\d:\d\d:\d\d) eta [-:\d]{7}(?: .*)?")
RUN = "run --task toy-parity --model nade --epochs 1 --limit 100 --out made"
OF_A_RUN = ["training", "evaluating validation", "evaluating test", "checking", "timing"]


def seen_on_a_terminal(command: list[str], folder: Path) -> str:
    """What a command writes to a terminal, for which each of its streams is."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), writer)
    said = []
    with subprocess.Popen(command, cwd=folder, env=env | {"TERM": "xterm"}, **streams) as process:
        os.close(writer)
        while True:
            try:
                said.append(os.read(reader, 65536))
            except OSError:  # the last one who had the terminal has closed it
                break
    os.close(reader)
    assert process.returncode == 0, b"".join(said).decode()
    return b"".join(said).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        (RUN, OF_A_RUN),
        ("data mnist-mini --verify", ["reading"]),
    ],
    ids=["run", "data"],
)
def test_every_bar_fits_and_stands_on_one_line(
    warm: Callable[..., list[str]], tmp_path: Path, arguments: str, titles: list[str]
) -> None:
    said = seen_on_a_terminal([*warm(), "-m", "arbench", *arguments.split()], tmp_path)
    assert "\x1b[1A" not in said  # a bar of two lines is drawn anew from the upper one
    lines = said.split("\n")
    frames = [ESCAPE.sub("", frame).rstrip() for line in lines for frame in line.split("\r")]
    drawn = [frame for frame in frames if "━" in frame and "┏" not in frame and "┡" not in frame]
    bars = [found for frame in drawn if (found := BAR.fullmatch(frame))]
    assert [frame for frame in drawn if "…" in frame or not BAR.fullmatch(frame)] == []
    assert max(len(found[0]) for found in bars) <= WIDTH
    last = [ESCAPE.sub("", line.split("\r")[-1]).rstrip() for line in lines]
    ended = [found[1] for line in last if (found := BAR.fullmatch(line))]
    assert {found[1] for found in bars} == set(ended) >= set(titles)
    assert all(ended.count(title) == 1 for title in titles)
