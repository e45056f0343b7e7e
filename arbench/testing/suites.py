"""Collects the checks of a model, head, layout, task or measurement by name.

In a plugin's own tests, one line makes one pytest item per check:

    test_conformance = conformance(MyNetwork)  # or conformance("my-model"), once it is registered
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from torch import nn

from arbench.data.tasks import Task
from arbench.errors import ConfigError
from arbench.measure.measurement import Measurement
from arbench.measure.opening import open_measurement
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.registry.entries import HeadEntry, ModelEntry, TaskEntry
from arbench.registry.manager import registry, split_argument
from arbench.registry.names import did_you_mean
from arbench.registry.targets import import_target
from arbench.testing.conformance import (
    WAIVABLE,
    NetworkClass,
    Result,
    checks_for,
    declared_reason,
    outcome,
    require,
    subjects,
)
from arbench.testing.heads import HEAD_CHECKS, head_subjects
from arbench.testing.layouts import LAYOUT_CHECKS, layout_subjects
from arbench.testing.measurements import MEASUREMENT_CHECKS, measurement_subjects
from arbench.testing.subject import NotApplicableError
from arbench.testing.tasks import TASK_CHECKS, TaskSubject

Kind = Literal["model", "head", "layout", "task", "measurement"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LAYOUT = "layout"


@dataclass(frozen=True)
class Trial:
    """One check on one subject.

    Attributes:
        check: its name.
        subject: what it is run on, such as "binary-2x3 permuted".
        action: raises what is wrong.
        declared: why failing it is right, if the author says so.
    """

    check: str
    subject: str
    action: Callable[[], object]
    declared: str | None = None

    def run(self) -> Result:
        """The outcome."""
        return outcome(self.check, self.subject, self.action, self.declared)


@dataclass(frozen=True, eq=False)
class Suite:
    """All that is to be checked of one thing.

    Attributes:
        kind: what it is.
        name: what users type.
        target: the class, or what makes the task.
        checks: name to what raises; each is called with a subject.
        subjects: name to what the checks are called with.
        essential: the check that has to say something about one of the subjects; None for none.
    """

    kind: Kind
    name: str
    target: Callable[..., Any]
    checks: Mapping[str, Callable[[Any], object]]
    subjects: Mapping[str, Any]
    essential: str | None = None

    def trials(self, only: Iterable[str] = ()) -> Iterator[Trial]:
        """Every check on every subject, or those checks alone; unknown ones are not here."""
        wanted = [name for name in self.checks if name in only] if only else self.checks
        for check in wanted:
            for where, subject in self.subjects.items():
                action = self.checks[check]
                yield Trial(
                    check,
                    where,
                    lambda action=action, subject=subject: action(subject),  # type: ignore[misc]
                    declared_reason(self.target, check),
                )

    def false_declarations(self, results: Sequence[Result]) -> list[Result]:
        """A failure for everything that `known_failures` says and that does not hold.

        One more is for the essential check, where it applies nowhere.

        Args:
            results: of all trials of some checks.
        """
        faults = []
        for check in getattr(self.target, "known_failures", {}):
            found = {result.status for result in results if result.check == check}
            if check not in WAIVABLE and (found or check not in self.checks):
                message = f"only {' and '.join(WAIVABLE)} may be declared, not {check!r}"
            elif found and found <= {"passed", "not applicable"}:
                message = "is declared to fail, and never does: take the declaration out"
            else:
                continue
            faults.append(Result(check, "known_failures", "failed", message))
        needed = [result for result in results if result.check == self.essential]
        if needed and all(result.status == "not applicable" for result in needed):
            message = f"it refuses every tiny dataset: {needed[0].message}"
            faults.append(Result(needed[0].check, "all of them", "failed", message))
        return faults


def model_suite(network_class: NetworkClass, name: str = "", **options: Any) -> Suite:
    """The suite of a network class; the options are those of `subjects`."""
    return Suite(
        "model",
        _named(network_class, name),
        network_class,
        checks_for(network_class),
        subjects(network_class, **options),
    )


def head_suite(head_class: Callable[..., Head], name: str = "", **options: Any) -> Suite:
    """The suite of a head with these options; where it describes no tiny event, all say so."""
    name = _named(head_class, name)
    try:
        return Suite(
            "head", name, head_class, HEAD_CHECKS, head_subjects(head_class, options=options)
        )
    except NotApplicableError as error:
        refusal = str(error)

    def refuse(subject: object) -> None:
        raise NotApplicableError(refusal)

    return Suite("head", name, head_class, dict.fromkeys(HEAD_CHECKS, refuse), {"all": None})


def layout_suite(layout_class: type[Layout] = Layout, name: str = LAYOUT) -> Suite:
    """The suite of layouts."""
    return Suite("layout", name, layout_class, LAYOUT_CHECKS, layout_subjects(layout_class))


def task_suite(
    task_class: Callable[..., Task], name: str = "", argument: str | None = None
) -> Suite:
    """The suite of a task, called with its argument if it has one."""
    arguments = () if argument is None else (argument,)
    subject = TaskSubject(lambda: task_class(*arguments))
    name = _named(task_class, name)
    return Suite("task", name, task_class, TASK_CHECKS, {name: subject})


def measurement_suite(measurement: type[Measurement], name: str = "", **options: Any) -> Suite:
    """The suite of a measurement; the options are those of `measurement_subjects`."""
    subjects = measurement_subjects(measurement, **options)
    name = _named(measurement, name)
    return Suite("measurement", name, measurement, MEASUREMENT_CHECKS, subjects, "answers")


def conformance(target: NetworkClass | type[Head] | type[Measurement] | str, **options: Any) -> Any:
    """A pytest test of every check, each its own item; see the module's first lines.

    Args:
        target: a class of networks, heads or measurements; or what `arbench check` takes: the name
            of a model, head, task or measurement that is registered, or `MODULE:CLASS`.
        options: of a class of networks, as for `subjects`; of a class of heads, its own; of a class
            of measurements, as for `measurement_subjects`.

    Raises:
        ConfigError: if nothing has that name, or it is given options.
    """
    import pytest  # only test suites need it

    if isinstance(target, str) and options:
        raise ConfigError(f"{target!r} is a name, which takes no options: give the class itself")
    if isinstance(target, str):
        suite = find_suite(target)
    elif isinstance(target, type) and issubclass(target, Head):
        suite = head_suite(target, **options)
    elif isinstance(target, type) and issubclass(target, Measurement):
        suite = measurement_suite(target, **options)
    else:
        suite = model_suite(cast(NetworkClass, target), **options)

    @pytest.mark.parametrize("check", suite.checks)
    def test_conformance(check: str) -> None:
        results = [trial.run() for trial in suite.trials((check,))]
        results += suite.false_declarations(results)
        optional = suite.kind in ("task", "measurement")
        if optional and all(result.status == "not applicable" for result in results):
            # A task need not have files, padding or a view; a measurement need not keep values.
            pytest.skip(results[0].message)
        for note in require(results):
            print(note)

    return test_conformance


def find_suite(text: str) -> Suite:
    """The suite of what a name means.

    Args:
        text: a registered NAME; KIND:NAME where several things share it, such as "head:bernoulli";
            "layout"; a task with its argument, such as "images:PATH"; or MODULE:CLASS.

    Raises:
        ConfigError: if nothing has that name, or several things do.
    """
    if text == LAYOUT:
        return layout_suite()
    before, colon, after = text.partition(":")
    tasks = registry().tasks
    if not colon:
        return _registered(_kind_of(text), text)
    if before in KINDS:
        return _registered(before, after)
    if before in tasks:
        return _registered("task", text)
    return _suite_of(import_target(text), text)


def all_suites() -> list[Suite]:
    """Everything that is registered, and layouts.

    Left out are tasks that need an argument, and measurements that are not installed whole.
    """
    offers = registry()
    measurements = offers.measurements.items()
    tasks = [name for name, offer in offers.tasks.items() if offer.entry.argument is None]
    return [
        *(_registered("model", name) for name in offers.models),
        *(_registered("head", name) for name in offers.heads),
        layout_suite(),
        *(_registered("task", name) for name in tasks),
        *(_registered("measurement", name) for name, offer in measurements if not offer.missing),
    ]


def _kind_of(name: str) -> Kind:
    """The only kind of thing that has this name.

    Raises:
        ConfigError: if there is none, or there are several.
    """
    wanted = name.strip().lower()
    spellings: dict[Kind, set[str]] = {
        "model": {s for offer in registry().models.values() for s in offer.entry.spellings},
        "head": {*registry().heads},
        "task": {*registry().tasks},
        "measurement": {*registry().measurements},
    }
    for kind, clashing in registry().clashes:
        if kind in spellings:
            spellings[kind].add(clashing)
    kinds = [kind for kind, names in spellings.items() if wanted in names]
    if not kinds:
        close = did_you_mean(wanted, set().union(*spellings.values()))
        raise ConfigError(
            f"no model, head, task or measurement is called {name!r}{close}; `arbench list` shows "
            "all, and MODULE:CLASS checks a class of your own"
        )
    if len(kinds) > 1:
        choices = " or ".join(f"{kind}:{wanted}" for kind in kinds)
        raise ConfigError(f"{name!r} is a {' and a '.join(kinds)}: write {choices}")
    return kinds[0]


def _registered(kind: Kind, name: str) -> Suite:
    """The suite of something that a plugin registers.

    Raises:
        ConfigError: if nothing has that name.
        PluginError: if two plugins offer it, or it cannot be loaded.
    """
    if kind == "layout":
        return layout_suite()
    if kind == "model":
        model = registry().find(ModelEntry, name)
        return model_suite(model.load(), model.entry.name)
    if kind == "head":
        head = registry().find(HeadEntry, name)
        return head_suite(head.load(), head.entry.name)
    if kind == "measurement":
        measurement = open_measurement(name)
        return measurement_suite(type(measurement), measurement.name)
    name, argument = split_argument(name)
    task = registry().find(TaskEntry, name)
    return task_suite(task.load(), task.entry.name, argument)


def _suite_of(target: Any, text: str) -> Suite:
    """The suite of somebody's own class.

    Raises:
        ConfigError: if it is no class that can be checked.
    """
    if isinstance(target, type) and issubclass(target, nn.Module):
        return model_suite(target, text)
    if isinstance(target, type) and issubclass(target, Head):
        return head_suite(target, text)
    if isinstance(target, type) and issubclass(target, Task):
        return task_suite(target, text)
    if isinstance(target, type) and issubclass(target, Measurement):
        return measurement_suite(target, text)
    if isinstance(target, type) and issubclass(target, Layout):
        return layout_suite(target, text)
    raise ConfigError(
        f"{text} is no class of networks (torch.nn.Module), heads, tasks, measurements or layouts; "
        "a density that is none of them is checked by `arbench evaluate --density`"
    )


def _named(target: Any, name: str) -> str:
    return name or getattr(target, "__name__", str(target))
