"""`arbench sample` of texts: on the terminal, after a prompt, as long as one likes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from arbench import api
from arbench.cli import main
from arbench.data.rendering import TextRendering
from arbench.errors import ConfigError
from arbench.runs.config import RunConfig
from arbench.runs.record.record import Record
from arbench.show.texts import _Speaker

LINE = "to be, or not to be: that is the question. \n"
ALPHABET = set(LINE)


def train(folder: Path, task: str, *settings: str) -> str:
    """A run with weights that have hardly learned; what is tested does not depend on them."""
    out = str(folder / "run")
    command = ["run", "--task", task, "--model", "made", "--set", "hidden=8", "--epochs", "1"]
    command += ["--set", "alternative=dropout"]
    for setting in settings:
        command += ["--set", setting]
    assert main([*command, "--device", "cpu", "--out", out]) == 0
    return out


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on a text whose file is gone."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "own.txt").write_text(LINE * 40)
    out = train(folder, f"text:{folder / 'own.txt'}", "context=16", "stride=4")
    (folder / "own.txt").unlink()
    return out


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on bytes of all kinds."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "own.bin").write_bytes(bytes(range(256)) * 4)
    return train(folder, f"text:{folder / 'own.bin'}?bytes", "context=8", "stride=8")


@pytest.fixture(scope="module")
def names(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on names."""
    folder = tmp_path_factory.mktemp("names")
    out = str(folder / "run")
    command = ["run", "--task", "names", "--model", "made", "--epochs", "1", "--limit", "200"]
    assert main([*command, "--set", "hidden=8", "--device", "cpu", "--out", out]) == 0
    return out


def test_a_run_on_text_says_so_everywhere(text: str) -> None:
    config = RunConfig.read(Path(text) / "config.json")
    assert isinstance(config.rendering, TextRendering)
    assert set(config.rendering.symbols or ()) == ALPHABET
    record = Record.read(Path(text) / "record.json")
    assert record.task.unit == "char"
    assert record.windows is not None
    assert (record.windows.context, record.windows.stride) == (16, 4)
    assert record.splits["test"].num_dims == len(LINE) * 40 // 20
    samples = (Path(text) / "samples.txt").read_text()
    assert samples.count("-" * 40) == 63
    assert set(samples) <= ALPHABET | {"-"}


def test_text_goes_to_the_terminal_after_its_prompt(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", text, "--prompt", "to be", "--length", "100", "--seed", "3"]
    assert main([*command, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("to be")
    assert len(printed) == len("to be") + 100 + 1  # and the end of the line
    assert set(printed) <= ALPHABET
    assert main([*command, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == printed


def test_a_file_holds_all_texts(text: str, tmp_path: Path) -> None:
    out = tmp_path / "drawn.txt"
    command = ["sample", text, "-n", "3", "--length", "40", "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    texts = out.read_text().removesuffix("\n").split(f"\n{'-' * 40}\n")
    assert texts == api.sample_texts(text, 3, length=40)
    assert [len(each) for each in texts] == [40] * 3


def test_names_stand_on_a_line_each(names: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", names, "-n", "20", "--prompt", "mar", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert all(line.startswith("mar") and len(line) <= 16 for line in lines)
    assert len(set(lines)) > 10


def test_a_low_temperature_repeats_itself(text: str) -> None:
    drawn = {
        temperature: api.sample_texts(text, 5, prompt="to", length=8, temperature=temperature)
        for temperature in (0.001, 1.0)
    }
    assert len(set(drawn[0.001])) == 1
    assert len(set(drawn[1.0])) > 1
    assert drawn[1.0] == api.sample_texts(text, 5, prompt="to", length=8)


def test_bytes_take_any_prompt_and_spare_the_terminal(
    raw: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", raw, "--prompt", "漢", "--length", "60", "--device", "cpu"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("漢")
    controls = {chr(value) for value in (*range(32), *range(127, 160))} - {"\n", "\t"}
    assert controls & set(api.sample_texts(raw, prompt="漢", length=60)[0])
    assert not controls & set(printed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompt", "to bé"], "the prompt: the character 'é' at offset 4 is none of the"),
        (["--given", "test:3", "--rows", "2"], "complete it with --prompt"),
        (["--temperature", "0"], "a temperature is from 0.001"),
        (["--out", "a.png"], "text is written as .txt"),
    ],
)
def test_what_does_not_fit_is_one_line(
    text: str, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["sample", text, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("arbench: error") == 1


def test_names_end_by_themselves(names: str) -> None:
    with pytest.raises(ConfigError, match="end by themselves"):
        api.sample_texts(names, length=10)
    for prompt in ("a" * 16, "ma\nry"):
        with pytest.raises(ConfigError, match="at most 15 characters and an end"):
            api.sample_texts(names, prompt=prompt)


def test_what_is_no_text_has_no_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    command = ["run", "--task", "mnist-mini", "--limit", "50", "--model", "bernoulli"]
    assert main([*command, "--device", "cpu", "--out", out]) == 0
    assert main(["sample", out, "--prompt", "seven"]) == 2
    assert "is on mnist-mini, which is not a text" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is not a text"):
        api.sample_texts(out)
    picture = tmp_path / "cold.png"
    assert main(["sample", out, "-n", "4", "--temperature", "0.001", "--out", str(picture)]) == 0
    cold, plain = (api.sample(api.load(out), 4, temperature=t) for t in (0.001, None))
    assert (cold != cold[0]).sum() < (plain != plain[0]).sum() / 4


def test_an_older_configuration_is_shown_by_its_spec(text: str, tmp_path: Path) -> None:
    config = json.loads((Path(text) / "config.json").read_text())
    del config["rendering"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert RunConfig.read(tmp_path / "config.json").shown.kind == "table"


def test_nats_of_a_text_are_given_per_character(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nll = Record.read(Path(text) / "record.json").splits["test"]
    value = f"{nll.total_nats / nll.num_dims:.4f} ± "
    assert main(["show", text]) == 0
    shown = capsys.readouterr().out
    card = (Path(text) / "README.md").read_text()
    for place in (shown, card):
        assert value in place
        assert "nats/char" in place.lower()
        assert "nats/event" not in place.lower()


def test_training_tells_bits_per_character(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.txt").write_text(LINE * 10)
    train(tmp_path, f"text:{tmp_path / 'own.txt'}", "context=8", "stride=4")
    told = capsys.readouterr().err
    assert "bits/char" in told
    assert "bits/dim" not in told


@pytest.mark.parametrize("length", [5, 60])
def test_a_terminal_sees_a_text_grow(
    text: str, length: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["sample", text, "--prompt", "to ", "--length", str(length), "--device", "cpu"]
    assert main(asked) == 0
    whole = capsys.readouterr().out
    parts: list[str] = []
    api.sample_texts(text, prompt="to ", length=length, hear=parts.append)
    assert "".join(parts) == whole.removesuffix("\n")
    assert len(parts) >= length
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(asked) == 0
    streamed = capsys.readouterr()
    assert (streamed.out, streamed.err) == (whole, "")


def test_a_character_is_said_when_all_its_bytes_are_there() -> None:
    said: list[str] = []
    speak = _Speaker(TextRendering(), said.append)
    data = "ä→b".encode()
    for end in range(1, len(data) + 1):
        speak(torch.tensor([[*data[:end]]]))
    speak.end("ä→b")
    assert said == ["ä", "→", "b"]
