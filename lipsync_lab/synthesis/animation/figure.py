"""Drawing of a whole character on a cel in two layers: the body, and the mouth over it."""

from __future__ import annotations

import numpy as np

from lipsync_lab.generation.cel.shapes import REST, MouthShape
from lipsync_lab.geometry import Box
from lipsync_lab.synthesis.animation import features, hair, head, lips, profile
from lipsync_lab.synthesis.animation.cel import Cel, compose
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.head import Look, Turn


def draw(cel: Cel, character: Character, look: Look, pose: MouthShape) -> lips.Mouth:
    """Draw the character with its mouth; the plane of the cel is the frame in pixels."""
    if look.view == "profile":
        return draw_profile(cel, character, look, pose)
    draw_body(cel, character, look)
    return draw_mouth(cel, character, look, pose)


def draw_body(cel: Cel, character: Character, look: Look) -> None:
    """Draw all but the mouth, in front or three-quarter view."""
    c, edge, bare = character, head.outline(character, look), _beast(character)
    wrap = Turn(c, look)
    over_hair = c.style in ("anime", "rubberhose")  # brows show through hair
    _behind(cel, c, look, edge)
    with cel.plane(look.head()):
        if not bare and look.view == "front":
            turn = abs(look.yaw) / 60
            head.ear(cel, c, -c.width * (0.97 - turn * 0.3), -1)
            head.ear(cel, c, c.width * (0.97 - turn * 0.6), 1)
        head.head(cel, c, look, edge)
        if bare:
            head.mask(cel, c, look, edge)
        with cel.plane(wrap=wrap):
            features.marks(cel, c)
        lips.beard(cel, c, edge)
        with cel.plane(wrap=wrap):
            features.eyes(cel, c, look)
            features.nose(cel, c, look)
            if not over_hair:
                features.brows(cel, c, look)
        hair.front(cel, c, look, edge)
        with cel.plane(wrap=wrap):
            if c.style == "rubberhose":  # whole eyes, lashes and all, show over it too
                features.eyes(cel, c, look)
            if over_hair:
                features.brows(cel, c, look)
            features.glasses(cel, c)
        if not bare and look.view == "three-quarter":
            head.ear(cel, c, -c.width * float(np.cos(np.radians(look.yaw))) + 0.02, -1)
        hair.hat(cel, c, look)


def draw_mouth(cel: Cel, character: Character, look: Look, pose: MouthShape, shown: bool = True) -> lips.Mouth:
    """Draw the mouth over a body on the cel; only measure it, and draw the moustache, if it is not `shown`."""
    with cel.plane(look.head()), cel.plane(wrap=Turn(character, look)):
        if shown:
            return lips.mouth(cel, character, look, pose)
        body = cel.pixels.copy()
        mouth = lips.mouth(cel, character, look, pose)
        cel.pixels = body
        if character.moustache:
            lips.moustache(cel, character)
        return mouth


def draw_profile(cel: Cel, character: Character, look: Look, pose: MouthShape, shown: bool = True) -> lips.Mouth:
    """Draw body and mouth together, since in profile the lips are part of the contour of the head.

    Where the mouth is not `shown` it is measured, and the contour is that of closed lips without a line between them.
    """
    c = character
    edge, _, _ = profile.outline(c, REST)
    _behind(cel, c, look, edge)
    with cel.plane(look.head()):
        body = None if shown else cel.pixels.copy()
        mouth, edge = profile.face(cel, c, look, pose)
        if not shown:
            cel.pixels = body
            _, edge = profile.face(cel, c, look, REST, with_lips=False)
        hair.front(cel, c, look, edge)
        if not _beast(c):
            head.ear(cel, c, -0.02, -1)
        hair.hat(cel, c, look)
    return mouth


def face_box(character: Character, look: Look, camera: np.ndarray) -> Box:
    """Return the face box in pixels of the frame, by S3FD's convention: upper forehead to chin, ear to ear."""
    edge = profile.box_outline(character) if look.view == "profile" else head.outline(character, look)
    top = max(min(character.brow_y - 0.18, -0.35), -0.72)
    edge = edge[edge[:, 1] >= top]
    edge = np.concatenate([edge, [(edge[:, 0].mean(), top)]])
    plane = compose(camera, look.head())
    pixels = edge @ plane[:, :2].T + plane[:, 2]
    return Box(*pixels.min(0).tolist(), *pixels.max(0).tolist())


def _beast(character: Character) -> bool:
    return character.ear_kind in ("bear", "cat", "dog")


def _behind(cel: Cel, character: Character, look: Look, edge: np.ndarray) -> None:
    with cel.plane(look.head()):
        hair.behind(cel, character, look)
    with cel.plane(look.body()):
        head.neck(cel, character, look, edge)
        head.clothes(cel, character, look)
    with cel.plane(look.head()):
        if _beast(character):
            head.beast_ears(cel, character, look)


def draw_from_behind(cel: Cel, character: Character, look: Look) -> None:
    """Draw a character from behind: a negative example for face detectors."""
    c, ahead = character, Look(look.x, look.y, look.scale, roll=look.roll)
    edge = head.outline(c, ahead)
    with cel.plane(ahead.body()):
        head.neck(cel, c, ahead, edge)
        head.clothes(cel, c, ahead)
    bald = c.fringe == "none" and not _beast(c)
    with cel.plane(ahead.head()):
        hair.behind(cel, c, ahead)
        if _beast(c):
            head.beast_ears(cel, c, ahead)
        elif c.back not in ("bob", "long", "wavy", "afro"):  # which fall over the ears
            for side in (-1, 1):
                head.ear(cel, c, side * c.width * 0.97, side)
        colour = c.palette.skin if bald else c.palette.hair
        back = edge * (1.06, 0.86) - (0, 0.12)
        cel.shape(back, colour, c.palette.ink, c.line)
        with cel.inside(back):
            cel.fill(back + (0.3 * c.light, 0.05), c.palette.skin_shade if bald else c.palette.hair_shade)
            cel.fill(back - (0.12 * c.light, 0.05), colour)
        hair.hat(cel, c, ahead)
