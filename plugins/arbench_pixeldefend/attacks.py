"""Attacks on a classifier, by the Adversarial Robustness Toolbox, as images of whole levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arbench import ConfigError
from arbench_pixeldefend.classifier import Classifier

_BATCH = 250
# Steps of the iterated attacks, and by which share of eps each one moves.
BIM_STEPS, BIM_SHARE = 20, 0.1
BPDA_SHARE = 0.25
_MARGIN = 0.02  # beyond the range, in Carlini and Wagner's attack


_TITLES = {
    "clean": "clean",
    "noise": "random signs",
    "fgsm": "FGSM",
    "bim": "BIM",
    "deepfool": "DeepFool",
    "cw": "Carlini-Wagner",
    "bpda": "BPDA",
}


@dataclass(frozen=True)
class Attack:
    """What was done to images.

    Attributes:
        kind: one of the names above.
        eps: its strength, as a share of the range of levels; None where it finds its own.
    """

    kind: str
    eps: float | None = None

    @property
    def key(self) -> str:
        """What values and tensors call it, such as "bim_30"."""
        return self.kind if self.eps is None else f"{self.kind}_{round(100 * self.eps)}"

    @property
    def title(self) -> str:
        """What people call it, such as "BIM, eps 0.3"."""
        title = _TITLES[self.kind]
        return title if self.eps is None else f"{title}, eps {self.eps:g}"


CLEAN, DEEPFOOL, CARLINI_WAGNER = Attack("clean"), Attack("deepfool"), Attack("cw")


def attacks_of(strengths: Sequence[float]) -> list[Attack]:
    """All attacks that need no density, those of the first strength first."""
    bounded = [Attack(kind, eps) for eps in strengths for kind in ("noise", "fgsm", "bim")]
    return [*bounded, DEEPFOOL, CARLINI_WAGNER]


def levels_of(eps: float, num_levels: int) -> int:
    """How many levels an attack of that strength moves a pixel at most, after rounding."""
    return int(eps * (num_levels - 1) + 0.5)


class Attacker:
    """Attacks one classifier; an attack takes images of levels and returns such.

    Attacks are told the labels. Told the classifier's answers in their place, they would lead an
    image that it takes for another class away from that, sometimes to the right one.

    Args:
        classifier: takes images in [0, 1].
        labels: `(N,)` int64, of the images that it is asked to attack.
        shape: `(C, H, W)` of the images.
        num_classes: of the classifier.
        num_levels: of the images, K.
        defence: of the classifier, an ART preprocessor; attacks then see the gradient at the
            purified image, as if purification were the identity (BPDA).

    Raises:
        ConfigError: if ART is not installed.
    """

    def __init__(
        self,
        classifier: Classifier,
        labels: Tensor,
        shape: tuple[int, ...],
        num_classes: int,
        num_levels: int,
        defence: Any = None,
    ) -> None:
        try:
            from art.estimators.classification import PyTorchClassifier
        except ModuleNotFoundError as error:
            raise ConfigError(
                "attacks come from the Adversarial Robustness Toolbox, which is not installed: "
                "pip install 'arbench[attacks]'"
            ) from error
        self.num_levels = num_levels
        self._labels = labels.numpy()

        def target(low: float, high: float) -> Any:
            return PyTorchClassifier(
                classifier,
                torch.nn.CrossEntropyLoss(),
                shape,
                num_classes,
                clip_values=(low, high),
                preprocessing_defences=defence,
                device_type="cpu",
            )

        self._target = target(0.0, 1.0)
        self._wider_target = target(-_MARGIN, 1 + _MARGIN)

    def fgsm(self, images: Tensor, eps: float) -> Tensor:
        """One step of `eps` along the sign of the gradient.

        Source: Goodfellow, Shlens and Szegedy, ICLR 2015.
        """
        from art.attacks.evasion import FastGradientMethod

        return self._run(FastGradientMethod(self._target, eps=eps, batch_size=_BATCH), images)

    def bim(
        self, images: Tensor, eps: float, *, steps: int = BIM_STEPS, share: float = BIM_SHARE
    ) -> Tensor:
        """Small steps along the sign of the gradient, never further than `eps`.

        Source: Kurakin, Goodfellow and Bengio, ICLR 2017 workshop. It is projected gradient descent
        (Madry et al., ICLR 2018) without a random start.
        """
        from art.attacks.evasion import ProjectedGradientDescentNumpy

        attack = ProjectedGradientDescentNumpy(
            self._target,
            eps=eps,
            eps_step=share * eps,
            max_iter=steps,
            batch_size=_BATCH,
            verbose=False,
        )
        return self._run(attack, images)

    def deepfool(self, images: Tensor) -> Tensor:
        """The shortest way over the nearest border between classes, and 2 % further.

        Source: Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016.
        """
        from art.attacks.evasion import DeepFool

        attack = DeepFool(self._target, max_iter=10, epsilon=0.02, batch_size=50, verbose=False)
        return self._run(attack, images)

    def carlini_wagner(self, images: Tensor) -> Tensor:
        """As small a change in the L2 norm as optimisation finds.

        It moves pixels through a tanh, at whose ends a gradient is next to 0: ART's line search
        then leaves black and white pixels as they are. So the range is a little wider for it, and
        what lies outside is cut off afterwards.

        Source: Carlini and Wagner, IEEE S&P 2017.
        """
        from art.attacks.evasion import CarliniL2Method

        attack = CarliniL2Method(
            self._wider_target,
            confidence=0.5,  # so that rounding to levels does not undo it
            learning_rate=0.1,
            max_iter=10,
            binary_search_steps=3,
            initial_const=1.0,
            batch_size=_BATCH,
            verbose=False,
        )
        return self._run(attack, images)

    def run(self, attack: Attack, images: Tensor) -> Tensor:
        """FGSM, BIM, DeepFool or Carlini and Wagner's attack."""
        if attack.eps is not None:
            return (self.fgsm if attack.kind == "fgsm" else self.bim)(images, attack.eps)
        return (self.deepfool if attack == DEEPFOOL else self.carlini_wagner)(images)

    def _run(self, attack: Any, images: Tensor) -> Tensor:
        # ART goes through images by a DataLoader, which draws a seed from torch's global generator.
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            found = attack.generate(scaled(images, self.num_levels).numpy(), self._labels)
        return rounded(torch.from_numpy(np.asarray(found)), self.num_levels)


def scaled(images: Tensor, num_levels: int) -> Tensor:
    """Levels as numbers in [0, 1], float32."""
    return images.float() / (num_levels - 1)


def rounded(images: Tensor, num_levels: int) -> Tensor:
    """Numbers as the nearest levels, uint8; of two equally near ones the higher."""
    levels = (images.double() * (num_levels - 1) + 0.5).floor()
    return levels.clamp(0, num_levels - 1).to(torch.uint8)


def random_signs(images: Tensor, eps: float, num_levels: int, generator: torch.Generator) -> Tensor:
    """Every pixel moved by `eps`, up or down by chance: as large as FGSM, and about nothing."""
    signs = 2.0 * torch.randint(2, images.shape, generator=generator) - 1
    return rounded(scaled(images, num_levels) + eps * signs, num_levels)
