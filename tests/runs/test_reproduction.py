"""The command of a record trains what was trained: it is read back by the command line itself."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import Any

import pytest

from arbench.boards.results import kept_records
from arbench.cli.options import given_settings
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs.record.record import Record
from arbench.runs.record.reproduction import command_of
from arbench.training.recipes import resolve_recipe

RECORDS = {path.stem: path for path in sorted(kept_records().glob("*/*.json"))}


def settings_of(command: str, record: Record) -> dict[str, Any]:
    """What `arbench run` resolves from a command."""
    words = shlex.split(command)
    assert words[:2] == ["arbench", "run"]
    given = [value for key, value in pairwise(words) if key == "--set"]
    entry = registry().find(ModelEntry, record.model.name)
    overrides = given_settings(given, record.model.name) if given else {}
    _, recipe = resolve_recipe(entry.entry, entry.load(), record.task.name, overrides)
    return recipe.model_dump(mode="json")


@pytest.mark.parametrize("stem", RECORDS)
def test_the_command_of_a_kept_record_sets_what_was_set(stem: str) -> None:
    record = Record.read(RECORDS[stem])
    assert record.training is not None
    command = command_of(record)
    assert command is not None
    resolved = settings_of(command, record)
    for section, values in record.training.settings.items():
        for key, value in values.items():
            assert resolved[section][key] == value, (stem, command, section, key)
    words = shlex.split(command)
    assert (words[3], words[5]) == (record.task.name, record.model.name)
    seed = words[words.index("--seed") + 1] if "--seed" in words else "0"
    assert int(seed) == record.training.seed


def test_a_setting_of_ones_own_is_set_and_no_other() -> None:
    kept = Record.read(RECORDS["nade-84282b65"])
    assert kept.training is not None
    settings = {**kept.training.settings, "network": {**kept.training.settings["network"]}}
    settings["network"]["hidden"] = 7
    changed = {"settings": settings, "seed": 3, "budget_s": 90.0}
    training = kept.training.model_copy(update=changed)
    record = kept.model_copy(update={"training": training})
    command = command_of(record)
    assert command == "arbench run --task mnist --model nade --set hidden=7 --budget 90s --seed 3"
