"""A model as an ONNX graph: its parameters and log-probabilities, checked in onnxruntime."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arbench.errors import ConfigError, RunError
from arbench.files.atomic import atomic_path, make_folder
from arbench.probability.density import Density
from arbench.probability.model import Model
from arbench.show.reporting import Advance

OPSET = 20
_NEEDS = ("onnx", "onnxruntime", "onnxscript")
# Of float32, over thousands of sites and in another order of sums.
_TOLERANCE = 1e-3


def export_onnx(
    density: Density, out: Path, *, name: str, advance: Advance = lambda *_: None
) -> tuple[Path, int | None]:
    """The file written, and its fixed batch size; None where a batch may have any size.

    The graph takes `events`, `(B, *event_shape)`, int64 where they are discrete and else float32.
    It gives `params`, `(B, T, P)` as the network makes them, and `site_log_probs`, `(B, T)` nats:
    their sum over the sites that are scored is the log-probability of an event. Events are not
    checked: what is outside the domain has no meaning.

    Before it is kept, the graph is run in onnxruntime on samples of the model and compared.

    Args:
        density: on the CPU.
        out: a folder, made if need be.
        name: of the run; the file is called after it.
        advance: is told what is going on; a tracer does not say how far it is.

    Raises:
        ConfigError: if an extra is missing, or the density is no single network with a head.
        RunError: if the network cannot be exported, or the graph computes something else.
    """
    if missing := [need for need in _NEEDS if importlib.util.find_spec(need) is None]:
        raise ConfigError(
            f"{', '.join(missing)} missing; install them: pip install 'arbench[onnx]'"
        )
    if not isinstance(density, Model):
        raise ConfigError(
            f"{name}: its density is a {type(density).__name__}; only a single network with a head "
            "is exported to ONNX, so train one without copies, orderings or a flow"
        )
    events = density.sample(3, generator=torch.Generator().manual_seed(0))
    graph = _Graph(density)
    with _as_exported(density.network), torch.no_grad():
        fixed = None
        advance(0.0, "tracing")
        try:
            data = _exported(graph, events, dynamic=True)
        except RunError:
            # Some networks cut their work into blocks whose number depends on the batch.
            fixed, events = 1, events[:1]
            data = _exported(graph, events, dynamic=False)
        advance(0.9, "comparing with torch")
        _require_equal(graph, events, data, name, sizes=(1,) if fixed else (1, 3, 5))
    make_folder(out)
    file = out / f"{name.replace('/', '-')}.onnx"
    with atomic_path(file) as temporary:
        temporary.write_bytes(data)
    advance(1.0, "")
    return file, fixed


class _Graph(nn.Module):
    """What is exported; see `export_onnx`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self._model = model.network, model

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        sites = self._model.layout.to_sites(events)
        params = self.network(sites)
        return params, self._model.head.log_prob(params, sites)


@contextlib.contextmanager
def _as_exported(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and the first kernel of each part, torch's own, which a tracer follows."""
    is_training = network.training
    network.eval()
    chosen = [part for part in network.modules() if hasattr(part, "forward_kernels")]
    kept = [part.forward_kernel for part in chosen]
    for part in chosen:
        part.forward_kernel = part.forward_kernels[0]  # type: ignore[index]
    try:
        yield
    finally:
        for part, kernel in zip(chosen, kept, strict=True):
            part.forward_kernel = kernel
        network.train(is_training)


def _exported(graph: nn.Module, events: Tensor, *, dynamic: bool) -> bytes:
    """The graph as a file."""
    options: dict[str, Any] = {"dynamic_shapes": {"events": {0: "B"}}} if dynamic else {}
    options |= {"input_names": ["events"], "output_names": ["params", "site_log_probs"]}
    options |= {"opset_version": OPSET, "dynamo": True, "verbose": False}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(graph, (events,), **options)
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise RunError(f"this network cannot be exported to ONNX: {reason}") from error
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def _require_equal(
    graph: nn.Module, events: Tensor, data: bytes, name: str, *, sizes: tuple[int, ...]
) -> None:
    """Refuse a graph that computes something else than torch, or takes another batch badly."""
    onnxruntime: Any = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for size in sizes:
        batch = events[torch.arange(size) % len(events)]
        found = session.run(None, {"events": batch.numpy()})
        for what, own, other in zip(("params", "site_log_probs"), graph(batch), found, strict=True):
            difference = float((own - torch.from_numpy(other)).abs().max())
            if not difference <= _TOLERANCE * max(1.0, float(own.abs().max())):
                raise RunError(
                    f"{name}: {what} of the exported graph differ by {difference:.2g} from "
                    f"those of torch, at a batch of {size}; nothing was written"
                )
