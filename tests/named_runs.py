"""Runs that have nothing but names: for texts that say what runs are of."""

from __future__ import annotations

from types import SimpleNamespace


def result(clip: str, domain: str, generator: str = "wav2lip-lab", sound: str = "", pair: str = ""):
    case = SimpleNamespace(clip=clip, voice=clip, name=clip.partition(".")[0], domain=domain, pair=pair)
    return SimpleNamespace(case=case, run=SimpleNamespace(info={"generator": {"name": generator}}), sound=sound or clip)


OWN = [result("cat.mp4", "animation"), result("talk.mp4", "live_action")]
