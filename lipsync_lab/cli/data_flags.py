"""The flags of the commands of data, in the manner of `flags`."""

from __future__ import annotations

import argparse


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "show", "fetch", "path"))
    parser.add_argument("name", nargs="?", help="name of a sample; required without list")


def weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "fetch", "verify"))
    parser.add_argument("name", nargs="?", help="name of a model; all models if not given, except for fetch")


def synthesize(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--text", required=True, help="what the character says")
    add("--out", required=True, metavar="CLIP.mp4", help="the ground truth of every frame goes beside it, .truth.csv")
    add(
        "--voice",
        default="en-us",
        metavar="LANGUAGE",
        help="language code of espeak-ng, which speaks the text, such as en-us, de or fr-fr; no sound file, see "
        "--recording (en-us)",
    )
    add("--recording", metavar="SOUND", help="file with a recording of the text, to speak in espeak-ng's place (none)")
    add("--variant", help="espeak-ng's voice variant, such as f2 or m3; the plain voice if not given")
    add("--rate", type=int, default=160, help="words per minute (160)")
    add("--pitch", type=int, default=50, help="0 to 99 (50)")
    add("--portrait", action="store_true", help="animate scikit-image's portrait instead of a drawn character (no)")
    add("--seed", type=_natural, default=0, help="seed of character, acting and background, 0 or more (0)")
    add("--style", help="anime, western, rubberhose or flat; chosen by the seed if not given")
    add("--exposure", type=int, default=2, metavar="FRAMES", help="frames per drawing, 1 or more (2)")
    add("--mouth-exposure", type=int, metavar="FRAMES", help="frames per mouth shape; as --exposure if not given")
    add("--fps", type=float, default=25.0, help="frames per second (25)")
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
