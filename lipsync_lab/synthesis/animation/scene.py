"""Scenes: shots, camera and events, streamed as frames with their truth.

A scene is settled by its settings and its seed; what is said comes in as a function from seconds to a `MouthPose`.
Bodies and mouths are drawn on exposures of their own (ones, twos, threes) and held between; the camera moves on ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import cv2
import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.synthesis.animation import figure, props
from lipsync_lab.synthesis.animation.backgrounds import KINDS
from lipsync_lab.synthesis.animation.cel import Cel, compose
from lipsync_lab.synthesis.animation.character import STYLES, character
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.shots import CAMERAS, FRAMINGS, VIEWS, Shot, shots
from lipsync_lab.synthesis.pose import REST, MouthPose
from lipsync_lab.synthesis.truth import Truth

PoseAt = Callable[[float], MouthPose]

#: A face of which less than this share is in the frame has left it.
VISIBLE = 0.35


@dataclass(frozen=True)
class Scene:
    """Settings of a drawn scene.

    Attributes
    ----------
    seed : int
        Decides character, acting, background and every other choice left open.
    style : str, optional
        One of `character.STYLES`; decided by the seed when absent.
    on, mouth_on : int
        Frames that a drawing of the body, and of the mouth, is held.
    fps : float
        Frames a second.
    size : tuple of int
        Width and height in pixels.
    view : str
        "front", "three-quarter", "profile", "turn" (from the front to three-quarter), "away" (from the front to
        profile) or "mixed" (one a shot).
    framing : str
        "portrait" (the face fills the frame), "close", "medium", "wide" or "far".
    camera : str
        "still", "pan", "zoom" or "shake".
    cuts : int
        How many times the shot changes.
    backdrop : str, optional
        One of `backgrounds.KINDS`; decided by the seed when absent.
    partner : bool
        Whether a second character listens; the truth is about the one who speaks.
    occluder : str, optional
        One of `props.OCCLUDERS`: it hides the mouth in the middle of each shot.
    leaving : bool
        Whether the face leaves the frame towards the end of each shot.
    empty : bool
        No face at all: a landscape, or somebody seen from behind.
    text : str
        Subtitle.
    night : bool
        Moonlight over everything.
    grain : float, optional
        Grey levels of film grain; by the style when absent (only rubber hose has it).
    jpeg : int
        Quality of a JPEG round trip, 1 to 100; 0 for none.
    life : float
        How much the body moves, 0 to 1 or more.
    """

    seed: int = 0
    style: str | None = None
    on: int = 2
    mouth_on: int = 2
    fps: float = 25.0
    size: tuple[int, int] = (256, 256)
    view: str = "front"
    framing: str = "close"
    camera: str = "still"
    cuts: int = 0
    backdrop: str | None = None
    partner: bool = False
    occluder: str | None = None
    leaving: bool = False
    empty: bool = False
    text: str = ""
    night: bool = False
    grain: float | None = None
    jpeg: int = 0
    life: float = 1.0

    def __post_init__(self):
        choices = dict(style=STYLES, view=VIEWS, framing=tuple(FRAMINGS), camera=CAMERAS, backdrop=KINDS)
        choices |= dict(occluder=props.OCCLUDERS)
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known and not (value is None and name in ("style", "backdrop", "occluder")):
                raise ParameterError(f"unknown {name} {value!r} for a drawn scene; choose one of {', '.join(known)}")
        if min(self.on, self.mouth_on) < 1:
            raise ParameterError(f"a drawing is held for at least one frame, not {min(self.on, self.mouth_on)}")
        if not self.fps > 0:
            raise ParameterError(f"a scene needs a positive frame rate, not {self.fps}")
        if min(self.size) < 32:
            raise ParameterError(f"a scene of {self.size[0]} x {self.size[1]} pixels is too small; use at least 32")
        if not 0 <= self.jpeg <= 100:
            raise ParameterError(f"JPEG quality goes from 1 to 100 (0 for none), not {self.jpeg}")


@dataclass(frozen=True)
class Frame:
    """One frame with all that is known about it.

    Attributes
    ----------
    pixels : ndarray, uint8, (height, width, 3)
        RGB.
    truth : Truth
        About the character who speaks.
    faces : tuple of Box
        Every face in the frame, the speaker's first: what a detector should find.
    """

    pixels: np.ndarray
    truth: Truth
    faces: tuple[Box, ...]


def frames(
    scene: Scene, pose_at: PoseAt, duration: float, phoneme_at: Callable[[float], str] | None = None
) -> Iterator[tuple[np.ndarray, Truth]]:
    """Stream a scene.

    Parameters
    ----------
    scene : Scene
        Settings.
    pose_at : callable
        From seconds to `MouthPose`; asked once for each drawing of the mouth, at the time that it appears.
    duration : float
        Seconds.
    phoneme_at : callable, optional
        From seconds to what is being said, for the truth.

    Yields
    ------
    pixels : ndarray, uint8, (height, width, 3)
        RGB.
    truth : Truth
    """
    for frame in render(scene, pose_at, duration, phoneme_at):
        yield frame.pixels, frame.truth


def render(
    scene: Scene, pose_at: PoseAt, duration: float, phoneme_at: Callable[[float], str] | None = None
) -> Iterator[Frame]:
    """Stream a scene as `frames` does, with every face's box."""
    for moment in _moments(scene, pose_at, duration, phoneme_at):
        yield moment.stage.frame(moment)


def face_crops(
    scene: Scene, pose_at: PoseAt, duration: float, size: int = 96, bottom: float = 0.06
) -> Iterator[tuple[np.ndarray, Truth]]:
    """Stream only the face, drawn straight at crop size: training data at several times the speed of `frames`.

    Frames in which the face has left are left out. Subtitles are not drawn, compression and grain are.

    Parameters
    ----------
    scene : Scene
        Settings; `size` of the scene only sets the staging.
    pose_at : callable
        From seconds to `MouthPose`.
    duration : float
        Seconds.
    size : int
        Width and height of the crop in pixels; the face's box is stretched to it.
    bottom : float
        How far the crop goes on under the chin, as a share of the box's height.

    Yields
    ------
    crop : ndarray, uint8, (size, size, 3)
        RGB.
    truth : Truth
        In pixels of the crop.
    """
    for moment in _moments(scene, pose_at, duration, None):
        box = moment.stage.face(moment)
        if box is None:
            continue
        tall = box.height * (1 + bottom)
        fit = np.array([[size / box.width, 0, -box.x1 * size / box.width], [0, size / tall, -box.y1 * size / tall]])
        frame = moment.stage.frame(moment, fit, (size, size))
        yield frame.pixels, frame.truth


def random_scene(seed: int, **fixed) -> Scene:
    """A scene whose every setting is drawn from the seed, save those that are given."""
    unknown = set(fixed) - {field.name for field in fields(Scene)}
    if unknown:
        raise ParameterError(f"a scene has no setting {', '.join(sorted(unknown))}")
    rng = np.random.default_rng([seed, 0x5CE7E])

    def one_of(*weighted):
        values, weights = zip(*weighted, strict=True)
        return values[rng.choice(len(values), p=np.array(weights) / sum(weights))]

    settings = dict(
        seed=seed,
        on=one_of((1, 1), (2, 3), (3, 2)),
        mouth_on=one_of((1, 1), (2, 3), (3, 1)),
        view=one_of(("front", 4), ("three-quarter", 4), ("profile", 1.5), ("turn", 1)),
        framing=one_of(("portrait", 1), ("close", 4), ("medium", 3), ("wide", 2), ("far", 1)),
        camera=one_of(("still", 5), ("pan", 1.5), ("zoom", 1.5), ("shake", 0.5)),
        partner=bool(rng.random() < 0.18),
        occluder=one_of((None, 9), *((kind, 0.25) for kind in props.OCCLUDERS)),
        text=one_of(("", 5), ("Are you coming with us?", 1), ("That would be a fine thing to know.", 1)),
        night=bool(rng.random() < 0.15),
        grain=one_of((None, 5), (3.0, 1), (7.0, 1)),
        jpeg=int(one_of((0, 1), (rng.integers(25, 96), 2))),
        life=float(rng.uniform(0.3, 1.3)),
    )
    return Scene(**(settings | fixed))


@dataclass(frozen=True)
class _Moment:
    """One frame before it is drawn."""

    stage: _Stage
    number: int
    time: float
    body_time: float
    pose: MouthPose
    phoneme: str


def _moments(scene: Scene, pose_at: PoseAt, duration: float, phoneme_at) -> Iterator[_Moment]:
    count = max(1, round(duration * scene.fps))
    hero = character(scene.seed, scene.style)
    drawings = _Drawings()
    for shot in shots(scene, hero, count, pose_at):
        stage = _Stage(scene, shot, drawings)
        for number in range(shot.first, shot.stop):
            since = number - shot.first
            body, mouth = (number - since % held for held in (scene.on, scene.mouth_on))
            time = number / scene.fps
            phoneme = phoneme_at(time) if phoneme_at else ""
            yield _Moment(stage, number, time, body / scene.fps, pose_at(mouth / scene.fps), phoneme)


class _Drawings:
    """Counts drawings: the number rises when what is drawn differs from the frame before."""

    def __init__(self):
        self.number, self.key = -1, None

    def count(self, key) -> int:
        if key != self.key:
            self.number, self.key = self.number + 1, key
        return self.number


class _Stage:
    """A shot being drawn: keeps the last cel of everything that is held."""

    def __init__(self, scene: Scene, shot: Shot, drawings: _Drawings):
        self.scene, self.shot, self.drawings = scene, shot, drawings
        self._body = self._backdrop = (None, None)
        self._finished = (None, None)

    def face(self, moment: _Moment, camera: np.ndarray | None = None) -> Box | None:
        """The speaker's box in the frame, or None where there is none or it has left."""
        if self.shot.hero is None:
            return None
        camera = self.shot.camera(moment.time) if camera is None else camera
        return self._visible(figure.face_box(self.shot.hero, self.shot.look(moment.body_time), camera), self.scene.size)

    def frame(self, moment: _Moment, fit: np.ndarray | None = None, size: tuple[int, int] | None = None) -> Frame:
        """Draw the moment; `fit` is a map from the scene's frame to a picture of another size."""
        shot, size = self.shot, size or self.scene.size
        camera = shot.camera(moment.time)
        view = camera if fit is None else compose(fit, camera)
        look, prop = shot.look(moment.body_time), shot.prop(moment.body_time)
        partner = shot.partner_look(moment.body_time)
        pose = moment.pose if shot.hero is not None else REST
        key = (shot.number, look, partner, prop, pose if shot.hero is not None else None)
        drawing = self.drawings.count(key)
        key = (key, view.tobytes())
        if key != self._finished[0]:
            self._finished = key, self._draw(look, partner, prop, pose, view, fit, camera, size)
        pixels, mouth, outline = self._finished[1]
        pixels = self._develop(pixels, moment.number, fit is None)
        truth = dict(frame=moment.number, time=moment.time, shot=shot.number, phoneme=moment.phoneme, drawing=drawing)
        box = None if shot.hero is None else self._visible(figure.face_box(shot.hero, look, view), size)
        if box is not None:
            truth |= dict(zip(("face_x1", "face_y1", "face_x2", "face_y2"), box, strict=True))
            truth |= dict(zip(("mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"), mouth.box, strict=True))
            truth |= dict(openness=pose.openness, openness_px=mouth.gap, width_px=mouth.width, shape=pose.shape)
            truth |= dict(pose=look.view, yaw=float(look.yaw))
            truth |= dict(occluded=int(outline is not None and props.hides(outline, mouth.box)))
        others = []
        if partner is not None:
            others = [self._visible(figure.face_box(shot.partner, partner, view), size)]
        faces = tuple(found for found in (box, *others) if found is not None)
        return Frame(pixels, Truth(**truth), faces)

    def _visible(self, box: Box, size: tuple[int, int]) -> Box | None:
        seen = box.clipped(*size)
        return seen if seen.area >= VISIBLE * box.area else None

    def _draw(self, look, partner, prop, pose, view, fit, camera, size):
        """The picture before film and print, what is known of the mouth, and what hides it."""
        shot = self.shot
        cel = Cel(*size)
        with cel.plane(view):
            whole = look is not None and shot.hero is not None and look.view == "profile"
            key = (look, partner, view.tobytes(), pose if whole else None)
            if key != self._body[0]:
                mouth = self._draw_bodies(cel, look, partner, pose, whole)
                self._body = key, (cel.pixels, mouth)
            pixels, mouth = self._body[1]
            cel.pixels = pixels.copy()
            outline = None
            if shot.hero is not None:
                if not whole:
                    mouth = figure.draw_mouth(cel, shot.hero, look, pose)
                if prop is not None:
                    outline = props.occluder(cel, shot.hero, *prop)
                    outline = outline @ view[:, :2].T + view[:, 2]
        return cel.over(self._behind(view, fit, camera, size)), mouth, outline

    def _draw_bodies(self, cel: Cel, look: Look | None, partner: Look | None, pose: MouthPose, whole: bool):
        shot, mouth = self.shot, None
        if partner is not None:
            figure.draw(cel, shot.partner, partner, REST)
        if shot.hero is not None:
            if whole:
                mouth = figure.draw_profile(cel, shot.hero, look, pose)
            else:
                figure.draw_body(cel, shot.hero, look)
        elif shot.stranger is not None:
            figure.draw_from_behind(cel, shot.stranger, look)
        return mouth

    def _behind(self, view, fit, camera, size) -> np.ndarray:
        """The background as this camera sees it: it lies far off, so that it moves less."""
        key = view.tobytes()
        if key != self._backdrop[0]:
            matrix = self.shot.backdrop_camera(camera)
            if fit is not None:
                matrix = compose(fit, matrix)
            picture = cv2.warpAffine(
                self.shot.backdrop, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            self._backdrop = key, picture
        return self._backdrop[1]

    def _develop(self, pixels: np.ndarray, number: int, with_text: bool) -> np.ndarray:
        scene = self.scene
        pixels = pixels.copy()
        if scene.night:
            pixels = props.night(pixels, self.shot.tint)
        amount = scene.grain
        if amount is None:
            amount = 6.0 if self.shot.gray else 0.0
        if amount:
            pixels = props.grain(np.random.default_rng([scene.seed, 0x64A1, number]), pixels, amount)
        if scene.text and with_text:
            props.subtitle(pixels, scene.text)
        if scene.jpeg:
            pixels = props.compress(pixels, scene.jpeg)
        return pixels
