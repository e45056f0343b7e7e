"""`PixelDefend`: the defence as a preprocessor of the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arbench.errors import ConfigError
from arbench.probability.density import Density
from arbench.probability.events import Discrete
from arbench.probability.walks.purification import purify
from arbench.probability.walks.reference_path import DimByDim

try:
    # The toolbox: imports are absolute, so this module does not hide it.
    from art.defences.preprocessor.preprocessor import Preprocessor
except ModuleNotFoundError as error:
    raise ConfigError(
        "arbench.art needs the Adversarial Robustness Toolbox: pip install 'arbench[attacks]'"
    ) from error


class PixelDefend(Preprocessor):  # type: ignore[misc]  # it has no types
    """Images on their way to a classifier, purified by a density; see `purify`.

    Hand it to a classifier of ART as `preprocessing_defences`. Attacks on that classifier then know
    of the defence, and take purification for the identity where they need its gradient (BPDA, which
    is what ART does unless a preprocessor says otherwise).

    ART has a class of this name, too. It asks the model once, about the image as it comes, where
    the algorithm asks for every pixel given the purified ones before. With NumPy 2 it fails on
    black and on white pixels.

    Source: Song, Kim, Nowozin, Ermon and Kushman, "PixelDefend", ICLR 2018, algorithm 1; Athalye,
    Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018 (BPDA).

    Args:
        density: of images `(C, H, W)`, such as `arbench.load("RUN")`; the images come in this
            shape, channels first.
        eps: how far a pixel may move, in levels.
        clip_values: the numbers that stand for the lowest and the highest level.
        batch_size: images that are purified side by side.
        apply_fit: whether images are purified in training.
        apply_predict: whether they are in prediction.

    Raises:
        ConfigError: when `arbench.art` is imported and ART is not installed.
        ValueError: for a density that cannot purify, or an argument that makes no sense.
    """

    params = ("density", "eps", "clip_values", "batch_size")

    def __init__(
        self,
        density: Density,
        eps: int = 16,
        *,
        clip_values: tuple[float, float] = (0.0, 1.0),
        batch_size: int = 256,
        apply_fit: bool = False,
        apply_predict: bool = True,
    ) -> None:
        super().__init__(is_fitted=True, apply_fit=apply_fit, apply_predict=apply_predict)
        self.density = density
        self.eps = eps
        self.clip_values = clip_values
        self.batch_size = batch_size
        self._check_params()

    def __call__(
        self, x: NDArray[Any], y: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """Purified images, and the labels as they are.

        Args:
            x: `(N, C, H, W)` within the clip values; each pixel counts as the level next to it.
            y: labels, in any form.

        Returns:
            `(N, C, H, W)` float32, of whole levels, and `y`.

        Raises:
            ValueError: if images have another shape than the density's.
        """
        shape, highest = self.density.spec.shape, self._highest
        if tuple(x.shape[1:]) != shape:
            raise ValueError(f"images are (N, *{shape}), as the density's; got {x.shape}")
        low, high = self.clip_values
        levels = np.rint((x.astype(np.float64) - low) / (high - low) * highest)
        events = torch.from_numpy(levels.clip(0, highest).astype(np.int64))
        purified = purify(self._walker, events, self.eps, batch_size=self.batch_size)
        numbers = purified.numpy() / highest * (high - low) + low
        return numbers.astype(np.float32), y

    @property
    def _highest(self) -> int:
        domain = self.density.spec.domain
        assert isinstance(domain, Discrete)
        return domain.size - 1

    @property
    def _walker(self) -> DimByDim:
        assert isinstance(self.density, DimByDim)
        return self.density

    def _check_params(self) -> None:
        if not isinstance(self.density.spec.domain, Discrete) or not isinstance(
            self.density, DimByDim
        ):
            raise ValueError("purification needs the probabilities of each dim given those before")
        if self.eps < 0 or self.eps != int(self.eps):
            raise ValueError(f"eps is a number of levels, 0 or more; got {self.eps}")
        if not self.clip_values[0] < self.clip_values[1]:
            raise ValueError(f"clip_values are (lowest, highest); got {self.clip_values}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is at least 1, got {self.batch_size}")
