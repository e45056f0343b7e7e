"""The tables of the MAF paper: small archives of the same form, prepared by pandas and numpy."""

from __future__ import annotations

import importlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import arbench_maf
from arbench.data.tasks import SPLITS
from arbench.errors import DataError
from arbench_maf.frame import read_frame
from arbench_maf.sets import FlowTable, Gas, Hepmass, MiniBooNE, Power

RNG = np.random.default_rng(0)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(folder: Path, members: dict[str, bytes]) -> None:
    (folder / "maf").mkdir(parents=True)
    with tarfile.open(folder / "maf" / "data.tar.gz", "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"data/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    return tmp_path


def loaded(task: type[FlowTable], monkeypatch: pytest.MonkeyPatch, *sizes: int) -> list[np.ndarray]:
    monkeypatch.setattr(task, "num_events", sizes)
    one = task()
    found = [one.load(split).events for split in SPLITS]
    for events in found:
        assert events.dtype == torch.float32
        one.spec.validate(events)
    return [events.numpy() for events in found]


def test_entries_lead_to_classes_of_their_name_and_width() -> None:
    for entry in arbench_maf.arbench_entries:
        module, _, name = entry.task.partition(":")
        task = getattr(importlib.import_module(module), name)
        assert task.name == entry.name
        assert f", {task.spec.num_dims} dims" in entry.summary
        assert not task.pinned


def test_power_is_shuffled_with_noise_and_standardised(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = RNG.normal(3, 2, (200, 8)).round(2)
    archive(data, {"power/data.npy": npy(raw)})
    # As the paper's code has it, in numpy's sums.
    rng = np.random.RandomState(42)
    rows = raw.copy()
    rng.shuffle(rows)
    rows = rows[:, [0, 2, 4, 5, 6, 7]]
    rows[:, 1] += 0.01 * rng.rand(200)
    rows[:, 0] += 0.001 * rng.rand(200)
    rows[:, 2:5] += rng.rand(200, 3)
    parts = rows[:162], rows[162:180], rows[180:]
    mean, scale = rows[:180].mean(0), rows[:180].std(0)
    for found, part in zip(loaded(Power, monkeypatch, 162, 18, 20), parts, strict=True):
        np.testing.assert_allclose(found, (part - mean) / scale, rtol=1e-5, atol=1e-6)


def test_hepmass_keeps_signals_and_columns_that_do_not_repeat(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["label", *(f"f{n}" for n in range(28))]
    tables = []
    for num_rows in (300, 90):
        values = RNG.normal(size=(num_rows, 28))
        values[:, 2:9] = RNG.integers(0, 3, (num_rows, 7))
        tables.append(np.column_stack((RNG.integers(0, 2, num_rows), values)))
    train, test = tables
    frames = pd.DataFrame(train, columns=names), pd.DataFrame(test, columns=names).assign(mass=1.0)
    members = dict(
        zip(Hepmass.members, (f.to_csv(index=False).encode() for f in frames), strict=True)
    )
    archive(data, members)
    kept = [0, 1, *range(9, 28)]
    signals = [table[table[:, 0] == 1, 1:] for table in tables]
    mean, scale = signals[0].mean(0), signals[0].std(0, ddof=1)
    expected = [((table - mean) / scale)[:, kept] for table in signals]
    num = len(expected[0]) // 10
    found = loaded(Hepmass, monkeypatch, len(expected[0]) - num, num, len(expected[1]))
    np.testing.assert_allclose(np.vstack(found[:2]), expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[2], expected[1], rtol=1e-4, atol=1e-6)


def sensors() -> pd.DataFrame:
    """Three columns that are left out, and nine sensors, of which two follow each other."""
    values = RNG.normal(size=(120, 12))
    values[:, 7] = values[:, 5] + 0.01 * RNG.normal(size=120)
    names = ["Time", "Eth", *(f"R{n}" for n in range(9)), "Meth"]
    frame = pd.DataFrame(values, columns=pd.Index(names, dtype=object))
    return frame.sample(frac=1, random_state=0)


def test_gas_keeps_sensors_that_differ(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = sensors()
    archive(data, {"gas/ethylene_CO.pickle": pickle.dumps(frame, protocol=2)})
    rest = frame.drop(columns=["Time", "Eth", "Meth"])
    crowded = (rest.corr() > 0.98).sum(axis=1) > 1
    rest = rest.drop(columns=crowded.index[crowded][0])
    expected = ((rest - rest.mean()) / rest.std()).to_numpy()
    found = np.vstack(loaded(Gas, monkeypatch, 98, 10, 12))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_pickled_table_is_read_and_nothing_in_it_is_run(order: str, tmp_path: Path) -> None:
    values = np.array(RNG.normal(size=(30, 4)), order=order)
    frame = pd.DataFrame(values, columns=pd.Index(list("abcd"), dtype=object), copy=False)
    names, rows = read_frame(pickle.dumps(frame, protocol=2), "here")
    assert names == list("abcd")
    np.testing.assert_array_equal(rows, values)
    marker = tmp_path / "marker"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (marker,))

    with pytest.raises(DataError, match="here: found 0 names"):
        read_frame(pickle.dumps(Hostile(), protocol=2), "here")
    assert not marker.exists()
    with pytest.raises(DataError, match="here: expected a pickled table"):
        read_frame(b"no pickle", "here")


def test_other_sizes_and_missing_members_are_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(data, {"miniboone/data.npy": npy(RNG.normal(size=(100, 43)))})
    assert len(loaded(MiniBooNE, monkeypatch, 81, 9, 10)[0]) == 81
    monkeypatch.undo()
    monkeypatch.setenv("ARBENCH_DATA", str(data))
    with pytest.raises(DataError, match=r"found splits \(\(81, 43\).*expected \(\(29556"):
        MiniBooNE().load("train")
    with pytest.raises(DataError, match="expected the member data/power/data.npy, found none"):
        Power().load("train")
