"""Choice, gaps, smoothing and cuts, against brute force and by hand."""

import numpy as np
import pytest

from lipsync_lab.detection import Detection, tracking
from lipsync_lab.detection.detections import Detections
from lipsync_lab.detection.shots import Shots, shot_numbers
from lipsync_lab.errors import DetectionError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.settings import Settings

SIZE = (200, 100)


def at(x, y=20, side=20, score=0.9):
    return Detection(Box(x, y, x + side, y + side), score)


def shots(*lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


def made(chosen, numbers=None, **options):
    numbers = shots(len(chosen)) if numbers is None else numbers
    options = {"pads": (0, 0, 0, 0), "smoothing": "none", **options}
    return tracking.track([[face] if face else [] for face in chosen], chosen, numbers, SIZE, **options)


# -- choice ------------------------------------------------------------------------------------------------------


def test_one_face_a_shot_is_followed_through_scores():
    """Two faces, whose scores change places in every frame: the same one is followed."""
    rows = [[at(20, score=0.9), at(100, side=30, score=0.8)], [at(100, side=30, score=0.95), at(21, score=0.7)]] * 5
    assert {c.box.width for c in tracking.choose(rows, shots(10), SIZE)} == {30}
    assert {c.box.width for c in tracking.choose(rows, shots(10), SIZE, face=0)} == {20}
    assert {c.box.width for c in tracking.choose(rows, shots(10), SIZE, face=1)} == {30}
    assert {c.box.width for c in tracking.choose(rows, shots(10), SIZE, face="best")} == {20, 30}
    assert tracking.choose(rows, shots(10), SIZE, face=2) == [None] * 10


def test_central_face():
    rows = [[at(0, side=40), at(90, 40)]] * 4
    assert tracking.choose(rows, shots(4), SIZE, face="central") == [at(90, 40)] * 4
    assert tracking.choose(rows, shots(4), SIZE, face="largest") == [at(0, side=40)] * 4


def test_another_face_is_no_stand_in():
    """Where the followed face is missed, the other face in the picture does not take its place."""
    rows = [[at(20, side=30), at(120)]] * 3 + [[at(120)]] * 2 + [[at(20, side=30), at(120)]] * 3
    chosen = tracking.choose(rows, shots(8), SIZE)
    assert [face and face.box.x1 for face in chosen] == [20] * 3 + [None] * 2 + [20] * 3


def test_a_large_false_box_with_a_low_score_is_not_the_face():
    """A coat of nine times the face's area, in all frames: by area it is chosen, by score, size and duration not."""
    rows = [[at(20, side=20, score=0.99), at(80, 10, side=60, score=0.3)]] * 20
    options = {"threshold": 0.25}
    assert tracking.choose(rows, shots(20), SIZE, face="largest", **options) == [rows[0][1]] * 20
    assert tracking.choose(rows, shots(20), SIZE, **options) == [rows[0][0]] * 20


def test_a_false_box_of_few_frames_is_not_the_face():
    rows = [[at(20, side=20)] + ([at(80, 10, side=60)] if number < 3 else []) for number in range(20)]
    assert tracking.choose(rows, shots(20), SIZE) == [at(20, side=20)] * 20


def close(rows, numbers=None, manual=None, **settings):
    starts = tuple(np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()) if numbers is not None else (0,)
    return tracking.close_tracks(Detections(tuple(rows), starts, SIZE, manual=manual or {}), Settings(**settings))


def test_close_tracks_are_told_by_shot():
    """Two like faces in frames 2 to 5 of the first shot; in the second shot the smaller one is far from chosen."""
    rows = [[at(20)]] * 2 + [[at(20), at(120, side=19)]] * 4 + [[at(20, side=40), at(150, side=8)]] * 3
    numbers = shots(6, 3)
    [pair] = close(rows, numbers)
    assert (pair.first, pair.last) == (2, 5)
    assert pair.share == pytest.approx(4 * 19 / (6 * 20))
    assert close(rows, numbers, face_selection="largest") == close(rows, numbers, threshold=0.95) == []
    assert close(rows, numbers, manual={frame: None for frame in range(6)}) == []
    assert close([[at(20)]] * 5) == close([[]] * 5) == close([]) == []
    assert close([[at(20)]] * 4 + [[at(150)]] * 4) == [], "no frame shows both"


def test_a_face_that_jumps_is_still_found():
    """A drawn head that leaps between two drawings begins a new thread, which no other face contradicts."""
    rows = [[at(20)]] * 4 + [[at(150)]] * 4
    assert None not in tracking.choose(rows, shots(8), SIZE)


def brute_force(rows, numbers, size, face, max_dropout):
    """The same choice by comparing every frame with every thread."""
    chosen = [None] * len(rows)
    for shot in sorted(set(numbers.tolist())):
        threads = []  # dictionaries: frame -> candidate
        for frame in np.flatnonzero(numbers == shot).tolist():
            following = [thread for thread in threads if frame - max(thread) <= max_dropout + 1]
            pairs = []
            for t, thread in enumerate(following):
                for c, candidate in enumerate(rows[frame]):
                    a, b = thread[max(thread)].box, candidate.box
                    moved = np.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1])
                    moved /= 0.5 * (a.area * b.area) ** 0.25
                    pairs.append((max(moved, abs(np.log(a.area / b.area)) / (2 * np.log(1.6))), t, c))
            linked, placed = set(), set()
            for distance, t, c in sorted(pairs):
                if distance < 1 and t not in linked and c not in placed:
                    following[t][frame] = rows[frame][c]
                    linked.add(t)
                    placed.add(c)
            threads += [{frame: candidate} for c, candidate in enumerate(rows[frame]) if c not in placed]
        centers = [np.mean([candidate.box.center for candidate in thread.values()], axis=0) for thread in threads]
        order = sorted(range(len(threads)), key=lambda n: -sum(candidate.box.area for candidate in threads[n].values()))
        if face == "prominent":
            weight = [sum(c.score * c.box.area**0.5 for c in thread.values()) for thread in threads]
            order = sorted(range(len(threads)), key=lambda n: -weight[n])
        elif face == "central":
            order.sort(key=lambda n: float(np.linalg.norm(centers[n] - np.asarray(size) / 2)))
        elif face != "largest":
            longest = max(map(len, threads), default=0)
            counted = [n for n in range(len(threads)) if 2 * len(threads[n]) >= longest]
            order = sorted(counted, key=lambda n: centers[n][0])[face : face + 1]
        for thread in (threads[n] for n in order):
            if all(chosen[frame] is None for frame in thread):
                for frame, candidate in thread.items():
                    chosen[frame] = candidate
    return chosen


@pytest.mark.parametrize("face", ["prominent", "largest", "central", 0, 1])
def test_choice_is_that_of_brute_force(face):
    rng = np.random.default_rng(3)
    for _ in range(12):
        frames, longest = int(rng.integers(0, 60)), int(rng.integers(0, 6))
        numbers = np.cumsum(rng.random(frames) < 0.05)
        walks = np.cumsum(rng.normal(0, 4, (frames, 3, 2)), axis=0) + rng.uniform(0, 150, (3, 2))
        rows = [
            [at(*spot, side=20 * 1.3 ** rng.normal()) for spot in spots[rng.random(3) < 0.8]]
            + [at(*rng.uniform(0, 180, 2), side=rng.uniform(8, 60)) for _ in range(rng.integers(0, 3))]
            for spots in walks
        ]
        expected = brute_force(rows, numbers, SIZE, face, longest)
        assert tracking.choose(rows, numbers, SIZE, face=face, max_dropout=longest) == expected


def test_choice_takes_time_proportional_to_the_frames(monkeypatch):
    """Frame numbers visited in threads, and distances computed: twice as many for twice as many frames."""
    count = 0

    class Counted(dict):
        def __iter__(self):
            nonlocal count
            for key in super().__iter__():
                count += 1
                yield key

        def __reversed__(self):
            nonlocal count
            for key in super().__reversed__():
                count += 1
                yield key

    class Thread(tracking._Thread):
        def __init__(self, faces):
            super().__init__(Counted(faces))

        @property
        def last(self):
            nonlocal count
            count += 1
            return super().last

    def distance(a, b, measured=tracking._distance):
        nonlocal count
        count += 1
        return measured(a, b)

    monkeypatch.setattr(tracking, "_Thread", Thread)
    monkeypatch.setattr(tracking, "_distance", distance)

    def operations(frames: int) -> int:
        nonlocal count
        count, rng = 0, np.random.default_rng(0)
        rows = [[at(90), *(at(*rng.uniform(0, 2000, 2), side=5) for _ in range(2))] for _ in range(frames)]
        tracking.choose(rows, shots(frames), SIZE)
        return count

    few, many = operations(200), operations(400)
    assert few > 200
    assert many < 2.2 * few


def test_each_shot_chooses_for_itself():
    rows = [[at(20, side=40), at(100)]] * 3 + [[at(20), at(100, side=40)]] * 3
    assert [face.box.x1 for face in tracking.choose(rows, shots(3, 3), SIZE)] == [20] * 3 + [100] * 3


def test_threshold_refuses():
    assert tracking.choose([[at(5, score=0.5)], [at(5, score=0.51)]], shots(2), SIZE) == [None, at(5, score=0.51)]


@pytest.mark.parametrize("face", ["loudest", -1, 0.5])
def test_choices_that_are_none(face):
    with pytest.raises(ParameterError):
        tracking.choose([[]], shots(1), SIZE, face=face)


# -- gaps --------------------------------------------------------------------------------------------------------


def test_pass_leaves_the_frame_alone_and_keeps_the_refused_score():
    track = tracking.track([[at(10)], [at(10, score=0.3)]], [at(10), None], shots(2), SIZE, pads=(0, 0, 0, 0))
    assert track.provenance.tolist() == ["detected", "missing"]
    assert track.box(1) is None
    assert track.scores.tolist() == [0.9, 0.3]
    assert track.candidates[1].tolist() == [10, 20, 30, 40]


def test_interpolation_is_a_straight_line():
    track = made([at(10), None, None, None, at(50)], dropouts="interpolate")
    assert track.boxes[:, 0].tolist() == [10, 20, 30, 40, 50]
    assert track.provenance.tolist() == ["detected", *["interpolated"] * 3, "detected"]


def test_hold_keeps_the_last_box():
    track = made([None, at(10), None, None, at(50)], dropouts="hold")
    assert track.provenance.tolist() == ["missing", "detected", "held", "held", "detected"]
    assert track.boxes[1:, 0].tolist() == [10, 10, 10, 50]


@pytest.mark.parametrize("dropouts", ["hold", "interpolate"])
def test_nothing_is_filled_across_a_cut_or_for_too_long(dropouts):
    across = made([at(10), None, None, at(50)], shots(2, 2), dropouts=dropouts)
    assert across.provenance[2] == "missing"
    assert (across.provenance[1] == "held") == (dropouts == "hold")
    long = made([at(10), *[None] * 5, at(50)], dropouts=dropouts, max_dropout=4)
    assert (long.provenance[1:-1] == "missing").all()


def test_abort_names_the_frame():
    with pytest.raises(DetectionError, match=r"frame 2 \(0\.20 s\)"):
        made([at(10), at(10), None], dropouts="error", fps=10)
    assert (made([at(10)] * 3, dropouts="error").provenance == "detected").all()


@pytest.mark.parametrize("options", [{"dropouts": "guess"}, {"smoothing": "kalman"}])
def test_policies_that_do_not_exist(options):
    with pytest.raises(ParameterError, match=next(iter(options.values()))):
        made([at(1)], **options)


# -- pads and smoothing ------------------------------------------------------------------------------------------


def test_pads_are_cut_to_the_frame():
    track = made([at(0, 70), at(150)], pads=(5, 15, 10, 40))
    assert track.boxes.tolist() == [[0, 65, 60, 100], [140, 15, 200, 55]]


def test_pads_that_eat_the_face_leave_none():
    assert made([at(10)], pads=(-10, -10, 0, 0)).provenance.tolist() == ["missing"]


def test_centered_smoothing_against_brute_force():
    rng = np.random.default_rng(1)
    xs, numbers = rng.integers(10, 120, 30), shots(11, 19)
    track = made([at(float(x)) for x in xs], numbers, smoothing="centered")
    for frame in range(30):
        low, high = (0, 10) if frame < 11 else (11, 29)
        window = [xs[min(max(i, low), high)] for i in range(frame - 2, frame + 3)]
        assert abs(track.boxes[frame, 0] - np.mean(window)) <= 0.5


def test_centered_smoothing_does_not_reach_over_a_missing_frame():
    track = made([at(10), at(10), None, at(100), at(100)], smoothing="centered")
    assert track.boxes[[0, 1, 3, 4], 0].tolist() == [10, 10, 100, 100]


def test_upstream_smoothing_against_a_plain_twin():
    """The published loop, written out: forward, in place, in whole numbers, across the cut."""
    rng = np.random.default_rng(2)
    xs = rng.integers(10, 120, 12)
    boxes = np.array([[x, 20, x + 20, 40] for x in xs])
    for i in range(12):
        boxes[i] = np.mean(boxes[7:] if i + 5 > 12 else boxes[i : i + 5], axis=0)
    track = made([at(float(x)) for x in xs], shots(6, 6), smoothing="reference")
    assert track.boxes.tolist() == boxes.tolist()


def test_upstream_smoothing_of_fewer_frames_than_its_window():
    track = made([at(10), at(20), at(31)], smoothing="reference")
    assert track.boxes[:, 0].tolist() == [20, 23, 24]


# -- shots -------------------------------------------------------------------------------------------------------


def painted(seed):
    """A made picture with its own colours, 72 x 128."""
    rng = np.random.default_rng(seed)
    frame = np.full((72, 128, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(6):
        x, y = rng.integers(0, 100), rng.integers(0, 50)
        frame[y : y + 25, x : x + 30] = rng.integers(0, 255, 3)
    return frame


def test_cuts_between_pictures_and_nowhere_else():
    cuts = Shots(25)
    for seed, length in ((1, 9), (2, 5), (3, 7)):
        still = painted(seed)
        for index in range(length):
            moved = np.roll(still, index // 2 * 3, axis=1)  # a pan on twos is no cut
            cuts.add(moved)
    assert cuts.starts == [0, 9, 14]


def test_shot_numbers():
    assert shot_numbers([0, 3, 4], 6).tolist() == [0, 0, 0, 1, 2, 2]


def test_one_frame_is_one_shot():
    cuts = Shots(25)
    cuts.add(np.zeros((1, 1, 3), np.uint8))
    assert cuts.starts == [0]


# -- boxes given by hand -----------------------------------------------------------------------------------------


def manual_track(manual, chosen=None, **settings):
    faces = chosen or [Detection(Box(20.0 + n, 20, 60.0 + n, 70), 0.9) for n in range(9)]
    rows = [[] if face is None else [face] for face in faces]
    return tracking.track(rows, faces, np.zeros(9, int), (128, 96), manual=manual, **settings)


@pytest.mark.parametrize("smoothing", ["centered", "reference", "none"])
def test_a_manual_box_is_exact_and_leaves_its_neighbours_alone(smoothing):
    near, far = (
        manual_track({4: Box(*corners)}, smoothing=smoothing) for corners in ((1, 2, 31, 43), (90, 50, 99, 90))
    )
    assert near.provenance.tolist() == ["detected"] * 4 + ["manual"] + ["detected"] * 4
    assert near.boxes[4].tolist() == [1, 2, 31, 43]
    rest = np.arange(9) != 4
    np.testing.assert_array_equal(near.boxes[rest], far.boxes[rest])
    assert (near.boxes[rest, 3] == 80).all(), "padded"


def test_a_manual_box_is_cut_to_the_frame():
    assert manual_track({4: Box(-5, 50, 40, 200)}).boxes[4].tolist() == [0, 50, 40, 96]


@pytest.mark.parametrize("dropouts", ["hold", "interpolate"])
def test_boxes_beside_a_manual_one_meet_it_whatever_the_pads(dropouts):
    faces = [Detection(Box(20, 20, 60, 70), 0.9), *[None] * 8]
    manual = {4: Box(20, 20, 60, 60), 6: Box(20, 20, 60, 60)}
    track = manual_track(manual, faces, dropouts=dropouts, pads=(3, 10, 0, 0), smoothing="none")
    assert track.boxes[5].tolist() == [20, 20, 60, 60]
    assert track.provenance[5] == ("held" if dropouts == "hold" else "interpolated")
    if dropouts == "interpolate":
        assert track.boxes[:5, 3].tolist() == [80, 75, 70, 65, 60]


def test_a_frame_without_a_face_by_hand_is_not_filled():
    track = manual_track({4: None}, dropouts="interpolate", max_dropout=9)
    assert track.provenance.tolist() == ["detected"] * 4 + ["missing"] + ["detected"] * 4
    gone = manual_track({4: None}, [Detection(Box(20, 20, 60, 70), 0.9), *[None] * 7, None], dropouts="hold")
    assert gone.provenance.tolist() == ["detected"] + ["held"] * 3 + ["missing"] * 5
    assert manual_track({4: None}, dropouts="error").provenance[4] == "missing"


def test_boxes_between_two_key_boxes():
    boxes = tracking.between(Box(0, 0, 10, 10), Box(40, 8, 50, 30), 3)
    assert boxes == [Box(10, 2, 20, 15), Box(20, 4, 30, 20), Box(30, 6, 40, 25)]
    assert tracking.between(Box(0, 0, 10, 10), Box(40, 8, 50, 30), 0) == []
    with pytest.raises(ParameterError):
        tracking.between(Box(0, 0, 10, 10), Box(40, 8, 50, 30), -1)
