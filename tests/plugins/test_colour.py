"""Colour on real pixels: a colour model learns from a minute of them what no floor can."""

from __future__ import annotations

from pathlib import Path

import pytest

import arbench

LIMIT = 300


@pytest.mark.slow
def test_a_colour_model_beats_both_floors_on_photographs(data_dir: Path, tmp_path: Path) -> None:
    task = f"images:{data_dir / 'cifar10_prefix.npz'}"
    settings = {
        "pixelcnn-pp": {
            "channels": 16,
            "num_blocks": 1,
            "num_levels": 1,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "ema_decay": 0.9,
            "evaluations": 1,
        },
        "bernoulli": {},
        "cpt": {"neighbours": 0},  # tables of 256 values have no room for neighbours
    }
    runs = {
        model: arbench.run(
            task=task,
            model=model,
            settings=chosen,
            epochs=2,
            limit=LIMIT,
            device="cpu",
            out=tmp_path / model,
        )
        for model, chosen in settings.items()
    }
    for floor in ("bernoulli", "cpt"):
        difference = arbench.compare(runs["pixelcnn-pp"].path, runs[floor].path)
        assert difference.num_events == LIMIT
        assert difference.z > 20, floor
    bits = runs["pixelcnn-pp"].record.splits["test"].bits_per_dim
    assert bits is not None
    assert bits < 7
