"""Rendering of scenes: shots, camera and events, streamed as frames with their ground truth.

Settings and seed determine a scene; the speech is given as a function from seconds to a `MouthShape`. Bodies and mouths
have separate exposures (on ones, twos, threes) and are held in between; the camera moves on ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from lipsync_lab.generation.cel.shapes import REST, MouthShape
from lipsync_lab.geometry import Box
from lipsync_lab.synthesis.animation import clutter, figure, props
from lipsync_lab.synthesis.animation.cel import Cel, compose
from lipsync_lab.synthesis.animation.character import character, vintage
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.animation.shots import PoseAt, Shot, shots
from lipsync_lab.synthesis.truth import MOUTH_POINTS, GroundTruth

#: A face counts as visible if at least this share of its box is inside the frame.
VISIBLE = 0.35


@dataclass(frozen=True)
class Frame:
    """A frame with its ground truth.

    Attributes
    ----------
    pixels : ndarray, uint8, (height, width, 3)
        RGB.
    ground_truth : GroundTruth
        Of the character who speaks.
    faces : tuple of Box
        Boxes of all faces in the frame, the speaker's first: what a detector should find.
    """

    pixels: np.ndarray
    ground_truth: GroundTruth
    faces: tuple[Box, ...]


def frames(
    scene: Scene, pose_at: PoseAt, duration: float, phoneme_at: Callable[[float], str] | None = None
) -> Iterator[tuple[np.ndarray, GroundTruth]]:
    """Stream a scene.

    Parameters
    ----------
    scene : Scene
        Settings.
    pose_at : callable
        From seconds to `MouthShape`; called for each drawing of the mouth with the time at which it appears.
    duration : float
        Seconds.
    phoneme_at : callable, optional
        From seconds to the phoneme, for the ground truth.

    Yields
    ------
    pixels : ndarray, uint8, (height, width, 3)
        RGB.
    row : GroundTruth
    """
    for frame in render(scene, pose_at, duration, phoneme_at):
        yield frame.pixels, frame.ground_truth


def render(
    scene: Scene, pose_at: PoseAt, duration: float, phoneme_at: Callable[[float], str] | None = None
) -> Iterator[Frame]:
    """Stream a scene as `frames` does, with the boxes of all faces."""
    for moment in _moments(scene, pose_at, duration, phoneme_at):
        yield moment.stage.frame(moment)


def face_crops(
    scene: Scene, pose_at: PoseAt, duration: float, size: int = 96, bottom: float = 0.06, margin: float = 0.0
) -> Iterator[tuple[np.ndarray, GroundTruth]]:
    """Stream face crops that are drawn at crop size, several times as fast as cropping `frames`.

    Frames without a visible face are left out. Crops have grain and compression, but no subtitles.

    Parameters
    ----------
    scene : Scene
        Settings; the `size` of the scene only affects the staging.
    pose_at : callable
        From seconds to `MouthShape`.
    duration : float
        Seconds.
    size : int
        Width and height of the crop in pixels; the face box is scaled to it.
    bottom : float
        Part of the crop below the chin, as a share of the height of the face box.
    margin : float
        Part of the crop beyond each side of the face box, as a share of its width and height.

    Yields
    ------
    crop : ndarray, uint8, (size, size, 3)
        RGB.
    row : GroundTruth
        In pixels of the crop.
    """
    for moment in _moments(scene, pose_at, duration, None):
        box = moment.stage.face(moment)
        if box is None:
            continue
        wide, high = margin * box.width, margin * box.height
        x1, y1, x2, y2 = box.padded(high, high + bottom * box.height, wide, wide)
        across, down = size / (x2 - x1), size / (y2 - y1)
        fit = np.array([[across, 0, -x1 * across], [0, down, -y1 * down]])
        frame = moment.stage.frame(moment, fit, (size, size))
        yield frame.pixels, frame.ground_truth


@dataclass(frozen=True)
class _Moment:
    """One frame before it is drawn."""

    stage: _Stage
    number: int
    time: float
    body_time: float
    pose: MouthShape
    phoneme: str


def _moments(scene: Scene, pose_at: PoseAt, duration: float, phoneme_at) -> Iterator[_Moment]:
    count = max(1, round(duration * scene.fps))
    hero = character(scene.seed, scene.style)
    hero = vintage(hero) if scene.vintage else hero
    drawings = _Drawings()
    for shot in shots(scene, hero, count, pose_at):
        stage = _Stage(scene, shot, drawings)
        for number in range(shot.first, shot.stop):
            since = number - shot.first
            body, mouth = (number - since % held for held in (scene.exposure, scene.mouth_exposure))
            time = number / scene.fps
            phoneme = phoneme_at(time) if phoneme_at else ""
            yield _Moment(stage, number, time, body / scene.fps, pose_at(mouth / scene.fps), phoneme)


class _Drawings:
    """Number the drawings: the number increases when a frame differs from the frame before."""

    def __init__(self):
        self.number, self.key = -1, None

    def count(self, key) -> int:
        if key != self.key:
            self.number, self.key = self.number + 1, key
        return self.number


class _Stage:
    """Renderer of a shot; it caches the last cel of body, mouth and background for holds."""

    def __init__(self, scene: Scene, shot: Shot, drawings: _Drawings):
        self.scene, self.shot, self.drawings = scene, shot, drawings
        self._body = self._backdrop = (None, None)
        self._finished = (None, None)

    def face(self, moment: _Moment, camera: np.ndarray | None = None) -> Box | None:
        """Return the box of the speaker's face, or None if there is no visible face."""
        if self.shot.hero is None:
            return None
        camera = self.shot.camera(moment.time) if camera is None else camera
        return self._visible(figure.face_box(self.shot.hero, self.shot.look(moment.body_time), camera), self.scene.size)

    def frame(self, moment: _Moment, fit: np.ndarray | None = None, size: tuple[int, int] | None = None) -> Frame:
        """Draw a frame; `fit` is an affine map from the scene's frame to a picture of another size."""
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
        row = dict(frame=moment.number, time=moment.time, shot=shot.number, phoneme=moment.phoneme, drawing=drawing)
        box = None if shot.hero is None else self._visible(figure.face_box(shot.hero, look, view), size)
        if box is not None:
            row |= dict(zip(("face_x1", "face_y1", "face_x2", "face_y2"), box, strict=True))
            row |= dict(zip(("mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"), mouth.box, strict=True))
            row |= dict(zip(MOUTH_POINTS, np.ravel(mouth.points).tolist(), strict=True))
            row |= dict(openness=pose.openness, openness_px=mouth.gap, width_px=mouth.width, shape=pose.shape)
            row |= dict(pose=look.view, yaw=float(look.yaw))
            row |= dict(occluded=int(outline is not None and props.hides(outline, mouth.box)))
        beside = None if partner is None else self._visible(figure.face_box(shot.partner, partner, view), size)
        faces = tuple(face for face in (box, beside) if face is not None)
        return Frame(pixels, GroundTruth(**row), faces)

    def _visible(self, box: Box, size: tuple[int, int]) -> Box | None:
        clipped = box.clipped(*size)
        return clipped if clipped.area >= VISIBLE * box.area else None

    def _draw(self, look, partner, prop, pose, view, fit, camera, size):
        """Return the picture before grain and compression, the measured mouth, and the outline of the prop."""
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
                    mouth = figure.draw_mouth(cel, shot.hero, look, pose, self.scene.mouth)
                if prop is not None:
                    outline = props.occluder(cel, shot.hero, *prop)
                    outline = outline @ view[:, :2].T + view[:, 2]
            faces = self._faces(look, partner, np.eye(2, 3))
            for thing in shot.things:
                if thing.in_front and not any(clutter.covers(thing, face) for face in faces):
                    clutter.draw(cel, thing)
        return cel.over(self._behind(view, fit, camera, size)), mouth, outline

    def _faces(self, look: Look | None, partner: Look | None, camera: np.ndarray) -> list[Box]:
        """Return the boxes of speaker and listener, those outside the frame too."""
        pairs = ((self.shot.hero, look), (self.shot.partner, partner))
        return [figure.face_box(who, each, camera) for who, each in pairs if who is not None and each is not None]

    def _draw_bodies(self, cel: Cel, look: Look | None, partner: Look | None, pose: MouthShape, whole: bool):
        shot, mouth = self.shot, None
        for thing in shot.things:
            if not thing.in_front:
                clutter.draw(cel, thing)
        if partner is not None:
            figure.draw(cel, shot.partner, partner, REST)
        if shot.hero is not None:
            if whole:
                mouth = figure.draw_profile(cel, shot.hero, look, pose, self.scene.mouth)
            else:
                figure.draw_body(cel, shot.hero, look)
        elif shot.from_behind is not None:
            figure.draw_from_behind(cel, shot.from_behind, look)
        return mouth

    def _behind(self, view, fit, camera, size) -> np.ndarray:
        """Return the background in this camera's view; with parallax, it moves less than the characters."""
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
