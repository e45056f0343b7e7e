"""The command line starts at once: it imports what a verb needs when that verb is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {
    "accelerate",
    "httpx2",
    "huggingface_hub",
    "matplotlib",
    "numpy",
    "pandas",
    "pydantic",
    "rich",
    "scipy",
    "tabulate",
    "torch",
    "torchvision",
}
MODULES = (
    "import sys; from arbench.cli import main; main({!r}); print(*sys.modules, file=sys.stderr)"
)
ROUNDS = 9
ZOO = Path(__file__).parent.parent.parent / "zoo"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process finds the same packages as this one, wherever it starts."""
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "recipes"],
        ["list", "plugins", "--json"],
        ["list", "zoo"],
        ["show", "mnist-mini/nade"],
        ["show", "nade"],
        ["show", "nade", "--recipe", "mnist"],
        ["show", "mnist"],
        ["show", str(ZOO / "mnist" / "nade")],
        ["list", "--help"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("environment")
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.usefixtures("environment")
def test_help_imports_neither_a_verb_nor_the_registry() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(["--help"])], capture_output=True, text=True
    )
    ours = {name for name in done.stderr.split() if name.partition(".")[0] == "arbench"}
    assert ours == {
        "arbench",
        "arbench.cli",
        "arbench.cli.streams",
        "arbench.errors",
        "arbench.version",
    }


@pytest.mark.usefixtures("environment")
def test_help_and_list_take_a_small_multiple_of_an_empty_python(tmp_path: Path) -> None:
    """Shortest of interleaved runs: what the machine does beside them only ever adds time."""
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        "help": [sys.executable, "-m", "arbench", "--help"],
        "list": [sys.executable, "-m", "arbench", "list"],
    }
    durations: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
            durations[name].append(time.perf_counter() - start)
    shortest = {name: min(values) for name, values in durations.items()}
    assert shortest["help"] < 6 * shortest["pass"], shortest
    assert shortest["list"] < 12 * shortest["pass"], shortest


LOADED = """
import sys
import arbench
arbench.sample(arbench.load("mnist/pixelcnn"), 1)
arbench.run("toy-markov", "gpt", epochs=1, limit=20, device="cpu", out=sys.argv[1])
print(*(name in sys.modules for name in ("torch._dynamo", "sympy")))
"""


def test_loading_sampling_and_training_leave_torchs_compiler_where_it_is(tmp_path: Path) -> None:
    """Both networks begin with normal numbers, which torch draws by it for a shape alone.

    PixelCNN multiplies them in place, for which torch imports sympy, 34 MB.
    """
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False False"


# The peak is asked of /proc: `getrusage` has a child begin with the peak of its parent, so that an
# empty Python started by a test process of 1 GB "took" 1 GB.
RUN_WATCHED = """
import json, sys
from pathlib import Path
from arbench.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10
print(json.dumps([peak, "torch._dynamo" in sys.modules]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what memory is whose")
def test_a_run_on_digits_with_all_their_levels_fits_into_600_megabytes(
    data_dir: Path, tmp_path: Path
) -> None:
    """The splits are loaded whole, whatever the limit, and a step takes a whole batch.

    With Numba, if it is there: in Python, its samples would take minutes.
    """
    own = {name: value for name, value in os.environ.items() if name != "ARBENCH_KERNEL"}
    command = "run --task mnist-gray --model pixelcnn --epochs 1 --limit 200 --out"
    done = subprocess.run(
        [sys.executable, "-c", RUN_WATCHED, *command.split(), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=290,
        env={**own, "ARBENCH_DATA": str(data_dir)},
    )
    assert done.returncode == 0, done.stderr
    peak, has_compiler = json.loads(done.stdout.splitlines()[-1])
    assert 200e6 < peak < 600e6
    assert not has_compiler  # 80 MB, and nobody asked for it
