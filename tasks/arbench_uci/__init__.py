"""The eight binary data sets of the NADE and MADE papers, most of them from UCI."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name=f"uci-{name}",
        task=f"arbench_uci.binary:{target}",
        summary=f"{what}, binary, {num_dims} dims",
    )
    for name, target, what, num_dims in (
        ("adult", "Adult", "census records", 123),
        ("connect4", "Connect4", "positions of the game Connect Four", 126),
        ("dna", "Dna", "splice junctions of DNA", 180),
        ("mushrooms", "Mushrooms", "descriptions of mushrooms", 112),
        ("nips", "Nips", "words of the NIPS 0-12 papers", 500),
        ("ocr-letters", "OcrLetters", "handwritten letters", 128),
        ("rcv1", "Rcv1", "words of Reuters news", 150),
        ("web", "Web", "words of web pages", 300),
    )
]
