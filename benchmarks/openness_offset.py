"""How often the offset of mouth openness and loudness is right, by its best correlation and the clip's domain.

Each untouched clip is compared with its own sound, whose offset is 0, and with sounds of other clips of its domain,
with which no offset is right. An offset is right if it is within one frame of 0.

    python benchmarks/openness_offset.py        # the bundled clips, and those of GRID that can be fetched; 5 minutes
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lipsync_lab import evaluate, samples
from lipsync_lab.media import audio, video
from lipsync_lab.metrics import openness

#: Sounds of other clips for each clip, and the correlations that are compared.
FOREIGN, LEVELS = 6, (0.0, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7)
FILMED = ("grid_s2_", "grid_s3_", "grid_lip_", "grid_unk_")


def clips() -> list[str]:
    """Bundled clips with a face, and filmed ones of speakers outside of the training."""
    known = [samples.get(name) for name in samples.names()]
    own = [each.name for each in known if each.bundled and each.domain != "voice" and each.name != "nobody_there"]
    return own + [each.name for each in known if each.name.startswith(FILMED)]


def measured() -> pd.DataFrame:
    """A row per clip and sound: whether it is the clip's own, the best correlation, and its offset."""
    known = {}
    for name in clips():
        path = samples.path(name)
        done = evaluate(path, path, domain=samples.get(name).domain, sync_expert=None, discriminator=None, lse=None)
        known[name] = done.frames["mouth_openness"].to_numpy(float), float(video.probe(path).fps), audio.load(path)
        print(name, flush=True)
    out, random = [], np.random.default_rng(0)
    for name, (mouth, fps, own) in known.items():
        domain = samples.get(name).domain
        sentence = name.rpartition("_")[2]  # the clips of a pair have one sound
        rest = [each for each in known if samples.get(each).domain == domain and not each.endswith(sentence)]
        foreign = [np.resize(known[each][2], len(own)) for each in random.permutation(rest)[:FOREIGN]]
        for place, wave in enumerate((own, *foreign)):
            scores = {score.score: score.value for score in openness.follows_sound(mouth, wave, fps)[1]}
            out.append((name, domain, place == 0, scores["openness_best"], scores["openness_offset"]))
    return pd.DataFrame(out, columns=["clip", "domain", "own", "best", "offset"]).dropna()


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per domain and least correlation: own offsets that reach it, right ones, and foreign ones that do."""
    out = []
    for domain, group in rows.groupby("domain"):
        own, foreign = group[group["own"]], group[~group["own"]]
        for level in LEVELS:
            reached = own[own["best"] >= level]
            wrong = int((foreign["best"] >= level).sum())
            right = int((reached["offset"].abs() <= 1).sum())
            expected = wrong * len(own) / len(foreign)
            precision = right / (len(reached) + expected) if len(reached) else np.nan
            out.append((domain, level, len(own), len(reached), right, len(foreign), wrong, round(precision, 2)))
    names = ["domain", "least", "clips", "reached", "right", "foreign", "foreign_reached", "precision"]
    return pd.DataFrame(out, columns=names)


if __name__ == "__main__":
    result = measured()
    print(table(result).to_string(index=False))
    print(table(result[result["domain"] != "live_action"].assign(domain="both synthetic")).to_string(index=False))
