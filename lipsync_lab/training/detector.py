"""S3FD: anchor matching, losses and training squares (Zhang et al. 2017, arXiv 1708.05237)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.detection.s3fd import candidates
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.models.s3fd import MEANS, S3FD, STRIDES, VARIANCES, anchors, decode
from lipsync_lab.training.loop import device_of, seeded, tensor
from lipsync_lab.training.recipes import DetectorRecipe
from lipsync_lab.training.render import HARD, Picture
from lipsync_lab.training.sampling import colour_table

#: IoU from which an anchor matches a face; a face with few matches also takes anchors from the second value.
MATCH, COMPENSATE = 0.35, 0.1
#: Background anchors in the loss for each face anchor (hard negative mining).
NEGATIVES = 3
FACE, BACKGROUND, IGNORED = 1, 0, -1
#: A face with a smaller visible share in the square is ignored.
_VISIBLE = 0.5
#: Largest zoom of a frame relative to filling the square.
_NEARER = 3.0
#: Limits of the side of a face that fills a square, as a share of the square's.
_FILLED = (0.6, 1.1)
_CHECKED = 96


def read_tiles(path: str | Path) -> tuple[np.ndarray, int, list[tuple[int, int, Box]]]:
    """Read the picture (uint8 RGB), the tiles' side and the boxes (row, column, box) of a ``boxes.json``.

    Raises
    ------
    MediaError
        It cannot be read, or its picture is not beside it.
    """
    import cv2

    path = Path(path)
    try:
        (about,) = json.loads(path.read_text(encoding="utf-8")).values()
        # the picture has the file name that the boxes give, or lies beside them under a shorter one
        beside = [path.parent / Path(about["file"]).name, *sorted(path.parent.glob("*.jpg"))]
        rows = [(*entry["tile"], Box(*entry["box_xyxy"])) for entry in about["boxes"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MediaError(f"{path}: cannot be read as boxes of tiles ({error}); give their boxes.json") from None
    picture = next((cv2.imread(str(file)) for file in beside if file.is_file()), None)
    if picture is None:
        raise MediaError(f"{path}: the picture of these boxes is not beside it; put it there")
    return picture[..., ::-1], about["tile"], rows


def open_frames(root: str | Path, hard: bool | None = None) -> list[Picture]:
    """Open all frames of all shards of frames under a folder; pixels are memory-mapped.

    Parameters
    ----------
    root : path
    hard : bool, optional
        Only the shards of hard frames, or only the others; None for both.

    Raises
    ------
    MediaError
        There is no such shard.
    """
    paths = sorted(Path(root).rglob("boxes.npz"))
    if hard is not None:
        paths = [path for path in paths if path.parent.name.startswith(f"{HARD}-") == hard]
    if not paths:
        raise MediaError(f"{root}: contains no shard of frames; render some first")
    pictures = []
    for path in paths:
        pixels = np.load(path.parent / "frames.npy", mmap_mode="r")
        with np.load(path) as archive:
            rows = np.split(archive["boxes"], np.cumsum(archive["count"])[:-1])
        pictures += [
            Picture(image, tuple(Box(*box) for box in boxes.tolist()))
            for image, boxes in zip(pixels, rows, strict=True)
        ]
    return pictures


@cache
def all_anchors(height: int, width: int) -> Tensor:
    """Return all anchors of a picture, in the order of `decode`: (A, 4) as cx, cy, w, h in pixels."""
    # the coarse maps are larger than the picture (fc6 is padded by three): the sizes come from a network on `meta`
    with torch.device("meta"):
        heads = S3FD(0.05)(torch.empty(1, 3, height, width))
    sizes = [head.shape[2:] for head in heads[::2]]
    return torch.cat([anchors(*size, stride) for size, stride in zip(sizes, STRIDES, strict=True)])


def overlap(faces: Tensor, prior: Tensor) -> Tensor:
    """Return the IoU of faces (F, 4) as corners and anchors (A, 4) as centres: (F, A)."""
    low, high = prior[:, :2] - prior[:, 2:] / 2, prior[:, :2] + prior[:, 2:] / 2
    size = torch.minimum(faces[:, None, 2:], high) - torch.maximum(faces[:, None, :2], low)
    inner = size.clamp(min=0).prod(dim=2)
    areas = (faces[:, 2:] - faces[:, :2]).prod(dim=1)
    return inner / (areas[:, None] + prior[:, 2:].prod(dim=1) - inner)


def match(faces: Tensor, prior: Tensor) -> Tensor:
    """Match anchors to faces.

    First, each anchor takes the face with the largest IoU, if above `MATCH`. Faces between two anchor sizes get few
    anchors that way, so that each face with fewer than the mean number also takes its best free anchors above
    `COMPENSATE`, up to that number. The best anchor of each face always belongs to it.

    Parameters
    ----------
    faces : Tensor, float32, (F, 4)
        Corners in pixels.
    prior : Tensor, float32, (A, 4)
        Of `all_anchors`.

    Returns
    -------
    Tensor, int64, (A,)
        Row of the face, or -1.
    """
    owner = torch.full((len(prior),), -1)
    if not len(faces):
        return owner
    iou = overlap(faces, prior)
    best, face = iou.max(dim=0)
    owner[best > MATCH] = face[best > MATCH]
    counts = torch.bincount(owner[owner >= 0], minlength=len(faces))
    wanted = max(round(float(counts.sum()) / len(faces)), 1)
    for row in (counts < wanted).nonzero()[:, 0].tolist():
        free = torch.where(owner < 0, iou[row], torch.zeros(()))
        values, index = free.topk(min(wanted - int(counts[row]), len(prior)))
        owner[index[values > COMPENSATE]] = row
    # last, so that no other face takes it
    for row, index in enumerate(iou.argmax(dim=1).tolist()):
        if iou[row, index] > 0:
            owner[index] = row
    return owner


def encode(faces: Tensor, prior: Tensor) -> Tensor:
    """Return the offsets from anchors to faces, both (N, 4); the inverse of `models.s3fd.decode`."""
    center, size = (faces[:, :2] + faces[:, 2:]) / 2, faces[:, 2:] - faces[:, :2]
    moved = (center - prior[:, :2]) / prior[:, 2:] / VARIANCES[0]
    return torch.cat((moved, torch.log(size / prior[:, 2:]) / VARIANCES[1]), dim=1)


def targets(faces: np.ndarray, counted: np.ndarray, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Return the training targets of all anchors for a picture.

    Parameters
    ----------
    faces : ndarray, float32, (F, 4)
    counted : ndarray of bool, (F,)
        False for faces that are ignored: neither face nor background.
    prior : Tensor

    Returns
    -------
    labels : Tensor, int64, (A,)
        `FACE`, `BACKGROUND`, or `IGNORED`.
    offsets : Tensor, float32, (A, 4)
        Zero where there is no face.
    """
    real, ignored = torch.from_numpy(faces[counted]), torch.from_numpy(faces[~counted])
    owner = match(real, prior)
    labels = (owner >= 0).long() * FACE
    if len(ignored):
        centers = prior[:, None, :2]
        inside = ((centers > ignored[:, :2]) & (centers < ignored[:, 2:])).all(dim=2).any(dim=1)
        near = overlap(ignored, prior).amax(dim=0) > COMPENSATE
        labels[(labels == BACKGROUND) & (inside | near)] = IGNORED
    offsets = torch.zeros(len(prior), 4)
    matched = labels == FACE
    offsets[matched] = encode(real[owner[matched]], prior[matched])
    return labels, offsets


def multibox_loss(heads: Sequence[Tensor], labels: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of faces and the hardest background, and the smooth L1 loss of the faces' offsets.

    Parameters
    ----------
    heads : sequence of 12 Tensor
        Output of `S3FD`.
    labels : Tensor, int64, (N, A)
    offsets : Tensor, float32, (N, A, 4)

    Returns
    -------
    (classification, localisation) : Tensor
        Both divided by the number of face anchors. A batch without faces uses as many background anchors as it has
        pictures.
    """
    logits = torch.cat([head.flatten(2) for head in heads[::2]], dim=2).float()
    moved = torch.cat([head.flatten(2) for head in heads[1::2]], dim=2).transpose(1, 2).float()
    each = nn.functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")
    faces = labels == FACE
    count = max(int(faces.sum()), len(labels))
    background = each[labels == BACKGROUND]
    hardest = background.topk(min(NEGATIVES * count, len(background))).values
    local = nn.functional.smooth_l1_loss(moved[faces], offsets[faces], reduction="sum")
    return (each[faces].sum() + hardest.sum()) / count, local / count


def prepared(images: Tensor) -> Tensor:
    """Convert uint8 RGB (N, H, W, 3) to the input of S3FD: RGB less the published means, (N, 3, H, W)."""
    return (images.float() - images.new_tensor(MEANS, dtype=torch.float32)).permute(0, 3, 1, 2)


def square(
    pictures: Sequence[Picture], rng: np.random.Generator, side: int, tiled: float, close: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a training square: a part of a picture, or four smaller squares, for more small faces.

    `tiled` and `close` are those of `recipes.DetectorRecipe`.

    Returns
    -------
    pixels : ndarray, uint8, (side, side, 3)
    faces : ndarray, float32, (F, 4)
        In pixels of the square, cut to it.
    visible : ndarray, float32, (F,)
        Share of each face that is in the square.
    """
    if side >= 96 and rng.random() < tiled:
        half = side // 2
        parts = [square(pictures, rng, half, tiled / 2, close) for _ in range(4)]
        places = [(0, 0), (half, 0), (0, half), (half, half)]
        pixels = np.zeros((side, side, 3), np.uint8)
        for (x, y), (part, _, _) in zip(places, parts, strict=True):
            pixels[y : y + half, x : x + half] = part
        faces = [faces + np.float32([x, y, x, y]) for (x, y), (_, faces, _) in zip(places, parts, strict=True)]
        return pixels, np.concatenate(faces), np.concatenate([visible for *_, visible in parts])
    return _part(pictures[rng.integers(len(pictures))], rng, side, close)


def _part(picture: Picture, rng, side: int, close: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import cv2

    height, width = picture.pixels.shape[:2]
    piece = min(height, width) / np.exp(rng.uniform(0, np.log(_NEARER)))
    if picture.faces and rng.random() < 0.85:
        face = picture.faces[rng.integers(len(picture.faces))]
        # in most cases whole, and not larger than the part
        longer = max(face.width, face.height)
        fills = rng.random() < close
        piece = min(longer / rng.uniform(*_FILLED) if fills else max(piece, 1.1 * longer), height, width)
        least, most = (0.42, 0.58) if fills else (0.25, 0.75)
        x, y = (middle - piece * rng.uniform(least, most) for middle in face.center)
    else:
        x, y = rng.random() * (width - piece), rng.random() * (height - piece)
    x, y = min(max(x, 0), width - piece), min(max(y, 0), height - piece)
    scale, flipped = side / piece, rng.random() < 0.5
    rows, columns = slice(int(y), int(np.ceil(y + piece))), slice(int(x), int(np.ceil(x + piece)))
    cut = np.ascontiguousarray(picture.pixels[rows, columns])
    pixels = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    whole = np.array([tuple(face) for face in picture.faces], np.float32).reshape(-1, 4)
    shown = np.float32([side / cut.shape[1], side / cut.shape[0]])
    whole = (whole - np.float32([columns.start, rows.start] * 2)) * np.tile(shown, 2)
    if flipped:
        pixels, whole = pixels[:, ::-1], np.stack([side - whole[:, 2], whole[:, 1], side - whole[:, 0], whole[:, 3]], 1)
    faces = whole.clip(0, side)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (faces, whole)]
    visible = areas[0] / np.maximum(areas[1], 1e-6)
    return _augmented(np.ascontiguousarray(pixels), rng), faces[visible > 0.02], visible[visible > 0.02]


def _augmented(pixels: np.ndarray, rng) -> np.ndarray:
    """Bend lines, change colours, convert to grey, blur, add grain and compress at random."""
    import cv2

    if rng.random() < 0.15:
        pixels = _bent(pixels, rng)
    if rng.random() < 0.6:
        pixels = cv2.LUT(pixels, colour_table(rng))
    if rng.random() < 0.18:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 12), (*pixels.shape[:2], 1)).astype(np.float32)
        pixels = np.clip(pixels + cv2.GaussianBlur(noise, (0, 0), 0.6)[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        pixels = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return pixels


def _bent(pixels: np.ndarray, rng) -> np.ndarray:
    """Move the pixels along a smooth random field, by one pixel or so: lines wobble as if drawn anew."""
    import cv2

    side = pixels.shape[0]
    knots, reach = int(rng.integers(8, 25)), rng.uniform(0.4, 1.4)
    field = [cv2.resize(rng.normal(0, reach, (knots, knots)).astype(np.float32), (side, side)) for _ in range(2)]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    return cv2.remap(pixels, x + field[0], y + field[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class DetectorTask:
    """Task of the detector; see `loop.Task`."""

    kind = "detector"

    def __init__(self, recipe: DetectorRecipe, pictures: Sequence[Picture], held_out: Sequence[Picture] = ()):
        if not any(picture.faces for picture in pictures):
            raise ParameterError("there is no picture with a face to learn from")
        self.recipe, self.pictures, self.held_out = recipe, pictures, held_out[:_CHECKED]
        self.prior = all_anchors(recipe.side, recipe.side)
        self.networks = {"detector": seeded(lambda: S3FD(recipe.width), recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        images, labels, offsets = [], [], []
        for _ in range(self.recipe.batch):
            pixels, faces, visible = square(self.pictures, rng, self.recipe.side, self.recipe.tiled, self.recipe.close)
            sides = (faces[:, 2:] - faces[:, :2]).min(axis=1, initial=np.inf)
            label, offset = targets(faces, (visible >= _VISIBLE) & (sides >= self.recipe.smallest), self.prior)
            images.append(pixels)
            labels.append(label.numpy())
            offsets.append(offset.numpy())
        return {"images": np.stack(images), "labels": np.stack(labels), "offsets": np.stack(offsets)}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        heads = self.networks["detector"](prepared(batch["images"]))
        classification, localisation = multibox_loss(heads, batch["labels"], batch["offsets"])
        numbers = {"classification": classification, "localisation": localisation}
        yield "detector", classification + localisation, numbers

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return recall_and_precision(networks["detector"], self.held_out) if self.held_out else {}


def held_out_scores(network: nn.Module, root: str | Path) -> dict[str, float]:
    """Return `recall_and_precision` on the usual frames under a folder, and on hard ones with the prefix ``hard_``."""
    numbers = recall_and_precision(network, open_frames(root, hard=False))
    if any(Path(root).rglob(f"{HARD}-*")):
        scores = recall_and_precision(network, open_frames(root, hard=True))
        numbers |= {f"{HARD}_{name}": value for name, value in scores.items()}
    return numbers


def longest_side(side: int) -> int:
    """Return the longest side of pictures for a detector that was trained on squares of `side` pixels.

    A face that fills such a picture is about as large as the largest in training; larger faces get boxes that are too
    small. On the bundled clips, whose faces fill up to half of 384 pixels, the mean IoU of `s3fd-lab` with the ground
    truth is 0.80 at their own size and 0.87 at this one.
    """
    return round(side * 5 / 3)


def recall_and_precision(
    network: nn.Module, pictures: Sequence[Picture], threshold: float = 0.5, smallest: float = 16.0
) -> dict[str, float]:
    """Measure recall and precision at an IoU of 0.5.

    Parameters
    ----------
    network : S3FD
        In evaluation mode.
    pictures : sequence of Picture
    threshold : float
        Minimum score of a detection.
    smallest : float
        Pixels of a face's shorter side; smaller faces, and detections on them, are not counted.

    Returns
    -------
    dict
        ``recall``, ``precision``, and ``faces``, the number of faces.
    """
    hits = total = correct = counted = 0
    device = device_of(network)
    for picture in pictures:
        image = tensor(picture.pixels, device)[None]
        with torch.inference_mode():
            rows = decode(network(prepared(image)))[0].float().cpu().numpy()
        boxes = [candidate.box for candidate in candidates(rows, floor=threshold)]
        big = [face for face in picture.faces if min(face.width, face.height) >= smallest]
        small = [face for face in picture.faces if min(face.width, face.height) < smallest]
        hits += sum(max((face.iou(box) for box in boxes), default=0) >= 0.5 for face in big)
        total += len(big)
        true = [max((box.iou(face) for face in big), default=0) >= 0.5 for box in boxes]
        on_small = [max((box.iou(face) for face in small), default=0) >= 0.3 for box in boxes]
        correct += sum(true)
        counted += sum(t or not s for t, s in zip(true, on_small, strict=True))
    return {
        "recall": hits / total if total else np.nan,
        "precision": correct / counted if counted else np.nan,
        "faces": total,
    }
