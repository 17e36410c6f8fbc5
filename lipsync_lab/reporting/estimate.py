"""How long the stages of a report may take, before one of them has been measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lipsync_lab.errors import LipsyncError
from lipsync_lab.evaluation.cases import Case, file_of
from lipsync_lab.media.container import opened

if TYPE_CHECKING:
    from lipsync_lab.reporting.parts import VariantPart

#: Seconds of work for a second of a dub with its evaluation and pictures, and for a notebook. Of one report on five
#: bundled clips of 384 x 384 and 512 x 288 pixels: 8 dubs by the bundled models, 32.6 s in all, took 118 s, 8 notebooks
#: 503 s (n = 1, two cores with AVX2, other work beside it); both scaled to the 3 min 41 s that such a report took there
#: without other work.
DUB, NOTEBOOK = 2.6, 45.0


def of_dubs(parts: Sequence[VariantPart]) -> dict[str, float]:
    """Seconds of work for each dub, by the name of its stage; 0 where the voice cannot be read."""
    length = {case.voice: _seconds(case) for part in parts for case in part.cases}
    return {f"{part.model}/{case.name}": DUB * length[case.voice] for part in parts for case in part.cases}


def whole(dubs: Mapping[str, float], notebooks: int, kernels: int) -> float:
    """Seconds by the clock: clips are dubbed one after the other, and notebooks executed `kernels` at a time beside."""
    return max(sum(dubs.values()), (sum(dubs.values()) + NOTEBOOK * notebooks) / kernels)


def _seconds(case: Case) -> float:
    import av

    with suppress(LipsyncError), opened(file_of(case.voice)) as container:
        return (container.duration or 0) / av.time_base
    return 0.0
