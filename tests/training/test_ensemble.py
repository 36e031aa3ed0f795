"""Several networks that answer as one: their weights, their agreement, and the command that shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from checkpoints import audio, cut, explained, joint  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from training import explain  # noqa: E402
from training.ensemble import Ensemble, open_ensemble  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),  # pyworld looks its own version up
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(lightning|torch|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(lightning|torch).*"),
]


def test_several_checkpoints_answer_as_one_with_their_agreement(tmp_path: Path) -> None:
    one, two = joint(tmp_path / "a.pt", 0), joint(tmp_path / "b.pt", 1)
    first, second = (explained(path)(cut()) for path in (one, two))
    both = explained(f"{one}@3", f"{two}@1")(cut())
    assert both.logits == pytest.approx(0.75 * first.logits + 0.25 * second.logits)
    assert both.maps == pytest.approx(0.75 * first.maps + 0.25 * second.maps)
    chance = [1 / (1 + np.exp(-shown.logits)) for shown in (first, second)]
    assert both.agreement == pytest.approx(1 - abs(chance[0] - chance[1]), abs=1e-6)
    assert "agreement of the members:" in explain.words(both)
    assert "agreement" not in explain.words(first)
    for wrong, word in (((f"{one}@x", two), "weight after @ must be a number"), ((f"{one}@0", f"{two}@0"), "not all 0"),
                        ((one, audio(tmp_path / "c.pt")), "these are audio, joint")):  # fmt: skip
        with pytest.raises(ManifestError, match=word):
            explained(*wrong)


def test_a_path_with_an_at_in_it_is_a_path(tmp_path: Path) -> None:
    one = joint(tmp_path / "me@home,a.pt", 0)
    assert explained(str(one))(cut()).agreement is None


class Says(nn.Module):
    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, given: Tensor) -> Tensor:
        return torch.full((len(given), 1), self.logit)


def test_members_are_weighed_and_their_agreement_is_said() -> None:
    said = Ensemble([Says(0.0), Says(4.0)], [3, 1])(torch.zeros(2, 1))
    assert said.logit[:, 0].tolist() == [1, 1]
    assert said.members.tolist() == [[0, 4]] * 2
    apart = 1 / (1 + np.exp(-4)) - 0.5
    assert said.agreement[:, 0].tolist() == pytest.approx([1 - apart] * 2)
    assert Ensemble([Says(2.0)])(torch.zeros(1, 1)).agreement.item() == 1


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ManifestError, match="2 members need as many weights"):
        Ensemble([Says(0.0), Says(1.0)], weights)


def test_an_ensemble_is_opened_from_checkpoints_of_one_kind(tmp_path: Path) -> None:
    one, two, voice = joint(tmp_path / "a.pt", 0), joint(tmp_path / "b.pt", 1), audio(tmp_path / "c.pt")
    faces, sound = torch.zeros(1, 1, 224, 224, 3, dtype=torch.uint8), torch.zeros(1, WINDOW_SAMPLES, dtype=torch.int16)
    with torch.inference_mode():
        said = open_ensemble([one, two])(faces, sound, torch.ones(1, 2))
    assert said.members.shape == (1, 2)
    assert said.members[0, 0] != said.members[0, 1]
    with pytest.raises(ManifestError, match="these are audio, joint"):
        open_ensemble([one, voice])
    with pytest.raises(ManifestError, match="needs members"):
        open_ensemble([])
