"""H.264 and HEVC decoded by an NVIDIA GPU (NVDEC), where it gives the pictures that the processor gives, to the bit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import TypeAlias

import av
import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available

log = logging.getLogger(__name__)

Timed: TypeAlias = tuple[Fraction, av.VideoFrame]

#: What is decoded so: standards whose decoders all give the same bits, with 8 bits and halved colours.
CODECS, FORMAT = {"h264", "hevc"}, "yuv420p"
#: Pictures of a clip that are compared with the processor's.
COMPARED = 8


def checked(path: Path, pictures: Callable[[HWAccel | None], Iterator[Timed]], device: str = "cuda") -> HWAccel | None:
    """NVDEC, for a clip that it decodes as the processor does; else None, and a line in the log says why.

    The standards leave a decoder no choice, so that `COMPARED` pictures show whether it keeps to them here. How damage
    is covered up is left to the decoder: pictures of damaged packets may differ.

    Parameters
    ----------
    path : path
        For the line.
    pictures : callable
        From NVDEC, or from None for the processor, to the clip's times and pictures.
    device : str
        Which GPU, as torch names it.
    """
    if "cuda" not in hwdevices_available():
        _say("NVDEC is not used: this build of PyAV has none")
        return None
    # in a context of its own, which takes memory: FFmpeg refuses to share one that torch has opened, since it asks for
    # other scheduling flags (`primary_ctx`), and the pictures go to the processor's memory anyway
    index = device.partition(":")[2] or None
    nvdec = HWAccel("cuda", index, allow_software_fallback=False)
    try:
        ours, theirs = (_first(pictures(each)) for each in (nvdec, None))
    except Exception as error:  # of any kind: it is only a faster way
        _say(f"NVDEC is not used: {shorten(str(error).replace(str(path), 'a clip'), 200)}")
        return None
    if len(ours) != len(theirs) or not all(map(_are_same, ours, theirs)):
        log.warning("%s: NVDEC is not used: its pictures differ from the processor's", path)
        return None
    return nvdec


def decode(packet: av.Packet) -> list[av.VideoFrame]:
    """The pictures that a packet completes, in the processor's format; raises what PyAV does for a damaged packet."""
    return [planar(picture) for picture in packet.decode()]


def planar(picture: av.VideoFrame) -> av.VideoFrame:
    """A picture whose colours lie in one plane (nv12), as NVDEC gives them, with a plane for each: the same values."""
    if picture.format.name == FORMAT:
        return picture
    out = picture.reformat(format=FORMAT)
    out.colorspace, out.color_range = picture.colorspace, picture.color_range
    out.pts, out.time_base = picture.pts, picture.time_base
    return out


def _first(pictures: Iterator[Timed]) -> list[Timed]:
    with closing(pictures):
        return list(islice(pictures, COMPARED))


def _are_same(given: Timed, wanted: Timed) -> bool:
    (time, ours), (expected, theirs) = given, wanted
    about = [(each.format.name, int(each.colorspace), int(each.color_range)) for each in (ours, theirs)]
    return time == expected and about[0] == about[1] and np.array_equal(ours.to_ndarray(), theirs.to_ndarray())


@cache
def _say(line: str) -> None:
    """Log a line once in a process."""
    log.warning("%s", line)
