"""Published models: where the videos come from, the bundled numbers, and what is said about them."""

from __future__ import annotations

import csv
import itertools
import re
from fractions import Fraction
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError
from lipsync_lab.evaluation import published
from lipsync_lab.metrics import registry


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, str]]:
    with (published.HOME / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def pairs():
    return published.pairs()


# --- where the videos come from --------------------------------------------------------------------------------------


def test_every_file_has_an_address_pinned_to_a_commit_and_a_hash(manifest):
    assert len(manifest) == 75
    assert len({row["file"] for row in manifest}) == len({row["name"] for row in manifest}) == 75
    for row in manifest:
        assert re.fullmatch(r"[0-9a-f]{64}", row["sha256"])
        assert re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{8}", row["commit"])
        address = f"https://raw.githubusercontent.com/{row['repository']}/{row['commit']}/{quote(row['path'])}"
        assert row["url"] == address
        assert int(row["bytes"]) > 10_000
        assert row["licence"]
    abbreviated = {row["name"] for row in manifest if len(row["commit"]) == 8}
    assert abbreviated == {"jj_beads_source", "jj_beads_output", "jj_beads_voice", "mona_paddle1_output"}


def test_pairs_and_manifest_agree(pairs, manifest):
    assert len(pairs) == len(set(pairs["pair"])) == 28
    by_name = {row["name"]: row for row in manifest}
    for pair in pairs.itertuples():
        output = by_name[pair.output]
        assert (pair.repository, pair.commit, pair.path) == (output["repository"], output["commit"], output["path"])
        assert {by_name[name]["domain"] for name in (pair.source, pair.output)} == {pair.domain}
        assert published.KINDS[pair.kind] == pair.domain
    used = {row["pair"] for row in manifest}
    assert used == set(pairs["pair"])


def test_one_source_has_one_footage(pairs, manifest):
    """Files of the same bytes are one footage; two files of one footage are two cuts of it (`beard`)."""
    hashes = {row["name"]: row["sha256"] for row in manifest}
    by_hash = pairs.assign(sha256=pairs["source"].map(hashes)).groupby("sha256")["footage"].nunique()
    assert (by_hash == 1).all()
    shared = pairs.groupby("footage")["pair"].agg(list)
    assert {name: names for name, names in shared.items() if len(names) > 1} == {
        "beard": ["beard_salwin", "beard_akash"],
        "mona": ["mona_gan", "mona_paddle1"],
        "pt": ["pt_wav2lip", "pt_DINet", "pt_talklip"],
    }
    one_domain = pairs.groupby("footage")["domain"].nunique()
    assert (one_domain == 1).all()


def test_the_files_are_those_that_were_measured(manifest, shared, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(shared / "footage"))
    assert [row["name"] for row in manifest] == samples.published_names()
    for row in manifest:
        path = samples.path(row["name"])  # compares the SHA-256
        assert path == shared / "footage" / row["file"]
        assert path.stat().st_size == int(row["bytes"])


def test_the_videos_are_named_and_are_no_samples(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(tmp_path))
    assert not set(samples.published_names()) & set(samples.names())
    output = samples.get("kim_output")
    assert (output.size, output.fps, output.frames) == ((1920, 1080), 30, 240)
    assert (output.domain, output.bundled) == ("live_action", False)
    assert "never redistributed" in output.note
    wrong = tmp_path / output.file
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"another file")
    with pytest.raises(MediaError, match="is not kim_output"):
        samples.resolve_path("kim_output")


# --- the numbers -----------------------------------------------------------------------------------------------------


def table_of(name: str) -> list[dict[str, str]]:
    with (published.HOME / f"{name}.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_pair_was_measured_on_the_footage_that_it_names(pairs):
    table = published.evaluations()
    assert table["pair"].tolist() == pairs["pair"].tolist()
    assert (table["status"] == "measured").all()
    assert (table["confidence"] > 0.9).all()
    assert (table["confidence"] == table[["start", "end"]].min(axis=1)).all()
    seconds = table["frames"] / table["fps"].map(lambda text: float(Fraction(text)))
    assert (seconds <= published.about()["seconds"] + 0.05).all()
    known = table.set_index("pair")
    assert known.loc["jj_nouveau2", "scale"] == pytest.approx(480 / 768)
    assert set(known["region"]) == {"rectangle", "mask", "none"}
    assert known.index[known["region"] == "none"].tolist() == ["pizza1"]  # the README says so


def test_every_metric_has_a_value_or_a_reason(pairs):
    table = published.metrics()
    names = {metric.name for metric in registry.metrics()}
    for _, of_pair in table.groupby("pair"):
        assert names <= set(of_pair["metric"])
        assert of_pair["metric"].is_unique
    assert set(table["pair"]) == set(pairs["pair"])
    assert (table.loc[table["value"].isna(), "reason"] != "").all()
    quartiles = table.dropna(subset=["low", "high"])
    assert (quartiles["low"] <= quartiles["value"]).all()
    assert (quartiles["value"] <= quartiles["high"]).all()
    assert (table["failed"] <= table["n_frames"]).all()


def by_hand(metric: str, domain: str, raw: bool = False) -> list[float]:
    """A value each source of Wav2Lip, from the files alone."""
    given = {row["pair"]: row for row in table_of("pairs")}
    values: dict[str, list[float]] = {}
    for row in table_of("metrics"):
        about = given[row["pair"]]
        counted = "live_action" if about["domain"] == "synthetic_photo" else about["domain"]
        if row["metric"] == metric and counted == domain and about["model"].startswith("Wav2Lip"):
            noise = 0.0 if raw or not row["noise"] else float(row["noise"])
            values.setdefault(about["footage"], []).append(max(0.0, float(row["value"]) - noise))
    return [sum(each) / len(each) for each in values.values()]


def test_effects_and_sentences_are_those_of_the_files():
    effects = published.domain_effects().set_index("metric")
    text = published.findings()[0]
    for name in published.ASKED:
        animation, live = by_hand(name, "animation"), by_hand(name, "live_action")
        assert (len(animation), len(live)) == (11, 8)
        row = effects.loc[name]
        assert row["animation"] == pytest.approx(np.mean(animation))
        assert row["other"] == pytest.approx(np.mean(live))
        assert f"{np.mean(animation):.2f} against {np.mean(live):.2f}" in text
        assert f"95 % CI {row['low']:.2f} to {row['high']:.2f}" in text
        assert row["low"] < row["difference"] < row["high"]
        whole = published.domain_effects(raw=True).set_index("metric").loc[name]
        assert whole["animation"] == pytest.approx(np.mean(by_hand(name, "animation", raw=True)))
    assert "over 11 and 8 sources" in text


def test_a_permutation_test_of_its_own_agrees_with_the_effects():
    """Differences of means over random relabellings, without studentising: another test of the same question."""
    random = np.random.default_rng(1)
    for row in published.domain_effects().itertuples():
        animation, live = (np.array(by_hand(row.metric, domain)) for domain in ("animation", "live_action"))
        both = np.r_[animation, live]
        shuffled = random.permuted(np.tile(both, (4000, 1)), axis=1)
        null = shuffled[:, : len(animation)].mean(axis=1) - shuffled[:, len(animation) :].mean(axis=1)
        p = (np.abs(null) >= abs(animation.mean() - live.mean())).mean()
        assert (p < 0.01) == (row.p < 0.01) or abs(p - row.p) < 0.05


def test_counts_of_faults_are_those_of_the_files():
    given = {row["pair"]: row for row in table_of("pairs")}
    counts = published.fault_counts().set_index(["kind", "group"])
    assert set(counts.index.get_level_values("group")) == set(published.GROUPS)
    share: dict[str, list[float]] = {}
    for row in table_of("metrics"):
        about = given[row["pair"]]
        if row["metric"] == "sharpness_loss" and about["domain"] == "animation":
            share.setdefault(about["footage"], []).append(int(row["failed"]) / int(row["n_frames"]))
    failing = sum(np.mean(each) >= 0.5 for each in share.values())
    assert counts.loc[("sharpness loss", "Wav2Lip on animation"), "failing"] == failing
    of_others = counts.xs("other models on live action", level="group")
    assert (of_others["sources"] <= 5).all()
    text = published.findings()[1]
    assert f"sharpness loss ({failing} of 11" in text


def test_the_sync_sentence_is_that_of_the_files():
    margins = published.sync_margins()
    distances = (row for row in table_of("scores") if row["score"] == "syncnet_distance")
    own = {(row["pair"], row["input"]): row["value"] for row in distances}
    pt = margins.set_index(["footage", "family"]).loc[("pt", "DINet")]
    assert pt["dubbed"] == float(own["pt_DINet", "dubbed"])
    assert pt["shuffled"] == float(own["pt_DINet", "shuffled_audio"])
    of_wav2lip = margins[(margins["family"] == "Wav2Lip") & margins["margin"].notna()]
    assert f"in {(of_wav2lip['margin'] > 0).sum()} of {len(of_wav2lip)} sources" in published.findings()[2]


def test_ranks_agree_with_scipy():
    from scipy import stats

    table = published.of_wav2lip()
    for row in published.sync_agreement().itertuples():
        known = table[[row.metric, "syncnet_distance"]].dropna()
        expected = stats.spearmanr(*known.to_numpy(float).T)
        assert row.rho == pytest.approx(expected.statistic)
        assert row.p == pytest.approx(expected.pvalue, abs=0.03)


def test_boxes_agree_with_a_count_of_pixels():
    table = published.detector_agreement().set_index("pair")
    boxes = {row["pair"]: row for row in table_of("evaluations")}
    for name in ("pt_wav2lip", "jj_beads", "potato"):
        masks = []
        for side in ("region", "face"):
            x1, y1, x2, y2 = (round(float(boxes[name][f"{side}_{edge}"])) for edge in ("x1", "y1", "x2", "y2"))
            mask = np.zeros((1300, 1300), bool)
            mask[y1:y2, x1:x2] = True
            masks.append(mask)
        region, face = masks
        assert table.loc[name, "iou"] == pytest.approx((region & face).sum() / (region | face).sum(), abs=0.01)
        assert table.loc[name, "inside"] == pytest.approx((region & face).sum() / region.sum(), abs=0.01)


def test_groups_do_not_overlap_and_leave_out_only_what_lies_between():
    table = published.of_sources()
    belongs = {group: belongs(table) for group, belongs in published.GROUPS.items()}
    for first, second in itertools.combinations(belongs.values(), 2):
        assert not (first & second).any()
    rest = table[~np.any(list(belongs.values()), axis=0)]
    assert set(rest["kind"]) == {"airbrushed"}
    assert published.regions()["sources"].to_dict() == {group: rows.sum() for group, rows in belongs.items()}


# --- how they are made -----------------------------------------------------------------------------------------------


def test_rows_of_an_evaluation():
    nan = float("nan")
    columns = ["metric", "value", "low", "high", "unit", "n_frames", "coverage", "threshold", "failed", "reason"]
    summary = pd.DataFrame(
        [
            ("sharpness_loss", 0.5, 0.4, 0.6, "share", 10, 1.0, 0.35, 10, ""),
            ("encode_noise", 2.0, 1.0, 3.0, "grey levels", 10, 1.0, nan, 0, ""),
            ("background_change", 3.0, 3.0, 3.0, "grey levels", 10, 1.0, 2.0, 0, ""),
            ("lse_d", nan, nan, nan, "distance", 0, 0.0, nan, 0, "no weights"),
        ],
        columns=columns,
    )
    values = dict(zip(summary["metric"], summary["value"], strict=True))
    evaluation = SimpleNamespace(
        metrics=summary,
        metric=lambda name: values.get(name, nan),
        frames=range(10),
        alignment={"fps": "25", "scale": [0.5, 0.5], "confidence": 0.9, "loop": "loop"},
        region={"kind": "mask", "contrast": 3.0, "box": [1, 2, 3, 4], "levels": {"sharpness_loss": 0.1}},
        facts={"box_source": "detector"},
    )
    table = published.metric_rows("p", evaluation).set_index("metric")
    assert list(table.columns[:5]) == ["pair", "value", "low", "high", "noise"]
    assert table["noise"].to_dict() == pytest.approx(
        {"sharpness_loss": 0.1, "encode_noise": nan, "background_change": 2.0, "lse_d": nan}, nan_ok=True
    )
    row = published.evaluation_row("p", evaluation)
    assert (row["region_x1"], row["region_y2"], row["scale"], row["frames"]) == (1, 4, 0.5, 10)
    assert (row["encode_noise"], row["box_source"]) == (2.0, "detector")
