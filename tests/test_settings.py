import json

import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.settings import PRESETS, Settings


def test_preset_lies_under_what_is_given():
    assert Settings.of({"extend": "hold"}, "reference") == Settings.of({**PRESETS["reference"], "extend": "hold"})
    assert Settings.of({}, "reference").dropouts == "error"
    assert Settings.of({}) == Settings()


def test_settings_are_data():
    assert Settings.of(json.loads(json.dumps(Settings().as_dict()))) == Settings()


@pytest.mark.parametrize("values", [{"gapp": "passthrough"}, {"pad": [0, 0, 0, 0]}])
def test_strangers_are_named(values):
    with pytest.raises(ParameterError, match=f"unknown setting {next(iter(values))}"):
        Settings.of(values)


@pytest.mark.parametrize(
    "values",
    [
        {"pads": (1, 2, 3)},
        {"crop": (0, 0.5, 1, 1)},
        {"resize_factor": 0},
        {"generator_batch": 0},
        {"fps": 0},
        {"detection_size": 8},
        {"threshold": 1.0},
        {"max_dropout": -1},
        {"feather": 0.4},
        {"crf": 52},
        {"extend": "stretch"},
        {"codec": "gif"},
        {"face_selection": "loudest"},
        {"face_selection": -1},
        {"dropouts": "guess"},
        {"smoothing": "kalman"},
    ],
)
def test_impossible_values(values):
    with pytest.raises(ParameterError, match=next(iter(values))):
        Settings.of(values)


def test_unknown_preset():
    with pytest.raises(ParameterError, match="downstream"):
        Settings.of({}, "downstream")
