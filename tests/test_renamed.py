"""What earlier versions wrote and were given: old names are taken for the present ones."""

import json

import pytest

from lipsync_lab import runs, samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.settings import Settings

OLD = {
    **{"choose": "best", "analysis_size": None, "longest_gap": 3, "gap": "abort", "mel_lead": 1, "fill": "hold"},
    **{"mouths": "drawings", "smoothing": "upstream", "crf": 20},
}
PRESENT = Settings(
    face_selection="best",
    detection_size=None,
    max_dropout=3,
    dropouts="error",
    audio_offset=1,
    extend="hold",
    mouth_cadence="holds",
    smoothing="reference",
    crf=20,
)


def test_names_and_values_of_earlier_versions_are_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match="new names and values: choose, "):
        assert Settings.of(OLD) == PRESENT
    with pytest.warns(DeprecationWarning, match="preset upstream"):
        assert Settings.of({}, "upstream") == Settings.of({}, "reference")


def test_files_of_earlier_versions_are_read_silently():
    assert Settings.read(OLD) == PRESENT  # a warning is an error here
    assert Settings.read(PRESENT.as_dict()) == PRESENT
    with pytest.raises(ParameterError, match="unknown setting pad"):
        Settings.read({"pad": 1})


def test_a_run_of_an_earlier_version_is_read(tmp_path):
    clip, voice = tmp_path / "talk.mp4", tmp_path / "voice.wav"
    old = {"face": {"file": str(clip), "sha256": "a"}, "speech": {"file": str(voice), "sha256": "b"}}
    (tmp_path / "run.json").write_text(json.dumps(old | {"generator": {}, "detector": {}}), encoding="utf-8")
    info = runs.Run(tmp_path).info
    assert (info["clip"]["file"], info["voice"]["file"]) == (str(clip), str(voice))
    assert info.keys() == {"clip", "voice", "generator", "detector"}


def test_old_names_of_domains_are_accepted_with_a_warning():
    with pytest.warns(DeprecationWarning, match="'drawn' is now animation"):
        assert samples.names("drawn") == samples.names("animation")
    with pytest.warns(DeprecationWarning, match="live_action or synthetic_photo"):
        assert set(samples.names("photographic")) == {*samples.names("live_action"), *samples.names("synthetic_photo")}
    with pytest.warns(DeprecationWarning, match="is now"):
        assert samples.clip_domain("photographic") == "live_action"
    assert samples.clip_domain("") == ""
    with pytest.raises(ParameterError, match="unknown domain 'voice'; the domains are animation, live_action"):
        samples.clip_domain("voice")


@pytest.mark.parametrize("column", ["mouth_generated", "mouth_drawn"])
def test_a_ledger_has_the_present_columns(column, tmp_path):
    (tmp_path / "ledger.csv").write_text(f"frame,{column}\n0,True\n")
    assert runs.Run(tmp_path).ledger().columns.tolist() == ["frame", "mouth_generated", "face"]
