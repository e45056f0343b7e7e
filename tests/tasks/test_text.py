"""Texts: the real files, small stand-ins served by HTTP for what is large, and own files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from arbench.data.rendering import TextRendering
from arbench.data.sources import SourceFile
from arbench.data.tasks import SPLITS, Split, SplitName, open_task
from arbench.errors import DataError
from arbench.files.atomic import sha256_of
from arbench.probability.events import Discrete, EventSpec
from arbench_text.names import Names, split_names
from arbench_text.own import OwnText
from arbench_text.shakespeare import SYMBOLS, Shakespeare
from arbench_text.wikipedia import Enwik8, Text8, WikiText2


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    if "data_dir" not in request.fixturenames:
        monkeypatch.delenv("ARBENCH_DATA", raising=False)


def joined(task: Shakespeare | OwnText) -> torch.Tensor:
    """All splits end to end."""
    return torch.cat([task.load_stream(split) for split in SPLITS])


# Shakespeare

SHAKESPEARE_SHA256 = {
    "train": "c10b6c3e1784e039da2bdb2d33437f29fa40eb712b1339f0dc478341e9121e13",
    "validation": "f46092c7cd69685b022ffc2666e2a10fe52db3e70d5aac6e2febafe145471f53",
    "test": "5f2e6c68a4a35c1d1a3b30ef6ee161f75bce28e00fc7abc1f3406c530a7eaad6",
}


def test_shakespeare_is_pinned(data_dir: Path) -> None:
    task = Shakespeare()
    assert [len(task.load_stream(split)) for split in SPLITS] == [993_816, 10_038, 111_540]
    for name, sha256 in SHAKESPEARE_SHA256.items():
        stream = task.load_stream(name)  # type: ignore[arg-type]
        assert hashlib.sha256(stream.numpy().tobytes()).hexdigest() == sha256


def test_shakespeare_is_the_file_and_its_test_is_nanogpts_tenth(data_dir: Path) -> None:
    text = (data_dir / "tinyshakespeare.txt").read_text()
    task = Shakespeare()
    assert task.rendering.decode(joined(task)) == text
    assert task.rendering.decode(task.load_stream("test")) == text[int(len(text) * 0.9) :]
    assert sorted(set(text)) == list(SYMBOLS)
    assert len(task.load_stream("train").unique()) == 65  # nothing unseen can come up
    windows = task.windows(256, 128)
    assert windows.rendering == task.rendering
    test = windows.load("test")
    assert test.num_scored_dims == 111_540
    windows.spec.validate(test.events)


# Names

NAMES_SHA256 = {
    "train": "6b0e6fa071a72339536ce681d04f72516e045ccab582698150e13080c7d4da8c",
    "validation": "808307efdce41b92ebf57acfd97d299de532cbdc76eeb24f58c3d144afc91c22",
    "test": "310b3487b396d878a00bda30e780f3324324c8799e2a31831521393465a388a9",
}


@pytest.fixture(scope="module")
def names(data_dir: Path) -> dict[SplitName, Split]:
    task = Names()
    return {split: task.load(split) for split in SPLITS}


def test_names_are_pinned(names: dict[SplitName, Split]) -> None:
    assert [len(names[split]) for split in SPLITS] == [25_626, 3_203, 3_204]
    assert [names[split].num_scored_dims for split in SPLITS] == [182_625, 22_655, 22_866]
    for split in SPLITS:
        events = names[split].events
        Names.spec.validate(events)
        assert hashlib.sha256(events.numpy().tobytes()).hexdigest() == NAMES_SHA256[split]


def test_names_are_shuffled_as_in_the_lectures(
    names: dict[SplitName, Split], data_dir: Path
) -> None:
    """Their own lines, which shuffle with the module's generator."""
    words = (data_dir / "names.txt").read_text().splitlines()
    state = random.getstate()
    random.seed(42)
    random.shuffle(words)
    random.setstate(state)
    assert words[:4] == ["yuheng", "diondre", "xavien", "jori"]
    decode = Names.rendering.decode
    assert [decode(event) for split in SPLITS for event in names[split].events] == words


def test_a_name_is_scored_up_to_its_end(names: dict[SplitName, Split]) -> None:
    split = names["validation"]
    assert split.scored is not None
    for event, scored in zip(split.events[:200], split.scored[:200], strict=True):
        length = int((event == 0).nonzero()[0])
        assert scored.tolist() == [True] * (length + 1) + [False] * (15 - length)
        assert not event[length:].any()
    assert names["train"].scored is not None
    longest = names["train"].scored.all(1)
    assert longest.any()  # 15 letters and the end fill an event
    assert not names["train"].events[longest, -1].any()


def test_names_that_are_in_two_splits_are_counted(names: dict[SplitName, Split]) -> None:
    """The README says so; the file has 32,033 lines and 29,494 different names."""
    everything = Counter(
        event.numpy().tobytes() for split in SPLITS for event in names[split].events
    )
    assert (everything.total(), len(everything)) == (32_033, 29_494)
    assert names["test"].num_events_also_in(names["train"]) == 377
    assert names["test"].num_events_also_in(names["validation"]) == 56
    assert names["validation"].num_events_also_in(names["train"]) == 424


def test_names_are_divided_without_loss() -> None:
    parts = split_names("".join(f"name{i}\n" for i in range(25)))
    assert [len(parts[split]) for split in SPLITS] == [20, 2, 3]
    assert len({name for part in parts.values() for name in part}) == 25


# Texts in zip archives


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def offer(source: SourceFile, path: Path, server: str, sha256: str | None) -> SourceFile:
    """The source with the address and hash of a stand-in."""
    return dataclasses.replace(source, urls=(f"{server}/{path.name}",), sha256=sha256, size=None)


def serve(
    task_class: type[Enwik8 | Text8],
    content: bytes,
    tmp_path: Path,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Enwik8 | Text8:
    """The task on a small archive of the published form."""
    archive = tmp_path / "served" / f"{task_class.name}.zip"
    write_zip(archive, {"README": b"hello", task_class.name: content})
    files = (offer(task_class.files[0], archive, server, sha256_of(archive)),)
    monkeypatch.setattr(task_class, "files", files)
    monkeypatch.setattr(task_class, "num_bytes", 400)
    return task_class()


def test_enwik8_is_bytes_in_order(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) + bytes(144)
    task = serve(Enwik8, content, tmp_path, server, monkeypatch)
    streams = [task.load_stream(split) for split in SPLITS]
    assert [len(stream) for stream in streams] == [360, 20, 20]
    assert torch.cat(streams).numpy().tobytes() == content
    assert (task.unit, task.domain, task.pinned) == ("byte", Discrete(256), True)


def test_text8_is_letters_and_spaces(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b" the quick brown fox jumps over the lazy dog" * 10
    task = serve(Text8, content[:400], tmp_path, server, monkeypatch)
    streams = [task.load_stream(split) for split in SPLITS]
    assert "".join(map(task.rendering.decode, streams)).encode() == content[:400]
    assert task.domain == Discrete(27)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a" * 399, "399 bytes, expected 400"),
        (b"a" * 401, "more than the 400 bytes expected"),
        (b"a" * 390 + b"B" + b"a" * 9, "character 'B' at offset 390"),
    ],
)
def test_another_text8_is_refused(
    content: bytes, words: str, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = serve(Text8, content, tmp_path, server, monkeypatch)
    with pytest.raises(DataError, match=words):
        task.load_stream("train")


@pytest.mark.parametrize(
    ("member", "words"),
    [("../enwik8", "expected the member enwik8, found ../enwik8"), (None, "a zip archive")],
)
def test_a_member_has_exactly_its_name(
    member: str | None, words: str, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "served" / "enwik8.zip"
    if member is None:
        archive.write_bytes(b"PK\x03\x04 but no archive")
    else:
        write_zip(archive, {member: b"a" * 400})
    source = offer(Enwik8.files[0], archive, server, sha256_of(archive))
    monkeypatch.setattr(Enwik8, "files", (source,))
    with pytest.raises(DataError, match=words):
        Enwik8().load_stream("train")
    assert not list(tmp_path.rglob("enwik8"))  # nothing was unpacked


def test_wikitext_has_its_own_splits_and_is_not_pinned(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"train": " = Löwe = \n", "valid": " 獅子 \n", "test": " \n"}
    archive = tmp_path / "served" / "wikitext-2-raw-v1.zip"
    members = {f"wikitext-2-raw/wiki.{name}.raw": text.encode() for name, text in texts.items()}
    write_zip(archive, members)
    monkeypatch.setattr(WikiText2, "files", (offer(WikiText2.files[0], archive, server, None),))
    task = WikiText2()
    assert not task.pinned
    read = [task.rendering.decode(task.load_stream(split)) for split in SPLITS]
    assert read == list(texts.values())


# Own texts


def own(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_own_text_by_characters(tmp_path: Path) -> None:
    text = "Wörter und 漢字.\n" * 20
    task = open_task("text:" + own(tmp_path / "notes.txt", text))
    assert isinstance(task, OwnText)
    assert task.domain == Discrete(len(set(text)))
    assert [len(task.load_stream(split)) for split in SPLITS] == [270, 15, 15]
    assert isinstance(task.rendering, TextRendering)
    assert task.rendering.decode(joined(task)) == text
    assert (task.unit, task.public, task.source) == ("char", False, "notes.txt")
    assert task.windows(10, 5).spec == EventSpec((10,), task.domain)


def test_own_text_by_bytes_takes_anything(tmp_path: Path) -> None:
    content = bytes(range(255, -1, -1))
    task = OwnText(own(tmp_path / "noise.bin", content) + "?bytes")
    assert joined(task).numpy().tobytes() == content
    assert (task.unit, task.domain) == ("byte", Discrete(256))


def test_its_name_is_of_the_content_and_never_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    here = OwnText(own(tmp_path / "a.txt", "abba" * 10))
    there = OwnText(own(tmp_path / "secret" / "a.txt", "abba" * 10))
    assert here.name == there.name
    assert len(here.name) == len("text-") + 8
    assert "secret" not in str(vars(there))
    assert here.name != OwnText(own(tmp_path / "b.txt", "abab" * 10)).name
    assert here.name != OwnText(str(tmp_path / "a.txt") + "?bytes").name


@pytest.mark.parametrize("read", ["", "?bytes"])
def test_another_file_is_test_and_names_the_task_too(read: str, tmp_path: Path) -> None:
    text, held_out = own(tmp_path / "a.txt", "abba" * 10), own(tmp_path / "b.txt", "baab")
    task = OwnText(f"{text}?test={held_out}{read}")
    assert [len(task.load_stream(split)) for split in SPLITS] == [38, 2, 4]
    assert isinstance(task.rendering, TextRendering)
    assert task.rendering.decode(task.load_stream("test")) == "baab"
    assert task.name == OwnText(f"{text}{read}?test={held_out}").name
    other = own(tmp_path / "c.txt", "aabb")
    assert task.name not in {OwnText(f"{text}?test={other}{read}").name, OwnText(text + read).name}
    wider = TextRendering(symbols=tuple("abc"))
    if not read:
        seen = task.as_events_of(EventSpec((4,), Discrete(3)), wider)
        assert wider.decode(seen.load_stream("test")) == "baab"
        with pytest.raises(DataError, match="c.txt: the character 'c' at offset 1 is none"):
            OwnText(f"{text}?test={own(tmp_path / 'c.txt', 'ac')}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("ab" * 500 + "x" + "ab" * 10, "a.txt: the character 'x' at offset 1,000 is none of the 2"),
        (b"ab" * 500 + b"\xff", r"a.txt: byte 1,000 is not UTF-8.*\?bytes"),
        ("a" * 1000, "found 1 different characters"),
        ("", "found 0 different characters"),
        ("abababab", "found 8 chars, expected enough for three splits"),
    ],
)
def test_what_is_no_text_is_refused(content: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        OwnText(own(tmp_path / "a.txt", content))


ODD = {
    "crlf": b"one\r\ntwo\r\n" * 50,
    "nul": b"a\0b\0" * 50,
    "bom": b"\xef\xbb\xbfab" * 50,
    "latin-1": bytes(range(160, 256)) * 5,
    "separators": "a\u2028b\x0bc\x1c".encode() * 50,
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_bytes_are_kept_as_they_are(kind: str, tmp_path: Path) -> None:
    """By bytes always; by characters where they are UTF-8, else with the file and the offset."""
    path = own(tmp_path / "odd.txt", ODD[kind])
    assert joined(OwnText(path + "?bytes")).numpy().tobytes() == ODD[kind]
    if kind == "latin-1":
        with pytest.raises(DataError, match=r"odd\.txt: byte 0 is not UTF-8"):
            OwnText(path)
        return
    task = OwnText(path)
    assert isinstance(task.rendering, TextRendering)
    assert task.rendering.decode(joined(task)).encode() == ODD[kind]


def test_a_line_of_ten_megabytes_is_read_at_once(tmp_path: Path) -> None:
    line = b"ab c" * 2_500_000
    path = own(tmp_path / "line.txt", line)
    started = time.process_time()
    for argument in (path, path + "?bytes"):
        assert sum(len(OwnText(argument).load_stream(split)) for split in SPLITS) == len(line)
    assert time.process_time() - started < 10


def test_the_locale_decides_nothing(tmp_path: Path) -> None:
    """In the C locale, and with Python's own remedies for it switched off."""
    path = own(tmp_path / "notes.txt", "Wörter und 漢字.\n" * 40)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **locale, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = tmp_path / "run"
    options = [
        "--set=stream.context=8",
        "--set=stream.stride=4",
        "--device",
        "cpu",
        "--out",
        str(run),
    ]
    commands = [
        ["run", "--task", f"text:{path}", "--model", "bernoulli", *options],
        ["sample", str(run), "--length", "30"],
        ["sample", str(run), "--length", "30", "--out", str(tmp_path / "drawn.txt")],
    ]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "arbench", *command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    drawn = (tmp_path / "drawn.txt").read_bytes().decode("utf-8")
    assert set(drawn) <= set("Wörter und 漢字.\n")
    assert set(drawn) & set("ö漢字")


def test_a_text_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.txt: cannot be read \(No such file"):
        OwnText(str(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="cannot be read"):
        OwnText(str(tmp_path))
