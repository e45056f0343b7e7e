"""The splits of every task: disjoint as it states, and of one version the same bytes for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbench.boards.results import kept_records, read_results
from arbench.data.dataset import Dataset
from arbench.data.offline import NotHereError, offline
from arbench.data.tasks import open_task
from arbench.registry.manager import registry
from arbench.testing.suites import find_suite

# Of all events of all splits; whoever changes one changes the task's version, and adds a line.
EVENTS_SHA256 = {
    (
        "caltech-silhouettes",
        "1",
    ): "b4db659e3079cc2a86956563b9590c789817e6efa87edd5a2f957dc0c6840a56",
    ("cifar10-6k", "1"): "88996d07f3cecc861dba63ae6ab2c938baea633ae76527ebb3256b159a387cae",
    ("density-accidents", "1"): "356499b00f539934b567193cb67526d92d2ca0f9f05726fed976631097b1f301",
    ("density-baudio", "1"): "72709d064a275abade5e2124b3253082e8062bbb7886d5d8d326b8d04f872eab",
    ("density-bbc", "1"): "5bf29b576a7ce6feeaa6192511c5dafc56f5239a9c83e46e7ee5201881e0b637",
    ("density-bnetflix", "1"): "ecc4a7a905cc409544aefbef0f07db60e009002acb7dc7ea74254090cb0cc87f",
    ("density-dna", "1"): "ff414f6a5804f026c64b8ae76d79682307f1827551735286b043e856e653b197",
    ("density-jester", "1"): "cf05f344d0ee196abdef590f7394f14296c90577126a63a7210d11d0eb321130",
    ("density-nltcs", "1"): "21c9d798da9bec8bdb9eedd4134899b9b3d36d9ca4d8a8e2f491f3e49543ddb2",
    ("density-plants", "1"): "fb072e36dfd2e5c9b5785d1f0bb259f147b32fcc0733f5d0be5dabbaa19c186a",
    ("jsb-chorales", "1"): "075496edf325a997a96e818e1faafc56ccaec56e6eaac68d343b814dfa146384",
    (
        "jsb-chorales-transposed",
        "1",
    ): "075496edf325a997a96e818e1faafc56ccaec56e6eaac68d343b814dfa146384",
    ("musedata", "1"): "457631d78cc535da7b3889113cbdd6626c75c812b91e33862902a1807fd340b9",
    ("nottingham", "1"): "1b2434a9816845c695744be64cd19f48fae1ac432e24e3adfa8192b7903789f8",
    ("piano-midi", "1"): "84d46910b97da2434e96b42964fdc51c7a5c4a5a40626e8308b8de1e5eaf175e",
    (
        "density-pumsb-star",
        "1",
    ): "0b2ebc349efead2faf9b8b841ed92f3a07a4d315680b7628becf2a3de8b2332b",
    ("fsdd", "1"): "80069e20d02554754ea3a394775e7eec09f123b66d7de0960a82f7813c0f6e9a",
    ("mnist", "1"): "da301f952c8fbbe9981275052b94abc8c106e20600fbaf0aa15608c792d3717f",
    ("mnist-gray", "1"): "a233f1a9e2ef16a899fb65a593e83bb314ec3f35cd5ad3cb2afd0e13c963daec",
    ("mnist-mini", "1"): "ecfb1548ff56686fda037ede3c9ffaf3e94d54ac7d08c4e28a62fdb4bf56e5eb",
    ("mnist-static", "1"): "ceff8a64f72cae2067dfca887d85595df3522b8c99a8ecda616b90fe7e7d810d",
    ("names", "1"): "279282d4fa4e863bf37910797d33e965ee66b6092cb12eac37be47b86b5ca164",
    ("shakespeare", "1"): "83c03be655c319e9e32a3dd177554ac2316c7b22ab1fca662e76e07ff0da5066",
    ("toy-ar1", "1"): "2706555c63727ac2be4e7581192688e809094cdbf518fdba4e4a4e51d5cfb6fd",
    ("toy-ising", "1"): "8c50595cfeba92898d3978e0dc85f2096c4cfd62d757f5bf2348cb8f4d6b53de",
    ("toy-markov", "1"): "a8721dc567f7f3e9b984a9633ec0761298f1b6ef3e40ff23145fad23cba7f367",
    ("toy-parity", "1"): "7716bfb2a7ad3e64dc535c86e6af3dbf3b8b8ef50d0467bc08c8085e69c2c5b5",
    ("uci-dna", "1"): "df21747a92805506ba1567aa33ef160ecad2f9a746e86bb0b12d8881842bc9ce",
    ("uci-mushrooms", "1"): "57b29496922bb3b3a56021dbe67410e9c1887fb7d7fdf7803994fd12314980f8",
    ("uci-nips", "1"): "9b54a0bf3106f57ce4e61ed516a77ccf91d7f6c960f83cf8e539e548b13b79f9",
}
NAMES = [name for name, offer in registry().tasks.items() if offer.entry.argument is None]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(cache))


@pytest.mark.parametrize("name", NAMES)
def test_a_version_is_these_events_and_its_splits_are_disjoint_as_stated(name: str) -> None:
    task = open_task(name)
    try:
        with offline():
            found = Dataset(task).sha256
    except NotHereError as error:
        pytest.skip(str(error))
    assert found == EVENTS_SHA256.get((name, task.version)), "other events want another version"
    for trial in find_suite(f"task:{name}").trials(("splits_disjoint", "deterministic")):
        result = trial.run()
        assert result.status == "passed", result.message


def test_the_kept_results_are_on_events_of_a_version() -> None:
    for result in read_results(kept_records()):
        task = result.record.task
        assert task.data_sha256 == EVENTS_SHA256[task.name, task.version], task.name
