"""What may be read of what FFmpeg can read: kinds of files, decoders, and no address but the file itself.

Some kinds of files name others (playlists, lists of parts, descriptions of streams): FFmpeg would open what they name.
Games' formats and terminals' art are left out, since they only add code that a hostile file can reach.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

#: Containers of clips and sounds, raw streams, and pictures.
FORMATS = """
    3g2 3gp aac ac3 aiff amr amrnb amrwb ape apng asf au av1 avi caf dirac dnxhd dsf dts dtshd dv eac3 f4v flac flv gif
    h261 h263 h264 hevc iff ivf latm loas m4a m4v matroska mj2 mjpeg mjpeg_2000 mlp mov mp3 mp4 mpc mpc8 mpeg mpegts
    mpegvideo mxf nut obu ogg oma opus rm shn sox swf tak truehd tta vc1 voc vvc w64 wav webm wtv wv yuv4mpegpipe
    image2 jpegxl_anim webp webp_anim
    bmp_pipe dds_pipe dpx_pipe exr_pipe gif_pipe hdr_pipe j2k_pipe jpeg_pipe jpegls_pipe jpegxl_pipe pam_pipe pbm_pipe
    pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe phm_pipe png_pipe ppm_pipe psd_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe
    webp_pipe xbm_pipe xpm_pipe xwd_pipe
"""

#: Decoders, each a pattern for the whole name.
DECODERS = re.compile(
    r"aac(_fixed|_latm)?|ac3(_fixed)?|adpcm_(ima_(qt|wav|amv)|ms|swf|yamaha|g72\d|adx|ct)|alac|als|amrn?b|amrwb|ape"
    r"|libopencore_amr.b|cook|dca|dsd_\w+|dvaudio|eac3|flac|g72\d\w*|gsm(_ms)?|ilbc|mace\d|mlp|mp[123](float|fixed|on4"
    r"|on4float|adu|adufloat)?|mp1|mpc[78]|nellymoser|opus|libopus|pcm_(?!sga|vidc|lxf)\w+|qcelp|qdm2|qdmc|ra_\w+"
    r"|real_(144|288)|ralf|s302m|shorten|sipr|libspeex|speex|svx\w+|8svx_\w+|tak|truehd|tta|vorbis|wavpack|wma\w+"
    r"|av1|libdav1d|libaom-av1|apng|asv[12]|bmp|cfhd|cinepak|cljr|dds|dirac|dnxhd|dpx|dvvideo|exr|ffv1|ffvhuff|flashsv2?"
    r"|flv|gif|h261|h263[ip]?|h264|hap|hdr|hevc|huffyuv|hymt|indeo[2345]|jpeg2000|jpegls|libjxl(_anim)?|libopenjpeg"
    r"|lagarith|ljpeg|magicyuv|mjpegb?|mpeg[124]video|mpeg4|mpegvideo|msmpeg4(v[123])?|msrle|msvideo1|pam|pbm|pcx|pfm|pgm"
    r"|pgmyuv|phm|pixlet|png|ppm|prores(_raw)?|psd|qoi|qtrle|r10k|r210|rawvideo|rpza|rv[1-6]0|screenpresso|sgi|sgirle|smc"
    r"|snow|speedhq|sunrast|svq[13]|targa|camtasia|tscc2?|theora|tiff|utvideo|v210x?|v308|v408|v410|vble|vc1|vp[345678]"
    r"|vp6[af]|vp9|libvpx(-vp9)?|vvc|webp|wmv[123]|wrapped_avframe|wnv1|xbm|xpm|xwd|y41p|yuv4|zlib|zmbv|mszh|cyuv|aura2?"
    r"|012v|8bps|fraps|dxtory|kgv1|loco|media100|ylc|sheervideo|notchlc|avui|ayuv|bitpacked|m101|mvc[12]|vb|ultimotion"
)

#: Starts of files that name other files, for the message.
_LISTS = ((b"#EXTM3U", "a playlist"), (b"ffconcat", "a list of clips"), (b"v=0", "a description of streams"),
          (b"<?xml", "an XML file"), (b"<svg", "an SVG drawing"), (b"<MPD", "a playlist"))  # fmt: skip


@cache
def options() -> dict[str, str]:
    """Options of FFmpeg for opening a file: what it may be, and that nothing else is opened."""
    import av

    return {
        "format_whitelist": ",".join(FORMATS.split()),
        "codec_whitelist": ",".join(sorted(filter(decoder, av.codecs_available))),
        "protocol_whitelist": "file",
        # a percent sign in a picture's name is no pattern for a series of pictures
        "pattern_type": "none",
    }


def decoder(name: str) -> bool:
    """Whether a decoder may be used."""
    return DECODERS.fullmatch(name) is not None


def refused(path: Path, error: av.error.FFmpegError) -> str:
    """What a file is whose kind is not read, with its article; empty where the error has another reason."""
    if not isinstance(error, ValueError):  # FFmpeg's "invalid argument" stands for a kind that is not allowed
        return ""
    with path.open("rb") as stream:
        start = stream.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
    return next((what for mark, what in _LISTS if start.startswith(mark)), "")
