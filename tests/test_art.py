"""The preprocessor for the Adversarial Robustness Toolbox, beside the toolbox's own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arbench import Categorical, Discrete, EventSpec, Gaussian, Layout, Model, Real, purify
from arbench.testing.toys import LinearNetwork
from arbench_pixelcnn.network import PixelCNN

pytest.importorskip("art", reason="install the extra `attacks`")

from art.defences.preprocessor import PixelDefend as Theirs
from art.estimators.classification import PyTorchClassifier

from arbench.art import PixelDefend

SPEC = EventSpec((1, 4, 4), Discrete(256))
EPS = 40
GREY = torch.arange(60, 196)  # neither end of the range is within EPS


@pytest.fixture(scope="module")
def model() -> Model:
    layout = Layout(SPEC)
    head = Categorical(layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PixelCNN(layout, 256, hidden=6, num_blocks=2, first_kernel=3, outputs=9)
        for weight in network.parameters():
            weight.data += 0.8 * torch.randn_like(weight)
    return Model(network, head, layout).eval()


@pytest.fixture(scope="module")
def levels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return GREY[torch.randint(len(GREY), (6, 1, 4, 4), generator=generator)]


class AsTheirs(PyTorchClassifier):
    """A density as their defence wants it: one forward gives the distributions of all pixels."""

    def __init__(self, density: Model) -> None:
        super().__init__(nn.Identity(), nn.CrossEntropyLoss(), SPEC.shape, 2, device_type="cpu")
        self.density, self.num_asked = density, 0

    def get_activations(self, x: NDArray[Any], *args: Any, **kwargs: Any) -> NDArray[Any]:
        self.num_asked += 1
        events = torch.from_numpy(np.rint(x * 255)).long()
        probs: NDArray[Any] = self.density.conditionals(events).exp().numpy()
        return probs


def images(levels: Tensor) -> NDArray[np.float32]:
    return (levels.numpy() / 255).astype(np.float32)


def test_it_purifies_and_leaves_labels_alone(model: Model, levels: Tensor) -> None:
    labels = np.arange(6)
    purified, same = PixelDefend(model, EPS, batch_size=4)(images(levels), labels)
    assert same is labels
    assert purified.dtype == np.float32
    expected = purify(model, levels, EPS)
    assert not torch.equal(expected, levels)
    np.testing.assert_array_equal(np.rint(purified * 255), expected)


def test_clip_values_say_which_numbers_are_levels(model: Model, levels: Tensor) -> None:
    numbers = 4 * images(levels) - 2
    purified, _ = PixelDefend(model, EPS, clip_values=(-2.0, 2.0))(numbers)
    expected, _ = PixelDefend(model, EPS)(images(levels))
    np.testing.assert_allclose(purified, 4 * expected - 2, atol=1e-5)
    assert np.abs(purified - numbers).max() <= 4 * EPS / 255 + 1e-5


def test_theirs_asks_once_about_the_image_as_it_comes(model: Model, levels: Tensor) -> None:
    """So an attack on earlier pixels stays in view; Algorithm 1 asks given the purified ones."""
    asked = AsTheirs(model)
    theirs, _ = Theirs(eps=EPS, pixel_cnn=asked)(images(levels))
    assert asked.num_asked == 1
    once = purify(model, levels, EPS, greedy=False)
    np.testing.assert_array_equal(np.rint(theirs * 255), once)
    ours, _ = PixelDefend(model, EPS)(images(levels))
    assert (np.rint(ours * 255) != np.rint(theirs * 255)).mean() > 0.2
    algorithm = torch.from_numpy(np.rint(ours * 255)).long()
    assert model.log_prob(algorithm).mean() > model.log_prob(once).mean()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
def test_theirs_fails_on_black_and_white_pixels_and_ours_does_not(
    model: Model, levels: Tensor, level: int
) -> None:
    extreme = levels.clone()
    extreme[:, :, 1, 2] = level
    ours, _ = PixelDefend(model, EPS)(images(extreme))
    np.testing.assert_array_equal(np.rint(ours * 255), purify(model, extreme, EPS))
    theirs = Theirs(eps=EPS, pixel_cnn=AsTheirs(model))
    with pytest.raises(OverflowError, match="-1 out of bounds for uint8"):
        theirs(images(extreme))


def test_an_attack_on_a_defended_classifier_sees_the_gradient_at_the_purified_image(
    model: Model, levels: Tensor
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))

    def classifier(**more: Any) -> PyTorchClassifier:
        loss = nn.CrossEntropyLoss()
        return PyTorchClassifier(network, loss, SPEC.shape, 3, device_type="cpu", **more)

    defence = PixelDefend(model, EPS)
    x, labels = images(levels), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    purified, _ = defence(x)
    defended = classifier(preprocessing_defences=defence)
    np.testing.assert_array_equal(defended.predict(x), classifier().predict(purified))
    gradient = defended.loss_gradient(x, labels)
    np.testing.assert_array_equal(gradient, classifier().loss_gradient(purified, labels))
    assert np.abs(gradient - classifier().loss_gradient(x, labels)).max() > 0


def test_what_makes_no_sense_is_refused(model: Model, levels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"images are \(N, \*\(1, 4, 4\)\)"):
        PixelDefend(model)(images(levels).transpose(0, 2, 3, 1))
    for wrong, said in (
        ({"eps": -1}, "number of levels"),
        ({"eps": 0.3}, "number of levels"),
        ({"clip_values": (1.0, 0.0)}, "clip_values"),
        ({"batch_size": 0}, "batch_size"),
    ):
        with pytest.raises(ValueError, match=said):
            PixelDefend(model, **wrong)
    layout = Layout(EventSpec((1, 2, 2), Real()))
    real = Model(LinearNetwork(layout, 2), Gaussian(layout), layout)
    with pytest.raises(ValueError, match="probabilities of each dim"):
        PixelDefend(real)


def test_without_the_toolbox_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['art'] = None; import arbench.art"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ConfigError: arbench.art needs the Adversarial Robustness Toolbox" in done.stderr
    assert "arbench[attacks]" in done.stderr
