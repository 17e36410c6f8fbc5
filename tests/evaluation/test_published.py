"""Published models: where the videos come from, the bundled numbers, and what is said about them."""

from __future__ import annotations

import csv
import re
from urllib.parse import quote

import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError
from lipsync_lab.evaluation import published


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
