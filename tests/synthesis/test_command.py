"""The command `synthesize`, and the old names of its flags."""

import shlex

import numpy as np
from scipy.io import wavfile

from lipsync_lab import cli
from lipsync_lab.media import audio, video
from lipsync_lab.synthesis.speech import SAMPLE_RATE, join, silence, speak

TEXT = ["--text", "Me too, my dear, and all of us.", "--size", "64", "48", "--quiet"]


def test_exposures_reach_the_ground_truth(tmp_path, capsys):
    out = tmp_path / "new.mp4"
    assert cli.main(["synthesize", *TEXT, "--exposure", "3", "--mouth-exposure", "4", "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    assert (video.probe(out).width, video.probe(out).height) == (64, 48)
    old = tmp_path / "old.mp4"
    assert cli.main([*shlex.split("cartoon --on 3 --mouth-on 4"), *TEXT, "--out", str(old)]) == 0
    assert old.with_suffix(".truth.csv").read_bytes() == out.with_suffix(".truth.csv").read_bytes()
    assert "--mouth-on is now --mouth-exposure" in capsys.readouterr().err


def test_the_portrait_has_no_holds(tmp_path):
    out = tmp_path / "portrait.mp4"
    assert cli.main(["synthesize", *TEXT, "--portrait", "--out", str(out)]) == 0
    rows = out.with_suffix(".truth.csv").read_text().splitlines()
    column = rows[0].split(",").index("drawing")
    drawings = [int(row.split(",")[column]) for row in rows[1:]]
    assert drawings == list(range(len(drawings)))


def test_a_clip_that_is_too_short_for_sync_says_what_is_needed(tmp_path, capsys):
    assert cli.main(["synthesize", *TEXT, "--text", "Me too.", "--out", str(tmp_path / "short.mp4")]) == 0
    assert "sync is measured from 1.44 s on" in capsys.readouterr().err


def test_a_character_speaks_a_recording(tmp_path, capsys):
    speech = join(silence(0.3), speak("Me too, my dear, me too.", variant="f3", rate=130), silence(0.3))
    recording, out = tmp_path / "voice.wav", tmp_path / "clip.mp4"
    wavfile.write(recording, SAMPLE_RATE, speech.wave)
    command = ["synthesize", "--text", speech.text, "--size", "64", "48", "--quiet", "--recording", str(recording)]
    assert cli.main([*command, "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    sound = audio.load(out)[: len(speech.wave)]
    assert np.corrcoef(sound, speech.wave)[0, 1] > 0.95
    assert "from a recording" in video.probe(out).tags["comment"]
