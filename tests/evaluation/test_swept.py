"""Tables of sweeps: the effects are those of a loop over the rows, and the unit is the clip."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import ablation, swept
from lipsync_lab.settings import Settings


def row(clip: str, settings: dict, rng: np.random.Generator, **more) -> dict:
    chosen = {
        key: str(value) if isinstance(value, tuple) else value for key, value in Settings(**settings).as_dict().items()
    }
    about = {"clip": clip, "domain": "animation", "pair": "", "voice": "v", "generator": "g", "detector": "d"}
    numbers = {"sharpness_loss": rng.random(), "syncnet_distance": rng.random(), "line_art_loss": np.nan}
    return {"run_id": str(rng.random()), "status": "complete", **about, **chosen, **numbers, **more}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_effects_of_mitigations_are_those_of_a_loop(rng, tmp_path: Path):
    base = ablation.BASELINE.settings
    rows = [
        row(f"{number}.mp4", {**base, **change, "crf": crf}, rng, voice=voice)
        for number, voice, crf in product(range(9), "vw", (18, 30))
        for change in ({}, {"feather": 0.1}, {"mouth_cadence": "holds"}, {"max_dropout": 3, "feather": 0.2})
    ]
    rows.append(row("0.mp4", {**base, "feather": 0.1}, rng, status="failed"))
    rows.append(row("alone.mp4", {**base, "feather": 0.1}, rng))
    table = pd.DataFrame(rows)
    table.to_parquet(tmp_path / "runs.parquet")
    effects = swept.mitigation_effects(tmp_path)
    assert set(effects["mitigation"]) == {"soft edge", "one mouth per hold"}
    assert set(effects["metric"]) == {"sharpness_loss", "syncnet_distance"}
    assert set(effects["clip"]) == {f"{number}.mp4" for number in range(9)}
    done = table[table["status"] == "complete"]
    for each in effects.itertuples():
        of_clip = done[(done["clip"] == each.clip) & (done["max_dropout"] == 12)]
        mitigated = of_clip["feather"] == 0.1 if each.mitigation == "soft edge" else of_clip["mouth_cadence"] == "holds"
        plain = (of_clip["feather"] == 0.0) & (of_clip["mouth_cadence"] == "every_frame")
        assert each.after == pytest.approx(of_clip.loc[mitigated, each.metric].mean())
        assert each.before == pytest.approx(of_clip.loc[plain, each.metric].mean())
    summary = ablation.summary(effects)
    assert set(summary["n"]) == {9}


@pytest.mark.parametrize("paired", [True, False])
def test_domains_are_compared_over_pairs_or_clips(rng, tmp_path: Path, paired):
    rows = []
    for number, domain in product(range(10), ("animation", "live_action")):
        for voice in "vw":
            pair = f"p{number}" if paired else ""
            rows.append(row(f"{domain}{number}", {}, rng, domain=domain, pair=pair, voice=voice))
    table = pd.DataFrame([*rows, row("unknown", {}, rng, domain="")])
    table.to_parquet(tmp_path / "runs.parquet")
    effect = swept.domain_effects(tmp_path / "runs.parquet").set_index("metric").loc["sharpness_loss"]
    means = table[table["domain"] != ""].groupby("domain")["sharpness_loss"].mean()
    assert (effect["n"], effect["n_other"]) == (10, 10)
    assert effect["difference"] == pytest.approx(means["animation"] - means["live_action"])
    assert effect["by"] == ("pair" if paired else "clip")


def test_what_is_no_table_of_a_sweep_is_refused(rng, tmp_path: Path):
    with pytest.raises(MediaError, match="cannot be read"):
        swept.read(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(MediaError, match="cannot be read"):
        swept.read(tmp_path / "bad.parquet")
    pd.DataFrame({"clip": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ParameterError, match="is no table of a sweep"):
        swept.read(tmp_path / "other.parquet")
    pd.DataFrame([row("a", {}, rng)]).to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(ParameterError, match="has no complete run of cel"):
        swept.read(tmp_path, "cel")
    with pytest.raises(ParameterError, match="another domain"):
        swept.domain_effects(tmp_path)
    with pytest.raises(ParameterError, match="no run with the settings of a mitigation"):
        swept.mitigation_effects(tmp_path)
