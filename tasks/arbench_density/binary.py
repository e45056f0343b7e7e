"""The twenty data sets: one class reads them, and each has a subclass with its files."""

from __future__ import annotations

from typing import ClassVar

import torch

from arbench import SPLITS, Discrete, EventSpec, SourceFile, Split, SplitName, Task, fetch
from arbench_density.rows import read_rows

_REPOSITORIES = (  # their trees hold the same bytes
    "UCLA-StarAI/Density-Estimation-Datasets/37d53c1a8ba488d0a39e8c64bd3387577080b143",
    "arranger1044/DEBD/850908666388f1b1c766a304b37dae14613f1e51",
)
_PARTS: dict[SplitName, str] = {"train": "train", "validation": "valid", "test": "test"}


class DensitySet(Task):
    """Rows `(D,)` of zeros and ones, read from `density/<name>/<name>.{train,valid,test}.data`.

    A subclass states name, dims, rows of each split and checksums. A file has two bytes a dim, so
    its size says how many rows it has. Without the sha256 of every file, a task is not pinned.

    Source: Lowd and Davis, "Learning Markov network structure with decision trees", ICDM 2010; Van
        Haaren and Davis, "Markov network structure learning: a randomized feature generation
        approach", AAAI 2012.
    """

    version = "1"

    def __init_subclass__(
        cls,
        *,
        name: str,
        num_dims: int,
        num_events: tuple[int, int, int],
        sha256: tuple[str | None, str | None, str | None] = (None, None, None),
    ) -> None:
        """Set the name, the number of dims, the sizes and the files of the data set."""
        stem = name.replace("-", "_")
        cls.name = f"density-{name}"
        cls.spec = EventSpec((num_dims,), Discrete(2))
        cls.files = tuple(
            SourceFile(
                path=f"density/{path}",
                urls=tuple(
                    f"https://raw.githubusercontent.com/{repository}/datasets/{path}"
                    for repository in _REPOSITORIES
                ),
                sha256=file_sha256,
                size=2 * num_dims * num_rows,
            )
            for split, num_rows, file_sha256 in zip(SPLITS, num_events, sha256, strict=True)
            for path in [f"{stem}/{stem}.{_PARTS[split]}.data"]
        )
        cls.source = f"the twenty binary density benchmarks, {cls.files[0].urls[0]}"
        cls.pinned = None not in sha256
        if not cls.pinned:
            cls.shared_events = None  # nobody has counted them

    def load(self, split: SplitName) -> Split:
        """The events `(N, D)` of a split, uint8, in the order of the file."""
        path = fetch(self.files[SPLITS.index(split)])
        return Split(torch.from_numpy(read_rows(path, self.spec.num_dims)))


class Nltcs(
    DensitySet,
    name="nltcs",
    num_dims=16,
    num_events=(16181, 2157, 3236),
    sha256=(
        "e547a7aedad1dd2f7177030881ab1b92c7e24ae5464c71a0f1f89daecaf52b30",
        "93bbbf5c6febdc9bc6e5b5bfab636f4dc0685ab2896d24b23dd267794c3bfcf6",
        "f9ffa6b74b27dc03bee3203d157ee31079e80b13be40d0c0093d635c25aed523",
    ),
):
    """Answers of the National Long Term Care Survey: what old people can do by themselves."""

    shared_events: ClassVar = {
        ("validation", "train"): 1955,
        ("test", "train"): 2911,
        ("test", "validation"): 2419,
    }


class Msnbc(
    DensitySet,
    name="msnbc",
    num_dims=17,
    num_events=(291326, 38843, 58265),
    sha256=(
        None,
        "b937466c3e09b956b271438b2ff45ca4dc8b91890c9de6d02e486b0e22bf4e27",
        "60ff71cc017cfde0bd84f0cd383ccd29065f5c06a64404b77d28c4b26aa1aca5",
    ),
):
    """Which kinds of pages each visitor of msnbc.com saw."""


class Kdd(
    DensitySet,
    name="kdd",
    num_dims=64,
    num_events=(180092, 19907, 34955),
    sha256=(
        None,
        "582aae9cf84785758869328d44295428395c53e5a091855ca0bf141a53c70765",
        None,
    ),
):
    """What each visitor of a web shop clicked, from the KDD Cup of 2000."""


class Plants(
    DensitySet,
    name="plants",
    num_dims=69,
    num_events=(17412, 2321, 3482),
    sha256=(
        "1fb1219ff94068d12a563f9e81f8889a1885f41e867884cff608669300c6848f",
        "47834ed318b2d74f48e4b083226ef47fd446d41986012ceae19d230574821b34",
        "95f53c033cd1d86467aec2610dc5bfe014534206c2da4919f73bcab246ab8755",
    ),
):
    """In which states of North America each plant grows."""

    shared_events: ClassVar = {
        ("validation", "train"): 1430,
        ("test", "train"): 2081,
        ("test", "validation"): 1515,
    }


class Baudio(
    DensitySet,
    name="baudio",
    num_dims=100,
    num_events=(15000, 2000, 3000),
    sha256=(
        "b1ec73f4aa9d4ce48b465ded865cc3d22b3f68cf6258f9e15fbef8902138add1",
        "7164d8a4943f74953f0e982002d84693fdf483e17f69e7407dc939c5ce5622fe",
        "1474f3206f1f35e099803a0f40b0cd209bdc8d787825095ef6cb23fd87ed0d05",
    ),
):
    """Which of 100 musicians each listener of Audioscrobbler plays."""

    shared_events: ClassVar = {
        ("validation", "train"): 7,
        ("test", "train"): 8,
        ("test", "validation"): 3,
    }


class Jester(
    DensitySet,
    name="jester",
    num_dims=100,
    num_events=(9000, 1000, 4116),
    sha256=(
        "dd93578c3359d5b234bb278bf0901c5215d83b910f7d51d7c91951a0a4c244cd",
        "91df833941e189265345898d3f63211560c2456df599f34beee8e95381ee7524",
        "346044fb561cf18f284f7e9d5896178b03048991b6ebb6f7482885fccbc16082",
    ),
):
    """Which of 100 jokes each reader of Jester likes."""

    shared_events: ClassVar = {
        ("validation", "train"): 9,
        ("test", "train"): 28,
        ("test", "validation"): 18,
    }


class Bnetflix(
    DensitySet,
    name="bnetflix",
    num_dims=100,
    num_events=(15000, 2000, 3000),
    sha256=(
        "73c87cf0635ec734cc0726a5c644b904ff33e81ea51f1049db0e77b787ebad7c",
        "7f0a3e597c6f305f707f9ecd2b2aa523c576cdb17fdc5d902fc832ebea5163de",
        "af73990782fd2f146d96059855c4f3bbb6a7a7caefc417ff620a3ed1415a2395",
    ),
):
    """Which of 100 films each customer of Netflix rated well."""


class Accidents(
    DensitySet,
    name="accidents",
    num_dims=111,
    num_events=(12758, 1700, 2551),
    sha256=(
        "a76648cf00772c275b4277b21d858e235e3c6d3c5ef30beeb4958189b6bed21c",
        "fd3a80a0f411f157cf3772a057d26980bb166cb89b10cafb818a53f1ec30d46d",
        "df3f1b6c035bf3e306a7d7127320e479d2546ce14a5d6d3043e6be0925b8b414",
    ),
):
    """Circumstances of traffic accidents in Belgium."""


class Tretail(
    DensitySet,
    name="tretail",
    num_dims=135,
    num_events=(22041, 2938, 4408),
    sha256=(
        None,
        "69024b394252f491a518ca93e164029fdae7d8c8eae7105739e8ab517b62e418",
        "474ffe4b10b213c0539a95d070955c35f042eb80d5a6198f7fca849cae28b378",
    ),
):
    """Which of 135 goods each customer of a Belgian shop bought."""


class PumsbStar(
    DensitySet,
    name="pumsb-star",
    num_dims=163,
    num_events=(12262, 1635, 2452),
    sha256=(
        "27e610b5f9f507f94ebf8a227f8b96cc59d7eed51e06ee5d2fe8353afbc1524c",
        "6a491d1ea64eb0249dddd168fdddeef88aa21001a933eb7309603b6466187af8",
        "b2da195314ac17f9d8d171743c5f98a28ea9583332a52d34aa228ff2e11aa8e7",
    ),
):
    """Census records, without the values that most people share."""

    shared_events: ClassVar = {
        ("validation", "train"): 43,
        ("test", "train"): 79,
        ("test", "validation"): 15,
    }


class Dna(
    DensitySet,
    name="dna",
    num_dims=180,
    num_events=(1600, 400, 1186),
    sha256=(
        "bb8de0ca4b6ad9b610036b7a302962ebecd4b504354b14c02c7d0bee48d207d9",
        "4b0fc89cda5eaf5c75926e281afb6af99de194a546070d5b81b524ba251f4f3f",
        "fec3ae7b26804020a9c43c99828441c5e08bb76b23719368a74ad2b09af99100",
    ),
):
    """Splice junctions: 60 bases of three bits each; not the split of `uci-dna`."""

    shared_events: ClassVar = {
        ("validation", "train"): 27,
        ("test", "train"): 73,
        ("test", "validation"): 23,
    }


class Kosarek(
    DensitySet,
    name="kosarek",
    num_dims=190,
    num_events=(33375, 4450, 6675),
    sha256=(
        None,
        "5a4a5edc60b9c30a76b44fdc2978e976fec49c1544e850fe72a73ee60f760aa4",
        "c54cb99ae56399e26005daba5d56d92d215f73fbb46ce75b9a919690b2990225",
    ),
):
    """Which of 190 pages each reader of a Hungarian news portal saw."""


class Msweb(
    DensitySet,
    name="msweb",
    num_dims=294,
    num_events=(29441, 3270, 5000),
    sha256=(
        None,
        "a317cd9261dfa29982f0b8663943292773f6c31220d06071e9165c7c9eca13f5",
        "a4f071037f0734618695bc8428e8d8ffefc03e52ff97f37e17c928fc964819ff",
    ),
):
    """Which areas of microsoft.com each visitor saw."""


class Book(
    DensitySet,
    name="book",
    num_dims=500,
    num_events=(8700, 1159, 1739),
    sha256=(
        None,
        "a111d7a024f88b062c60431306ad521dec64ec6cc2a2bca10503da647d1f0aaf",
        "94e7ec33fe7a84b4a92f248d8f0c0e35143f3cd56f5a609f4311c38218e420b9",
    ),
):
    """Which of 500 books each reader of Book-Crossing rated."""


class Tmovie(
    DensitySet,
    name="tmovie",
    num_dims=500,
    num_events=(4525, 1002, 591),
    sha256=(
        None,
        "5162bf6ba0cd3d94d5107a48f7a3be4c6f0ca2cc99ef9a2273fa5bb1787cf257",
        "805e27d91fb2bff00d0183a3e941721bf93050efdd45b77ffd79d4bb906168d6",
    ),
):
    """Which of 500 films each user of EachMovie rated."""


class Cwebkb(
    DensitySet,
    name="cwebkb",
    num_dims=839,
    num_events=(2803, 558, 838),
    sha256=(
        None,
        "1ab1f1abe7b20a4d78009eaaf64a78f5798a82a7823b8b3368abca4c16398a9e",
        "d84dddffec11d4dc80f90afa3160fe8d54311de8a368383708123087f39f8ac4",
    ),
):
    """Which of 839 words each page of WebKB uses."""


class Cr52(
    DensitySet,
    name="cr52",
    num_dims=889,
    num_events=(6532, 1028, 1540),
    sha256=(
        None,
        "9dbb0c6537b4ba3ee5316425dadf4b9e29c36b74e4ccfef28728f2d33a5c0e96",
        "758a2ec314962c902dcc57562b92d98317b1f662b8eb1e529a0aa3b67a20c5d4",
    ),
):
    """Which of 889 words each story of Reuters-52 uses."""


class C20ng(DensitySet, name="c20ng", num_dims=910, num_events=(11293, 3764, 3764)):
    """Which of 910 words each post of 20 Newsgroups uses."""


class Bbc(
    DensitySet,
    name="bbc",
    num_dims=1058,
    num_events=(1670, 225, 330),
    sha256=(
        "a6f0ba467ebf502ba3b37caa1f20e43ff82664dcd580be92010106cf80fb0db1",
        "f6a37bd58cdb6745725628be19dfd3b9b795082faa8ca771b8f27dbf4a5ff46d",
        "7116fce92a1f3d610cee673a974c8c9895957ee07ce6f086b431ee296aa7734a",
    ),
):
    """Which of 1,058 words each story of the BBC uses."""

    shared_events: ClassVar = {
        ("validation", "train"): 14,
        ("test", "train"): 32,
        ("test", "validation"): 3,
    }


class Ad(
    DensitySet,
    name="ad",
    num_dims=1556,
    num_events=(2461, 327, 491),
    sha256=(
        None,
        "409f039d6d4c859b5b00a45407560cf634321556390e39d9cd481f4cb69401d4",
        "230c3d09c21b36144185c04cb89d3b21090670561778f766721165bb7d9cca97",
    ),
):
    """Features of images on web pages, and whether each is an advertisement."""
