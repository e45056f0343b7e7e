"""How the authors made each table of what they published: columns, noise, splits and units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from arbench import SPLITS, SplitName

Rows = NDArray[np.float64]
Splits = dict[SplitName, NDArray[np.float32]]

_NOISE_SEED = 42
_MOST_REPEATS = 5
_MOST_CORRELATED = 0.98


def power(data: Rows) -> Splits:
    """The splits of `power/data.npy`: rows shuffled, two columns left out, noise added.

    Readings are rounded, and uniform noise of one digit's width makes them real numbers again.

    Args:
        data: `(N, 8)`: active and reactive power, voltage, intensity, three meters, time of day.
    """
    rng = np.random.RandomState(_NOISE_SEED)
    data = data.copy()
    rng.shuffle(data)
    data = np.delete(data, (1, 3), axis=1)
    voltage = 0.01 * rng.rand(len(data), 1)
    active = 0.001 * rng.rand(len(data), 1)
    meters = rng.rand(len(data), 3)
    data = data + np.hstack((active, voltage, meters, np.zeros((len(data), 1))))
    return in_units_of_train(*divided(data))


def gas(names: list[str], data: Rows) -> Splits:
    """The splits of `gas/ethylene_CO.pickle`: sensors that no later one follows closely.

    The units are those of all rows, test included.

    Args:
        names: of the columns.
        data: `(N, columns)`.
    """
    data = data[:, [name not in ("Meth", "Eth", "Time") for name in names]]
    while True:
        close = np.corrcoef(data, rowvar=False) > _MOST_CORRELATED
        crowded = np.flatnonzero(close.sum(1) > 1)
        if len(crowded) == 0:
            break
        data = np.delete(data, crowded[0], axis=1)
    means, scales = units(data, 1)
    return _float32(*divided((data - means) / scales))


def hepmass(train: Rows, test: Rows) -> Splits:
    """The splits of `hepmass/1000_train.csv` and `1000_test.csv`: signals, in columns of numbers.

    A column whose smallest value comes more than five times is left out: it is no real number.

    Args:
        train: `(N, 29)`: the class, 1 for a signal, then 28 columns.
        test: `(N, 30)`: likewise, and one column more, which is no part of the data.
    """
    train, test = train[train[:, 0] == 1, 1:], test[test[:, 0] == 1, 1:-1]
    means, scales = units(train, 1)
    repeats = (train == train.min(0)).sum(0)
    train, test = ((rows - means) / scales for rows in (train, test))
    train, test = (rows[:, repeats <= _MOST_REPEATS] for rows in (train, test))
    num_validation = int(len(train) * 0.1)
    return _float32(train[:-num_validation], train[-num_validation:], test)


def miniboone(data: Rows) -> Splits:
    """The splits of `miniboone/data.npy`, whose outliers and repeating columns are left out."""
    return in_units_of_train(*divided(data))


def divided(data: Rows) -> tuple[Rows, Rows, Rows]:
    """Train, validation and test: the last tenth is test, the last tenth of the rest validation."""
    num_test = int(0.1 * len(data))
    rest, test = data[:-num_test], data[-num_test:]
    num_validation = int(0.1 * len(rest))
    return rest[:-num_validation], rest[-num_validation:], test


def in_units_of_train(train: Rows, validation: Rows, test: Rows) -> Splits:
    """The splits with mean 0 and standard deviation 1 over train and validation together."""
    means, scales = units(np.vstack((train, validation)), 0)
    return _float32(*((rows - means) / scales for rows in (train, validation, test)))


def units(data: Rows, freedom: int) -> tuple[Rows, Rows]:
    """Mean and standard deviation of every column, of sums that are rounded once.

    Sums by blocks differ from one processor to the next, and with them the hash of the data.

    Args:
        data: `(N, D)`.
        freedom: what is taken from N in the variance, 0 or 1.
    """
    means = np.array([math.fsum(column) / len(data) for column in data.T])
    squares = [math.fsum((column - mean) ** 2) for column, mean in zip(data.T, means, strict=True)]
    return means, np.sqrt(np.array(squares) / (len(data) - freedom))


def _float32(*splits: Rows) -> Splits:
    return {
        name: np.ascontiguousarray(rows, np.float32)
        for name, rows in zip(SPLITS, splits, strict=True)
    }
