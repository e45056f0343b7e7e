"""What pyarrow makes of a plain csv is what the standard library makes of it, errors too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arbench.errors import DataError
from arbench_files import csv_rows
from arbench_files.arrow_csv import read_plain_csv
from arbench_files.columns import coded
from arbench_files.tables import TableTask

NUMBERS = np.random.default_rng(0).normal(size=(60, 2))
LONG = "".join(f"{a:.3f},{b:.5e},{'xyz'[n % 3]}\n" for n, (a, b) in enumerate(NUMBERS))
PLAIN = {
    "bits": "0,1\n1,1\n1,0\n0,0\n1,1\n0,1\n1,0\n1,1\n0,0\n1,0\n",
    "names": "a,b\n" + "0,1\n1,0\n1,1\n" * 5,
    "no end": "a,b\n" + "0,1\n1,0\n1,1\n" * 5 + "0,0",
    "windows": "a,b\r\n" + "0,1\r\n1,0\r\n1,1\r\n" * 5,
    "mark": "\ufeffa,b\n" + "0,1\n1,0\n1,1\n" * 5,
    "mark of rows": "\ufeff" + "0,1\n1,0\n1,1\n" * 5,
    "blanks": "a , b\n" + " 0,\t1\n1 ,0 \n1,1\n" * 5,
    "words": "city,size\n" + "Köln,1.50\nUlm, 2.25\nBonn,-3\nUlm,007\n" * 5,
    "many": LONG,
}
FAULTY = {
    "missing": "a,b\n0,1\n1,\n1,0\n",
    "missing in words": "x,0\ny,1\n n/a ,0\nz,1\n",
    "missing early and late": "x,?\ny,1\n,0\nz,1\n",
    "short": "a,b\n0,1\n1\n",
    "long": "0,1\n1,0,1\n",
    "empty line": "0,1\n\n1,0\n",
    "empty line at the end": "0,1\n1,0\n\n",
    "names alone": "a,b\n",
    "nothing": "",
    "mixed": "a,b\n" + "1.5,x\n2.5,y\nthree,x\n",
    "no text": "0,1\n\udcff,1\n",
    "not finite": "1,0\n2,1\ninf,1\n1e999,0\n",
}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.fixture(params=["at once", "in parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in parts":
        monkeypatch.setattr("arbench_files.arrow_csv._AT_ONCE", 64)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_csv_is_read_as_any_other(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "x.csv", PLAIN[name])
    fast = csv_rows.read_csv(file)
    monkeypatch.setattr(csv_rows, "read_plain_csv", lambda *arguments: None)
    slow = csv_rows.read_csv(file)
    assert not isinstance(fast.columns[0], list)  # else nothing is compared
    assert isinstance(slow.columns[0], list)
    assert fast.names == slow.names
    assert [*fast.lines] == [*slow.lines]
    for one, other in zip(fast.columns, slow.columns, strict=True):
        labels, codes = coded(one)
        assert [labels[code] for code in codes] == other
    assert (fast.bits is None) == (slow.bits is None)
    if fast.bits is not None:
        assert np.array_equal(fast.bits, slow.bits)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("name", FAULTY)
def test_what_is_wrong_is_said_in_the_same_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "x.csv", FAULTY[name])
    with pytest.raises(DataError) as fast:
        TableTask(str(file))
    monkeypatch.setattr(csv_rows, "read_plain_csv", lambda *arguments: None)
    with pytest.raises(DataError) as slow:
        TableTask(str(file))
    assert str(fast.value) == str(slow.value)


def test_quotes_and_old_line_ends_are_for_the_slow_reader(tmp_path: Path) -> None:
    for text in (
        '"a",1\nb,2\n',
        "a,1\rb,2\r",
        "a,1\nb,2\r\r\n",
        "a,1\nb,2\r",
        "a,\0\n",
        "a,1\n\nb,2\n",
    ):
        assert read_plain_csv(write(tmp_path / "x.csv", text), 2, 0) is None, repr(text)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what memory is whose")
def test_a_table_of_bits_takes_little_more_than_itself(tmp_path: Path) -> None:
    """1,000,000 rows of 100 bits, a file of 200 MB: 0.6 GB, where fields as texts took 1.9."""
    rows = np.full((1_000_000, 200), ord(","), np.uint8)
    rows[:, ::2] = np.random.default_rng(0).integers(2, size=(1_000_000, 100)) + ord("0")
    rows[:, -1] = ord("\n")
    file = tmp_path / "bits.csv"
    file.write_bytes(rows.tobytes())
    code = (
        "import sys; from pathlib import Path\n"
        "from arbench_files.csv_rows import read_csv\n"
        "status = Path('/proc/self/status')  # a child's rusage begins with its parent's peak\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0])\n"
        "before = peak(); bits = read_csv(Path(sys.argv[1])).bits\n"
        "assert bits.shape == (1_000_000, 100); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=True)
    assert int(done.stdout) << 10 < 900e6
