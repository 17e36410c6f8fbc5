"""Which face is followed on the recorded clips."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.evaluation import study, tracks


def table(rows, columns):
    return pd.DataFrame(rows, columns=columns.split())


def test_a_clip_that_is_counted_by_hand(monkeypatch):
    """Ten frames of one shot: a face of score 0.9, a coat of score 0.6 and six times its side, and two gaps."""
    face, coat, second = (0, 0, 10, 10), (100, 0, 120, 20), (50, 0, 60, 10)
    columns = "clip domain detector frame score x1 y1 x2 y2"
    rows = [("a", "live_action", "d", n, score, *box) for n in range(10) for score, box in ((0.9, face), (0.6, coat))]
    proposed = table([row for row in rows if not (row[3] in (4, 5) and row[4] == 0.9)], columns)
    known = [("a", "live_action", n, "target", *face, "label") for n in range(10)]
    known += [("a", "live_action", 0, "other", *second, "label")]
    monkeypatch.setattr(study, "detections", lambda name: proposed)
    monkeypatch.setattr(study, "faces", lambda: table(known, "clip domain frame face x1 y1 x2 y2 source"))
    followed = tracks.followed(["d"]).set_index("selection")
    # 8 * 0.9 * 10 = 72 against 10 * 0.6 * 20 = 120: the coat is twice as large, and is chosen by either
    assert followed["elsewhere"].tolist() == [1.0, 1.0]
    proposed.loc[proposed["score"] == 0.6, ["x2", "score"]] = [115, 0.55]
    proposed.loc[proposed["score"] == 0.55, "y2"] = 15
    # by area 10 * 225 against 8 * 100; by score and side 10 * 0.55 * 15 = 82 against 8 * 0.99 * 10 = 79, then 0.4
    proposed.loc[proposed["score"] == 0.9, "score"] = 0.99
    assert tracks.followed(["d"])["on_face"].tolist() == [0.0, 0.0]
    proposed.loc[proposed["score"] == 0.55, "score"] = 0.51
    followed = tracks.followed(["d"]).set_index("selection")
    assert followed.loc["prominent", ["on_face", "no_box"]].tolist() == [0.8, 0.2]
    assert followed.loc["largest", "elsewhere"] == 1.0
    proposed.loc[proposed["score"] == 0.99, study.BOX] = second
    followed = tracks.followed(["d"]).set_index("selection")
    # the label of the second face is in frame 0 alone
    assert followed.loc["prominent", ["further_face", "elsewhere", "no_box"]].tolist() == pytest.approx([0.1, 0.7, 0.2])


def test_recorded_clips_are_followed_at_least_as_well_by_prominence_as_by_area():
    followed = tracks.followed(["lbp", "auto"])
    shares = followed[["on_face", "further_face", "elsewhere", "no_box"]]
    assert np.allclose(shares.sum(axis=1), 1)
    assert followed.groupby(["detector", "selection"])["clip"].nunique().unique().tolist() == [19]
    on_face = followed.pivot(index=["detector", "clip"], columns="selection", values="on_face")
    assert (on_face["prominent"] >= on_face["largest"]).all()
    changed = on_face[on_face["prominent"] > on_face["largest"]]
    assert changed.index.tolist() == [("lbp", "berserk_output17")]
