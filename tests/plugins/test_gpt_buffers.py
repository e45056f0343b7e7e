"""The buffers of GPT's keys and values, which one state leaves to the next."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench_gpt.buffers import SpareBuffers
from arbench_gpt.key_value_cache import LargeKeyValueCache
from arbench_gpt.network import GPT
from arbench_gpt.state import GPTState

LAYOUT = Layout(EventSpec((1, 8, 9), Discrete(3)))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> GPT:
    """A small network whose keys and values are kept as if they were many."""
    monkeypatch.setattr("arbench_gpt.key_value_cache.BEYOND_CACHES", 1)
    torch.manual_seed(0)
    network = GPT(LAYOUT, 3, num_layers=2, width=8, num_heads=2)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.5)
    return network.double().eval()


def address(buffer: NDArray[np.uint8]) -> int:
    return buffer.__array_interface__["data"][0]


def started(network: GPT, batch_size: int = 4) -> GPTState:
    """A state that has met its first site, and so has keys."""
    state = network.init_state(batch_size)
    network.step(state, None, 0)
    return state


def buffers(state: GPTState) -> set[int]:
    """Where the buffers of a state's keys and values are."""
    found = []
    for cache in state.caches:
        assert isinstance(cache, LargeKeyValueCache)
        found += [address(buffer) for buffer in cache.taken]
    assert len(found) == len(set(found)) == 2 * len(state.caches)
    return set(found)


def test_a_state_takes_the_memory_of_the_one_before(network: GPT) -> None:
    """Also from within inference mode, whose tensors nobody may write to afterwards."""
    with torch.inference_mode():
        state = started(network)
    memory = buffers(state)
    del state
    state = started(network)
    assert buffers(state) == memory
    del state
    assert buffers(started(network)) == memory


def test_states_that_live_at_once_share_no_memory(network: GPT) -> None:
    """They are walked in turns, after another state has left its memory to the first of them."""
    sites = torch.randint(3, (4, LAYOUT.num_sites, 1), generator=torch.Generator().manual_seed(0))
    params = network(sites)
    memory = buffers(started(network))
    states = [network.init_state(len(sites)) for _ in range(3)]
    for t in range(LAYOUT.num_sites):
        for turn, state in enumerate(states):
            previous = sites[:, t - 1].roll(turn, 0) if t else None
            stepped, _ = network.step(state, previous, t)
            torch.testing.assert_close(stepped, params[:, t].roll(turn, 0), rtol=0, atol=1e-12)
    taken = [buffers(state) for state in states]
    assert len(set.union(*taken)) == sum(map(len, taken))
    assert memory <= set.union(*taken)


def test_so_many_buffers_are_kept_and_no_more() -> None:
    spare = SpareBuffers(3)
    lent = [spare.take(64) for _ in range(5)]
    everything = [address(buffer) for buffer in lent]
    held = list(lent)  # so that the system cannot hand out the same memory anew
    spare.give_back(lent)
    assert lent == []
    again = [address(spare.take(64)) for _ in range(3)]
    assert set(again) == set(everything[2:])
    assert address(spare.take(64)) not in everything
    del held


def test_buffers_of_another_size_are_let_go() -> None:
    spare = SpareBuffers(3)
    held = [spare.take(64) for _ in range(2)]
    spare.give_back(held[:1])
    small = spare.take(32)  # lets the large one go
    spare.give_back(held[1:])  # too late to be kept
    spare.give_back([small])
    assert spare.take(32) is small
    assert all(spare.take(64) is not old for old in held)


def test_no_more_bytes_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbench_gpt.buffers.MOST_KEPT_BYTES", 200)
    spare = SpareBuffers(9)
    held = [spare.take(64) for _ in range(5)]
    spare.give_back(held[:])
    again = [spare.take(64) for _ in range(4)]
    assert [any(buffer is old for old in held) for buffer in again] == [True, True, True, False]


def test_a_network_keeps_no_more_than_one_state_needs(network: GPT) -> None:
    states = [started(network) for _ in range(3)]
    everything = set.union(*map(buffers, states))
    held = [buffer for state in states for cache in state.caches for buffer in cache.taken]  # type: ignore[attr-defined]
    states.clear()
    states = [started(network) for _ in range(2)]
    # One more than a state holds: keys that grow move before they leave.
    assert len(everything & set.union(*map(buffers, states))) == 2 * len(network.blocks) + 1
    del held


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_a_network_share_no_memory_and_carry_none(
    network: GPT, copied: Callable[[GPT], GPT]
) -> None:
    names, size = set(network.state_dict()), len(pickle.dumps(network))
    buffers(started(network))  # whose memory is kept
    assert set(network.state_dict()) == names
    assert len(pickle.dumps(network)) == size
    other = copied(network)
    mine, theirs = started(network), started(other)
    assert not buffers(mine) & buffers(theirs)


def test_what_is_kept_is_let_go_when_the_network_moves(network: GPT) -> None:
    state = started(network)
    (first, *_), *_ = (
        cache.taken for cache in state.caches if isinstance(cache, LargeKeyValueCache)
    )
    buffer = weakref.ref(first)
    del state, first
    assert buffer() is not None
    network.float()
    assert buffer() is None
