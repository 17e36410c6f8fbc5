"""What `benchmarks/speed.py` measures on: clips of 720 lines, a voice, and width-1 networks with random weights.

The published weights are not in this repository, and the time that a network takes does not depend on its weights,
except through the number of candidates. `detector` is therefore S3FD at width 1 with random convolutions (He), and
heads that are fitted to the clip by ridge regression: the face's anchors (IoU above 0.5 with the box that the bundled
detector finds) get a logit of +5, all others -5, and a head whose anchors never fit gets weights of 0 and a bias of
-5. A handful of anchors passes in each frame, as with trained weights.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from torch import nn

from lipsync_lab import samples
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.tracking import chosen_faces
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.clip import clip_from_array, open_clip
from lipsync_lab.models.s3fd import MEANS, S3FD, STRIDES, VARIANCES, anchors
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.settings import Settings

#: Frame rate of the clips.
FPS = 25
#: Longest sides at which the detector's heads are fitted besides the clip's own: what a pipeline shrinks to.
SIDES = (640, 480, 320)
HEADS = ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2")


def clip(source: str, path: Path, frames: int, size: tuple[int, int] = (1280, 720), grain: float = 0.0) -> None:
    """A clip of a size: the source scaled to its height, with mirrored sides, and film grain of so many grey levels.

    The source is played forwards and backwards if it is shorter.
    """
    opened, (width, height) = open_clip(samples.resolve_path(source)), size
    images, rng = list(opened.read(0, frames)), np.random.default_rng(0)
    grains = rng.normal(0, grain, (7, height, width, 1))
    turns = np.r_[np.arange(len(images)), np.arange(len(images) - 2, 0, -1)]
    with video.Writer(path, fps=FPS) as writer:
        for number in range(frames):
            image = images[turns[number % len(turns)]]
            scale = height / image.shape[0]
            image = cv2.resize(
                image, (min(width, round(image.shape[1] * scale)), height), interpolation=cv2.INTER_CUBIC
            )
            side = width - image.shape[1]
            image = cv2.copyMakeBorder(image, 0, 0, side // 2, side - side // 2, cv2.BORDER_REFLECT)
            if grain:
                shift = rng.integers(0, width, 2)
                noise = np.roll(grains[number % len(grains)], shift, (0, 1))
                image = (image + noise).clip(0, 255).astype(np.uint8)
            writer.write(image)


def voice(path: Path, seconds: float) -> None:
    """Syllables: a tone that swells four times a second."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 220 * t) * np.abs(np.sin(2 * np.pi * 2 * t)), 16_000)


def generator(path: Path) -> None:
    """Wav2Lip at width 1 with random weights that keep the signal's size through the layers."""
    torch.manual_seed(0)
    network = Wav2Lip()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=1.2 / np.sqrt(np.prod(module.weight.shape[1:])))
    torch.save(network.state_dict(), path)


def detector(path: Path, clip_path: Path, frames: int = 1) -> None:
    """S3FD at width 1 with random convolutions and fitted heads; see the module."""
    torch.manual_seed(0)
    network = S3FD().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    opened = open_clip(clip_path)
    count = opened.expected or frames
    images = [next(opened.read(n, n + 1)) for n in np.linspace(0, count - 1, frames).astype(int)]
    faces, _ = chosen_faces(detect(clip_from_array(np.stack(images), opened.fps)), Settings())
    inputs: dict[str, list[tuple[torch.Tensor, Box]]] = {name: [] for name in HEADS}
    now: list[Box] = []
    hooks = [
        getattr(network, f"{name}_mbox_conf").register_forward_hook(
            lambda _, given, __, name=name: inputs[name].append((given[0], now[0]))
        )
        for name in HEADS
    ]
    for image, face in zip(images, faces, strict=True):
        full = max(image.shape[:2])
        for side in (full, *(side for side in SIDES if side < full)):
            scale = side / full
            size = round(image.shape[1] * scale), round(image.shape[0] * scale)
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) - np.float32(MEANS)
            now[:] = [face.box.scaled(scale, scale)]
            with torch.inference_mode():
                network(torch.from_numpy(small).permute(2, 0, 1)[None])
    for hook in hooks:
        hook.remove()
    for stride, name in zip(STRIDES, HEADS, strict=True):
        _fit(network, name, stride, inputs[name])
    torch.save(network.state_dict(), path)


@torch.inference_mode()
def _fit(network: S3FD, name: str, stride: int, inputs: list[tuple[torch.Tensor, Box]]) -> None:
    conf, loc = getattr(network, f"{name}_mbox_conf"), getattr(network, f"{name}_mbox_loc")
    for layer in (conf, loc):
        layer.weight.zero_()
        layer.bias.zero_()
    conf.bias[-1] = -5.0
    rows, targets = [], []
    for features, face in inputs:
        prior = anchors(*features.shape[2:], stride)
        boxes = torch.cat((prior[:, :2] - prior[:, 2:] / 2, prior[:, :2] + prior[:, 2:] / 2), 1).tolist()
        fits = np.array([Box(*box).iou(face) for box in boxes]) > 0.5
        chosen = torch.randperm(len(boxes))[: 1500 if fits.any() else 200]
        chosen = torch.unique(torch.cat((chosen, torch.from_numpy(np.flatnonzero(fits)))))
        center, size = torch.tensor(face.center), torch.tensor([face.width, face.height])
        offsets = torch.cat(((center - prior[:, :2]) / prior[:, 2:] / VARIANCES[0],
                             torch.log(size / prior[:, 2:]) / VARIANCES[1]), 1)  # fmt: skip
        logits = torch.from_numpy(np.where(fits, 5.0, -5.0)).float()[:, None]
        near = torch.from_numpy(fits)[:, None]
        patches = nn.functional.unfold(features, 3, padding=1)[0].T
        rows.append(patches[chosen])
        targets.append(torch.cat((logits, torch.where(near, offsets, 0)), 1)[chosen])
    if not any((target[:, 0] > 0).any() for target in targets):
        return
    x, y = torch.cat(rows).double(), torch.cat(targets).double()
    scale = x.square().mean().sqrt()
    x /= scale
    y[:, 0] += 5  # around the bias
    kernel = x @ x.T
    weights = x.T @ torch.linalg.solve(kernel + 1e-3 * kernel.diagonal().mean() * torch.eye(len(x)), y) / scale
    shape = (-1, *conf.weight.shape[1:])
    conf.weight[-1:] = weights[:, :1].T.reshape(shape).float()
    loc.weight[:] = weights[:, 1:].T.reshape(shape).float()
