"""The rows of the timeline show the voice, its phonemes and the metrics at the times and frames that they have."""

import numpy as np
import pandas as pd
import pytest
from PIL import ImageColor

from lipsync_lab import samples
from lipsync_lab.explorer import Session, timeline

BEGIN = timeline.TRACK + timeline.FAILURE
CURVE = BEGIN + timeline.WAVE + timeline.PHONEME


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    cache = tmp_path_factory.mktemp("timeline")
    session = Session("animation_apples", generator="identity", detector="s3fd-lab", device="cpu", cache=cache)
    session.evaluate()
    return session


def test_the_waveform_is_loud_where_the_voice_is(session):
    rows = timeline.picture(session)[BEGIN : BEGIN + timeline.WAVE]
    height = (rows != 255).any(axis=2).sum(axis=0)
    seconds = len(session) / float(session.clip.fps)
    samples_of = np.array_split(session.wave[: round(seconds * 16_000)], timeline.WIDTH)
    loudness = np.array([np.ptp(piece) for piece in samples_of])
    assert np.corrcoef(height, loudness)[0, 1] > 0.85 > 0.5 > np.corrcoef(height, loudness[::-1])[0, 1]
    silent = timeline.picture(
        Session(samples.path("animation_apples"), session.voice, generator="identity", device="cpu")
    )
    np.testing.assert_array_equal(silent[BEGIN : CURVE - timeline.PHONEME], rows)


def test_phonemes_are_those_of_the_voices_ground_truth(session, tmp_path):
    table = pd.read_csv(session.voice.with_suffix(".truth.csv"))
    symbols = timeline.phonemes(session.voice)
    for time, symbol in zip(table["time"], table["phoneme"].fillna(""), strict=True):
        here = [each for start, stop, each in symbols if start <= time + 1e-6 < stop]
        assert here == ([symbol] if symbol else [])
    assert timeline.phonemes(samples.path("voice_umbrella")) == []
    assert timeline.phonemes(None) == []
    row = timeline.picture(session)[CURVE - timeline.PHONEME : CURVE]
    start, stop, _ = symbols[0]
    seconds = len(session) / float(session.clip.fps)
    assert (row[:, : int(start / seconds * timeline.WIDTH)] == 255).all()
    assert (row[:, int(start / seconds * timeline.WIDTH) :] != 255).any()


def test_a_curve_has_the_values_of_the_evaluation(session):
    curves = timeline.curves(session)
    assert "missed_detection" in curves
    for name, values in curves.items():
        np.testing.assert_array_equal(values, session.evaluation.frames[name].to_numpy(float))
        drawn = timeline.picture(session, metric=name)[CURVE + 18 :]
        blue = (drawn == ImageColor.getrgb("#0072B2")).all(axis=2)
        pink = (drawn == ImageColor.getrgb(timeline.FAILURE_COLOUR)).all(axis=2)
        columns = np.flatnonzero((blue | pink).any(axis=0))
        shown = {timeline.column_frame(x + 0.5, len(session)) for x in columns}
        known = set(np.flatnonzero(np.isfinite(values)).tolist())
        assert known <= shown <= known | {n + 1 for n in known} | {n - 1 for n in known}
        limits = np.nanmin(values), np.nanmax(values)
        if limits[1] > limits[0]:  # the highest value is drawn highest
            top = [np.flatnonzero(column)[0] if column.any() else 99 for column in (blue | pink).T]
            best = round((int(np.nanargmax(values)) + 0.5) * timeline.WIDTH / len(session))
            assert top[best] <= min(top) + 2
    assert "(grey levels)" in timeline.title("background_change") or timeline.title("background_change")
