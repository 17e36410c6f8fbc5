"""Evaluated clips: matched pairs, and the tables and findings of two made-up evaluations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import evaluation, runs, samples
from lipsync_lab.detection import Detection
from lipsync_lab.detection.detections import Detections, write_detections
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import answers, comparison, findings, networks, study
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio
from lipsync_lab.metrics import failures
from lipsync_lab.models import registry

NAN = float("nan")
FRAMES = 88
HELLO = ("animation_hello", "astronaut_hello")
NULLS = ("dubbed", "shifted_audio", "shuffled_audio", "silent_audio", "untouched_source")


def examination(name: str, missed: list[int], blur: float) -> evaluation.Evaluation:
    """A mouth a frame, save where it was missed; open as in the ground truth; every second frame holds its drawing."""
    number = np.arange(FRAMES)
    ground_truth = ground_truth_of(samples.path(name))
    gone = np.isin(number, missed)
    frames = pd.DataFrame(
        {
            "time": number / 25,
            "shot": 0,
            "best_score": np.where(gone, 0.2, 0.9) - number / 1000,
            "missed_detection": gone.astype(float),
            "cause": np.where(gone, "profile", ""),
            "cause_value": np.where(gone, 80.0, NAN),
            "sharpness_loss": np.where(gone, NAN, blur + number / 1000),
            "background_change": 0.5,
            "drawing": number // 2,
            "held": np.where(number, (number % 2).astype(float), NAN),
            "mouth": np.where(gone, NAN, number),
            "mouth_change_during_hold": np.where((number % 2 == 1) & ~gone, 1.0, NAN),
            "mouth_openness": np.where(gone, NAN, 1 - ground_truth["openness"]),
            "mouth_openness_source": ground_truth["openness"],
            **dict.fromkeys(("false_positives", "occluded", "luma", "contrast", "motion", "since_cut"), NAN),
            "yaw": np.where(gone, 80.0, 3.0),
            "face_size": 150.0,
        },
        index=pd.Index(number, name="frame"),
    )
    values = {"dubbed": 0.4, "shuffled_audio": 0.1, "shifted_audio": -0.1, "silent_audio": NAN, "untouched_source": 0.9}
    scores = pd.DataFrame([("openness_correlation", given, values[given], 1.0, "") for given in NULLS])
    scores.columns = ["score", "input", "value", "covered", "reason"]
    curves = pd.DataFrame(columns=["offset", "distance", "windows", "network", "input"])
    about = {"sync_expert": {"name": "syncnet-lab", "absent": "not here"}, "lse": {"name": "own", "sha256": "77"}}
    about["mouth_openness"] = {"name": None, "absent": "none was asked for", "closed": 0.3}
    return evaluation.Evaluation(frames, scores, curves, about)


def a_run(folder: Path, name: str, missed: list[int]) -> runs.Run:
    """A run that put the clip back as it was."""
    folder.mkdir(parents=True)
    clip = samples.path(name)
    shutil.copyfile(clip, folder / clip.name)
    file = {"file": str(clip), "sha256": samples.get(name).sha256}
    info = {
        "output": clip.name,
        "settings": {},
        "clip": file | {"fps": "25"},
        "voice": file,
        "generator": {"provenance": "nothing: puts back what it was given", "sha256": None},
        "detector": {"name": "by hand"},
        "device": "cpu",
        "versions": {"lipsync_lab": "0"},
    }
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    number = np.arange(FRAMES)
    gone = np.isin(number, missed)
    columns = {"x1": 100.0, "y1": 120.0, "x2": 300.0, "y2": 300.0}
    ledger = pd.DataFrame(
        {"frame": number, "mouth_generated": ~gone, **{k: np.where(gone, NAN, v) for k, v in columns.items()}}
    )
    ledger.to_csv(folder / "ledger.csv", index=False)
    boxes = [[] if at in missed else [Detection(Box(127, 131, 283, 275 + at / 100), 0.9)] for at in range(FRAMES)]
    write_detections(folder / "detections.json", Detections(tuple(boxes), detector=info["detector"]))
    return runs.Run(folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[evaluation.evaluated.EvaluatedCase]:
    home, out = tmp_path_factory.mktemp("runs"), []
    for case, missed, blur in zip(evaluation.cases.read(HELLO), (list(range(10, 40)), []), (0.5, 0.2), strict=True):
        run = a_run(home / case.name, case.name, missed)
        out.append(
            evaluation.evaluated.EvaluatedCase(case, run, examination(case.name, missed, blur), "the same sound")
        )
    return out


@pytest.fixture(scope="module")
def table(results) -> pd.DataFrame:
    return evaluation.evaluated.frames(results)


def test_cases_have_names_of_their_own_and_their_samples_domains():
    cases = evaluation.cases.read(
        ["animation_hello", "a b/c d.mp4", "else/C D.mkv", "animation_hello"], ["voice_umbrella"]
    )
    assert [case.name for case in cases] == ["animation_hello", "c_d", "C_D-2", "animation_hello-2"]
    assert [case.domain for case in cases] == ["animation", "", "", "animation"]
    assert {case.voice for case in cases} == {"voice_umbrella"}
    assert evaluation.cases.read(["animation_hello"])[0].voice == "animation_hello"


@pytest.mark.parametrize(
    ("clips", "voices", "word"), [([], [], "no clips"), (["a", "b", "c"], ["x", "y"], "2 voices for 3")]
)
def test_clips_and_voices_that_do_not_match_are_refused(clips, voices, word):
    with pytest.raises(ParameterError, match=word):
        evaluation.cases.read(clips, voices)


def test_no_name_is_the_default_of_the_pipeline():
    from lipsync_lab.pipeline import Pipeline

    plain, named = Pipeline(), evaluation.evaluated.pipeline_of(None, None, {"threshold": 0.25})
    assert (named.generator.name, named.detector.name) == (plain.generator.name, plain.detector.name)
    assert named.settings.threshold == 0.25
    assert evaluation.evaluated.pipeline_of("identity").generator.name == "identity"


def test_examine_hears_the_same_sentence_from_two_files(tmp_path, monkeypatch):
    asked = []

    def evaluate(run, **given):
        asked.append(given)
        return examination(run.folder.name, [], 0.1)

    monkeypatch.setattr(evaluation.evaluated, "evaluate", evaluate)
    monkeypatch.setitem(registry.MODELS, networks.SYNC_EXPERT, None)
    monkeypatch.delitem(registry.MODELS, networks.DISCRIMINATOR, raising=False)
    cases = evaluation.cases.read([*HELLO, "animation_baker"])
    made = {case.name: a_run(tmp_path / case.name, case.name, []) for case in cases[:2]}
    with pytest.raises(ParameterError, match="no run of animation_baker"):
        evaluation.evaluated.evaluate_cases(cases, made)
    first, second = evaluation.evaluated.evaluate_cases(cases[:2], made)
    assert first.sound == second.sound
    # a network that is not bundled is not asked for
    domains = ("animation", "synthetic_photo")
    assert asked == [
        {"sync_expert": networks.SYNC_EXPERT, "discriminator": None, "domain": domain} for domain in domains
    ]
    other = audio.load(samples.path("animation_baker"))
    assert other.tobytes() != audio.load(samples.path("animation_hello")).tobytes()


def test_pairs_are_one_drawn_one_photographic_and_one_sound(results):
    drawn, photo = results
    assert evaluation.evaluated.pairs(results) == {"animation_hello | astronaut_hello": HELLO}
    assert evaluation.evaluated.pairs([drawn, drawn]) == {}
    other = evaluation.evaluated.EvaluatedCase(photo.case, photo.run, photo.evaluation, "another")
    assert evaluation.evaluated.pairs([drawn, other]) == {}
    assert set(evaluation.evaluated.frames([drawn, other])["pair"]) == {""}


def test_frames_are_all_there_and_say_whose_they_are(table):
    assert table.columns[:4].tolist() == ["clip", "domain", "pair", "frame"]
    assert len(table) == 2 * FRAMES
    assert table.groupby("clip")["domain"].unique().map(list).to_dict() == {
        "animation_hello": ["animation"],
        "astronaut_hello": ["synthetic_photo"],
    }
    assert set(table["pair"]) == {"animation_hello | astronaut_hello"}


def test_misses_in_numbers(table):
    numbers = evaluation.tables.missed(table)
    assert numbers.loc["animation_hello"].tolist() == ["animation", 88, 30, 30 / 88, 1, 30]
    assert numbers.loc["astronaut_hello"].tolist() == ["synthetic_photo", 88, 0, 0, 0, 0]
    why = evaluation.tables.missed_detection_causes(table).set_index(["domain", "cause"])["misses"]
    assert why["animation", "profile"] == 30
    assert why.sum() == 30


def test_a_clip_without_a_face_misses_none(table):
    nobody = table[table["clip"] == "animation_hello"].assign(clip="nobody", missed_detection=NAN, cause="", pair="")
    numbers = evaluation.tables.missed(pd.concat([nobody, table], ignore_index=True))
    assert numbers.loc["nobody", ["frames", "missed_detection", "runs", "longest"]].tolist() == [0, 0, 0, 0]
    assert np.isnan(numbers.loc["nobody", "share"])
    assert evaluation.tables.missed(nobody).loc["nobody", "runs"] == 0
    assert set(evaluation.examples.hardest(pd.concat([nobody, table], ignore_index=True))["clip"]) == set(HELLO)


def test_the_recorded_detector_is_counted_as_the_study_counts_it():
    numbers = evaluation.tables.missed(evaluation.tables.recorded())
    boxes = json.loads(study.PATH.read_text(encoding="utf-8"))
    assert numbers["missed_detection"].to_dict() == {
        clip: result["boxes"].count(None) for clip, result in boxes.items()
    }
    assert (numbers["missed_detection"].sum(), numbers["frames"].sum()) == (284, 1563)
    # by text: a letter a frame
    strips = {clip: "".join("x" if box is None else " " for box in result["boxes"]) for clip, result in boxes.items()}
    assert numbers["longest"].to_dict() == {
        clip: max(map(len, strip.split())) if "x" in strip else 0 for clip, strip in strips.items()
    }
    assert numbers["runs"].to_dict() == {clip: len(strip.split()) for clip, strip in strips.items()}


def test_the_recorded_misses_have_causes_and_were_looked_at():
    recorded = evaluation.tables.recorded()
    assert recorded[["luma", "contrast"]].notna().all().all()
    why = evaluation.tables.missed_detection_causes(recorded).set_index("cause")
    assert why["misses"].sum() == 284
    # counted here from the bundled numbers themselves
    pixels = pd.read_csv(study.PIXELS)
    gone = pixels[~study.frames()["detected"].to_numpy()]
    assert why.loc["dark", "among_missed"] == (gone["luma"] < 45).mean()
    assert why.loc["motion", "among_missed"] == pytest.approx((gone["motion"].dropna() >= 12).mean())
    views = evaluation.tables.missed_views()
    assert views["frames"].sum() == 284
    assert (
        views["dropouts"].to_dict()
        == evaluation.tables.missed(recorded).query("missed_detection > 0")["runs"].to_dict()
    )
    assert set(views["view"]) <= {"front", "three-quarter", "profile", "from behind"}
    # each labelled dropout is one of the record's
    for row in study.views().itertuples():
        detected = study.frames(row.clip)["detected"].tolist()
        assert not any(detected[row.first : row.last + 1])
        assert [detected[at] for at in (row.first - 1, row.last + 1) if 0 <= at < len(detected)].count(False) == 0


def test_failing_counts_only_where_it_can_be_told(table):
    shares = evaluation.tables.failing(table).set_index(["kind", "domain"])
    assert shares.loc[("missed detection", "animation"), ["covered", "frames"]].tolist() == [88, 30]
    assert shares.loc[("sharpness loss", "animation"), ["covered", "frames", "share"]].tolist() == [58, 58, 1]
    # 0.2 and a thousandth a frame: nowhere above 0.35
    assert shares.loc[("sharpness loss", "synthetic_photo"), ["covered", "frames"]].tolist() == [88, 0]
    assert shares.loc[("boundary artifact", "animation"), "covered"] == 0
    assert np.isnan(shares.loc[("boundary artifact", "animation"), "share"])
    assert len(shares) == 2 * len(failures.KINDS)


def test_examples_are_the_worst_frames_apart_from_each_other(results):
    shown = evaluation.examples.examples(results, "sharpness loss", most=2)
    assert [(result.clip, result.frame) for result in shown] == [
        *(("animation_hello", frame) for frame in (87, 75)),
        *(("astronaut_hello", frame) for frame in (87, 75)),
    ]
    assert shown[0].value == pytest.approx(0.587)
    counts = results[0].evaluation.frames["sharpness_loss"].dropna()
    assert (shown[0].failing, shown[0].frames) == (
        (counts > failures.kind("sharpness loss").threshold).sum(),
        len(counts),
    )
    assert shown[0].source.shape == shown[0].output.shape == (240, 260, 3)  # the box and 15 % of its width on each side
    assert np.array_equal(shown[0].source, shown[0].output)
    whole = evaluation.examples.examples(results[:1], "background change")[0]
    assert whole.kind == failures.kind("background change")
    assert whole.source.shape == whole.output.shape == (384, 384, 3)  # what it measures lies outside of the box
    assert evaluation.examples.examples(results, "boundary artifact") == []
    with pytest.raises(ParameterError, match="unknown kind"):
        evaluation.examples.examples(results, "ugliness")


def test_where_nothing_was_drawn_the_whole_frame_is_shown(results):
    result = results[0]
    frames = result.evaluation.frames.assign(background_change=np.where(result.evaluation.frames.index == 20, 1.0, 0.0))
    changed = evaluation.Evaluation(
        frames, *(getattr(result.evaluation, name) for name in ("scores", "curves", "about"))
    )
    shown = evaluation.examples.examples(
        [evaluation.evaluated.EvaluatedCase(result.case, result.run, changed, "")], "background change"
    )
    assert [(example.frame, example.source.shape) for example in shown] == [(20, (384, 384, 3))]


def test_the_hardest_frames_are_missed_ones_before_found_ones(table):
    hard = evaluation.examples.hardest(table, most=3)
    assert hard[["clip", "frame"]].to_numpy().tolist() == [
        *(["animation_hello", frame] for frame in (39, 27, 15)),
        *(["astronaut_hello", frame] for frame in (87, 75, 63)),
    ]


def test_proposals_are_the_candidates_of_the_chosen_frames(results, table):
    chosen = evaluation.examples.hardest(table, most=1)
    lists = {clip: {frame: [f"{clip} {frame}"] for frame in range(FRAMES)} for clip in HELLO}
    images, proposed = evaluation.examples.proposals(results, {"own": lists}, chosen)
    assert list(images) == ["animation_hello 39", "astronaut_hello 87"]
    assert proposed == {"own": [[name] for name in images]}
    assert np.array_equal(images["astronaut_hello 87"], results[1].pictures(87)[0])


class Seer:
    """Finds the true face in the frames of one kind of clip alone."""

    name, identity, reads_pixels = "seer", {}, True

    def detect(self, frames, first=0):
        sure = 0.9 if frames[0, 0, 0].mean() > 200 else 0.4
        return [[Detection(Box(127, 131, 283, 275), sure)] for _ in frames]


def test_several_detectors_look_at_the_same_frames(results, monkeypatch):
    from lipsync_lab import detection

    monkeypatch.setattr(detection, "load", lambda name, device: Seer())
    candidates = evaluation.examples.detect_frames(results, ["seer", None])
    assert list(candidates) == ["seer"]  # named twice, it looks once
    assert {clip: list(rows) for clip, rows in candidates["seer"].items()} == dict.fromkeys(HELLO, list(range(FRAMES)))
    recall = evaluation.examples.recall(results[:1], candidates)
    score = candidates["seer"]["animation_hello"][0][0].score
    share = recall.set_index("threshold")["recall"]
    assert share[0.0] > 0.9  # the head hardly moves
    assert share[share.index >= score].eq(0).all()
    assert recall["frames"].eq(FRAMES).all()


def test_a_few_frames_stand_for_all_and_the_runs_own_detector_does_not_look_again(results, monkeypatch):
    from lipsync_lab import detection

    class Own(Seer):
        name = "by hand"

        def detect(self, frames, first=0):
            raise AssertionError("what it found is recorded")

    monkeypatch.setattr(detection, "load", lambda name, device: {"own": Own(), "seer": Seer()}[name])
    also = pd.DataFrame({"clip": ["animation_hello"], "frame": [7]})
    candidates = evaluation.examples.detect_frames(results[:1], ["own", "seer"], frame_step=10, also=also)
    numbers = sorted({*range(0, FRAMES, 10), 7})
    for by_clip in candidates.values():
        assert list(by_clip["animation_hello"]) == numbers
    [seventh] = candidates["by hand"]["animation_hello"][7]
    assert seventh.box.y2 == pytest.approx(275.07)
    # each frame is compared with its own row of the ground truth
    ground_truth = ground_truth_of(results[0].face)
    exact = {
        n: [Detection(Box(*ground_truth.loc[n, [f"face_{s}" for s in ("x1", "y1", "x2", "y2")]]), 0.8)] for n in numbers
    }
    recall = evaluation.examples.recall(results[:1], {"exact": {"animation_hello": exact}}).set_index("threshold")
    assert recall.loc[0.5, ["recall", "frames", "false_positives"]].tolist() == [1, len(numbers), 0]


def test_another_detectors_misses_are_its_own_and_have_causes(results):
    ground_truth = ground_truth_of(results[0].face)
    numbers = [0, 20, 40, 60]
    box = Box(*ground_truth.loc[0, ["face_x1", "face_y1", "face_x2", "face_y2"]])
    right, unsure, beside = Detection(box, 0.9), Detection(box, 0.3), Detection(Box(0, 0, 20, 20), 0.9)
    lists = [[right], [unsure], [], [beside]]
    candidates = {"other": {"animation_hello": dict(zip(numbers, lists, strict=True))}}
    missed = evaluation.examples.missed_by(results[:1], candidates, 0.5)["other"]
    assert missed["frame"].tolist() == numbers
    assert missed["missed_detection"].tolist() == [0, 1, 1, 1]
    # the frames 10 to 39 are turned away, as this clip's table has it
    assert missed["cause"].tolist() == ["", "profile", "unexplained", "unexplained"]
    assert evaluation.examples.missed_by(results[:1], candidates, 0.2)["other"]["missed_detection"].tolist() == [
        0,
        0,
        1,
        1,
    ]
    why = evaluation.tables.missed_detection_causes(missed).set_index("cause")["misses"]
    assert (why["profile"], why["unexplained"]) == (1, 2)
    # a second detector that misses the third frame alone: two miss that
    lists = [[right], [right], [], [right]]
    candidates["second"] = {"animation_hello": dict(zip(numbers, lists, strict=True))}
    both = evaluation.examples.missed_by(results[:1], candidates, 0.5)
    hard = evaluation.examples.hardest_of_all(both, candidates, most=2)
    assert hard["frame"].tolist() == [40, 20]  # then the one with the lowest score of any detector
    assert hard["missed_detection"].tolist() == [2, 1]


def test_recall_of_a_domain_counts_clips_by_their_frames(results):
    drawn, photo = results
    as_drawn = evaluation.evaluated.EvaluatedCase(
        evaluation.cases.Case("astronaut_hello", "astronaut_hello", "", "animation"),
        photo.run,
        photo.evaluation,
        "",
    )
    truths = {result.case.name: ground_truth_of(result.face) for result in results}
    boxes = {
        name: [
            [Detection(Box(*row), 0.8)]
            for row in ground_truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy().tolist()
        ]
        for name, ground_truth in truths.items()
    }
    boxes["astronaut_hello"] = [[] for _ in boxes["astronaut_hello"]]
    by_frame = {name: dict(enumerate(lists)) for name, lists in boxes.items()}
    recall = evaluation.examples.recall([drawn, as_drawn], {"exact": by_frame}).set_index("threshold")
    assert recall.loc[0.5, ["recall", "frames", "false_positives"]].tolist() == [0.5, 2 * FRAMES, 0]


def test_openness_curves_hold_the_source_and_nulls_beside_the_output(results):
    curves = evaluation.tables.openness_curves(results)
    at_zero = curves[curves["offset"] == 0].set_index(["clip", "input"])["correlation"]
    for clip in HELLO:
        assert at_zero[clip, "source"] > 0.5
        assert at_zero[clip, "output"] < 0  # made up as the source's opposite
        assert abs(at_zero[clip, "shuffled_audio"]) < 0.4
    assert evaluation.tables.sync_curves(results).empty


def test_closures_are_those_of_the_ground_truth(results):
    sounds = evaluation.tables.bilabial_closures(results)
    ground_truth = ground_truth_of(samples.path("animation_hello"))["phoneme"].fillna("").tolist()
    spoken = [
        result
        for number, result in enumerate(ground_truth)
        if result[:1] in {*"mbp"} and (not number or ground_truth[number - 1] != result)
    ]
    of_source = sounds.query("clip == 'animation_hello' and input == 'source'")
    assert of_source["symbol"].tolist() == spoken
    assert spoken
    assert of_source["closed"].all()
    assert not sounds.query("input == 'output'")["closed"].any()
    for row in of_source.itertuples():
        assert set(ground_truth[row.first : row.last + 1]) == {row.symbol}


def test_another_voice_has_no_closures_in_this_ground_truth(results, tmp_path):
    result = results[0]
    run = a_run(tmp_path / "other", "animation_hello", [])
    info = run.info | {"voice": {"file": "x", "sha256": "another"}}
    (run.folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    assert evaluation.tables.bilabial_closures(
        [evaluation.evaluated.EvaluatedCase(result.case, run, result.evaluation, "")]
    ).empty


def test_mouths_that_were_seen_from_beginning_to_end(results):
    table = evaluation.tables.mouths(results)
    assert table["ms"].to_numpy() == pytest.approx(40)
    # the first and last of the clip, and those beside the miss, may have stood longer
    assert table.groupby("clip").size().to_dict() == {"astronaut_hello": 86, "animation_hello": 54}
    beat = evaluation.tables.cadence_summary(results)
    assert beat.loc["astronaut_hello", ["drawings_per_second", "mouths_per_second"]].tolist() == pytest.approx(
        [12.5, 25]
    )


def test_overview_and_provenance_say_everything_once(results):
    table = evaluation.tables.overview(results)
    assert table.loc[
        "animation_hello", ["frames", "missed_detection", "mouths_generated", "mouth_change_during_hold"]
    ].tolist() == [88, 30, 58, 1]
    correlations = ["openness_correlation", "openness_correlation_shuffled_audio"]
    assert table.loc["animation_hello", correlations].tolist() == [0.4, 0.1]
    assert table.loc["animation_hello", "sharpness_loss"] > 0.5
    assert "syncnet_distance_at_zero" not in table  # measured nowhere
    assert "boundary_artifact" not in table
    facts = evaluation.tables.provenance(results)["value"]
    assert facts["generator"] == "nothing: puts back what it was given; SHA-256 none"  # once for both
    assert facts["network: sync_expert"] == "syncnet-lab: not here"
    assert facts["network: lse"] == "own: 77"
    for clip in HELLO:
        assert facts[f"{clip}: voice"] == f"SHA-256 {samples.get(clip).sha256}"


def test_loudness_is_a_number_a_frame(results):
    level = evaluation.tables.loudness(results[0])
    assert level.shape == (FRAMES,)
    assert level.max() < 0
    assert level.min() < -40


def test_findings_are_the_numbers(results, table):
    text = findings.of_misses(table, evaluation.tables.recorded())
    assert "animation: the detector missed the face in **30 of 88** frames" in text
    assert "synthetic photo: the detector missed the face in **0 of 88** frames" in text
    assert "false positive" not in text  # without ground truth
    strange = table.assign(false_positives=np.where(table["frame"] < 5, 2.0, np.where(table["frame"] < 80, 0.0, NAN)))
    counted = findings.of_misses(strange, evaluation.tables.recorded())
    assert "- animation: 5 of 80 frames with ground truth have a false positive." in counted
    assert "- 30 of 30 missed frames have a cause, by ground truth or pixel statistics" in text
    assert "the longest dropout lasts 76 frames; 6 of 23 dropouts are longer than 12 frames, the" in text
    assert "**284 of 1563** frames (18.2%) of 10 clips of animation. 6 of the clips have a miss" in text
    text = findings.of_mouths(results, pd.Series([True, False]))
    assert "animation: most common is **sharpness loss**, in 58 of the 58 frames" in text
    assert "synthetic photo: no metric of the picture passes its threshold" in text
    assert "1 of 2 injected artifacts" in text
    text = findings.of_timing(results)
    assert "the correlation of mouth openness and loudness is **0.40**; with shuffled audio 0.10" in text
    assert "mouth of the output closes 0 of" in text
    assert "- astronaut_hello: mouth changes during holds are measured in animation only." in text
    assert "the source has 12.5 drawings a second, the output 25.0 mouths a second" in text
    assert "the mouth changes in **100%** of the held frames" in text


def test_answers_are_the_numbers_of_the_runs(results, table):
    text = answers.of_misses(table, evaluation.tables.recorded())
    assert "misses the face in 30 of 88 frames of animation and 0 of 88 frames of synthetic photo." in text
    here, recorded = text.split("\n\n")
    lengths = evaluation.tables.dropouts(table)["length"]
    assert f"The longest of {len(lengths)} dropout" in here
    assert f"lasts **{lengths.max():.0f} frames** (animation_hello)" in here
    assert "S3FD misses 284 of 1563 frames of 10." in recorded
    share = study.detector_table().query("domain == 'animation'").set_index("detector")["recall"]
    assert f"finds {share['auto-without-yunet']:.0%} of the faces of 12 labelled clips" in recorded
    assert len(recorded) < len(here) * 1.5
    nothing = answers.of_misses(table.query("domain != 'animation'"), evaluation.tables.recorded())
    assert "dropout" not in nothing
    text = answers.of_mouths(results)
    assert "in 2 bundled samples (1 of animation and 1 of synthetic photo)" in text
    assert "sharpness loss in 58 of 58 frames of animation and none in synthetic photo." in text
    text = answers.of_timing(results)
    shares = table["mouth_change_during_hold"].dropna()
    assert f"changes in **{shares.sum():.0f} of {len(shares)}** held frames" in text
    assert all(answer.startswith("> **Answer.** ") for answer in (text, answers.of_mouths(results)))


def test_the_answer_on_timing_gives_r_and_says_where_it_is_too_weak(results):
    text = answers.of_timing(results)
    for result in results:
        assert f"{result.evaluation.score('openness_correlation'):.2f} in {result.case.name}" in text
    assert "; higher is better)" in text
    assert "Sync is shown from a correlation of 0.65 on, which none of 2 reach." in text


def test_the_answer_on_timing_names_the_clips_in_which_a_control_fits_as_well():
    own = pd.Series({"a": 0.27, "b": 0.11, "c": 0.7, "d": 0.5})
    text = answers._correlations(own, own > pd.Series({"a": 0.1, "b": 0.2, "c": 0.1, "d": 0.5}))
    assert text == (
        " (correlation 0.70 in c to 0.11 in b; higher is better). A control fits as well or better, which is bad, in b "
        "and d. Sync is shown from a correlation of 0.65 on, which 1 of 4 reaches"
    )


def test_findings_of_domains_name_the_misses_and_what_cannot_be_tested(results, table):
    text = findings.of_domains(results, comparison.matched(table)).splitlines()
    assert text[0] == "- 1 matched pair; animation is compared with synthetic photo."
    assert text[1] == "- animation: the detector missed the face in **30 of 88** frames that show one."
    assert text[3] == "- n = 1 pair: too few for an interval or a test."
    assert not any("Worse" in line for line in text)


def test_points_are_explained_where_there_are_some():
    effects = pd.DataFrame({"low": [0.1, NAN], "n": [8, 2]})
    assert "A filled point has an adjusted p value of at most 0.05." in findings.on_points(effects)
    assert findings.on_points(effects[1:]) == "These pairs are too few for an interval or a p value."
    assert findings.on_points(effects.assign(low=NAN, n=0)) == "There is no pair."


def test_findings_of_effects_name_what_is_worse_on_either_side():
    rows = [
        (f"p{i}", metric, other + step + i / 100, other)
        for i in range(8)
        for metric, other, step in (
            *(("boundary_artifact", 2.0, 1.0), ("colour_shift", 5.0, -1.0), ("line_art_loss", 0.5, -0.03)),
            *(("ghosting", NAN, 0.0), ("sharpness_loss", 0.1, 0.3)),
        )
    ]
    pairs = pd.DataFrame(rows, columns=["pair", "metric", "animation", "live_action"])
    better, worse, *rest = findings.of_effects(comparison.matched(pairs, by_construction={"sharpness_loss"}))
    numbers = "3.03 against 2 grey levels (difference +1.03, 95 % CI 1.01 to 1.06, n = 8)"
    assert better == f"- Worse in animation: **boundary artifact** {numbers}."
    assert worse.startswith("- Worse in live action: **colour shift** 4.04 against 5 CIEDE2000 (difference -0.965, ")
    assert rest[0] == "- Not established: line-art loss (adjusted p above 0.05)."
    assert "The unit is the pair. p values are adjusted for the 4 metrics" in rest[1]
    assert rest[2] == "- Satisfied by construction, and no finding: sharpness loss."
    assert rest[3] == "- Not compared, since no pair has a value on both sides: ghosting."
