"""The gallery: small pictures for light and dark pages, each below the command that makes it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from arbench.cli import main

Shell = Callable[..., subprocess.CompletedProcess[str]]

PAGE = Path(__file__).parents[2] / "docs" / "gallery.md"
PICTURES = sorted((PAGE.parent / "gallery").iterdir())
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
MOST_BYTES = 100_000


def test_every_picture_is_below_the_command_that_makes_it() -> None:
    text = PAGE.read_text()
    shown = re.findall(r"!\[[^\]]+\]\(gallery/([^)]+)\)", text)
    assert sorted(shown) == [picture.name for picture in PICTURES]
    for name in shown:
        above = text[: text.index(f"(gallery/{name})")].rpartition("```bash\n")[2]
        command = above.partition("```")[0]
        assert re.search(rf"\b{Path(name).stem}\b|^arbench measure ", command), name


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_small_and_has_a_background_of_its_own(picture: Path) -> None:
    assert picture.stat().st_size < MOST_BYTES
    if picture.suffix == ".svg":
        assert re.search('<rect width="[0-9]+" height="[0-9]+" fill="white"/>', picture.read_text())
        return
    image = Image.open(picture).convert("RGBA")
    assert image.getextrema()[3] == (255, 255)
    assert image.getpixel((image.width - 1, image.height - 1)) == (255, 255, 255, 255)


def test_the_commands_have_these_options(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for block in BLOCKS for line in block.splitlines()]
    assert len(commands) >= len(PICTURES)
    for command in commands:
        arbench, verb, *words = command.split()
        assert arbench == "arbench"
        assert main([verb, "--help"]) == 0
        told = capsys.readouterr().out
        for option in [word for word in words if word.startswith("-")]:
            assert re.search(rf"(?<!\S){option}\b", told), command


@pytest.mark.slow
def test_the_commands_make_these_pictures(shell: Shell, tmp_path: Path) -> None:
    for block in BLOCKS:
        done = shell(block, tmp_path)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    for picture in PICTURES:
        made = next(tmp_path.rglob(picture.name))
        if picture.suffix == ".png":
            assert Image.open(made).size == Image.open(picture).size
