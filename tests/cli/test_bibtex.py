"""`arbench show NAME --bibtex`: entries that BibTeX reads, of the papers that models name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
import yaml

from arbench.cli import main
from arbench.cli.bibtex import bibtex_of
from arbench.errors import ConfigError
from arbench.registry.manager import registry
from arbench.version import __version__

ROOT = Path(__file__).parents[2]
PAPERS = {name: offer.entry.paper for name, offer in registry().models.items() if offer.entry.paper}


def entries(text: str) -> list[dict[str, str]]:
    """The fields of each entry, with its kind and key; every brace is closed."""
    assert text.count("{") == text.count("}")
    found = re.findall(r"^@(\w+)\{(\S+),\n((?:  \w+ += \{.*\},\n)+)\}$", text, re.MULTILINE)
    assert len(found) == text.count("\n@") + 1
    return [
        {"kind": kind, "key": key, **dict(re.findall(r"  (\w+) += \{(.*)\},", body))}
        for kind, key, body in found
    ]


def plain(text: str) -> str:
    """Letters alone, without accents, in TeX or not."""
    text = unicodedata.normalize("NFD", re.sub(r"\\[\"']|[{}]", "", text))
    return "".join(letter for letter in text if not unicodedata.combining(letter)).lower()


@pytest.mark.parametrize("name", PAPERS)
def test_a_model_s_papers_are_those_that_its_entry_names(name: str) -> None:
    *papers, own = entries(bibtex_of(name))
    assert own["key"] == "arbench"
    assert papers
    for paper in papers:
        assert "keywords" not in paper
        first = plain(paper["author"].partition(",")[0])
        assert first in plain(PAPERS[name]), paper["key"]
        assert paper["year"] in PAPERS[name], paper["key"]
        assert paper["key"].startswith(re.sub("[^a-z]", "", first)[:6]), paper["key"]


def test_every_keyword_is_a_model_of_that_package() -> None:
    files = [*ROOT.glob("plugins/arbench_*/references.bib")]
    assert len(files) > 15
    for file in files:
        for names in re.findall(r"keywords = \{(.*)\}", file.read_text()):
            for name in names.split(", "):
                network = registry().models[name].entry.network
                assert network.startswith(f"{file.parent.name}."), name


def test_a_task_has_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "mnist", "--bibtex"]) == 0
    task, _ = entries(capsys.readouterr().out.strip())
    assert task["note"] == "MNIST (LeCun et al. 1998)"
    assert task["url"] == "http://yann.lecun.com/exdb/mnist/"


def test_arbench_itself_can_be_cited() -> None:
    """By GitHub and others, who read `CITATION.cff`; its required fields are there and true."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= {*citation}
    assert citation["version"] == __version__
    assert citation["title"] == entries(bibtex_of("nade"))[-1]["title"]


def test_what_nobody_published_has_nothing_to_cite() -> None:
    with pytest.raises(ConfigError, match="names no paper"):
        bibtex_of("bernoulli")
    with pytest.raises(ConfigError, match="did you mean nade"):
        bibtex_of("nad")
