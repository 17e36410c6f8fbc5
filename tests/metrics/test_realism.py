"""Realism: the discriminator's input, and the metric that is computed from its scores."""

import numpy as np
import pytest
import torch

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import crop
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import realism, regions
from lipsync_lab.metrics.validation.response import perfect_ledger
from lipsync_lab.models.wav2lip import QualityDiscriminator
from lipsync_lab.synthesis.truth import GroundTruth, table


@pytest.fixture(scope="module")
def network() -> QualityDiscriminator:
    torch.manual_seed(0)
    made = QualityDiscriminator(width=0.125)
    # weights as torch makes them hardly tell one face from another after so many layers
    for weight in made.parameters():
        if weight.dim() == 4:
            torch.nn.init.kaiming_normal_(weight)
    return made


def faces(count: int) -> np.ndarray:
    """Each of another colour, with noise."""
    rng = np.random.default_rng(3)
    return (rng.integers(0, 200, (count, 1, 1, 3)) + rng.integers(0, 56, (count, 96, 96, 3))).astype(np.uint8)


def clip(count: int, missing=()):
    box = {"face_x1": 10.0, "face_y1": 10.0, "face_x2": 70.0, "face_y2": 80.0}
    ground_truth = table(GroundTruth(frame=i, time=i / 25, **({} if i in missing else box)) for i in range(count))
    frames = np.random.default_rng(4).integers(0, 256, (count, 96, 112, 3), dtype=np.uint8)
    return frames, perfect_ledger(ground_truth, (112, 96))


def crops(frames, ledger) -> list[np.ndarray | None]:
    boxes = [regions.inside(row, frames[0].shape) for row in regions.generated(ledger)]
    return [None if box is None else crop(frame, box) for frame, box in zip(frames, boxes, strict=True)]


def test_the_discriminator_gets_bgr_of_the_lower_half(network):
    shown = faces(35)  # more than go in at once
    scores = realism.discriminator_scores(network, shown)
    pixels = torch.from_numpy(shown[..., ::-1].copy()).float().permute(0, 3, 1, 2)[:, :, None] / 255
    with torch.no_grad():
        wanted = torch.cat([network(pixels[i : i + 1]) for i in range(35)])[:, 0].numpy()
    assert scores == pytest.approx(wanted, abs=1e-5)
    assert np.ptp(scores) > 1e-3
    upper = shown.copy()
    upper[:, :48] = 0
    assert realism.discriminator_scores(network, upper) == pytest.approx(scores, abs=1e-6)
    assert np.abs(realism.discriminator_scores(network, shown[..., ::-1]) - scores).max() > 1e-3
    assert realism.discriminator_scores(network, shown[:0]).shape == (0,)
    with pytest.raises(ParameterError, match="96"):
        realism.discriminator_scores(network, shown[:, :50])


def test_an_untouched_frame_is_as_real_as_its_source(network):
    frames, ledger = clip(40, missing=(7, 39))
    scores = realism.realism_metrics((crops(frames, ledger),) * 2, ledger, network)
    assert scores.index.tolist() == list(range(40))
    assert scores["realism_loss"].isna().to_numpy().nonzero()[0].tolist() == [7, 39]
    assert scores["realism_loss"].abs().max() < 1e-5


def test_each_opinion_belongs_to_its_frame(network):
    frames, ledger = clip(20)
    output = frames.copy()
    output[11] = 255 - output[11]
    scores = realism.realism_metrics((crops(frames, ledger), crops(output, ledger)), ledger, network)
    assert scores["realism_loss"].abs().idxmax() == 11
    box = Box(*ledger.loc[11, ["x1", "y1", "x2", "y2"]].astype(int).tolist())
    wanted = realism.discriminator_scores(network, np.stack([crop(frames[11], box), crop(output[11], box)]))
    assert scores.loc[11, ["real_source", "real_output"]].to_numpy(float) == pytest.approx(wanted, abs=1e-5)
    assert scores.loc[11, "realism_loss"] == pytest.approx(wanted[0] - wanted[1], abs=1e-5)


def test_a_network_is_left_as_it_was_found(network):
    network.train()
    realism.discriminator_scores(network, faces(1))
    assert network.training
    network.eval()
    realism.discriminator_scores(network, faces(1))
    assert not network.training
