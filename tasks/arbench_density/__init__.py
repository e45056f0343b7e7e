"""The twenty binary density benchmarks of Lowd and Davis, and of Van Haaren and Davis."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name=f"density-{name}",
        task=f"arbench_density.binary:{target}",
        summary=f"{what}, binary, {num_dims:,} dims",
    )
    for name, target, what, num_dims in (
        ("nltcs", "Nltcs", "disabilities of old people", 16),
        ("msnbc", "Msnbc", "pages that visitors of msnbc.com saw", 17),
        ("kdd", "Kdd", "clicks in a web shop", 64),
        ("plants", "Plants", "where plants grow", 69),
        ("baudio", "Baudio", "musicians that people listen to", 100),
        ("jester", "Jester", "jokes that people like", 100),
        ("bnetflix", "Bnetflix", "films that people rate", 100),
        ("accidents", "Accidents", "traffic accidents", 111),
        ("tretail", "Tretail", "market baskets", 135),
        ("pumsb-star", "PumsbStar", "census records", 163),
        ("dna", "Dna", "splice junctions of DNA", 180),
        ("kosarek", "Kosarek", "pages that readers of a news portal saw", 190),
        ("msweb", "Msweb", "areas of microsoft.com that visitors saw", 294),
        ("book", "Book", "books that people rate", 500),
        ("tmovie", "Tmovie", "films that people rate", 500),
        ("cwebkb", "Cwebkb", "words of university pages", 839),
        ("cr52", "Cr52", "words of Reuters news", 889),
        ("c20ng", "C20ng", "words of newsgroups", 910),
        ("bbc", "Bbc", "words of BBC news", 1058),
        ("ad", "Ad", "images on web pages", 1556),
    )
]
