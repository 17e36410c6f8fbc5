"""The flags of the commands.

Every flag says its range and its default. Where a flag gives a setting, its destination is the setting's name, and it
is absent from the parsed options if the user did not give it, so that a preset can supply the value.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lipsync_lab import detection
from lipsync_lab.models.registry import DEFAULTS
from lipsync_lab.settings import (
    CODECS,
    DETECTION_CADENCES,
    DROPOUTS,
    EXTENSIONS,
    MOUTH_CADENCES,
    MOUTH_SOURCES,
    PRECISIONS,
    PRESETS,
    SMOOTHINGS,
)

if TYPE_CHECKING:
    from lipsync_lab.geometry import Box

GENERATOR = (
    "generator: a model's name or a file of weights; identity returns each face unchanged, untrained generates noise, "
    f"`weights list` names the others ({DEFAULTS['generator']}: small, trained by this project)"
)
DETECTOR = (
    f"one of {', '.join(detection.NAMES)}; a file of S3FD weights, a cascade (.xml), or a detections.json "
    f"({detection.default()}: {DEFAULTS['detector']}, and yunet, once it is fetched, in frames where that detects "
    "no face with a mouth)"
)

#: The order of the published --box and --crop; every box in a file or a message is x1, y1, x2, y2.
CORNERS = "Y1 Y2 X1 X2 (top, bottom, left, right)"

#: The name that the settings without a preset have in `report --compare`.
DEFAULT = "default"

#: Settings whose flag is not the setting's name with hyphens: those of the published script.
_PUBLISHED = {
    "resize_factor": "--resize_factor",
    "detection_batch": "--face_det_batch_size",
    "generator_batch": "--wav2lip_batch_size",
}


def of_setting(name: str) -> str:
    """The flag that gives a setting."""
    return _PUBLISHED.get(name, "--" + name.replace("_", "-"))


def yyxx(box: Box) -> str:
    """A box as --box takes it."""
    return f"{box.y1:g} {box.y2:g} {box.x1:g} {box.x2:g}"


def _boolean(text: str) -> bool:
    """True or false from a command line: the published script took any text, "False" too, for true."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return known[text.lower()]


def _face(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _side(text: str) -> int | None:
    return None if text in ("none", "0") else int(text)


def dub(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Exit codes: 0, the outfile was written; 2, the input cannot be used, and nothing was written. Where no face "
        "is detected at all, the frames are the clip's own: the outfile is written, its metadata say so, the code is "
        "0, and a warning on stderr says what to try."
    )
    _published(parser)
    group = parser.add_argument_group("flags of this project")
    _preset(group)
    _detector(group)
    _tracking(group)
    _result(group)
    _several(group)
    add = group.add_argument
    add(
        "--mouth-timing",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="with --generator cel: the mouths of a file that `mouths` or a run wrote and you corrected, .csv, .json, "
        ".tsv or .dat (the voice's mouths on the clip's drawings)",
    )
    _mouth_source(
        group,
        "with --generator cel: clip, every mouth is one from the clip, the most similar that it shows; drawn, every "
        "mouth is one from the chart of shapes, in the clip's line and colours; auto, one from the clip where it is "
        "similar enough, else one from the chart (auto)",
    )
    add(
        "--mouth-chart",
        metavar="FOLDER",
        default=argparse.SUPPRESS,
        help="with --generator cel: the mouths of a chart that `chart` wrote and you edited (no chart)",
    )
    add(
        "--run-folder",
        metavar="FOLDER",
        help="folder for ledger and detections; if not given, the outfile's name without its ending",
    )


def _preset(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="animation: the generator cel, if none is named, and the mitigations that help animation; reference: all "
        "as published, including its faults (none)",
    )


def _result(group: argparse._ActionsContainer) -> None:
    """Settings of what is generated and written."""
    add, unset = group.add_argument, argparse.SUPPRESS
    add(
        "--dropouts",
        choices=DROPOUTS,
        default=unset,
        help="frames without a detected face: passthrough leaves them as they are, hold repeats the last box, "
        "interpolate goes from box to box, error stops (passthrough)",
    )
    add(
        "--smoothing",
        choices=SMOOTHINGS,
        default=unset,
        help="smoothing of the box; reference: as published (centered)",
    )
    add(
        "--audio-offset",
        type=int,
        default=unset,
        metavar="FRAMES",
        help="frames by which each audio window starts earlier; 0 as published (what the generator's file states, or "
        "0)",
    )
    add(
        "--feather",
        type=float,
        default=unset,
        metavar="SHARE",
        help="soft edge of the lower half, a share of the box, 0 to 0.25; 0: the whole square, as published (0.1)",
    )
    text = "generate a mouth for every frame, or only once per animation hold of the source (every_frame)"
    add("--mouth-cadence", choices=MOUTH_CADENCES, default=unset, help=text)
    text = f"sharpen generated mouths with a mouth restorer, such as {DEFAULTS['restorer']}; name or file (none)"
    add("--restorer", metavar="MODEL", default=unset, help=text)
    add(
        "--extend",
        choices=EXTENSIONS,
        default=unset,
        help="a clip shorter than the voice: loop it, hold its last frame, or play it back and forth (loop)",
    )
    add(
        "--keep-tail",
        action="store_true",
        default=unset,
        help="keep the rest of a clip that is longer than the voice, unchanged (no)",
    )
    codecs = "h264 in .mp4, also by an NVIDIA GPU that encodes (not A100, H100, H200), or lossless ffv1 in .mkv (h264)"
    add("--codec", choices=CODECS, default=unset, help=codecs)
    add("--crf", type=int, default=unset, help="quality of h264, from 0, lossless, to 51 (18)")


def _faces(text: str) -> str | int | tuple[int, ...]:
    """ "all", a number of faces, or numbers of faces with commas between them."""
    if text == "all":
        return text
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
        return tuple(numbers) if "," in text else numbers[0]
    except (ValueError, IndexError):
        raise argparse.ArgumentTypeError(
            f"{text} is neither all, nor a number of faces, nor numbers such as 0,2"
        ) from None


def _several(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--faces",
        type=_faces,
        default=argparse.SUPPRESS,
        metavar="WHICH",
        help="dub several faces: all; 2, the two most prominent; or 0,2, those of these numbers from the left of each "
        "shot (one face, or as many as there are voices)",
    )
    group.add_argument(
        "--turns",
        metavar="TABLE.csv",
        help="who speaks when: columns start and end, in seconds, and face, from the left from 0; a face is silent "
        "outside of its turns (all faces speak throughout)",
    )


def _published(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("flags of the published inference.py")
    add = group.add_argument
    add(
        "--checkpoint_path",
        "--generator",
        dest="generator",
        metavar="MODEL",
        help=GENERATOR,
    )
    add("--face", required=True, metavar="CLIP", help="a clip or picture with a face, or the name of a sample")
    voice = group.add_mutually_exclusive_group(required=True)
    voice.add_argument(
        "--audio", metavar="VOICE", help="any file with sound, or the name of a sample (required without --voices)"
    )
    voice.add_argument(
        "--voices",
        nargs="+",
        metavar="VOICE",
        help="several voices in place of --audio, one for each face from the left; the output has their sum (none)",
    )
    add("--outfile", "--out", default="results/result_voice.mp4", help="the clip to write (results/result_voice.mp4)")
    _as_published(group)
    _frame(group)
    _box(group)


def _as_published(group: argparse._ActionsContainer) -> None:
    """Settings that are flags of the published script."""
    add, unset = group.add_argument, argparse.SUPPRESS
    sides = ("TOP", "BOTTOM", "LEFT", "RIGHT")
    add("--static", nargs="?", const=True, type=_boolean, default=unset, help="use only the first frame (false)")
    add("--fps", type=float, default=unset, help="frames per second where the clip is a picture, above 0 (25)")
    add(
        "--output-fps",
        type=float,
        default=unset,
        metavar="FPS",
        help="frames per second of the output where the clip is a video; one of fewer pictures gets a mouth in each of "
        "these frames (the clip's own)",
    )
    add("--pads", nargs=4, type=int, default=unset, metavar=sides, help="pixels added to the box (0 10 0 0)")
    add(
        "--face_det_batch_size",
        dest="detection_batch",
        metavar="FRAMES",
        type=int,
        default=unset,
        help="frames per batch of the detector, 1 or more (16)",
    )
    add(
        "--wav2lip_batch_size",
        dest="generator_batch",
        metavar="FACES",
        type=int,
        default=unset,
        help="faces per batch of the generator, 1 or more (16; 128 as published)",
    )
    add("--nosmooth", action="store_true", default=unset, help="do not smooth the boxes (they are smoothed)")


def _input(parser: argparse.ArgumentParser) -> None:
    """What a command takes that detects the faces of a clip."""
    for add_flags in (_frame, _box, _detector, _tracking):
        add_flags(parser)


def _frame(group: argparse._ActionsContainer) -> None:
    """The part of the clip that is used; flags of the published script."""
    corners = {"nargs": 4, "type": int, "metavar": ("Y1", "Y2", "X1", "X2")}
    add, unset = group.add_argument, argparse.SUPPRESS
    add(
        "--resize_factor",
        metavar="FACTOR",
        type=int,
        default=unset,
        help="shrink the clip by this first, 1 or more (1)",
    )
    add(
        "--crop",
        **corners,
        default=unset,
        help="part of the clip to use, after shrinking and turning, as top, bottom, left, right: 0 240 80 400 keeps "
        "the rows 0 to 240 and the columns 80 to 400 (0 -1 0 -1: all of it)",
    )
    add("--rotate", action="store_true", default=unset, help="turn by 90 degrees clockwise (no)")


def _box(group: argparse._ActionsContainer) -> None:
    """A box in place of a detector; a flag of the published script."""
    corners = {"nargs": 4, "type": int, "metavar": ("Y1", "Y2", "X1", "X2")}
    group.add_argument(
        "--box",
        **corners,
        default=(-1, -1, -1, -1),
        help="use this box in every frame instead of a detector, as top, bottom, left, right: 50 150 80 200 is the box "
        "that files and messages call x1, y1, x2, y2 = 80, 50, 200, 150 (-1 -1 -1 -1: none)",
    )


def mouths(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The ending of the file says its format: .csv, an exposure sheet, one row per frame; .json or .tsv, as Rhubarb "
        "Lip Sync writes them; .dat, a switch of Moho. `dub --generator cel --mouth-timing` draws the corrected file."
    )
    add, unset = parser.add_argument, argparse.SUPPRESS
    add("voice", metavar="VOICE", help="any file with sound, or the name of a sample")
    add(
        "--face",
        metavar="CLIP",
        help="the clip that will speak: mouths change with its drawings; a clip, a picture or a sample (none)",
    )
    add("-o", "--out", default="exposure_sheet.csv", metavar="FILE", help="file to write (exposure_sheet.csv)")
    add("--fps", type=float, default=unset, help="frames per second without a clip or with a picture, above 0 (25)")
    add("--exposure", type=int, default=2, metavar="FRAMES", help="frames per drawing without a clip, 1 or more (2)")
    add(
        "--audio-offset",
        type=int,
        default=unset,
        metavar="FRAMES",
        help="frames by which a mouth follows its sound; negative: it comes first, such as -2, one drawing on twos (0)",
    )
    add("--preset", choices=tuple(PRESETS), help="as for dub (none)")
    _input(parser)


def chart(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The folder gets a PNG with alpha for each mouth, contact_sheet.png, and chart.json, with their places. "
        "Edit the PNGs in any paint program, keep their size, and give the folder to `dub --mouth-chart`."
    )
    parser.add_argument("face", metavar="CLIP", help="a clip, a picture, or the name of a sample")
    parser.add_argument("-o", "--out", default="chart", metavar="FOLDER", help="folder for the chart (chart)")
    _mouth_source(
        parser,
        "auto or clip: the mouths from the clip, and for the shapes that it lacks those from the chart of shapes, in "
        "the clip's line and colours; drawn: all from the chart of shapes (auto)",
    )
    _input(parser)


def _mouth_source(group: argparse._ActionsContainer, text: str) -> None:
    group.add_argument("--mouth-source", choices=MOUTH_SOURCES, default=argparse.SUPPRESS, help=text)


def detect(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--face", required=True, metavar="CLIP", help="a clip, a picture, or the name of a sample")
    add("--out", default="detections.json", help="file to write; `dub --detector` takes it (detections.json)")
    _input(parser)


def _detector(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    add("--detector", metavar="MODEL", help=DETECTOR)
    add("--device", help="cuda or cpu; if not given, cuda where it is available")
    add("--cache", metavar="FOLDER", help="folder of cached detections; if not given, the user's cache folder")
    add("--no-cache", action="store_true", help="detect again, and cache nothing (detections are cached)")


def _tracking(group: argparse._ActionsContainer) -> None:
    """Settings of detection and of the choice among candidates."""
    add, unset = group.add_argument, argparse.SUPPRESS
    add("--threshold", type=float, default=unset, help="score that a detection must exceed, 0 to below 1 (0.5)")
    add(
        "--face-selection",
        type=_face,
        default=unset,
        metavar="WHICH",
        help="which of several faces: prominent, largest, central, best, or the n-th from the left from 0 (prominent)",
    )
    add(
        "--detection-size",
        type=_side,
        default=unset,
        metavar="PIXELS",
        help="longest side of the detector's input, 32 or more; none for the clip's own size (640)",
    )
    add(
        "--detection-cadence",
        choices=DETECTION_CADENCES,
        default=unset,
        help="detect in every frame, only where the picture changes, or also follow faces between frames (changes)",
    )
    text = "of published networks: auto, bfloat16, OpenVINO, ncnn where faster here; float32, as published (auto)"
    add("--precision", choices=PRECISIONS, default=unset, help=text)
    add(
        "--max-dropout",
        type=int,
        default=unset,
        metavar="FRAMES",
        help="longest dropout that is filled, or over which a face is tracked, 0 or more (12)",
    )


def report(report: argparse.ArgumentParser) -> None:
    add = report.add_argument
    add("--out", default="reports/latest", metavar="FOLDER", help="folder for the report (reports/latest)")
    add(
        "--clips",
        nargs="+",
        metavar="CLIP",
        help="samples or files; or one clips table in CSV, whose columns are clip, domain, voice, pair, name and any "
        "others, all but the first optional (if no clip is named at all: eight bundled pairs and four difficult clips)",
    )
    add("--animation", nargs="+", default=[], metavar="CLIP", help="further clips, whose domain is animation (none)")
    add("--live", nargs="+", default=[], metavar="CLIP", help="further clips, whose domain is live_action (none)")
    add(
        "--voices",
        nargs="+",
        metavar="VOICE",
        help="one voice for all clips, or one per clip in the order --clips, --animation, --live; if not given, each "
        "clip's own sound",
    )
    add(
        "--generators",
        nargs="+",
        metavar="MODEL",
        help="names or files of weights: every generator dubs every clip; the outputs stand side by side; cel after "
        "another one dubs only clips of animation or of no domain (the one that `dub` takes and, where no preset is "
        "named, cel for clips of animation)",
    )
    add("--detector", metavar="MODEL", help=DETECTOR)
    add("--force", action="store_true", help="do again what is done already (no)")
    group = report.add_argument_group("settings of the dubs, as for `dub`")
    _preset(group)
    group.add_argument(
        "--compare",
        nargs="+",
        choices=(DEFAULT, *PRESETS),
        metavar="PRESET",
        help=f"dub every clip with two or more of {', '.join((DEFAULT, *PRESETS))} ({DEFAULT}: no preset) "
        "and show the outputs side by side; cel after another generator dubs only clips of animation or of no domain, "
        "and the other flags of this group change all of them (one set of settings)",
    )
    _as_published(group)
    _frame(group)
    _tracking(group)
    _result(group)
