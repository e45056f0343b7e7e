"""The step sampler as one CUDA graph: a launch for a whole batch of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.probability.model import Model
from arbench.probability.precision import evaluation_mode
from arbench.probability.samplers import sample_stepwise


class GraphedSampler:
    """`sample_stepwise` of a model at one batch size, captured once.

    Every site is a stretch of the graph of its own, so its shapes may differ from those of the
    others; over replays all is static. Noise is copied into a tensor of the graph, and the samples
    are read from another. A step that waits for the device cannot be captured: torch raises.

    Args:
        model: on a CUDA device, with a network that steps.
        batch_size: B.
    """

    @torch.no_grad()
    def __init__(self, model: Model, batch_size: int) -> None:
        device = model.device
        self._model = model
        self._noise = model.draw_noise(batch_size, torch.Generator().manual_seed(0)).to(device)
        zeros = model.sites_of(torch.zeros(batch_size, *model.spec.shape, device=device))
        with evaluation_mode(model):
            apart = torch.cuda.Stream(device)  # libraries set themselves up outside of the graph
            apart.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(apart):
                self._walk(zeros.clone())
            torch.cuda.current_stream(device).wait_stream(apart)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._sites = self._walk(zeros)

    def _walk(self, sites: Tensor) -> Tensor:
        return sample_stepwise(self._model.network, self._model.head, self._noise, sites, 0, None)

    def __call__(self, noise: Tensor) -> Tensor:
        """Samples `(B, *event_shape)` of noise `(B, T, U)`, as `Model.sample` gives them."""
        self._noise.copy_(noise, non_blocking=True)
        self._graph.replay()
        return self._model.layout.to_events(self._sites.clone())


def first_wait(model: Model, batch_size: int) -> str:
    """What torch says of the first step that waits for the device; "none" if no step does."""
    noise = model.draw_noise(batch_size, torch.Generator().manual_seed(0)).to(model.device)
    sites = model.sites_of(torch.zeros(batch_size, *model.spec.shape, device=model.device))
    with torch.no_grad(), evaluation_mode(model):
        sample_stepwise(model.network, model.head, noise, sites.clone(), 0, None)
        torch.cuda.set_sync_debug_mode("error")
        try:
            sample_stepwise(model.network, model.head, noise, sites, 0, None)
        except RuntimeError as error:
            return str(error).splitlines()[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return "none"
