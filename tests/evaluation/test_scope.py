"""What sentences say about the runs of a notebook: own clips are never called bundled, and the other way round."""

from __future__ import annotations

import pytest
from named_runs import OWN, result

from lipsync_lab.evaluation import answers, scope

BUNDLED = [result("animation_hello", "animation", sound="s"), result("astronaut_hello", "synthetic_photo", sound="s")]


@pytest.mark.parametrize(
    ("results", "text"),
    [
        (OWN, "2 clips of your own (1 of animation and 1 of live action)"),
        (OWN[:1], "1 clip of your own (animation)"),
        (BUNDLED, "2 bundled samples (1 of animation and 1 of synthetic photo)"),
        (BUNDLED[:1], "1 bundled sample of animation"),
        ([result("a.mp4", "")], "1 clip of your own (unknown domain)"),
        ([*OWN[:1], *BUNDLED[1:]], "1 clip of your own (animation) and 1 bundled sample of synthetic photo"),
        ([result("grid_s2_pwij3p", "live_action")] * 2, "2 fetched samples of live action"),
    ],
)
def test_clips_by_origin_and_domain(results, text):
    assert scope.clips(results) == text


def test_limits_of_own_clips_say_nothing_of_bundled_ones():
    text = answers.limits(OWN) + answers.limits_of_domains(OWN)
    assert "2 clips are too few for an interval (8 are needed)" in text
    assert "no matched pair" in scope.of_pairs(OWN).replace("are a matched", "no matched")
    for word in ("bundled", "synthetic", "portrait", "hello", "sample"):
        assert word not in text, word
    assert "too few" not in answers.limits(OWN * 4)


def test_limits_of_bundled_clips_say_so():
    text = answers.limits_of_domains(BUNDLED)
    assert "They are synthetic" in text
    assert "The small model saw the bundled portrait and the character of animation_hello in training" in text
    assert "The two clips of a pair differ" in text
    mixed = answers.limits_of_domains([*OWN[:1], *BUNDLED[1:]])
    assert "The bundled samples are synthetic" in mixed
    assert "animation_hello" not in mixed
    assert "in training" not in answers.limits_of_domains([result("animation_hello", "animation", "wav2lip_gan")])


@pytest.mark.parametrize(
    ("generator", "text"),
    [
        ("wav2lip-lab", "wav2lip-lab, a small model of this project: this shows which failures occur"),
        ("wav2lip_gan", "dubbed by the published weights wav2lip_gan."),
        ("mine<b>", "dubbed by your own weights mine&lt;b&gt;."),
        ("identity", "returns each face unchanged"),
        ("untrained", "noise"),
        ("cel", "cel, which is not Wav2Lip"),
    ],
)
def test_limits_name_the_generator(generator, text):
    limits = answers.limits([result("a.mp4", "animation", generator)])
    assert text in limits
    assert ("small model" in limits) == (generator == "wav2lip-lab")
