"""Compression of trained models: on the command line, in other processes, as a measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from arbench import ConfigError, Discrete, Row, drawn_chart, open_run
from arbench.api import measure_run
from arbench.cli import main
from arbench.hub.snapshots import copy_run
from arbench.measure.opening import open_measurement
from arbench.measure.per_event import load_per_event
from arbench.runs.zoo import bundled_name, zoo_index
from arbench.testing import conformance
from arbench_compression import baselines, chart, codec, coder
from arbench_compression.content import content_of
from arbench_compression.measurement import Compression

pytest.importorskip("constriction")
Run = Callable[..., tuple[int, str, str]]
test_conformance = conformance("compression")

# Processors and numbers of threads that compute otherwise.
MACHINES = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "no vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    # Threads that wait for each other asleep: on a busy machine, spinning takes an hour.
    "two threads": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
}
ALL_AT_ONCE = {**MACHINES["avx2"], **MACHINES["no vectors"], **MACHINES["two threads"]}


@pytest.fixture
def arbench(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command, in this process: its exit code, and what it says."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code or 0, said.out, said.err

    return run


def decompressed_elsewhere(file: Path, out: Path, **machine: str) -> None:
    """Decompress a file in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-m", "arbench", "decompress", file, "--out", out],
        env={**kept, "OMP_NUM_THREADS": "1", **machine},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr


def test_digits_are_compressed_and_decoded_by_another_processor(
    arbench: Run, tmp_path: Path
) -> None:
    file = tmp_path / "digits.arb"
    code, said, _ = arbench(
        "compress", "mnist-mini/nade", "--split", "test", "--limit", "64", "--out", file
    )
    assert code == 0
    assert "64 events in 1,127 bytes and a header of 197; the likelihood says 1,125.6" in said
    digits = open_run("mnist-mini/nade").dataset().split("test").events[:64]
    decompressed_elsewhere(file, tmp_path / "back.npz", **ALL_AT_ONCE)
    back = np.load(tmp_path / "back.npz")["events"]
    assert np.array_equal(back, digits.numpy())


def test_images_of_ones_own_come_back_as_images(arbench: Run, tmp_path: Path) -> None:
    digits = open_run("mnist-mini/nade").dataset().split("test").events[:3, 0]
    for number, digit in enumerate(digits.numpy()):
        Image.fromarray(255 * digit.astype(np.uint8)).save(tmp_path / f"{number}.png")
    files = [tmp_path / f"{number}.png" for number in range(3)]
    file, out = tmp_path / "own.arb", tmp_path / "back"
    assert "3 events in" in arbench("compress", "mnist-mini/nade", *files, "--out", file)[1]
    assert "3 events of" in arbench("decompress", file, "--out", out)[1]
    shown = [np.asarray(Image.open(out / f"0000{number}.png")) for number in range(3)]
    assert np.array_equal(np.stack(shown), 255 * digits.numpy())
    code, _, said = arbench("decompress", file, "--out", out)
    assert (code, "a new folder" in said) == (2, True)
    assert "decompressing" not in said, "before the work"
    Image.fromarray(np.full((28, 28), 100, np.uint8)).save(tmp_path / "grey.png")
    code, _, said = arbench("compress", "mnist-mini/nade", tmp_path / "grey.png", "--out", file)
    assert (code, "grey pixels" in said) == (3, True)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("names/lstm", "anna\nemma\n\nzoe\n"),
        ("shakespeare/lstm", "To be, or not to be: that is the question.\nSLY:\n"),
    ],
)
def test_texts_come_back_to_the_byte(run: str, text: str, arbench: Run, tmp_path: Path) -> None:
    source, file = tmp_path / "text.txt", tmp_path / "text.arb"
    source.write_bytes(text.encode())
    assert arbench("compress", run, source, "--out", file)[0] == 0
    assert file.stat().st_size < 256 + len(text)
    assert arbench("decompress", file, "--out", tmp_path / "back.txt")[0] == 0
    assert (tmp_path / "back.txt").read_bytes() == source.read_bytes()
    source.write_text("naïve?\n")
    code, _, said = arbench("compress", run, source, "--out", file)
    assert code == 3
    assert "none of the" in said


def test_what_does_not_fit_is_one_sentence(arbench: Run, tmp_path: Path) -> None:
    file = tmp_path / "digits.arb"
    asked = ("--split", "test", "--limit", "2", "--out", file)
    assert arbench("compress", "mnist-mini/nade", *asked)[0] == 0
    data = file.read_bytes()
    for damaged in (data[:-1], data[:100], data[:200] + b"x" + data[201:]):
        file.write_bytes(damaged)
        code, _, said = arbench("decompress", file, "--out", tmp_path / "back.npz")
        lines = [line for line in said.splitlines() if line.startswith("arbench: error")]
        assert (code, len(lines)) == (3, 1)
        assert "buffer" not in said, "the words of a library"
        assert not (tmp_path / "back.npz").exists()
    file.write_bytes(data)
    code, _, said = arbench("decompress", file, "--run", "names/lstm")
    assert (code, "only the model that wrote it reads it" in said) == (3, True)
    code, _, said = arbench("compress", "mnist-mini/nade", "--out", file)
    assert (code, "give FILES, or --split test" in said) == (2, True)
    code, _, said = arbench("compress", "mnist-mini/nade", *asked[:-1], tmp_path / "no" / "x.arb")
    assert (code, "there is no folder" in said) == (2, True)
    code, _, said = arbench("compress", "mnist-mini/nade", *asked[:-1], tmp_path)
    assert (code, "is a folder" in said) == (2, True)
    code, _, said = arbench("compress", "mnist-mini/nade", tmp_path, "--out", file)
    assert (code, "is a folder; name its images" in said) == (2, True)
    code, _, said = arbench("decompress", file, "--out", tmp_path / "digit.png")
    assert (code, "images go into a new folder" in said) == (2, True)
    image, words = tmp_path / "a.png", tmp_path / "a.txt"
    code, _, said = arbench("compress", "mnist-mini/nade", image, words, "--out", file)
    assert (code, f"{words}: give an npz archive" in said) == (2, True)
    code, _, said = arbench("compress", "fsdd/wavenet", words, "--out", file)
    assert (code, "or images" in said) == (2, False)


def test_no_model_is_fetched_that_nobody_named(arbench: Run, tmp_path: Path) -> None:
    """The file names a model; what comes with arbench is found by its weights, and nothing else."""
    file = tmp_path / "digits.arb"
    asked = ("--split", "test", "--limit", "2", "--out", file)
    assert arbench("compress", "mnist-mini/nade", *asked)[0] == 0
    own = open_run("mnist-mini/nade").sha256["weights"]
    assert bundled_name(own) == "mnist-mini/nade"
    assert bundled_name("0" * 64) is None
    data = file.read_bytes()
    file.write_bytes(data.replace(bytes.fromhex(own), b"n" * 32))
    code, _, said = arbench("decompress", file, "--out", tmp_path / "back.npz")
    assert code == 2
    assert "name the run with --run RUN" in said


def test_without_constriction_it_says_what_installs_it(
    arbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    asked = ("--split", "test", "--limit", "2", "--out", tmp_path / "digits.arb")
    code, _, said = arbench("compress", "mnist-mini/nade", *asked)
    assert (code, "pip install 'arbench[measure]'" in said) == (2, True)


# As a measurement.


def test_a_finished_run_is_measured(tmp_path: Path) -> None:
    run = copy_run(open_run("mnist-mini/nade").folder, tmp_path / "run")
    record = measure_run(run, "compression?num_events=100", device="cpu")
    (found,) = [m for key, m in record.measurements.items() if key.startswith("compression")]
    assert (found.index, found.num_values) == ("100 of test", 100)
    details = found.details
    bits = 8 * details["payload_bytes"]
    assert found.rows[0].value == pytest.approx(bits / (100 * 784), rel=1e-12)
    same, evaluated = (row.value for row in found.rows[1:])
    assert same == pytest.approx(evaluated, rel=1e-5)
    assert 0 < bits - same * 100 * 784 <= 64 + 2e-4 * bits
    assert found.rows[0].error == pytest.approx(0.0043, rel=0.5)
    cases = {row.case: row.value for row in found.baselines}
    assert {"xz", "bz2", "PNG"} <= cases.keys() == details["compressors"].keys()
    assert min(cases.values()) > 1.5 * found.rows[0].value
    assert sorted(found.pictures) == sorted(
        str(file.relative_to(run)) for file in (run / "measurements").glob("*/*")
    )
    assert [Path(picture).suffix for picture in found.pictures] == [".png", ".svg"]
    nats = -load_per_event(run / "per_event.safetensors")["likelihood"].values["log_prob"][::10]
    expected = nats.std().item() / 10 / 784 / np.log(2)
    assert found.rows[2].error == pytest.approx(expected, rel=1e-9)


def test_the_chart_shows_every_number_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(name, value, "bits/dim", "lower", error) for name, value, error in BARS]
    shown: list[Any] = []

    @contextmanager
    def kept(path: Path, **size: float) -> Iterator[Any]:
        with drawn_chart(path, **size) as figure:
            yield figure
            shown.append(figure.axes[0])

    monkeypatch.setattr(chart, "drawn_chart", kept)
    files = chart.draw(tmp_path / "compression", "nade on mnist", rows[0], rows[1:2], rows[2:])
    assert all(file.stat().st_size for file in files)
    (axes,) = shown
    order = ["file", "ideal", "bz2", "xz"]  # the general ones from the shortest on
    assert [label.get_text() for label in axes.get_yticklabels()] == order
    assert [bar.get_width() for bar in axes.containers[0]] == [0.4, 0.3, 0.7, 0.8]
    assert [text.get_text() for text in axes.texts] == ["0.4000", "0.3000", "0.7000", "0.8000"]
    (lines,) = axes.collections
    ends = [segment[:, 0].tolist() for segment in lines.get_segments() if len(segment)]
    assert ends[0] == pytest.approx([0.35, 0.45])
    assert ends[1] == pytest.approx([0.28, 0.32])
    assert len(ends) == 2, "nobody knows the errors of the others"


BARS = [("file", 0.4, 0.05), ("ideal", 0.3, 0.02), ("xz", 0.8, None), ("bz2", 0.7, None)]


def test_without_matplotlib_nothing_is_compressed_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_run(open_run("mnist-mini/nade").folder, tmp_path / "run")
    monkeypatch.setattr(chart.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(codec, "compress", None)  # which fails in another way
    with pytest.raises(ConfigError, match="pip install 'arbench\\[measure\\]'"):
        measure_run(run, "compression", device="cpu")


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="num_events is 0"):
        open_measurement("compression?num_events=0")
    with pytest.raises(ConfigError, match="batch_size is 2000"):
        open_measurement("compression?batch_size=2000")


def test_compressors_are_given_the_same_events() -> None:
    """Of what has no structure every one of them makes about what it is given."""
    noise = torch.randint(2, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    run = open_run("mnist-mini/nade")
    names = baselines.installed(run.density.spec, run.rendering)
    made = baselines.sizes(names, noise, run.density.spec)
    assert made.keys() == names.keys()
    for name, size in made.items():
        assert 400 <= int(size) < 900, name
    sound = torch.randint(256, (3, 400), generator=torch.Generator().manual_seed(1))
    sizes = baselines.sizes({"FLAC": "", "xz": ""}, sound, type(run.density.spec)((400,), BYTES))
    assert all(1200 <= int(size) < 1200 + 9000 for size in sizes.values())


BYTES = Discrete(256)


# All trained models, on real data.


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("name", zoo_index())
def test_a_zoo_model_is_decoded_alike_by_every_processor(name: str, tmp_path: Path) -> None:
    run = open_run(name)
    split = run.dataset(limit=64).split("test")
    content = content_of(split, run.windows, 64)
    path = codec.path_of(run.density, run.windows)
    file, identity = tmp_path / "test.arb", identity_of(name)
    coded, sizes = codec.compress(path, content, identity, file)
    ideal = coded.ideal_nats.sum().item() / np.log(2)
    print(f"{name}: {8 * sizes.payload - ideal:.1f} bits above {ideal:.1f}")
    assert 8 * sizes.payload <= 1.0002 * ideal + 64
    back = coder.read(path, content.plan, coded.stack, coded.choices)
    assert torch.equal(back.items.long(), content.items.long())
    for place, machine in enumerate(MACHINES.values()):
        decompressed_elsewhere(file, tmp_path / f"{place}.npz", **machine)


def identity_of(name: str) -> codec.Identity:
    hashes = {part: bytes.fromhex(text) for part, text in open_run(name).sha256.items()}
    return codec.Identity(name, hashes["config"], hashes["weights"])


def test_the_measurement_is_registered_as_it_calls_itself() -> None:
    assert isinstance(open_measurement("compression"), Compression)
