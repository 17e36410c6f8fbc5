"""Staging: division of a scene into shots, and positions of characters, prop and camera in each shot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.synthesis.animation.acting import Acting, perform
from lipsync_lab.synthesis.animation.backgrounds import background
from lipsync_lab.synthesis.animation.character import Character, character, vintage
from lipsync_lab.synthesis.animation.clutter import Thing, things
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.props import moonlight
from lipsync_lab.synthesis.animation.settings import FRAMINGS, Scene

PoseAt = Callable[[float], MouthShape]

_MARGIN = 0.16  # of the frame that the background is larger on each side
_OCCLUDED = (0.32, 0.68)  # the middle part of a shot, in which a prop hides the mouth
_TURNED = 52.0  # degrees past which a head that turns away is drawn in profile
_LEAVES = 0.55  # share of a shot after which a leaving face sets off


@dataclass(frozen=True)
class Shot:
    """A shot: constants, and functions of time for what moves.

    `hero` is None in a scene without a face; `from_behind` may then be a character that is seen from behind.
    """

    number: int
    first: int
    stop: int
    fps: float
    size: tuple[int, int]
    hero: Character | None
    from_behind: Character | None
    base: Look
    acting: Acting
    turning: float
    partner: Character | None
    partner_base: Look | None
    partner_acting: Acting | None
    occluder: str | None
    leave: int
    backdrop: np.ndarray
    path: tuple[tuple[float, float, float], tuple[float, float, float]]
    shake: np.ndarray
    tint: tuple[float, float, float]
    gray: bool
    things: tuple[Thing, ...]

    def share(self, time: float) -> float:
        """Return the elapsed share of the shot, 0 to 1."""
        return min(max((time * self.fps - self.first) / max(self.stop - self.first, 1), 0.0), 1.0)

    def look(self, time: float) -> Look:
        """Return position and pose of the speaker at `time` seconds."""
        look = _acted(self.base, self.acting, time)
        share = self.share(time)
        if self.turning:
            turn = min(max((share - 0.35) / 0.25, 0.0), 1.0)
            look = replace(look, yaw=look.yaw + self.turning * turn * turn * (3 - 2 * turn))
            if abs(look.yaw) > _TURNED:  # there is no drawing between three-quarter and profile
                look = replace(look, yaw=90.0 * look.side)
        if self.leave:
            away = max(share - _LEAVES, 0.0) / (1 - _LEAVES)
            look = replace(look, x=look.x + self.leave * 1.35 * away * self.size[0])
        return look

    def partner_look(self, time: float) -> Look | None:
        """Return position and pose of the listener, or None without one."""
        return None if self.partner_base is None else _acted(self.partner_base, self.partner_acting, time)

    def prop(self, time: float) -> tuple[str, float, float, float] | None:
        """Return (kind, x, y, scale) of the prop in pixels of the stage, or None while there is none."""
        if self.occluder is None or self.hero is None:
            return None
        share, (start, end) = self.share(time), _OCCLUDED
        if not start - 0.12 < share < end + 0.12:
            return None
        up = min((share - start + 0.12) / 0.12, (end + 0.12 - share) / 0.12, 1.0)
        look = self.look(time)
        facing = np.sin(np.radians(look.yaw)) * (0.5 if look.view != "profile" else 0.72) * self.hero.width
        x = look.x + look.scale * facing
        y = look.y + look.scale * (self.hero.mouth_y + 2.2 * (1 - up) * (1 - up))
        return self.occluder, round(x, 2), round(y, 2), look.scale

    def camera(self, time: float) -> np.ndarray:
        """Return the affine map (2, 3) from pixels of the stage to pixels of the frame."""
        (z1, x1, y1), (z2, x2, y2) = self.path
        share = self.share(time)
        share = share * share * (3 - 2 * share)
        zoom, x, y = z1 + (z2 - z1) * share, x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
        if len(self.shake):
            dx, dy = self.shake[min(int(round(time * self.fps)) - self.first, len(self.shake) - 1)]
            x, y = x + dx, y + dy
        return _about(zoom, x, y, self.size, self.size)

    def backdrop_camera(self, camera: np.ndarray) -> np.ndarray:
        """Return the map of the background picture, which moves less with the camera (parallax)."""
        zoom = camera[0, 0]
        width, height = self.size
        x = camera[0, 2] - (1 - zoom) * width / 2
        y = camera[1, 2] - (1 - zoom) * height / 2
        tall, wide = self.backdrop.shape[:2]
        return _about(1 + 0.6 * (zoom - 1), 0.5 * x, 0.5 * y, (wide, tall), self.size)


def _about(zoom: float, x: float, y: float, source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """Return the affine map that zooms about the middle and shifts by (x, y)."""
    return np.array(
        [[zoom, 0, target[0] / 2 - zoom * source[0] / 2 + x], [0, zoom, target[1] / 2 - zoom * source[1] / 2 + y]]
    )


def _acted(base: Look, acting: Acting, time: float) -> Look:
    change = acting.at(time)
    # acting must not change the view (front, three-quarter, profile), nor the side, where the drawing is mirrored
    least, most = {"front": (0.5, 13.5), "three-quarter": (20.0, 44.0), "profile": (90.0, 90.0)}[base.view]
    yaw = base.side * min(max(abs(base.yaw) + base.side * change["yaw"], least), most)
    return replace(
        base,
        x=base.x + change["x"] * base.scale,
        y=base.y + change["y"] * base.scale,
        yaw=yaw,
        roll=base.roll + change["roll"],
        nod=min(max(base.nod + change["nod"], -1.0), 1.0),
        blink=change["blink"],
        gaze_x=change["gaze_x"],
        gaze_y=change["gaze_y"],
        brow=min(max(change["brow"], -1.0), 1.0),
    )


def shots(scene: Scene, hero: Character, count: int, pose_at: PoseAt) -> Iterator[Shot]:
    """Yield the shots of a scene of `count` frames."""
    rng = np.random.default_rng([scene.seed, 0x5407])
    borders = np.linspace(0, count, scene.cuts + 2)
    borders[1:-1] += rng.uniform(-0.2, 0.2, scene.cuts) * count / (scene.cuts + 1)
    borders = np.unique(np.rint(borders).astype(int))
    side = int(rng.choice([-1, 1]))
    for number, (first, stop) in enumerate(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)):
        yield _shot(scene, hero, number, first, stop, side if number % 2 == 0 else -side, pose_at)


def _shot(scene: Scene, hero: Character, number: int, first: int, stop: int, side: int, pose_at: PoseAt) -> Shot:
    rng = np.random.default_rng([scene.seed, 0x5408, number])
    width, height = scene.size
    start, duration = first / scene.fps, (stop - first) / scene.fps
    names = list(FRAMINGS)
    framing = scene.framing
    if number % 2:  # after a cut the camera stands nearer or further off
        at = names.index(framing)
        framing = names[at + 1 if at < 2 else at - 1]
    unit, level = FRAMINGS[framing]
    scale = unit * height * rng.uniform(0.92, 1.08)
    view = scene.view if scene.view != "mixed" else str(rng.choice(["front", "three-quarter", "profile"]))
    yaw = {"three-quarter": side * rng.uniform(26, 40), "profile": side * 90.0}.get(view, side * rng.uniform(2, 7))
    x = width * (0.5 + (0.17 * -side if scene.partner else rng.uniform(-0.08, 0.08) * (framing != "portrait")))
    ahead = {"three-quarter": 0.14, "profile": 0.42}.get(view, 0.0)  # room for the face, not for the back of the head
    x -= side * ahead * scale
    base = Look(x, level * height, scale, yaw=yaw, roll=rng.normal(0, 2.0), nod=rng.normal(0, 0.1))
    acting = perform(rng, start, duration, scene.life, pose_at)
    partner = partner_base = partner_acting = None
    if scene.partner:
        partner = character(scene.seed + 7919 * 31, hero.style)
        partner = vintage(partner) if scene.vintage else partner
        turned = rng.uniform(24, 36) if rng.random() < 0.7 else 90.0
        partner_base = Look(
            width * (0.5 + 0.27 * side), level * height * rng.uniform(0.95, 1.1), scale * 0.92, yaw=-side * turned
        )
        partner_acting = perform(rng, start, duration, 0.6 * scene.life)
    kind = scene.backdrop or str(
        rng.choice(
            ["hills", "room", "city", "forest", "sea", "wall", "gradient", "dots", "rays", "plain"],
            p=[0.17, 0.18, 0.1, 0.12, 0.1, 0.09, 0.09, 0.05, 0.04, 0.06],
        )
    )
    gray = hero.style == "rubberhose"
    margin = 1 + 2 * _MARGIN
    backdrop = background(rng, kind, round(width * margin), round(height * margin), gray)
    path, shake = _camera(rng, scene, stop - first)
    is_from_behind = scene.empty and number % 2 == 0 and scene.seed % 2 == 1
    return Shot(
        number=number,
        first=first,
        stop=stop,
        fps=scene.fps,
        size=scene.size,
        hero=None if scene.empty else hero,
        from_behind=hero if is_from_behind else None,
        base=base,
        acting=acting,
        turning=side * {"turn": rng.uniform(30, 38), "away": 90.0}[view] if view in ("turn", "away") else 0.0,
        partner=None if scene.empty else partner,
        partner_base=None if scene.empty else partner_base,
        partner_acting=partner_acting,
        occluder=scene.occluder,
        leave=side if scene.leaving else 0,
        backdrop=backdrop,
        path=path,
        shake=shake,
        tint=moonlight(rng),
        gray=gray,
        things=things(np.random.default_rng([scene.seed, 0xC1A7, number]), scene.clutter, scene.size, gray),
    )


def _camera(rng, scene: Scene, count: int):
    width, height = scene.size
    still = (1.0, 0.0, 0.0)
    shake = np.zeros((0, 2))
    if scene.camera == "pan":
        dx, dy = rng.choice([-1, 1]) * rng.uniform(0.06, 0.13) * width, rng.uniform(-0.03, 0.03) * height
        return ((1.0, -dx, -dy), (1.0, dx, dy)), shake
    if scene.camera == "zoom":
        near = (rng.uniform(1.15, 1.35), 0.0, 0.04 * height)
        return ((still, near) if rng.random() < 0.7 else (near, still)), shake
    if scene.camera == "shake":
        shake = rng.normal(0, 0.008 * height, (count, 2))
    return (still, still), shake
