"""What a network keeps between steps is where a reader looks for it: in `state.py`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from arbench.registry.manager import registry
from arbench.testing.conformance import subjects
from arbench.testing.subject import NotApplicableError

ROOT = Path(__file__).parents[2]
PACKAGES = {folder.name for folder in (ROOT / "plugins").glob("arbench_*")}
NETWORKS = {
    name: network
    for name, network in ((name, offer.load()) for name, offer in registry().models.items())
    if network.__module__.split(".")[0] in PACKAGES and hasattr(network, "step")
}


def kinds_of_state(name: str) -> set[type]:
    """The classes of a network's states, whatever tiny events it is for."""
    found = set()
    for subject in subjects(NETWORKS[name]).values():
        try:
            found.add(type(subject.fresh().network.init_state(2)))
        except NotApplicableError:
            continue
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_state_of_a_network_is_in_the_file_called_state(name: str) -> None:
    """Of its own package; a network of parts that several share may leave it to the parts."""
    package = NETWORKS[name].__module__.split(".")[0]
    (state,) = kinds_of_state(name)
    assert state.__module__ == f"{package}.state" or state.__module__.startswith(
        "arbench.networks."
    )
    assert state.__name__.endswith("State")


def test_no_two_packages_call_the_state_of_a_network_alike() -> None:
    """A name that says whose state it is; none is just a state of sampling."""
    names = [state.__name__ for state in set.union(*map(kinds_of_state, NETWORKS))]
    assert len(names) > 10
    assert len(names) == len(set(names))


def test_no_class_is_called_after_what_every_state_is_for() -> None:
    files = [
        file for folder in ("arbench", "plugins", "tasks") for file in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 100
    found = {
        str(file)
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef) and node.name in {"SamplingState", "State"}
    }
    assert found == set()
