"""The BibTeX of a model or a task (`arbench show NAME --bibtex`)."""

from __future__ import annotations

import re

from arbench.errors import ConfigError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry, split_argument
from arbench.registry.source import package_folder
from arbench.version import __version__

REFERENCES = "references.bib"
_ENTRY = re.compile(r"^@\w+\{.*?^\}$", re.MULTILINE | re.DOTALL)
_KEYWORDS = re.compile(r"^ *keywords *= \{(.*)\},$\n", re.MULTILINE)
_ADDRESS = re.compile(r"https?://[^\s,;]+")
_OWN = f"""@software{{arbench,
  author    = {{{{The arbench authors}}}},
  title     = {{arbench: exact likelihoods and sampling speed of autoregressive models}},
  version   = {{{__version__}}},
}}"""


def bibtex_of(name: str) -> str:
    """What to cite for a model or a task, and arbench itself.

    A model's papers are in `references.bib` of its package, each with the names of its models as
    keywords. Where there is none, the citation of its entry stands in a note, as a task's source.

    Raises:
        ConfigError: if there is no such model or task, or nobody published it.
    """
    offers, key = registry(), split_argument(name)[0]
    if key in offers.tasks:
        return "\n\n".join([_noted(key, offers.tasks[key].load().source), _OWN])
    entry = offers.find(ModelEntry, key).entry
    folder = package_folder(entry.network.partition(":")[0].partition(".")[0])
    file = None if folder is None else folder / REFERENCES
    found = []
    for text in _ENTRY.findall(file.read_text("utf-8")) if file and file.is_file() else ():
        keywords = _KEYWORDS.search(text)
        if keywords is not None and entry.name in keywords[1].split(", "):
            found.append(_KEYWORDS.sub("", text))
    return "\n\n".join([*(found or [_noted(entry.name, entry.paper)]), _OWN])


def _noted(name: str, citation: str) -> str:
    """An entry of what is known in a line.

    Raises:
        ConfigError: if that is nothing.
    """
    if not citation:
        raise ConfigError(f"{name} names no paper and no source; its README says where it is from")
    urls = "".join(f"  url       = {{{url}}},\n" for url in _ADDRESS.findall(citation)[:1])
    note = re.sub(r"([&%#_$])", r"\\\1", _ADDRESS.sub("", citation).strip(" ,;"))
    return f"@misc{{{name},\n  note      = {{{note}}},\n{urls}}}"
