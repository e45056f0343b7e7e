"""Options behind the path of own data, and own data as events of a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import arbench
from arbench.data.rendering import ImageRendering
from arbench.data.tasks import SPLITS, open_task
from arbench.errors import ConfigError, DataError
from arbench.probability.events import Discrete, EventSpec
from arbench_detection.own import OwnEvents
from arbench_files.images import ImagesTask
from arbench_files.tables import TableTask
from arbench_files.words import WordsTask

GREY = np.random.default_rng(5).integers(0, 256, size=(24, 28, 28), dtype=np.uint8)
NAMES = ["zoe", "alexander", "ivo", "mia", "noah", "ida", "ben", "eva", "leo", "ann", "zoe", "pia"]


def _folder(place: Path, images: np.ndarray) -> Path:
    place.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(place / f"{number:02}.png")
    return place


def _file(place: Path, words: list[str], end: str = "\n") -> Path:
    place.write_bytes("".join(word + end for word in words).encode())
    return place


def _words(task: arbench.Task) -> list[str]:
    assert isinstance(task.rendering, arbench.TextRendering)
    return [task.rendering.decode(row) for split in SPLITS for row in task.load(split).events]


def test_all_that_lies_in_the_folder_of_test_is_the_test_split(tmp_path: Path) -> None:
    one, other = _folder(tmp_path / "one", GREY[:18]), _folder(tmp_path / "other", GREY[18:])
    task = ImagesTask(f"{one}?test={other}")
    assert torch.equal(task.load("test").events, torch.from_numpy(GREY[18:, None]))
    rest = [*task.load("train").events, *task.load("validation").events]
    assert sorted(x.numpy().tobytes() for x in rest) == sorted(x.tobytes() for x in GREY[:18])
    assert len(task.load("validation")) == 2  # a ninth
    np.savez(tmp_path / "stated.npz", train=GREY[:9], valid=GREY[9:12], test=GREY[12:])
    with pytest.raises(ConfigError, match="stated.npz states splits of its own"):
        ImagesTask(f"{tmp_path / 'stated.npz'}?test={other}")
    with pytest.raises(ConfigError, match="stated.npz states splits of its own"):
        ImagesTask(f"{one}?test={tmp_path / 'stated.npz'}")


def test_a_table_of_two_files_has_the_columns_of_both(tmp_path: Path) -> None:
    own, test, odd = (tmp_path / f"{name}.csv" for name in ("own", "test", "odd"))
    own.write_text("city,age\n" + "".join(f"{'abc'[n % 3]},{n}.5\n" for n in range(30)))
    test.write_text("city,age\nb,100.5\n")
    odd.write_text("town,age\nb,100.5\n")
    task = TableTask(f"{own}?test={test}?real=age")
    assert [len(task.load(split)) for split in SPLITS] == [27, 3, 1]
    assert task.rendering.rows(task.load("test").events) == [["b", "100.5"]]
    assert task.name != TableTask(f"{own}?real=age").name
    with pytest.raises(DataError, match="found other columns than in"):
        TableTask(f"{own}?test={odd}?real=age")
    bits, more = tmp_path / "bits.csv", tmp_path / "more.csv"
    bits.write_text("0,1\n1,1\n" * 10)
    more.write_text("1,0\n")
    assert TableTask(f"{bits}?test={more}").load("test").events.tolist() == [[1, 0]]


def test_grey_becomes_black_and_white_from_the_threshold_on(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "grey", GREY)
    levels, task = ImagesTask(str(folder)), ImagesTask(f"{folder}?threshold=100?split=rows")
    assert (levels.spec.domain, task.spec.domain) == (Discrete(256), Discrete(2))
    assert task.spec == ImagesTask(f"{folder}?split=rows?threshold=100").spec
    same_rule = ImagesTask(f"{folder}?split=rows")
    for split in SPLITS:
        assert torch.equal(task.load(split).events, same_rule.load(split).events.ge(100).byte())
    assert str(task.rendering) == "1 where the grey level is 100 or more"
    drawn = ImagesTask(f"{folder}?draw").load("train").events.double().mean()
    assert drawn.item() == pytest.approx(GREY.mean() / 255, abs=0.02)
    for wrong in ("threshold=0", "threshold=256", "threshold=1e2", "threshold", "draw=1"):
        with pytest.raises(ConfigError, match=wrong.split("=")[0]):
            ImagesTask(f"{folder}?{wrong}")
    with pytest.raises(ConfigError, match="stands alone"):
        ImagesTask(f"{folder}?draw?threshold=9")


def test_a_run_sees_own_images_as_its_task_made_its_own(tmp_path: Path) -> None:
    """`evaluate` on a task and `score` on files: the same bits, hence the same likelihood."""
    one, other = _folder(tmp_path / "one", GREY[:18]), _folder(tmp_path / "other", GREY[18:])
    run = arbench.open_run("mnist-mini/nade")
    found = arbench.evaluate("mnist-mini/nade", task=f"images:{one}?test={other}", foreign=True)
    read = OwnEvents(run.density.spec, run).read([other]).split.events
    assert found.num_events == len(read) == 6
    assert found.total_nats == pytest.approx(-run.density.log_prob(read).sum().item(), rel=1e-6)
    small = _folder(tmp_path / "small", GREY[:, :5, :5])
    with pytest.raises(ConfigError, match="describes"):
        arbench.evaluate("mnist-mini/nade", task=f"images:{small}", foreign=True)


def test_black_and_white_files_are_bits_however_they_were_made(tmp_path: Path) -> None:
    bits = (GREY > 128).astype(np.uint8)
    folder = _folder(tmp_path / "sharp", 255 * bits)
    spec = EventSpec((1, 28, 28), Discrete(2))
    for grey in (None, "drawn", 3, 255):
        task = ImagesTask(str(folder)).as_events_of(spec, ImageRendering(grey=grey))
        rows = torch.cat([task.load(split).events for split in SPLITS])
        assert sorted(x.numpy().tobytes() for x in rows) == sorted(x.tobytes() for x in bits)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_words_are_spelled_and_end_once(tmp_path: Path, end: str) -> None:
    task = WordsTask(str(_file(tmp_path / "names.txt", NAMES, end)))
    assert sorted(_words(task)) == sorted(NAMES)
    assert task.spec == EventSpec((10,), Discrete(1 + len({*"".join(NAMES)})))
    scored = sum(task.load(split).num_scored_dims for split in SPLITS)
    assert scored == sum(len(name) + 1 for name in NAMES)


def test_words_become_those_of_a_trained_model(tmp_path: Path) -> None:
    names = open_task("names")
    task = WordsTask(str(_file(tmp_path / "names.txt", NAMES)))
    assert task.spec != names.spec
    seen = task.as_events_of(names.spec, names.rendering)
    assert (seen.spec, seen.rendering) == (names.spec, names.rendering)
    assert _words(seen) == _words(task)
    assert seen.name != task.name
    capital = WordsTask(str(_file(tmp_path / "capital.txt", [*NAMES, "Ada"])))
    with pytest.raises(DataError, match=r"line 13: .*'A'.*\?lower"):
        capital.as_events_of(names.spec, names.rendering)
    lower = WordsTask(f"{tmp_path / 'capital.txt'}?lower")
    assert "ada" in _words(lower.as_events_of(names.spec, names.rendering))
    long = WordsTask(str(_file(tmp_path / "long.txt", [*NAMES, "a" * 16])))
    with pytest.raises(DataError, match="line 13: found 16 letters"):
        long.as_events_of(names.spec, names.rendering)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no words"),
        (b"ann\n\nben\n", "line 2: found an empty line"),
        (b"ann\nb\x00en\n", "line 2: found 4 characters"),
        (b"ann\n\xff\n", "byte 4 is not UTF-8"),
        (b"a" * 1025 + b"\n", "line 1: found 1,025 characters"),
    ],
)
def test_what_is_no_word_is_refused_by_its_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        WordsTask(str(tmp_path / "words.txt"))


def test_a_text_is_read_by_the_alphabet_of_a_model(tmp_path: Path) -> None:
    shakespeare = open_task("shakespeare").rendering
    file = _file(tmp_path / "own.txt", ["To be, or not to be."] * 30)
    task = open_task(f"text:{file}")
    seen = task.as_events_of(EventSpec((64,), Discrete(65)), shakespeare)
    assert isinstance(seen, arbench.StreamTask)
    assert seen.domain == Discrete(65)
    assert seen.name != task.name
    assert shakespeare.decode(seen.load_stream("train"))[:20] == "To be, or not to be."
    other = _file(tmp_path / "other.txt", ["é"] * 99)
    with pytest.raises(DataError, match="'é' at offset 0 is none of the 65"):
        open_task(f"text:{other}").as_events_of(EventSpec((64,), Discrete(65)), shakespeare)
