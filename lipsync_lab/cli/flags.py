"""What may stand on a command line, and what each word is good for."""

from __future__ import annotations

import argparse

from lipsync_lab.checkpoints import DEFAULTS
from lipsync_lab.settings import CODECS, FILLS, GAPS, MOUTHS, PRESETS, SMOOTHINGS

GENERATOR = (
    "generator: a model's name or a file of weights; identity gives each face back, untrained draws noise, `weights "
    f"list` names the others ({DEFAULTS['generator']}: small, made by this project)"
)
DETECTOR = (
    "s3fd-lab, s3fd, lbp, anime-lbp, a file of S3FD weights, a cascade (.xml), or a detections.json "
    f"({DEFAULTS['detector']}: small, made by this project)"
)


def _truth(text: str) -> bool:
    """True or false from a command line: the published script took any text, "False" too, for true."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return known[text.lower()]


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def _face(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _side(text: str) -> int | None:
    return None if text in ("none", "0") else int(text)


def cartoon(cartoon: argparse.ArgumentParser) -> None:
    add = cartoon.add_argument
    add("--text", required=True, help="what is said")
    add("--out", required=True, metavar="CLIP.mp4", help="the truth of every frame is written beside it as .truth.csv")
    add("--voice", default="en-us", help="espeak-ng's language code (en-us)")
    add("--variant", help="espeak-ng's voice variant, such as f2 or m3; the plain voice if not given")
    add("--rate", type=int, default=160, help="words a minute (160)")
    add("--pitch", type=int, default=50, help="0 to 99 (50)")
    add("--photograph", action="store_true", help="scikit-image's portrait speaks, instead of a drawn character (no)")
    add("--seed", type=_natural, default=0, help="of character, acting and background, from 0 on (0)")
    add("--style", help="anime, western, rubberhose or flat; by the seed if not given")
    add("--on", type=int, default=2, metavar="FRAMES", help="frames that a drawing is held, 1 or more (2)")
    add("--mouth-on", type=int, metavar="FRAMES", help="frames that a mouth is held; as --on if not given")
    add("--fps", type=float, default=25.0, help="frames a second (25)")
    add(
        "--size",
        nargs=2,
        type=int,
        default=(384, 384),
        metavar=("WIDTH", "HEIGHT"),
        help="pixels, 32 or more (384 384)",
    )
    add("--view", default="front", help="front, three-quarter, profile, turn or mixed (front)")
    add("--framing", default="close", help="portrait, close, medium, wide or far (close)")
    add("--subtitle", default="", metavar="TEXT", help="text in the picture (none)")


def published(dub: argparse.ArgumentParser) -> None:
    group = dub.add_argument_group("as in the published inference.py")
    add = group.add_argument
    add("--checkpoint_path", default=DEFAULTS["generator"], metavar="MODEL", help=GENERATOR)
    add("--face", required=True, metavar="CLIP", help="a clip or picture with a face, or the name of a sample")
    add("--audio", required=True, metavar="VOICE", help="any file with sound, or the name of a sample")
    add("--outfile", default="results/result_voice.mp4", help="the clip to write (results/result_voice.mp4)")
    add(
        "--static",
        nargs="?",
        const=True,
        type=_truth,
        default=argparse.SUPPRESS,
        help="use only the first frame (false)",
    )
    add(
        "--fps", type=float, default=argparse.SUPPRESS, help="frames a second where the clip is a picture, above 0 (25)"
    )
    sides = ("TOP", "BOTTOM", "LEFT", "RIGHT")
    add(
        "--pads", nargs=4, type=int, default=argparse.SUPPRESS, metavar=sides, help="pixels added to the box (0 10 0 0)"
    )
    add(
        "--face_det_batch_size",
        type=int,
        default=argparse.SUPPRESS,
        help="frames the detector gets at once, 1 or more (16)",
    )
    add(
        "--wav2lip_batch_size",
        type=int,
        default=argparse.SUPPRESS,
        help="faces drawn at once, 1 or more (16; 128 as published)",
    )
    add(
        "--nosmooth", action="store_true", default=argparse.SUPPRESS, help="do not smooth the boxes (they are smoothed)"
    )
    frame(group)


def frame(group) -> None:
    """Which part of the clip is looked at; the published script's own."""
    corners = {"nargs": 4, "type": int, "metavar": ("Y1", "Y2", "X1", "X2")}
    add = group.add_argument
    add("--resize_factor", type=int, default=argparse.SUPPRESS, help="shrink the clip by this first, 1 or more (1)")
    add(
        "--crop",
        **corners,
        default=argparse.SUPPRESS,
        help="part of the clip to use, after shrinking and turning (0 -1 0 -1: all of it)",
    )
    add(
        "--box",
        **corners,
        default=(-1, -1, -1, -1),
        help="this box in every frame, instead of a detector (-1 -1 -1 -1: none)",
    )
    add("--rotate", action="store_true", default=argparse.SUPPRESS, help="turn by 90 degrees clockwise (no)")


def detection(group) -> None:
    add = group.add_argument
    add("--detector", metavar="MODEL", help=DETECTOR)
    add("--threshold", type=float, default=argparse.SUPPRESS, help="score that a face must exceed, 0 to below 1 (0.5)")
    add(
        "--face-index",
        type=_face,
        default=argparse.SUPPRESS,
        metavar="WHICH",
        help="largest, central, best, or the n-th from the left from 0 (largest)",
    )
    add(
        "--analysis-size",
        type=_side,
        default=argparse.SUPPRESS,
        metavar="PIXELS",
        help="longest side the detector sees, 32 or more; none for the clip's own (640)",
    )
    add(
        "--longest-gap",
        type=int,
        default=argparse.SUPPRESS,
        metavar="FRAMES",
        help="longest gap that --gap fills, or to follow a face over, 0 or more (12)",
    )
    add("--device", help="cuda or cpu; if not given, cuda where there is one")
    add("--cache", metavar="FOLDER", help="where detections are kept; if not given, the user's cache folder")
    add("--no-cache", action="store_true", help="detect again, and keep nothing (found faces are kept)")


def own(dub: argparse.ArgumentParser) -> None:
    group = dub.add_argument_group("ours")
    add, unset = group.add_argument, argparse.SUPPRESS
    add(
        "--preset",
        choices=PRESETS,
        help="animation: what helps drawn clips; upstream: everything as published, also where it fails (none)",
    )
    detection(group)
    add(
        "--gap",
        choices=GAPS,
        default=unset,
        help="frames without a face: let them pass through untouched, hold the box, interpolate, or stop (pass)",
    )
    add("--smoothing", choices=SMOOTHINGS, default=unset, help="of the box (centered)")
    add(
        "--mel-lead",
        type=int,
        default=unset,
        metavar="FRAMES",
        help="let the sound lead by this; 0 as published (what the generator's file asks for, else 0)",
    )
    add(
        "--feather",
        type=float,
        default=unset,
        metavar="SHARE",
        help="soft edge, as a share of the box, 0 to 0.25; 0 pastes the whole square as published (0)",
    )
    add(
        "--mouths",
        choices=MOUTHS,
        default=unset,
        help="a new one in all frames, or with the drawings: held while the source holds its own (frames)",
    )
    add("--fill", choices=FILLS, default=unset, help="a clip shorter than the voice: loop, hold, pingpong (loop)")
    add(
        "--keep-tail",
        action="store_true",
        default=unset,
        help="keep what a longer clip has after the voice, untouched (no)",
    )
    add("--codec", choices=CODECS, default=unset, help="h264 in .mp4, or lossless ffv1 in .mkv (h264)")
    add("--crf", type=int, default=unset, help="quality of h264, from 0, lossless, to 51 (18)")
    add(
        "--run-folder",
        metavar="FOLDER",
        help="for ledger and detections; if not given, the outfile's name without its ending",
    )


def report(report: argparse.ArgumentParser) -> None:
    add = report.add_argument
    add("--out", default="reports/latest", metavar="FOLDER", help="of the report (reports/latest)")
    add(
        "--clips",
        nargs="+",
        metavar="CLIP",
        help="samples or files; if not given, both bundled pairs and four clips that are hard",
    )
    add("--voices", nargs="+", metavar="VOICE", help="one voice a clip, or one for all; each clip's own if not given")
    add(
        "--models",
        "--checkpoint_path",
        nargs="+",
        metavar="MODEL",
        help="generators, names or files of weights: every one dubs every clip; if not given, the one that `dub` takes",
    )
    add("--detector", metavar="MODEL", help=DETECTOR)
    add("--force", action="store_true", help="do again what is done already (no)")
