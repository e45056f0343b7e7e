"""A push replaces what arbench wrote, and nothing else unless it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub_server import HubServer

import arbench
from arbench.cli import main
from arbench.errors import ConfigError
from arbench.hub.ownership import is_sealed, with_seal

Files = dict[str, bytes]
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}"
FOREIGN: dict[str, Files] = {
    "a README": {"README.md": b"# My model\n\nThree weeks of work.\n"},
    "a README that speaks of arbench": {"README.md": b"---\nlibrary_name: arbench\n---\nMine.\n"},
    "a configuration": {"config.json": b'{"architectures": ["GPT2LMHeadModel"]}'},
    "weights": {"model.safetensors": WEIGHTS},
    "samples": {"samples.png": b"\x89PNG"},
    "a record": {"record.json": b'{"artist": "somebody"}'},
    "other files": {"pytorch_model.bin": b"1", "tokenizer.json": b"{}"},
    "all of it": {
        "README.md": b"# Mine\n",
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "vocab.txt": b"a",
    },
}
KINDS = {"--to": "model", "--board": "dataset", "--space": "space"}


def push(option: str, run: Path, *more: str) -> int:
    return main(["push", *([] if option == "--space" else [str(run)]), option, "org/it", *more])


@pytest.mark.parametrize("option", KINDS)
@pytest.mark.parametrize("what", FOREIGN)
def test_what_somebody_wrote_is_not_replaced_unasked(
    hub: HubServer, trained: Path, what: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {".gitattributes": b"lfs\n", **FOREIGN[what]}
    hub.publish("org/it", before, KINDS[option])
    assert push(option, trained) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds files that arbench did not write" in line
    assert "--overwrite" in line
    assert hub.files("org/it", KINDS[option]) == before
    assert len(hub.repos[KINDS[option], "org/it"].commits) == 1

    assert push(option, trained, "--overwrite") == 0
    after = hub.files("org/it", KINDS[option])
    assert after["README.md"] != before.get("README.md")
    kept = before.keys() - {"README.md", "config.json", "record.json", "samples.png"}
    assert all(after[path] == before[path] for path in kept - {"model.safetensors"})
    assert push(option, trained) == (0 if option != "--to" or "record.json" in after else 2)


@pytest.mark.parametrize("option", KINDS)
def test_what_arbench_wrote_is_replaced(
    hub: HubServer, trained: Path, run: Path, option: str
) -> None:
    hub.publish("org/it", {".gitattributes": b"lfs\n"}, KINDS[option])
    assert push(option, trained) == 0
    hub.publish("org/it", {"notes.md": b"of the owner"}, KINDS[option])
    (run / "samples.png").unlink()  # another card for the same weights
    assert push(option, run) == 0
    assert hub.files("org/it", KINDS[option])["notes.md"] == b"of the owner"


@pytest.mark.parametrize(
    ("option", "page"),
    [
        ("--to", "README.md"),
        ("--board", "README.md"),
        ("--board", "mnist-mini.md"),
        ("--space", "README.md"),
        ("--space", "index.html"),
    ],
)
def test_a_page_of_ours_that_somebody_edited_is_theirs(
    hub: HubServer, trained: Path, option: str, page: str
) -> None:
    assert push(option, trained) == 0
    edited = b"See also my other work.\n" + hub.files("org/it", KINDS[option])[page]
    hub.publish("org/it", {page: edited}, KINDS[option])
    assert push(option, trained) == 2
    assert hub.files("org/it", KINDS[option])[page] == edited


def test_weights_that_are_not_the_record_s_are_somebody_s(hub: HubServer, trained: Path) -> None:
    arbench.push(trained, "org/it")
    hub.publish("org/it", {"model.safetensors": WEIGHTS})
    with pytest.raises(ConfigError, match="did not write, model.safetensors: choose"):
        arbench.push(trained, "org/it")
    arbench.push(trained, "org/it", overwrite=True)
    weights = (trained / "model.safetensors").read_bytes()
    assert hub.files("org/it")["model.safetensors"] == weights


def test_in_python_it_is_the_same(hub: HubServer, trained: Path) -> None:
    for kind, call in (
        ("dataset", lambda **how: arbench.push_board("org/it", [trained], **how)),
        ("space", lambda **how: arbench.push_space("org/it", **how)),
    ):
        hub.publish("org/it", FOREIGN["a README"], kind)
        with pytest.raises(ConfigError, match=r"README.md: choose another name"):
            call()
        call(overwrite=True)


def test_somebody_else_s_repository_is_found_before_a_training(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/mnist-mini-bernoulli", FOREIGN["a README"])
    new = ["--task", "mnist-mini", "--model", "bernoulli", "--out", str(tmp_path / "new run")]
    assert main(["run", *new, "--push", "org"]) == 2
    assert "holds files that arbench did not write, README.md" in capsys.readouterr().err
    assert not (tmp_path / "new run").exists()


def test_a_gitignore_that_would_leave_out_a_file_is_named(
    hub: HubServer, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client would leave it out without a word, and the run would not load."""
    arbench.push(trained, "org/it")
    hub.publish("org/it", {"metrics.jsonl": b"old", ".gitignore": b"config.json\n"})
    hub.ignored = {"config.json"}
    assert push("--to", trained) == 4
    assert "its .gitignore leaves out config.json" in capsys.readouterr().err
    assert hub.files("org/it")["metrics.jsonl"] == b"old"


def test_a_seal_is_of_every_byte_before_it() -> None:
    page = with_seal("# A page\n\nö\n")
    assert is_sealed(page)
    for changed in (b" " + page, page[:-1], page + b"\n", page.replace(b"page", b"Page", 1)):
        assert not is_sealed(changed)
    assert json.dumps(with_seal("a").decode()) == json.dumps(with_seal("a\n").decode())
