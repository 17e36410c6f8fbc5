"""The flags of `evaluate` and `blind`."""

from __future__ import annotations

import argparse

#: `evaluation.alignment.LOOPS`, whose module takes long to import.
LOOPS = ("loop", "pingpong", "hold", "none")


def evaluate(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Exit codes: 0, also where failures were found; 1, pairs of a table failed, and the others were measured; 2, "
        "the input cannot be compared. --list-metrics explains every metric in one line."
    )
    add = parser.add_argument
    add("--source", metavar="CLIP", help="the untouched video, or the name of a sample (required without --pairs)")
    add("--output", metavar="CLIP", help="the dubbed video, of any lip-sync model (required without --pairs)")
    add("--voice", metavar="VOICE", help="what the output says; the output's own sound if not given")
    add("--domain", help="animation, live_action or synthetic_photo; that of the sample, or unknown, if not given")
    add("--detections", metavar="FILE", help="detections.json of the source; detected if not given")
    add("--device", help="cuda or cpu; if not given, cuda where it is available")
    add(
        "--out",
        metavar="FOLDER",
        help="folder for the tables and a page of the pair; if not given, the metrics are only printed",
    )
    add(
        "--pairs",
        metavar="TABLE.csv",
        help="measure many, in place of --source and --output: a table with the columns source, output and, "
        "optionally, voice, detections, domain, name, model and others; paths are relative to the table (one pair)",
    )
    add(
        "--list-metrics",
        action="store_true",
        help="print name, unit, threshold and meaning of every metric, and stop (no)",
    )
    group = parser.add_argument_group("alignment of output and source; what is not given is estimated")
    corners = {"nargs": 4, "type": float, "metavar": ("X1", "Y1", "X2", "Y2")}
    add = group.add_argument
    add(
        "--offset",
        type=float,
        metavar="FRAMES",
        help="source frame that output frame 0 shows; negative if none yet (estimated)",
    )
    add(
        "--loop",
        choices=LOOPS,
        help="what the output shows after the source's last frame; none: other frames (estimated)",
    )
    add(
        "--source-box",
        **corners,
        help="the part of the source that the output shows, in pixels of the source (estimated)",
    )
    add(
        "--output-box", **corners, help="where the output shows it, in pixels of the output, if it has bars (estimated)"
    )


def blind(blind: argparse.ArgumentParser) -> None:
    add = blind.add_argument
    add("--first", nargs="+", metavar="RUN", help="folders of the first method's runs")
    add("--second", nargs="+", metavar="RUN", help="folders of the second's runs: same sources, voices and order")
    add("--methods", nargs=2, default=["first", "second"], metavar="NAME", help="their names (first second)")
    add("--out", metavar="FOLDER", help="folder for ab.html, and for its key, which no participant should see")
    add("--seed", type=int, default=0, help="seed of order and sides; use another one for each participant (0)")
    add("--answers", nargs="+", metavar="CSV", help="count these answers instead; needs --key")
    add("--key", metavar="FILE", help="the file ab_key.json of the page")
