"""Sequences beyond the context: every symbol follows the right ones, and temperature is one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from arbench.probability.continuation import sample_stream
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli, Categorical, Gaussian, Head
from arbench.probability.heads.tempered import Tempered
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import LinearNetwork

K = 7


class Recurrence(nn.Module):
    """The next symbol is the sum of the last `order` ones and 1, modulo K; at first, anything."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, sites: Tensor) -> Tensor:
        padded = nn.functional.pad(sites[:, :-1, 0], (self.order, 0))
        following = (padded.unfold(1, self.order, 1).sum(-1) + 1) % K
        params = torch.full((*sites.shape[:2], K), -1e9, dtype=torch.float64)
        params.scatter_(2, following.unsqueeze(-1), 0.0)
        params[:, 0] = 0.0
        return params


def recurrence(context: int, order: int) -> Model:
    layout = Layout(EventSpec((context,), Discrete(K)))
    return Model(Recurrence(order), Categorical(layout), layout)


def linear(context: int, seed: int = 0) -> Model:
    layout = Layout(EventSpec((context,), Discrete(3)))
    torch.manual_seed(seed)
    network = LinearNetwork(layout, 3).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=2.0)
    return Model(network, Categorical(layout), layout)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(2, 9), st.data())
def test_every_symbol_follows_the_ones_before_it(context: int, data: st.DataObject) -> None:
    """Wherever the windows end: as many earlier symbols as are promised are the right ones."""
    stride = data.draw(st.integers(1, context - 1))
    order = data.draw(st.integers(1, context - stride))
    length = data.draw(st.integers(1, 4 * context))
    prompt = torch.tensor(data.draw(st.lists(st.integers(0, K - 1), max_size=2 * context)))
    model = recurrence(context, order)
    drawn = sample_stream(
        model, 3, length, stride=stride, generator=generator(), prompt=prompt.long()
    )
    assert drawn.shape == (3, len(prompt) + length)
    for row in drawn.tolist():
        assert row[: len(prompt)] == prompt.tolist()
        for t in range(max(1, len(prompt)), len(row)):
            assert row[t] == (sum(row[max(0, t - order) : t]) + 1) % K


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("length", [1, 5, 6])
def test_up_to_the_context_it_is_plain_sampling(length: int, members: int) -> None:
    models = [linear(6, seed) for seed in range(members)]
    density = models[0] if members == 1 else Ensemble(models)
    plain = density.sample(50, generator=generator(3))
    drawn = sample_stream(density, 50, length, stride=2, generator=generator(3))
    assert torch.equal(drawn, plain[:, :length])


def test_with_a_stride_of_the_context_windows_are_independent() -> None:
    model, shared = linear(6), generator(3)
    windows = [model.sample(50, generator=shared) for _ in range(3)]
    drawn = sample_stream(model, 50, 15, stride=6, generator=generator(3))
    assert torch.equal(drawn, torch.cat(windows, 1)[:, :15])


def test_beyond_it_the_windows_conditional_is_drawn_from() -> None:
    """Symbol 6 given symbols 2 to 5 as the first four of a window: the shares of 20,000."""
    model = linear(6)
    row = torch.tensor([2, 1, 0, 2, 1, 1])
    drawn = sample_stream(model, 20_000, 1, stride=2, generator=generator(), prompt=row)
    window = torch.cat([row[2:], torch.zeros(2, dtype=torch.int64)]).expand(3, 6).clone()
    window[:, 4] = torch.arange(3)
    probs = model.site_log_probs(window)[:, 4].exp()
    shares = torch.bincount(drawn[:, 6], minlength=3) / len(drawn)
    error = (probs * (1 - probs) / len(drawn)).sqrt()
    assert bool(((shares - probs).abs() < 4.5 * error).all())


@pytest.mark.parametrize("method", ["fixed-point", "whole"])
@pytest.mark.parametrize("prompt", [None, torch.tensor([2, 1])])
def test_what_is_heard_while_it_is_drawn_is_what_comes_out(
    method: str, prompt: torch.Tensor | None
) -> None:
    heard: list[torch.Tensor] = []
    drawn = sample_stream(
        linear(6),
        1,
        15,
        stride=3,
        generator=generator(3),
        prompt=prompt,
        method=method,
        hear=lambda sequence: heard.append(sequence.clone()),
    )
    for part in heard:
        assert torch.equal(part, drawn[:, : part.shape[1]])
    lengths = [part.shape[1] for part in heard]
    assert lengths == sorted(lengths)
    assert len({*lengths}) > 5  # not window by window
    assert lengths[-1] == drawn.shape[1]


def test_progress_counts_up_to_the_length() -> None:
    seen: list[tuple[int, int]] = []
    sample_stream(
        linear(6), 2, 15, stride=3, progress=lambda done, total: seen.append((done, total))
    )
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (15, 15)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"length": 0}, "length 0"),
        ({"stride": 0}, "stride 0"),
        ({"stride": 7}, "context of 6.*stride 7"),
        ({"prompt": torch.tensor([3])}, "found 3"),
    ],
)
def test_what_cannot_be_continued_is_refused(changes: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {"length": 9, "stride": 2} | changes
    with pytest.raises(ValueError, match=words):
        sample_stream(linear(6), 2, **arguments)  # type: ignore[arg-type]


def test_images_and_other_orders_are_refused() -> None:
    image = Layout(EventSpec((1, 2, 3), Discrete(3)))
    model = Model(LinearNetwork(image, 3), Categorical(image), image)
    with pytest.raises(ValueError, match="only sequences"):
        sample_stream(model, 1, 3, stride=1)
    backwards = Layout(EventSpec((4,), Discrete(3)), order=[3, 2, 1, 0])
    model = Model(LinearNetwork(backwards, 3), Categorical(backwards), backwards)
    with pytest.raises(ValueError, match="not a prefix in the model's order"):
        sample_stream(model, 1, 9, stride=1)


# Temperature


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_a_temperature_is_a_power_of_the_probabilities(size: int, temperature: float) -> None:
    layout = Layout(EventSpec((1,), Discrete(size)))
    head: Head = Bernoulli(layout) if size == 2 else Categorical(layout)
    params = torch.randn(4, 1, head.num_params, dtype=torch.float64)
    values = torch.arange(size).view(-1, 1, 1, 1)
    plain = torch.stack([head.log_prob(params, v.expand(4, 1, 1)) for v in values])
    tempered = Tempered(head, temperature)
    warm = torch.stack([tempered.log_prob(params, v.expand(4, 1, 1)) for v in values])
    torch.testing.assert_close(warm, (plain / temperature).log_softmax(0))
    noise = torch.rand(40_000, 1, head.num_uniforms, dtype=torch.float64)
    drawn = tempered.sample(params[:1].expand(40_000, -1, -1), noise).flatten()
    probs = warm[:, 0, 0].exp()
    shares = torch.bincount(drawn, minlength=size) / len(drawn)
    error = (probs * (1 - probs) / len(drawn)).sqrt()
    assert bool(((shares - probs).abs() < 4.5 * error).all())


def test_the_lowest_temperature_takes_the_likeliest() -> None:
    layout = Layout(EventSpec((1,), Discrete(5)))
    params = torch.randn(200, 1, 5) * 100
    noise = torch.rand(200, 1, 1, dtype=torch.float64)
    drawn = Tempered(Categorical(layout), 1e-3).sample(params, noise)
    assert torch.equal(drawn[..., 0], params.argmax(-1))


def test_what_has_no_temperature_is_refused() -> None:
    layout = Layout(EventSpec((1,), Discrete(5)))
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"from 0\.001 to 1000"):
            Tempered(Categorical(layout), temperature)
    gaussian = Gaussian(Layout(EventSpec((1,), Real())))
    with pytest.raises(ValueError, match="gaussian head has other parameters"):
        Tempered(gaussian, 0.5)
