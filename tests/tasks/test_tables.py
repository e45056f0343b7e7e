"""`table:PATH`: columns of several kinds, standardised, and written as the file has them."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from arbench import Discrete, EventSpec, Mixed, Real, TableRendering, open_task
from arbench.data.dataset import Dataset
from arbench.data.repeats import describe_own
from arbench.data.tasks import SPLITS, Division
from arbench.errors import ConfigError, DataError
from arbench.show.samples import save_samples
from arbench.testing.suites import task_suite
from arbench_files.tables import TableTask

HEADER = ["city", "age", "plan", "income", "owner", "rooms"]
CITIES, PLANS = ["Bonn", "Köln, West", "Ulm"], ["a", "b", "c", "d", "e"]


def lines(num_rows: int = 120) -> list[list[str]]:
    """Rows of three categorical columns, two real ones and a binary one."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(num_rows):
        city = int(rng.integers(3))
        rows.append(
            [
                CITIES[city],
                str(int(rng.normal(40 + 10 * city, 12))),
                PLANS[int(rng.integers(5))],
                f"{rng.lognormal(8, 0.5):.2f}",
                ["no", "yes"][int(rng.integers(2))],
                str(int(rng.integers(1, 5))),
            ]
        )
    return rows


def written(path: Path, rows: list[list[str]], header: list[str] | None = None) -> str:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*([header] if header else []), *rows])
    return str(path)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("people") / "people.csv", lines(), HEADER)


def test_each_column_has_its_own_domain(people: str) -> None:
    task = TableTask(people)
    expected = (Discrete(3), Real(), Discrete(5), Real(), Discrete(2), Discrete(4))
    assert task.spec == EventSpec((6,), Mixed(expected))
    columns = task.rendering.columns
    assert columns is not None
    assert [column.name for column in columns] == HEADER
    assert columns[0].labels == tuple(CITIES)
    assert columns[4].labels == ("no", "yes")
    assert columns[5].labels == ("1", "2", "3", "4")
    assert [columns[1].decimals, columns[3].decimals] == [0, 2]


def test_real_columns_have_the_mean_and_scale_of_train(people: str) -> None:
    task = TableTask(people)
    train = task.load("train").events
    assert train.dtype == torch.float32
    assert len(train) == 96
    for dim in (1, 3):
        assert train[:, dim].mean().item() == pytest.approx(0, abs=1e-6)
        assert train[:, dim].std(correction=0).item() == pytest.approx(1, abs=1e-6)
    table, columns = np.array(lines()), task.rendering.columns
    assert columns is not None
    order = task._places["train"][1]
    incomes = table[order, 3].astype(float)
    assert columns[3].mean == pytest.approx(incomes.mean())
    assert columns[3].scale == pytest.approx(incomes.std())


def test_rows_are_written_as_they_were(people: str, tmp_path: Path) -> None:
    """Every split, written, is lines of the file, letter by letter."""
    task = TableTask(people)
    out = tmp_path / "rows.csv"
    found = []
    for split in SPLITS:
        save_samples(out, task.load(split).events, task.spec, rendering=task.rendering)
        with open(out, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == HEADER
        found += rows
    assert sorted(found) == sorted(lines())


def test_a_division_of_another_seed_has_other_units(people: str) -> None:
    task = TableTask(people)
    other = task.as_of("2", Division(rule="rows", seed=5))
    assert isinstance(other, TableTask)
    assert other.rendering != task.rendering
    assert other.load("train").events[:, 3].mean().item() == pytest.approx(0, abs=1e-6)
    assert TableTask(people).name == task.name != other.name


def test_the_checks_of_a_task_hold(people: str) -> None:
    results = [trial.run() for trial in task_suite(TableTask, "table", people).trials()]
    assert not [result for result in results if result.status == "failed"]


def test_the_user_says_what_a_column_holds(people: str, tmp_path: Path) -> None:
    task = TableTask(f"{people}?category=age?real=rooms")
    domain = task.spec.domain
    assert isinstance(domain, Mixed)
    assert domain.sizes[1] > 20
    assert domain.sizes[5] == 0
    ages = sorted({int(row[1]) for row in lines()})
    assert task.rendering.columns is not None
    assert task.rendering.columns[1].labels == tuple(map(str, ages))
    rows = [[code, "12"[n % 2]] for n, code in enumerate(["07", "7", "x", "12", "y"] * 9)]
    codes = written(tmp_path / "codes.csv", rows)
    with pytest.raises(DataError, match=r"row 0 \(line 1\), column 0: found '07'.*\?category=0"):
        TableTask(codes)
    read = TableTask(f"{codes}?category=0")
    assert read.rendering.columns is not None
    assert read.rendering.columns[0].labels == ("07", "12", "7", "x", "y")
    with pytest.raises(ConfigError, match="no column is called 'size'; there are city, age"):
        TableTask(f"{people}?category=size")
    with pytest.raises(ConfigError, match="'age' is named twice"):
        TableTask(f"{people}?category=age?real=age")
    with pytest.raises(DataError, match="'city': found 'Ulm', expected a number$"):
        TableTask(f"{people}?real=city")


def test_a_run_says_what_columns_hold_and_which_real_ones_repeat(people: str) -> None:
    """Ages are a few dozen whole numbers, incomes differ."""
    *_, columns, note = describe_own(Dataset(TableTask(people)))
    expected = "city 3, age real, plan 5, income real, owner 2, rooms 4"
    assert columns == f"columns {expected} (number of values, or real)"
    train = TableTask(people).load("train").events
    distinct = len(set(train[:, 1].tolist()))
    assert note.startswith(f"note    column age holds {distinct} different numbers")
    assert note.endswith("?category=age asks for probabilities")


@pytest.mark.parametrize("missing", ["", "NA", "?", "NaN", "null"])
def test_a_missing_value_is_refused_by_row_and_column(missing: str, tmp_path: Path) -> None:
    for number, name in enumerate(HEADER):
        rows = lines()
        rows[70][number] = missing
        path = written(tmp_path / "holes.csv", rows, HEADER)
        with pytest.raises(DataError, match=rf"row 70 \(line 72\), column '{name}': found"):
            TableTask(path)


def test_tables_of_one_kind_have_one_domain(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(5, 3, (60, 3))
    assert TableTask(written(tmp_path / "real.csv", real.astype(str).tolist())).spec == (
        EventSpec((3,), Real())
    )
    np.savez(tmp_path / "real.npz", real)
    task = TableTask(str(tmp_path / "real.npz"))
    assert task.spec == EventSpec((3,), Real())
    assert task.rendering.header is None
    levels = rng.integers(0, 4, (60, 3))
    task = TableTask(written(tmp_path / "levels.csv", levels.astype(str).tolist()))
    assert task.spec == EventSpec((3,), Discrete(4))
    assert task.load("train").events.dtype == torch.uint8
    bits = written(tmp_path / "bits.csv", (levels % 2).astype(str).tolist(), ["x", "y", "z"])
    task = TableTask(bits)
    assert task.spec == EventSpec((3,), Discrete(2))
    assert task.rendering.header == ["x", "y", "z"]


def test_named_arrays_are_columns(people: str, tmp_path: Path) -> None:
    table = np.array(lines())
    arrays = {name: table[:, n] for n, name in enumerate(HEADER)}
    arrays |= {"age": table[:, 1].astype(int), "income": table[:, 3].astype(float)}
    np.savez(tmp_path / "people.npz", **arrays)
    task, same = TableTask(str(tmp_path / "people.npz")), TableTask(people)
    assert task.spec == same.spec
    for split in SPLITS:
        assert torch.equal(task.load(split).events, same.load(split).events)
    arrays["age"] = table[:, 1].astype(float)
    arrays["age"][7] = np.nan
    np.savez(tmp_path / "people.npz", **arrays)
    with pytest.raises(DataError, match="row 7, column 'age': found 'nan'"):
        TableTask(str(tmp_path / "people.npz"))


def test_stated_splits_of_numbers_are_standardised_by_train(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    parts = {"train": rng.normal(3, 2, (50, 2)), "val": rng.normal(9, 2, (30, 2))}
    np.savez(tmp_path / "parts.npz", **parts, test=parts["val"])
    task = TableTask(str(tmp_path / "parts.npz"))
    expected = (parts["val"] - parts["train"].mean(0)) / parts["train"].std(0)
    np.testing.assert_allclose(task.load("validation").events, expected, rtol=1e-5)
    parts["train"][:, 1] = 4.0
    np.savez(tmp_path / "parts.npz", **parts, test=parts["val"])
    with pytest.raises(DataError, match="train rows of column 1 have a standard deviation of 0"):
        TableTask(str(tmp_path / "parts.npz"))


def test_columns_are_checked_against_the_events(people: str) -> None:
    task = TableTask(people)
    task.rendering.check(task.spec)
    with pytest.raises(ValueError, match="no rendering of"):
        task.rendering.check(EventSpec((6,), Real()))
    with pytest.raises(ValueError, match="no rendering of"):
        TableRendering(columns=(task.rendering.columns or ())[:5]).check(task.spec)


def test_numbers_that_round_to_nothing_have_no_sign(people: str) -> None:
    columns = open_task(f"table:{people}").rendering
    assert isinstance(columns, TableRendering)
    assert columns.columns is not None
    age = columns.columns[1].model_copy(update={"mean": 0.0, "scale": 1.0})
    assert age.written(np.array([-0.4, 1.6, -2.0])) == ["0", "2", "-2"]
    free = age.model_copy(update={"decimals": None})
    assert free.written(np.array([0.1, 1234567.0])) == ["0.1", "1234567"]


# Parquet


def columns_of_people() -> dict[str, list[object]]:
    table = list(zip(*lines(), strict=True))
    numbers = {"age": int, "income": float, "rooms": int, "owner": lambda field: field == "yes"}
    return {
        name: [numbers.get(name, str)(field) for field in table[n]] for n, name in enumerate(HEADER)
    }


def test_parquet_is_read_as_csv_is(people: str, tmp_path: Path) -> None:
    """Plain and dictionary columns, in several row groups and chunks."""
    table = pa.table(columns_of_people())
    city = table.column("city").dictionary_encode()
    parquet.write_table(table.set_column(0, "city", city), tmp_path / "p.parquet", row_group_size=7)
    task, same = TableTask(str(tmp_path / "p.parquet")), TableTask(people)
    assert task.spec == same.spec
    assert task.rendering.header == HEADER
    for split in SPLITS:
        assert torch.equal(task.load(split).events, same.load(split).events)
    columns = task.rendering.columns
    assert columns is not None
    assert columns[4].labels == ("false", "true")
    prices = [Decimal(f"{n}.5") for n in range(30)]
    parquet.write_table(pa.table({"price": prices, "tag": ["x", "y"] * 15}), tmp_path / "d.parquet")
    columns = TableTask(str(tmp_path / "d.parquet")).rendering.columns
    assert columns is not None
    assert columns[0].decimals == 1


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("name", HEADER)
def test_a_null_is_refused_by_row_and_column(name: str, encoded: bool, tmp_path: Path) -> None:
    columns = columns_of_people()
    columns[name][53] = None
    table = pa.table(columns)
    if encoded:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(name).dictionary_encode())
    path = tmp_path / "holes.parquet"
    parquet.write_table(table, path, row_group_size=20)
    with pytest.raises(DataError, match=f"row 53, column '{name}': found 'null', which looks like"):
        TableTask(str(path))


def test_what_is_no_column_of_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"when": [datetime(2026, 1, day) for day in (1, 2, 3)]}), path)
    with pytest.raises(DataError, match=r"column 'when' holds timestamp\[us\], expected numbers"):
        TableTask(str(path))
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(DataError, match="found 0 rows of 1 columns"):
        TableTask(str(path))
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="expected a parquet file, and pyarrow says"):
        TableTask(str(path))


def test_a_folder_of_parts_is_refused_and_its_names_are_no_column(tmp_path: Path) -> None:
    part = tmp_path / "year=2026" / "part-10.parquet"
    part.parent.mkdir()
    parquet.write_table(pa.table(columns_of_people()), part)
    with pytest.raises(DataError, match="found a folder.*have no order: write one file"):
        TableTask(str(part.parent))
    assert TableTask(str(part)).rendering.header == HEADER
