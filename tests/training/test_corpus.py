"""The corpus of sentences: held-out lines stay held out."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis.speech import SAMPLE_RATE
from lipsync_lab.training import corpus

# ------------------------------------------------------------------------------------------------- what is held out


def test_no_line_can_be_on_both_sides():
    train, held_out = corpus.seeds("train", 0, 400), corpus.seeds("validation", 0, 400)
    assert not set(train) & set(held_out)
    assert not set(corpus.HELD_OUT_VARIANTS) & set(corpus._TRAIN_VARIANTS)
    assert set(corpus.HELD_OUT_VARIANTS) <= set(corpus.VARIANTS)
    texts = [
        {
            corpus.sentence(np.random.default_rng(seed), language, side)
            for seed in range(150)
            for language in ("en", "it")
        }
        for side in (False, True)
    ]
    assert min(map(len, texts)) > 290
    assert not texts[0] & texts[1]
    with pytest.raises(ParameterError, match="no split"):
        corpus.seeds("test", 0, 1)
    with pytest.raises(ParameterError, match="are not 0 to"):
        corpus.seeds("train", corpus.FIRST_HELD_OUT - 1, 2)


def test_spoken_lines_keep_to_their_side():
    for part, allowed in (("train", corpus._TRAIN_VARIANTS), ("validation", corpus.HELD_OUT_VARIANTS)):
        for seed in corpus.seeds(part, 3, 3):
            speech = corpus.line(seed)
            assert speech.voice.partition("+")[2] in allowed
            assert corpus.sentence_is_held_out(speech.text) == (part == "validation")
            # it begins and ends with a silence, so that a network learns what a closed mouth sounds like
            assert not speech.wave[: SAMPLE_RATE // 10].any()
            assert not speech.wave[-SAMPLE_RATE // 10 :].any()
