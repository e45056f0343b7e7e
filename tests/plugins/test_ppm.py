"""PPM against its definition in plain Python, sums over all events, and its files."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

import arbench
from arbench.data.tasks import open_task
from arbench.errors import CheckpointError
from arbench.files.tensors import load_tensors, save_tensors
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.runs.folder import RunFolder
from arbench_ppm.network import PPM


def make_model(size: int, num_dims: int, order: int) -> Model:
    layout = Layout(EventSpec((num_dims,), Discrete(size)))
    head = natural_head(layout)
    return Model(PPM(layout, head.num_params, order=order).double(), head, layout)


def all_events(size: int, num_dims: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=num_dims)))


def oracle_prob(
    seen: Sequence[Sequence[int]], before: Sequence[int], value: int, size: int, order: int
) -> float:
    """`p(value | before)` as the definition says, with sets and counters; "^" is before a start."""
    counts: list[Counter[tuple[tuple, int]]] = [Counter() for _ in range(order + 1)]
    for event in seen:
        padded = ["^"] * order + list(event)
        for t in range(order, len(padded)):
            counts[order][tuple(padded[t - order : t]), padded[t]] += 1
    for length in range(order, 0, -1):  # update exclusion: once for each longer context
        for context, v in counts[length]:
            counts[length - 1][context[1:], v] += 1
    context = tuple((["^"] * order + list(before))[-order:])
    prob, excluded = 1.0, set[int]()
    for length in range(order, -1, -1):
        followed = {v: n for (c, v), n in counts[length].items() if c == context[order - length :]}
        left = {v: n for v, n in followed.items() if v not in excluded}
        num, kinds = sum(left.values()), len(left)
        whole = 2 * num - (kinds if len(followed) == size else 0)
        if value in left:
            return prob * (2 * left[value] - 1) / whole
        prob *= kinds / whole if left else 1
        excluded |= set(followed)
    return prob / (size - len(excluded))


@pytest.mark.parametrize(
    ("size", "order", "num_dims", "highest"),
    [(2, 3, 6, 1), (3, 2, 4, 2), (4, 1, 3, 2), (3, 5, 4, 2)],
)
def test_conditionals_are_those_of_the_definition(
    size: int, order: int, num_dims: int, highest: int
) -> None:
    """With contexts that nobody saw, values that nobody saw, and an order beyond the event."""
    generator = torch.Generator().manual_seed(size + order)
    seen = torch.randint(highest + 1, (6, num_dims), generator=generator)
    model = make_model(size, num_dims, order)
    model.network.fit([(seen[:2, :, None], None), (seen[2:, :, None], None)])
    events = all_events(size, num_dims)
    rows = seen.tolist()
    expected = [
        sum(math.log(oracle_prob(rows, event[:t], event[t], size, order)) for t in range(num_dims))
        for event in events.tolist()
    ]
    found = model.log_prob(events)
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert abs(found.exp().sum().item() - 1) < 1e-12
    params = model.network._log_probs(model.network._histories(events).flatten(0, 1))
    assert params.logsumexp(-1).abs().max().item() < 1e-12


def test_a_context_worked_out_by_hand() -> None:
    """After "a" came "a" twice and "b" once; after anything, in how many contexts each was new."""
    model = make_model(3, 4, 1)
    model.network.fit([(torch.tensor([[0, 0, 0, 1]]).unsqueeze(-1), None)])
    after = model.conditionals(torch.tensor([[0, 0, 1, 2]]))[0].exp()
    # 3/6 and 1/6; the escape 2/6 goes to "c", the only value left, which nobody saw.
    torch.testing.assert_close(after[1], torch.tensor([3 / 6, 1 / 6, 2 / 6]).double())
    # Nothing ever followed "b": "a" was new after "^" and after "a", "b" after "a".
    torch.testing.assert_close(after[3], torch.tensor([3 / 6, 1 / 6, 2 / 6]).double())
    # At the start came "a", once: 1/2; then "b" of what is left: half of the rest, and "c".
    torch.testing.assert_close(after[0], torch.tensor([1 / 2, 1 / 4, 1 / 4]).double())


def test_step_equals_forward_exactly() -> None:
    model = make_model(4, 7, 3)
    model.network.fit([(torch.randint(4, (40, 7, 1)), None)])
    sites = torch.randint(4, (9, 7, 1))
    params = model.network(sites)
    state, previous = model.network.init_state(9), None
    for t in range(7):
        stepped, state = model.network.step(state, previous, t)
        assert torch.equal(stepped, params[:, t])
        previous = sites[:, t]


def test_sites_not_scored_serve_as_context_only() -> None:
    sites = torch.tensor([[0, 1, 1], [0, 0, 0]]).unsqueeze(-1)
    scored = torch.tensor([[True, True, True], [False, False, True]])
    model, other = make_model(2, 3, 2), make_model(2, 3, 2)
    model.network.fit([(sites, scored)])
    other.network.fit([(sites[:1], None), (sites[1:], scored[1:])])
    assert torch.equal(model.network.log_totals, other.network.log_totals)
    # Values that count: 0, 1, 1 after "^^", "^0", "01", and 0 after "00".
    assert len(model.network.starts) - 2 == 3 + 4  # contexts of length 1, and of length 2


def test_many_rows_are_made_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(3, 5, 2)
    model.network.fit([(torch.randint(3, (20, 5, 1)), None)])
    sites = torch.randint(3, (6, 5, 1))
    whole = model.network(sites)
    monkeypatch.setattr("arbench_ppm.network._MOST_AT_ONCE", 21)
    assert torch.equal(model.network(sites), whole)


def test_a_run_keeps_as_many_contexts_as_it_counted(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "ppm", settings={"order": 2}, limit=50, out=tmp_path / "run")
    weights = load_tensors(RunFolder(run.path).model)
    assert run.record.model.num_parameters == sum(t.numel() for t in weights.values()) > 0
    test = open_task("toy-markov").load("test").first(50)
    nats = -arbench.load(run.path).log_prob(test.events).double().sum().item()
    assert nats == pytest.approx(run.record.likelihood.test.total_nats, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("starts", lambda t: t.flip(0)),
        ("starts", lambda t: t * 2),
        ("values", lambda t: t + 2),
        ("values", lambda t: t - 1),
        ("log_counts", lambda t: t[:-1]),
        ("log_totals", lambda t: t[:-1]),
        ("edges", lambda t: t[:0]),
    ],
)
def test_a_file_of_no_tables_is_refused(name: str, change: object) -> None:
    network = make_model(2, 4, 2).network
    network.fit([(torch.randint(2, (20, 4, 1)), None)])
    state = {key: value.clone() for key, value in network.state_dict().items()}
    make_model(2, 4, 2).network.load_state_dict(state)
    state[name] = change(state[name])  # type: ignore[operator]
    with pytest.raises(CheckpointError, match="no tables of contexts"):
        make_model(2, 4, 2).network.load_state_dict(state)


def test_only_rows_may_differ_from_what_a_configuration_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"rows": torch.zeros(5, 2)})
    assert load_tensors(path, expected={"rows": torch.zeros(0, 2)})["rows"].shape == (5, 2)
    for wrong in (torch.zeros(0, 3), torch.zeros(0), torch.zeros(4, 2), torch.zeros(0, 2).double()):
        with pytest.raises(CheckpointError, match="the configuration needs"):
            load_tensors(path, expected={"rows": wrong})
    save_tensors(path, {"rows": torch.tensor(1.0)})
    with pytest.raises(CheckpointError, match="the configuration needs"):
        load_tensors(path, expected={"rows": torch.zeros(0)})


def test_refusals() -> None:
    for order in (0, 17):
        with pytest.raises(ValueError, match="order must be 1 to 16"):
            make_model(2, 4, order)
    with pytest.raises(ValueError, match="use sites='dim'"):
        PPM(Layout(EventSpec((3, 2, 2), Discrete(2)), sites="pixel"), 1)
