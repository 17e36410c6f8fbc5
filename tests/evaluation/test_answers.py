"""The answers at the top of the notebooks, from tables that were counted by hand and from the bundled numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from named_runs import OWN, result

from lipsync_lab.evaluation import ablation, answers, comparison, matched, published, scope

NAN = float("nan")


def test_the_answer_on_a_clip_counts_mouths_and_kinds_of_failure():
    frames = pd.DataFrame({"not_generated": [0, 0, 1, NAN], "sharpness_loss": 0.7, "ghosting": NAN, "line_art_loss": 0})
    failed = pd.DataFrame(
        {
            "kind": ["sharpness loss", "sharpness loss", "missed <b>"],
            "first": [0, 3, 2],
            "last": [1, 3, 2],
            "evidence": "70% of it is *gone*",
        }
    )
    text = answers.of_clip(SimpleNamespace(frames=frames, failures=failed))
    assert "generated in **2 of 3** frames with a face" in text
    assert "**2 of the 2** kinds" in text
    assert text.endswith("The most severe is **sharpness loss** in frames 0 to 1: 70% of it is \\*gone\\*.")
    assert "most severe" not in answers.of_clip(SimpleNamespace(frames=frames, failures=failed[:0]))


def test_the_answer_on_mitigations_names_what_is_established_and_not_by_construction():
    rows = [
        ("soft edge", "boundary artifact", -1.0, 0.01, True),
        ("soft edge", "line-art loss", -0.5, 0.01, False),
        ("soft edge", "colour shift", -0.2, 0.05, False),
        ("boxes smoothed", "ghosting", -0.9, 0.06, False),
        ("one mouth per hold", "ghosting", 0.3, 0.02, False),
        (ablation.MITIGATIONS[-1].name, "ghosting", -0.3, 0.02, False),
    ]
    effects = pd.DataFrame(rows, columns=["mitigation", "label", "change", "p_adjusted", "by_construction"])
    numbers = {"threshold": 1.0, "n": 8, "before": 0.4, "after": 0.3}
    few = effects.assign(**numbers | {"n": 2, "p_adjusted": NAN})
    text = answers.of_mitigations(OWN, few, effects.assign(**numbers))
    here, recorded = text.split(f"\n\n*{scope.RECORDED}*")
    assert "In 2 clips of your own (1 of animation and 1 of live action): too few for a test (n = 2)" in here
    assert "for the better is **boxes smoothed**, ghosting 0.4 to 0.3" in here
    assert "for the worse is **one mouth per hold**, ghosting 0.4 to 0.3" in here
    assert "1 of 3 mitigations make a metric better" in answers._mitigations(effects.assign(**numbers))
    assert recorded.startswith(" in eight bundled clips of animation, **soft edge** reduces")
    assert "**soft edge** reduces line-art loss and colour shift (n = 8 clips" in text
    assert "ghosting with one mouth per hold gets worse beyond doubt." in text
    nothing = answers.of_mitigations(OWN, few, effects.assign(**numbers | {"p_adjusted": 0.9}))
    assert "0 of 3 mitigations" in nothing
    assert "No metric gets worse beyond doubt." in nothing
    little = answers.of_mitigations(OWN, few.assign(change=0.0), effects.assign(**numbers))
    assert "none changes a metric for the better by 1% of its threshold" in little


def test_the_answer_on_domains_agrees_with_the_bundled_numbers(monkeypatch):
    speakers = comparison.matched(matched.bundled(), by="speaker")
    monkeypatch.setattr(answers, "_commonest", lambda results: "ghosting in 3 of 9 frames of animation")
    text = answers.of_domains(OWN, speakers.assign(n=0, difference=NAN), speakers)
    here, text = text.split(scope.RECORDED)
    assert "Among 2 clips of your own (1 of animation and 1 of live action) there is no matched pair" in here
    assert "The most frequent artifact is ghosting in 3 of 9 frames of animation." in here
    # counted anew from the pairs: means of each speaker, then over speakers
    pairs = matched.bundled()
    means = pairs[pairs["metric"] == "sharpness_loss"].groupby("speaker")[["animation", "live_action"]].mean().mean()
    assert means["animation"] > means["live_action"]
    assert "sharpness loss" in text.partition("**, and live action in")[0]
    table = published.of_wav2lip().groupby("domain")["sharpness_loss"].mean()
    assert f"**sharpness loss** ({table['animation']:.2f} against {table['live_action']:.2f})" in text
    sizes = published.of_wav2lip()["domain"].value_counts()
    assert f"({sizes['animation']} and {sizes['live_action']} sources)" in text


def test_the_answer_on_domains_is_about_the_pairs_that_were_dubbed():
    pairs = [result(f"{side}{n}.mp4", side, pair=str(n)) for n in range(9) for side in ("animation", "live_action")]
    speakers = comparison.matched(matched.bundled(), by="speaker")
    rows = {"label": ["sharpness loss", "ghosting"], "animation": [0.9, 0.1], "other": [0.4, 0.2]}
    effects = pd.DataFrame(rows).assign(
        difference=[0.5, -0.1], p_adjusted=[0.01, 0.02], n=9, by_construction=False, against="live_action"
    )
    here, _ = answers.of_domains(pairs, effects, speakers).split(scope.RECORDED)
    assert "In 9 matched pairs, from 18 clips of your own (9 of animation and 9 of live action), animation is" in here
    assert "animation is worse in **sharpness loss**, and live action in ghosting, of 2 metrics" in here
    few, _ = answers.of_domains(pairs[:4], effects.assign(p_adjusted=NAN, n=2), speakers).split(scope.RECORDED)
    assert "form 2 matched pairs, too few for an interval (8 are needed)" in few
    assert "sharpness loss, 0.9 against 0.4; ghosting, 0.1 against 0.2" in few


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (list("ab"), "a and b"), (list("abc"), "a, b and c")]
)
def test_lists(words, text):
    assert scope.words(np.array(words, dtype=object)) == text
