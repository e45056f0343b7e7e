"""Runs the checks of a model on every kind of tiny events; declared exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from arbench.probability.events import EventSpec
from arbench.probability.flows.flow import is_flow
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.testing.causality import check_causality, check_influence
from arbench.testing.combinations import check_combinations
from arbench.testing.devices import check_devices
from arbench.testing.distributions import check_normalisation, check_samples_follow_log_prob
from arbench.testing.features import check_features
from arbench.testing.flows import FLOW_CHECKS, FLOW_EVENTS, FlowSubject, flow_subjects
from arbench.testing.invariances import check_invariances, check_reordered
from arbench.testing.learning import (
    check_gradients,
    check_memorises_one_event,
    check_training_params,
)
from arbench.testing.samplers import check_samplers_agree, check_step_equals_forward
from arbench.testing.subject import ConformanceError, NotApplicableError, Subject
from arbench.testing.tiny import TINY_EVENTS, TinyEvents

Check = Callable[[Any], object]
NetworkClass = Callable[..., nn.Module]

CHECKS: dict[str, Check] = {
    "causality": check_causality,
    "influence": check_influence,
    "normalisation": check_normalisation,
    "step_equals_forward": check_step_equals_forward,
    "samplers_agree": check_samplers_agree,
    "samples_follow_log_prob": check_samples_follow_log_prob,
    "memorises_one_event": check_memorises_one_event,
    "gradients": check_gradients,
    "training_params": check_training_params,
    "invariances": check_invariances,
    "reordered": check_reordered,
    "features": check_features,
    "devices": check_devices,
    "combinations": check_combinations,
}

# Checks of what a network may leave out: they exist for those that offer it.
_OPTIONAL: dict[str, Callable[[NetworkClass], bool]] = {
    "step_equals_forward": lambda network_class: hasattr(network_class, "step"),
    "gradients": lambda network_class: not hasattr(network_class, "fit"),
    "training_params": lambda network_class: hasattr(network_class, "training_params"),
    "reordered": lambda network_class: hasattr(network_class, "reordered"),
    "features": lambda network_class: hasattr(network_class, "features"),
}

# What an author may declare as meant. All else would make a number wrong, so nobody can waive it.
WAIVABLE = ("influence", "splits_disjoint")

# Orders in which every spec is tried; None is the raster scan.
ORDER_SEEDS: tuple[int | None, ...] = (None, 1)


@dataclass(frozen=True)
class Result:
    """The outcome of one check on one subject.

    Attributes:
        check: its name in `CHECKS` or `FLOW_CHECKS`.
        subject: the events and the order, such as "binary-2x3 permuted".
        status: "declared" is a failure that the author expects and gives a reason for.
        message: one sentence; of a check that passed what is worth knowing, mostly nothing.
        error: what was raised, for its traceback.
    """

    check: str
    subject: str
    status: Literal["passed", "failed", "declared", "not applicable"]
    message: str = ""
    error: Exception | None = None


def subjects(
    network_class: NetworkClass,
    *,
    specs: Mapping[str, EventSpec | TinyEvents] | None = None,
    head: Callable[[Layout], Head] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
) -> dict[str, Subject] | dict[str, FlowSubject]:
    """All tiny events in every order, by name; some may turn out not to be applicable.

    Only the raster scan has padding come last, so events of varying length are in no other order.
    Flows have no order, and are asked about real numbers alone.
    """
    if is_flow(network_class):
        return flow_subjects(
            network_class, specs=specs or FLOW_EVENTS, hyperparameters=hyperparameters
        )
    options: dict[str, Any] = {"hyperparameters": hyperparameters or {}}
    if head is not None:
        options["head"] = head
    found = {}
    for name, given in (specs or TINY_EVENTS).items():
        tiny = TinyEvents(given) if isinstance(given, EventSpec) else given
        for seed in ORDER_SEEDS:
            if seed is None:
                found[f"{name} raster"] = Subject(network_class, tiny, None, **options)
            elif tiny.end is None and not tiny.layout(seed).is_raster:
                found[f"{name} permuted"] = Subject(network_class, tiny, seed, **options)
    return found


def run_check(name: str, where: str, subject: Subject | FlowSubject) -> Result:
    """The outcome of one check on one subject; whatever the network raises is a failure."""
    declared = declared_reason(subject.network_class, name)
    checks: Mapping[str, Check] = FLOW_CHECKS if isinstance(subject, FlowSubject) else CHECKS
    return outcome(name, where, lambda: checks[name](subject), declared)


def declared_reason(target: object, check: str) -> str | None:
    """Why a class says that failing a check is right; None where it must pass."""
    declared: Mapping[str, str] = getattr(target, "known_failures", {})
    return declared.get(check) if check in WAIVABLE else None


def outcome(
    check: str, where: str, run: Callable[[], object], declared: str | None = None
) -> Result:
    """What came of a check.

    Args:
        check: its name.
        where: what it was run on.
        run: the check itself; it raises what is wrong, or `NotApplicableError`. A text that it
            returns is worth knowing.
        declared: why failing it is right, if the author says so.
    """
    try:
        told = run()
    except NotApplicableError as reason:
        return Result(check, where, "not applicable", str(reason))
    except ConformanceError as error:
        if declared is not None:
            return Result(check, where, "declared", f"{error} (declared: {declared})", error)
        return Result(check, where, "failed", str(error), error)
    except Exception as error:
        # What is checked is somebody else's code: whatever it raises is evidence, and is kept.
        return Result(check, where, "failed", f"{type(error).__name__}: {error}", error)
    return Result(check, where, "passed", told if isinstance(told, str) else "")


def checks_for(network_class: NetworkClass) -> Mapping[str, Check]:
    """The checks that concern this class, by name: those of flows, or by what it offers."""
    if is_flow(network_class):
        return FLOW_CHECKS
    return {
        name: check
        for name, check in CHECKS.items()
        if name not in _OPTIONAL or _OPTIONAL[name](network_class)
    }


def run_checks(
    network_class: NetworkClass, *, checks: Mapping[str, Check] | None = None, **options: Any
) -> list[Result]:
    """Every check on all tiny events in every order.

    Args:
        network_class: what a plugin registers.
        checks: those to run; by default all.
        options: as for `subjects`.
    """
    everywhere = subjects(network_class, **options)
    names = checks or (FLOW_CHECKS if is_flow(network_class) else CHECKS)
    return [run_check(name, where, s) for name in names for where, s in everywhere.items()]


def require(results: list[Result]) -> Iterator[str]:
    """What is worth telling of results that are acceptable.

    Yields:
        One line for every check that was not applicable, failed as declared, or tells something.

    Raises:
        ConformanceError: with one line for every failure, or when a check applied nowhere.
    """
    failures = [r for r in results if r.status == "failed"]
    if failures:
        lines = "\n".join(f"{r.check}, {r.subject}: {r.message}" for r in failures)
        raise ConformanceError(lines) from failures[0].error
    if all(r.status == "not applicable" for r in results):
        raise ConformanceError(f"the network refuses every tiny event: {results[0].message}")
    for result in results:
        if result.status != "passed" or result.message:
            yield f"{result.check}, {result.subject}: {result.status}: {result.message}"
