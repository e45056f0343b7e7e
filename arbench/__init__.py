"""arbench: a benchmark suite and model zoo for autoregressive generative models.

Everything that a user or an author of a plugin imports is here; `arbench.testing`,
`arbench.networks`, `arbench.art` and `arbench.lm_eval` are the only other public paths. Names are
imported when they are first used, so that `import arbench` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from arbench.version import __version__ as __version__

if TYPE_CHECKING:
    from arbench.api import bench as bench
    from arbench.api import compare as compare
    from arbench.api import download as download
    from arbench.api import evaluate as evaluate
    from arbench.api import evaluate_density as evaluate_density
    from arbench.api import leaderboard as leaderboard
    from arbench.api import load as load
    from arbench.api import measure_run as measure_run
    from arbench.api import open_run as open_run
    from arbench.api import push as push
    from arbench.api import push_board as push_board
    from arbench.api import push_space as push_space
    from arbench.api import push_zoo as push_zoo
    from arbench.api import resume as resume
    from arbench.api import run as run
    from arbench.api import run_queue as run_queue
    from arbench.api import run_seeds as run_seeds
    from arbench.api import sample as sample
    from arbench.api import sample_texts as sample_texts
    from arbench.api import training_curve as training_curve
    from arbench.api import untrained as untrained
    from arbench.api import verify as verify
    from arbench.api.curves import CurvePoint as CurvePoint
    from arbench.api.curves import TrainingCurve as TrainingCurve
    from arbench.api.logging import Logger as Logger
    from arbench.api.logging import LogPoint as LogPoint
    from arbench.api.opening import OpenedRun as OpenedRun
    from arbench.cli import main as main
    from arbench.cli.console import ConsoleReporter as ConsoleReporter
    from arbench.data.formats import mu_law as mu_law
    from arbench.data.formats.midi import read_midi as read_midi
    from arbench.data.formats.own_files import OwnFiles as OwnFiles
    from arbench.data.formats.own_files import black_and_white as black_and_white
    from arbench.data.formats.pixels import IMAGE_EXTENSIONS as IMAGE_EXTENSIONS
    from arbench.data.formats.pixels import Pixels as Pixels
    from arbench.data.formats.pixels import read_pixels as read_pixels
    from arbench.data.formats.recordings import Recording as Recording
    from arbench.data.formats.recordings import read_recording as read_recording
    from arbench.data.formats.recordings import recording_windows as recording_windows
    from arbench.data.labels import Labels as Labels
    from arbench.data.pieces import PieceTask as PieceTask
    from arbench.data.rendering import AudioRendering as AudioRendering
    from arbench.data.rendering import ImageRendering as ImageRendering
    from arbench.data.rendering import MusicRendering as MusicRendering
    from arbench.data.rendering import Rendering as Rendering
    from arbench.data.rendering import TableColumn as TableColumn
    from arbench.data.rendering import TableRendering as TableRendering
    from arbench.data.rendering import TextRendering as TextRendering
    from arbench.data.sources import SourceFile as SourceFile
    from arbench.data.sources import cache_dir as cache_dir
    from arbench.data.sources import check_source as check_source
    from arbench.data.sources import data_dir as data_dir
    from arbench.data.sources import fetch as fetch
    from arbench.data.sources import writing_cache as writing_cache
    from arbench.data.streams import StreamTask as StreamTask
    from arbench.data.streams import Windows as Windows
    from arbench.data.streams import text_windows as text_windows
    from arbench.data.tasks import DIVISION_RULES as DIVISION_RULES
    from arbench.data.tasks import SPLITS as SPLITS
    from arbench.data.tasks import Division as Division
    from arbench.data.tasks import DivisionRule as DivisionRule
    from arbench.data.tasks import Split as Split
    from arbench.data.tasks import SplitName as SplitName
    from arbench.data.tasks import Task as Task
    from arbench.data.tasks import open_task as open_task
    from arbench.errors import ArbenchError as ArbenchError
    from arbench.errors import CheckpointError as CheckpointError
    from arbench.errors import ConfigError as ConfigError
    from arbench.errors import DataError as DataError
    from arbench.errors import Diverged as Diverged
    from arbench.errors import Impossible as Impossible
    from arbench.errors import Interrupted as Interrupted
    from arbench.errors import NetworkError as NetworkError
    from arbench.errors import PluginError as PluginError
    from arbench.errors import RunError as RunError
    from arbench.files.archives import read_members as read_members
    from arbench.files.archives import read_zip_member as read_zip_member
    from arbench.files.arrays import ArrayHeader as ArrayHeader
    from arbench.files.arrays import read_npz as read_npz
    from arbench.files.arrays import read_npz_headers as read_npz_headers
    from arbench.files.atomic import atomic_path as atomic_path
    from arbench.files.atomic import require_file as require_file
    from arbench.hub.finding import find_run as find_run
    from arbench.measure.context import Context as Context
    from arbench.measure.context import Handed as Handed
    from arbench.measure.measurement import Measured as Measured
    from arbench.measure.measurement import Measurement as Measurement
    from arbench.measure.measurement import Row as Row
    from arbench.measure.statistics.metrics import NLL as NLL
    from arbench.measure.statistics.paired import PairedDifference as PairedDifference
    from arbench.measure.statistics.paired import paired_difference as paired_difference
    from arbench.measure.statistics.resampling import error_of_resampled as error_of_resampled
    from arbench.measure.statistics.resampling import group_weights as group_weights
    from arbench.probability.bits import in_bits as in_bits
    from arbench.probability.density import Density as Density
    from arbench.probability.ensemble import Ensemble as Ensemble
    from arbench.probability.events import Discrete as Discrete
    from arbench.probability.events import Domain as Domain
    from arbench.probability.events import EventSpec as EventSpec
    from arbench.probability.events import Mixed as Mixed
    from arbench.probability.events import Real as Real
    from arbench.probability.events import joined as joined
    from arbench.probability.extras import Conditionals as Conditionals
    from arbench.probability.extras import Features as Features
    from arbench.probability.extras import Untrained as Untrained
    from arbench.probability.flows.flow import Flow as Flow
    from arbench.probability.foreign import ForeignDensity as ForeignDensity
    from arbench.probability.heads.base import Head as Head
    from arbench.probability.heads.bernoulli import Bernoulli as Bernoulli
    from arbench.probability.heads.categorical import Categorical as Categorical
    from arbench.probability.heads.gaussian import Gaussian as Gaussian
    from arbench.probability.heads.gaussian_mixture import GaussianMixture as GaussianMixture
    from arbench.probability.heads.logistic_mixture import LogisticMixture as LogisticMixture
    from arbench.probability.heads.mixed import MixedHead as MixedHead
    from arbench.probability.layouts import Layout as Layout
    from arbench.probability.model import Model as Model
    from arbench.probability.native.step import NativeDraw as NativeDraw
    from arbench.probability.native.step import NativeStep as NativeStep
    from arbench.probability.precision import widen as widen
    from arbench.probability.randomness import random_order as random_order
    from arbench.probability.randomness import uniforms as uniforms
    from arbench.probability.walks.purification import purify as purify
    from arbench.probability.walks.reference_path import DimByDim as DimByDim
    from arbench.probability.walks.reference_path import ReferencePath as ReferencePath
    from arbench.registry.entries import CommandEntry as CommandEntry
    from arbench.registry.entries import HeadEntry as HeadEntry
    from arbench.registry.entries import LauncherEntry as LauncherEntry
    from arbench.registry.entries import LoggerEntry as LoggerEntry
    from arbench.registry.entries import MeasurementEntry as MeasurementEntry
    from arbench.registry.entries import ModelEntry as ModelEntry
    from arbench.registry.entries import TaskEntry as TaskEntry
    from arbench.registry.hookspecs import hookimpl as hookimpl
    from arbench.runs.folder import RunFolder as RunFolder
    from arbench.runs.pool.launcher import Job as Job
    from arbench.runs.pool.launcher import Launcher as Launcher
    from arbench.runs.pool.launcher import Notice as Notice
    from arbench.runs.record.record import Record as Record
    from arbench.runs.zoo import bundled_name as bundled_name
    from arbench.show import show as show
    from arbench.show.charts import chart_files as chart_files
    from arbench.show.charts import drawn_chart as drawn_chart
    from arbench.show.reporting import Reporter as Reporter

# Where each name is; type checkers read the imports above.
_NAMES = {
    "arbench.api": (
        "bench",
        "compare",
        "download",
        "evaluate",
        "evaluate_density",
        "leaderboard",
        "load",
        "measure_run",
        "open_run",
        "push",
        "push_board",
        "push_space",
        "push_zoo",
        "resume",
        "run",
        "run_queue",
        "run_seeds",
        "sample",
        "sample_texts",
        "training_curve",
        "untrained",
        "verify",
    ),
    "arbench.api.curves": ("CurvePoint", "TrainingCurve"),
    "arbench.api.logging": ("LogPoint", "Logger"),
    "arbench.api.opening": ("OpenedRun",),
    "arbench.cli": ("main",),
    "arbench.cli.console": ("ConsoleReporter",),
    "arbench.data.formats": ("mu_law",),
    "arbench.data.formats.midi": ("read_midi",),
    "arbench.data.formats.own_files": ("OwnFiles", "black_and_white"),
    "arbench.data.formats.pixels": (
        "IMAGE_EXTENSIONS",
        "Pixels",
        "read_pixels",
    ),
    "arbench.data.formats.recordings": (
        "Recording",
        "read_recording",
        "recording_windows",
    ),
    "arbench.data.labels": ("Labels",),
    "arbench.data.rendering": (
        "AudioRendering",
        "ImageRendering",
        "MusicRendering",
        "Rendering",
        "TableColumn",
        "TableRendering",
        "TextRendering",
    ),
    "arbench.data.sources": (
        "SourceFile",
        "cache_dir",
        "check_source",
        "data_dir",
        "fetch",
        "writing_cache",
    ),
    "arbench.data.pieces": ("PieceTask",),
    "arbench.data.streams": (
        "StreamTask",
        "Windows",
        "text_windows",
    ),
    "arbench.data.tasks": (
        "DIVISION_RULES",
        "Division",
        "DivisionRule",
        "SPLITS",
        "Split",
        "SplitName",
        "Task",
        "open_task",
    ),
    "arbench.errors": (
        "ArbenchError",
        "CheckpointError",
        "ConfigError",
        "DataError",
        "Diverged",
        "Impossible",
        "Interrupted",
        "NetworkError",
        "PluginError",
        "RunError",
    ),
    "arbench.files.archives": (
        "read_members",
        "read_zip_member",
    ),
    "arbench.files.arrays": (
        "ArrayHeader",
        "read_npz",
        "read_npz_headers",
    ),
    "arbench.files.atomic": ("atomic_path", "require_file"),
    "arbench.hub.finding": ("find_run",),
    "arbench.measure.context": (
        "Context",
        "Handed",
    ),
    "arbench.measure.measurement": (
        "Measured",
        "Measurement",
        "Row",
    ),
    "arbench.measure.statistics.metrics": ("NLL",),
    "arbench.measure.statistics.paired": (
        "PairedDifference",
        "paired_difference",
    ),
    "arbench.measure.statistics.resampling": (
        "error_of_resampled",
        "group_weights",
    ),
    "arbench.probability.bits": ("in_bits",),
    "arbench.probability.density": ("Density",),
    "arbench.probability.ensemble": ("Ensemble",),
    "arbench.probability.events": (
        "Discrete",
        "Domain",
        "EventSpec",
        "Mixed",
        "Real",
        "joined",
    ),
    "arbench.probability.extras": (
        "Conditionals",
        "Features",
        "Untrained",
    ),
    "arbench.probability.flows.flow": ("Flow",),
    "arbench.probability.foreign": ("ForeignDensity",),
    "arbench.probability.heads.base": ("Head",),
    "arbench.probability.heads.bernoulli": ("Bernoulli",),
    "arbench.probability.heads.categorical": ("Categorical",),
    "arbench.probability.heads.gaussian": ("Gaussian",),
    "arbench.probability.heads.gaussian_mixture": ("GaussianMixture",),
    "arbench.probability.heads.logistic_mixture": ("LogisticMixture",),
    "arbench.probability.heads.mixed": ("MixedHead",),
    "arbench.probability.layouts": ("Layout",),
    "arbench.probability.native.step": ("NativeDraw", "NativeStep"),
    "arbench.probability.model": ("Model",),
    "arbench.probability.precision": ("widen",),
    "arbench.probability.randomness": (
        "random_order",
        "uniforms",
    ),
    "arbench.probability.walks.purification": ("purify",),
    "arbench.probability.walks.reference_path": (
        "DimByDim",
        "ReferencePath",
    ),
    "arbench.registry.entries": (
        "CommandEntry",
        "HeadEntry",
        "LauncherEntry",
        "LoggerEntry",
        "MeasurementEntry",
        "ModelEntry",
        "TaskEntry",
    ),
    "arbench.registry.hookspecs": ("hookimpl",),
    "arbench.runs.folder": ("RunFolder",),
    "arbench.runs.pool.launcher": ("Job", "Launcher", "Notice"),
    "arbench.runs.record.record": ("Record",),
    "arbench.runs.zoo": ("bundled_name",),
    "arbench.show": ("show",),
    "arbench.show.charts": ("chart_files", "drawn_chart"),
    "arbench.show.reporting": ("Reporter",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
