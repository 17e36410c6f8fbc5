"""Generators that need no file: `identity` returns each crop unchanged, `untrained` is Wav2Lip with random weights.

Both run through Wav2Lip's own code, so that crops, mel windows and pasting can be tested without trained weights.
"""

from __future__ import annotations

from lipsync_lab.generation.base import register
from lipsync_lab.generation.wav2lip import Wav2LipGenerator, open_wav2lip


@register("builtin", names=("untrained", "identity"))
def open_builtin(name: str, device: str = "cpu") -> Wav2LipGenerator:
    """`identity` or `untrained`."""
    return open_wav2lip(name, device)
