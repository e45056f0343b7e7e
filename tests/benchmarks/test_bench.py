"""`make bench`: its counts are right, its page is its JSON's, and three cases are fast enough."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import sys

import pytest
import torch
from bench import JSON, PAGE
from cases import FAMILIES, Case, Family
from contestants import BASELINE, TODAY, python_of_baseline, timed, workers
from counts import COUNTS, Phase, least_seconds
from pytest_benchmark import cli
from rich.console import Console
from rows import Row, rows_of
from tables import page, shown, slower
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from arbench.networks.masked import MaskedConv
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout

AT_LEAST = 0.6  # of the baseline's speed, on a machine that does other things as well
QUICK = (
    Case("sample", "nade", 1),
    Case("train", "made", 100),
    Case("train", "pixelcnn", 32),
)


def test_three_cases_are_not_slower_than_they_were() -> None:
    try:
        python_of_baseline()
    except LookupError as error:
        pytest.skip(f"{error}")
    with workers(1, peers=False) as by_name:
        found = {}
        for case in QUICK:
            both = timed(case, by_name, seconds=0, turn_s=0.05)
            now, then = (min(both[name].seconds["cpu"]) for name in (TODAY, BASELINE))
            found[case.name] = then / now
    assert {name: ratio for name, ratio in found.items() if ratio < AT_LEAST} == {}


SMALL = {
    "nade": {"hidden": 6},
    "fvsbn": {},
    "made": {"hidden": [22]},
    "pixelcnn": {"hidden": 3, "num_blocks": 2, "first_kernel": 5, "outputs": 7},
    "wavenet": {
        **{"channels": 3, "skip_channels": 4, "num_blocks": 2},
        **{"dilations": [1, 4], "kernel_size": 2},
    },
    "gpt": {"num_layers": 3, "width": 8, "num_heads": 2, "positions": "learned"},
    "lstm": {"hidden": 5, "num_layers": 3, "embedding": 4},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families of small networks, and events of ones alone."""
    for name, settings in SMALL.items():
        shape = (1, 4, 3) if FAMILIES[name].units == "images" else (10,)
        sized = dataclasses.replace(FAMILIES[name], shape=shape, settings=settings)
        monkeypatch.setitem(FAMILIES, name, sized)
    monkeypatch.setattr("counts.ONES", 1)


def network_of(family: Family) -> tuple[nn.Module, Tensor]:
    """A network whose weights are all positive, so that each that matters has a gradient."""
    layout = Layout(EventSpec(family.shape, Discrete(family.num_values)))
    module, name = family.network
    network: nn.Module = getattr(importlib.import_module(module), name)(
        layout, natural_head(layout).num_params, **family.settings
    )
    for weight in network.parameters():
        weight.data = 0.1 + weight.data.abs()
    return network, torch.ones(2, layout.num_sites, 1, dtype=torch.int64)


def products(phases: list[Phase]) -> float:
    return sum(phase.multiply_adds for phase in phases)


@pytest.mark.parametrize("name", ["nade", "fvsbn", "made"])
@pytest.mark.usefixtures("small")
def test_every_weight_that_matters_is_multiplied_once_an_event(name: str) -> None:
    network, sites = network_of(FAMILIES[name])
    network(sites).sum().backward()
    used = [int((p.grad != 0).sum()) for n, p in network.named_parameters() if "bias" not in n]
    (phase,) = COUNTS[name](Case("sample", name, 2))
    assert phase.multiply_adds == 2 * sum(used)
    assert phase.numbers == sum(used)
    if name != "fvsbn":
        # Forward, the gradients of all weights, and of the hidden units behind the first layer.
        inner = {"nade": "readout", "made": "layers.1.weight"}[name]
        gradients = network.get_parameter(inner).grad
        assert gradients is not None
        steps = COUNTS[name](Case("train", name, 2))
        assert products(steps) == 2 * (2 * sum(used) + int((gradients != 0).sum()))
        assert steps[-1].numbers == 7 * sum(used)


@pytest.mark.usefixtures("small")
def test_a_convolution_of_ones_counts_its_taps_within_the_picture() -> None:
    network, _ = network_of(FAMILIES["pixelcnn"])
    count, weights = 0.0, 0
    for conv in network.modules():
        if isinstance(conv, MaskedConv):
            conv.weight.data.fill_(1)
            conv.bias.data.zero_()
            count += conv(torch.ones(1, conv.in_channels, 4, 3)).sum().item()
            weights += int(conv.mask.sum())
    (phase,) = COUNTS["pixelcnn"](Case("evaluate", "pixelcnn", 3))
    assert phase.multiply_adds == 3 * count
    assert phase.numbers == weights
    (phase,) = COUNTS["pixelcnn"](Case("sample", "pixelcnn", 3))
    assert (phase.multiply_adds, phase.numbers) == (3 * count, 12 * weights)


@pytest.mark.usefixtures("small")
def test_wavenet_multiplies_what_is_not_padding() -> None:
    network, sites = network_of(FAMILIES["wavenet"])
    count = 0

    def watch(linear: nn.Linear, inputs: tuple[Tensor, ...], output: object) -> None:
        nonlocal count
        count += int((inputs[0] != 0).sum()) * linear.out_features

    for name, part in network.named_modules():
        if isinstance(part, nn.Linear) and name != "layers.0.gates":
            part.register_forward_hook(watch)
    network(sites)
    (phase,) = COUNTS["wavenet"](Case("sample", "wavenet", 2))
    assert phase.multiply_adds == count


@pytest.mark.usefixtures("small")
def test_torch_counts_the_products_of_gpt_alike() -> None:
    network, sites = network_of(FAMILIES["gpt"])
    width, layers, length = 8, 3, 10
    pairs = torch.ones(length, length).tril().sum().item() * 2 * width * layers

    def counted(action: object) -> float:
        with FlopCounterMode(display=False) as counter:
            action()  # type: ignore[operator]
        kinds = counter.get_flop_counts()["Global"]
        return sum(n for op, n in kinds.items() if op.__name__ in ("mm", "addmm")) / 2

    forward = counted(lambda: network(sites))
    assert products(COUNTS["gpt"](Case("sample", "gpt", 2))) == forward + 2 * pairs
    both = counted(lambda: network(sites).sum().backward())
    assert products(COUNTS["gpt"](Case("train", "gpt", 2))) == both + 3 * 2 * pairs
    tail = counted(lambda: network.tail_params(sites, 6))  # type: ignore[operator]
    scored = torch.ones(length, length).tril()[6:].sum().item() * 2 * width
    tail += 2 * (pairs * (layers - 1) / layers + scored)
    assert products(COUNTS["gpt"](Case("evaluate", "gpt", 2, stride=4))) == tail


@pytest.mark.usefixtures("small")
def test_an_lstm_multiplies_all_weights_but_those_of_a_table_at_every_site() -> None:
    network, _ = network_of(FAMILIES["lstm"])
    weights = {n: p.numel() for n, p in network.named_parameters() if "weight" in n}
    used = sum(weights[n] for n in weights if "inputs" not in n and not n.endswith("ih_l0"))
    (phase,) = COUNTS["lstm"](Case("sample", "lstm", 2))
    assert (phase.multiply_adds, phase.numbers) == (2 * 10 * used, 10 * used)


class Machine:
    """1,000 multiply-adds and 100 bytes a second."""

    def multiply_adds_per_s(self) -> float:
        return 1000

    def bytes_per_s(self, working_set: float) -> float:
        return 100


def test_a_phase_takes_the_longer_of_both_and_phases_add_up() -> None:
    assert least_seconds([Phase(5000, 25, 1), Phase(500, 50, 1)], Machine()) == 5 + 2


def row(today_s: list[float], **changed: object) -> Row:
    case = Case("sample", "gpt", 1, 2, 2.4, "transformers")
    made = Row(case, 1, "cpu", "abc", "2026-01-01", today_s, [2.0, 4.0, 6.0], [3.0, 3.0, 3.0], 0.1)
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type]


def test_a_row_holds_by_its_factors_or_by_half_of_its_limit() -> None:
    fast = row([1.0, 1.0, 2.0])
    assert (fast.ratio, fast.of_peer, fast.per_s([1.0, 2.0, 4.0])) == (3, 3, 128)
    assert fast.holds == "yes"
    assert row([1.0, 2.0, 3.0]).holds == "no"  # twice the baseline, 1.5 times the peer
    assert row([1.0, 2.0, 3.0], limit_s=1.0).holds == "limit"
    slow = row([3.0, 6.0, 9.0], limit_s=6.0)
    assert slow.holds == "no"
    assert len(slower([fast, slow])) == 1


def test_a_narrow_terminal_says_what_it_leaves_out() -> None:
    for width, left_out in ((100, False), (50, True)):
        console = Console(file=io.StringIO(), width=width)
        shown([row([1.0, 1.0, 2.0])], console)
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert ("left out for want of room: peer" in text) == left_out
        assert max(map(len, text.splitlines())) <= width
        assert "sample gpt 1" in text


def test_the_page_is_that_of_the_measurements_and_pytest_benchmark_reads_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = json.loads(JSON.read_text())
    assert page(PAGE.read_text(), measured) == PAGE.read_text()
    monkeypatch.setattr(sys, "argv", ["compare", "compare", str(JSON), "--columns=median"])
    monkeypatch.setenv("COLUMNS", "200")
    cli.main()
    table = capsys.readouterr().out
    assert all(row.case.name in table for row in rows_of(measured))
