"""`shakespeare`: plays of Shakespeare by characters, split as nanoGPT splits them."""

from __future__ import annotations

from torch import Tensor

from arbench import Discrete, SourceFile, SplitName, StreamTask, TextRendering, fetch

TEXT = SourceFile(
    path="tinyshakespeare.txt",
    urls=(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    ),
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    size=1_115_394,
)
# All that occur in train, in the order of their code points.
SYMBOLS = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Shakespeare(StreamTask):
    """1,115,394 characters of 65 kinds.

    Test is the last tenth, which nanoGPT holds out. nanoGPT has no validation; here it is the last
    hundredth of the rest. It is short because test begins in the middle of a play, and a model
    should have read the beginning, which names the persons.

    Source: Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015; the
    split: Karpathy, nanoGPT, data/shakespeare_char, 2022.
    """

    name = "shakespeare"
    version = "1"
    domain = Discrete(len(SYMBOLS))
    unit = "char"
    source = "tiny Shakespeare (public domain), " + TEXT.urls[0]
    files = (TEXT,)
    rendering = TextRendering(symbols=tuple(SYMBOLS))

    def load_stream(self, split: SplitName) -> Tensor:
        """The characters of a split, uint8."""
        text = fetch(TEXT).read_bytes().decode("ascii")
        rest = int(len(text) * 0.9)
        train = rest - rest // 100
        start, end = {
            "train": (0, train),
            "validation": (train, rest),
            "test": (rest, len(text)),
        }[split]
        return self.rendering.encode(text[start:end])
