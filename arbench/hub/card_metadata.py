"""YAML front matter of a card or board on the Hub (`model-index`).

The evaluation has the form that the Hub calls `model-index`.

Source: the Hub's model card specification, https://github.com/huggingface/hub-docs, modelcard.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from arbench.data.units import kind_of, nats_per
from arbench.files.plain_text import printable
from arbench.runs.record.record import Record

# The Hub's words for what a model of such data does.
_HUB_TASKS = {"image": "unconditional-image-generation", "text": "text-generation"}


def front_matter(record: Record) -> str:
    """The YAML between dashes that a card begins with.

    A result on a part of the data is comparable to nothing, and what is no likelihood is no result:
    neither is an entry of `model-index`.
    """
    metadata: dict[str, Any] = {
        "library_name": "arbench",
        "tags": ["arbench", "autoregressive", "density-estimation", record.model.name],
    }
    if "test" in record.splits and record.limit is None and record.no_likelihood is None:
        metadata["model-index"] = [
            {
                "name": f"{record.model.name} on {record.task.name}",
                "results": [
                    {
                        "task": {
                            "type": _HUB_TASKS.get(kind_of(record.task.unit), "other"),
                            "name": "density estimation",
                        },
                        "dataset": {
                            "type": record.task.name,
                            "name": f"{record.task.name} version {record.task.version}",
                            "split": "test",
                            "revision": record.task.data_sha256,
                        },
                        "metrics": _metrics(record),
                    }
                ],
            }
        ]
    return with_metadata(metadata, "")


def with_metadata(metadata: Mapping[str, object], text: str) -> str:
    """A page of the Hub: YAML between dashes, then Markdown."""
    front: str = yaml.safe_dump({**metadata}, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{printable(front)}---\n{text}"


def _metrics(record: Record) -> list[dict[str, Any]]:
    test, unit = record.splits["test"], record.task.unit
    per = nats_per(unit)
    nats = test.nats_per_event if per == "event" else test.total_nats / test.num_dims
    metrics = [{"type": f"nats_per_{per}", "name": f"{test.kind} nats per {per}", "value": nats}]
    if test.bits_per_dim is not None:
        bits = {"type": f"bits_per_{unit}", "name": f"{test.kind} bits per {unit}"}
        metrics.append({**bits, "value": test.bits_per_dim})
    return metrics
