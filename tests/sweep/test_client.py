"""The client hands out every run once, keeps failures with their reasons, and goes on from the records."""

from __future__ import annotations

import html
import io
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import pytest
import torch
from clips import boxes, clip
from light_runs import job, record
from safetensors.torch import save_file

from lipsync_lab.errors import LipsyncError
from lipsync_lab.files import sha256
from lipsync_lab.metrics import controls, registry
from lipsync_lab.models import registry as registry_of_models
from lipsync_lab.models.restorer import MouthRestorer
from lipsync_lab.sweep import child, client, page, summary
from lipsync_lab.sweep.store import Store
from lipsync_lab.sweep.work import COMPLETE, FAILED, RECORDS, Job, failed, perform


@pytest.fixture
def planned(tmp_path: Path) -> client.Plan:
    store = Store(str(tmp_path / "out"))
    jobs = [job(number, store.address) for number in range(20)]
    return client.Plan(store, {each.run_id: each for each in jobs}, summary.known(store))


def worker(store: Store, did: Counter, fails: dict[str, list[dict]] = {}):  # noqa: B006
    """A task that writes a record, as a worker does, and answers with the failures that it is given first."""
    lock = threading.Lock()

    def task(text: str, run_id: str, timeout, memory) -> dict:
        with lock:
            did[run_id] += 1
            if fails.get(run_id):
                return fails[run_id].pop(0)
        made = record(Job.of_json(text), sharpness_loss=0.5)
        store.write(f"{RECORDS}/{run_id}.json", json.dumps(made).encode())
        return made

    return task


def test_an_id_is_of_content_and_of_no_path_and_no_name():
    base = job(1, "/here")
    assert (
        replace(base, clip=("s3://b/x.mp4", base.clip[1]), out="/there", name="n", device="cuda").run_id == base.run_id
    )
    for other in (
        replace(base, clip=(base.clip[0], "1" * 64)),
        replace(base, voice=(base.voice[0], "1" * 64)),
        replace(base, truth=("t", "1" * 64)),
        replace(base, weights={**base.weights, "version": "2"}),
        replace(base, settings={**base.settings, "feather": 0.2}),
        replace(base, domain=""),
    ):
        assert other.run_id != base.run_id
    assert Job.of_json(base.as_json()) == base


def test_a_restorer_counts_by_its_content(tmp_path, monkeypatch):
    """Two files of one content are one restorer, wherever they lie."""
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "a.mp4", 6)
    boxes(tmp_path / "boxes.json", [[30, 20, 90, 80]] * 6)
    torch.manual_seed(0)
    network = MouthRestorer(0.25)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        save_file(network.state_dict(), tmp_path / name / "r.safetensors", {"width": "0.25", "kind": "restorer"})
        network.last[-1].bias.data += 0.1
    shutil.copytree(tmp_path / "one", tmp_path / "same")

    def jobs(generator: str, *restorers: str) -> list[Job]:
        text = f"clips: a.mp4\ngenerators: {generator}\ndetectors: boxes.json\nout: out\n"
        (tmp_path / "sweep.yaml").write_text(f"{text}settings: {{restorer: [{', '.join(restorers)}]}}\n")
        planned = list(client.plan(tmp_path / "sweep.yaml", device="cpu").jobs.values())
        assert [Job.of_json(each.as_json()) for each in planned] == planned
        return planned

    first, other = jobs("identity", "one/r.safetensors", "same/r.safetensors", "other/r.safetensors")
    assert first.settings["restorer"] == str(tmp_path / "one" / "r.safetensors")
    assert first.weights["restorer"] == first.restorer[1] == sha256(tmp_path / "one" / "r.safetensors")
    assert other.weights["restorer"] == sha256(tmp_path / "other" / "r.safetensors")
    (plain,) = jobs("identity", "none")
    assert "restorer" not in plain.weights
    restored, none = jobs("wav2lip-lab", "mouth-restorer-lab", "none")
    assert restored.weights["restorer"] == registry_of_models.MODELS["mouth-restorer-lab"].sha256
    assert "restorer" not in none.weights
    # a worker restores by the file that was hashed, and by no other
    made = perform(first, tmp_path / "scratch")
    note = json.loads((tmp_path / "out" / "runs" / made["run_id"] / "run" / "run.json").read_text())
    assert note["generator"]["restorer"]["sha256"] == first.restorer[1]
    (tmp_path / "one" / "r.safetensors").write_bytes((tmp_path / "other" / "r.safetensors").read_bytes())
    with pytest.raises(LipsyncError, match="is another file"):
        perform(replace(first, out=str(tmp_path / "again")), tmp_path / "scratch")


def test_every_run_is_done_once_and_a_second_call_does_nothing(planned):
    did = Counter()
    with ThreadPoolExecutor(3) as pool:
        table = client.run(planned, pool, task=worker(planned.store, did), threads=lambda: 3)
        assert did == Counter(dict.fromkeys(planned.jobs, 1))
        again = replace(planned, table=summary.known(planned.store))
        client.run(again, pool, task=worker(planned.store, did))
    assert sum(did.values()) == 20
    assert sorted(table["run_id"]) == sorted(planned.jobs)
    written = pd.read_parquet(planned.store.local / "runs.parquet")
    assert set(written["status"]) == {COMPLETE}
    assert {metric.name for metric in registry.metrics()} | {*controls.UNITS} <= set(written)
    assert list(written["sharpness_loss"]) == [0.5] * 20
    assert written["line_art_loss"].isna().all()


def test_attempts_have_a_limit_and_a_wrong_input_gets_none(planned):
    crash, wrong, recovers = list(planned.jobs)[:3]
    lost = {"failed": "its process ended with code -11", "final": False, "seconds": 1.0}
    fails = {crash: [lost] * 9, wrong: [{"failed": "b.mp4: no picture", "final": True}], recovers: [lost]}
    did = Counter()
    with ThreadPoolExecutor(2) as pool:
        table = client.run(planned, pool, task=worker(planned.store, did, fails), limits=client.Limits(retries=2))
    assert (did[crash], did[wrong], did[recovers]) == (3, 1, 2)
    rows = table.set_index("run_id")
    assert rows.loc[crash, "reason"] == "its process ended with code -11 (3 attempts)"
    assert rows.loc[wrong, "reason"] == "b.mp4: no picture"
    assert Counter(rows["status"]) == {COMPLETE: 18, FAILED: 2}
    later = replace(planned, table=summary.known(planned.store))
    assert later.to_do() == []
    assert {each.run_id for each in later.to_do(again=True)} == {crash, wrong}


def test_records_count_and_not_the_table(planned, monkeypatch):
    """A table of the half, a damaged base, or none: the finished runs are those with a record."""
    jobs = list(planned.jobs.values())
    for each in jobs[:6]:
        planned.store.write(f"{RECORDS}/{each.run_id}.json", json.dumps(record(each)).encode())
    planned.store.write(f"{RECORDS}/{jobs[7].run_id}.json", b"{half")
    for table in (None, b"PAR1 damaged", jobs[3:7]):
        if isinstance(table, list):
            file = io.BytesIO()
            summary.table_of(map(record, table)).to_parquet(file, index=False)
            table = file.getvalue()
        if table:
            planned.store.write("runs.parquet", table)
        known = summary.known(planned.store)
        assert sorted(known["run_id"]) == sorted(each.run_id for each in jobs[:6])


def test_a_lost_worker_is_a_reason_and_a_lost_scheduler_ends_the_sweep(planned):
    class Lost:
        def __init__(self, error):
            self.error = error

        def submit(self, *_):
            future = Future()
            if self.error is None:
                future.cancel()
            else:
                future.set_exception(self.error)
            return future

    table = client.run(planned, Lost(RuntimeError("KilledWorker: 4 times")))
    assert set(table["reason"]) == {"lost with its worker (RuntimeError: KilledWorker: 4 times)"}
    empty = replace(planned, jobs={"x": job(99, planned.store.address)})
    with pytest.raises(LipsyncError, match="the scheduler is gone"):
        client.run(empty, Lost(None))


def test_what_an_earlier_client_left_to_the_workers_is_waited_for(planned, monkeypatch):
    monkeypatch.setattr(client, "_PAUSE", 0.01)
    left, did, answers = list(planned.jobs)[4], Counter(), iter([True, True, True])
    order = []

    def busy() -> set[str]:
        return {left} if next(answers, False) else set()

    task = worker(planned.store, did)
    with ThreadPoolExecutor(1) as pool:
        client.run(planned, pool, task=lambda *args: order.append(args[1]) or task(*args), busy=busy)
    assert order[-1] == left
    assert set(did.values()) == {1}


def plain(text: str, run_id: str, timeout, memory) -> dict:
    """A task without a state, which can be sent to another process."""
    return record(Job.of_json(text))


def test_a_dask_cluster_is_an_executor(planned):
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        client.dask_workers(cluster.scheduler_address) as (dask, pool),
    ):
        dask.wait_for_workers(2, timeout=30)
        assert (client.slots(dask), client.orphans(dask)) == (2, set())
        table = client.run(planned, pool, task=plain, threads=lambda: client.slots(dask))
    assert set(table["run_id"]) == set(planned.jobs)
    with pytest.raises(LipsyncError, match="cannot be reached"), client.dask_workers("nothing at all"):
        pass


def test_an_estimate_is_of_measured_seconds_or_says_that_it_guesses(planned):
    assert planned.estimate(planned.to_do())[0] == 20 * client.GUESS
    assert "guess" in planned.estimate(planned.to_do())[1]
    slow = {**record(job(50, "o", generator="cel")), "seconds": 10.0}
    known = replace(planned, table=summary.table_of([record(job(51, "o")), slow]))
    assert known.estimate([job(1, "o"), job(2, "o", generator="cel"), job(3, "o", generator="new")])[0] == 2 + 10 + 6


def test_a_process_is_ended_for_its_time_its_memory_and_its_death():
    text = "no job"
    answers = [child.do(text, "a", timeout=0.01), child.do(text, "a", memory=0.001)]
    assert [answer["final"] for answer in answers] == [False, False]
    assert answers[0]["failed"] == "timed out after 0.01 s"
    assert "GB of memory, and the limit is 0.001 GB" in answers[1]["failed"]
    killed = []

    def kill() -> None:
        while not child._children:
            time.sleep(0.01)
        killed.extend(child._children)
        os.kill(killed[0]._process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    answer = child.do(text, "a")
    thread.join()
    assert answer["failed"].startswith("its process ended with code -9")
    assert child.running() == []
    assert not Path(killed[0]._scratch).exists()


def test_the_page_is_in_pages_and_escapes_what_it_shows(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PER_PAGE", 8)
    planted = "<script>alert(1)</script>"
    jobs = [replace(each, name=planted, clip=(f"/{planted}", each.clip[1])) for each in planned.jobs.values()]
    records = [record(each, sharpness_loss=number / 10) for number, each in enumerate(jobs)]
    records[3] = failed(jobs[3], f"reason {planted}", 1.0)
    names = page.write(planned.store, summary.table_of(records), 21)
    assert names == ["index.html", "index-2.html", "index-3.html"]
    pages = [(planned.store.local / name).read_text(encoding="utf-8") for name in names]
    for text in pages:
        assert planted not in text
        assert "default-src 'none'" in html.unescape(text)
    assert "19 of 21 runs complete, 1 failed" in pages[0]
    assert sum(text.count("/run/output.mp4") for text in pages) == 19
    first = pages[0][pages[0].index('<table class="sortable">') :]
    assert first.index("failed: reason") < first.index(">complete<")  # the failed run comes first
    page.write(planned.store, summary.table_of(records[:2]), 2)
    assert [name for name in planned.store.names("") if name.startswith("index")] == ["index.html"]


def test_medians_are_over_clips_by_generator_and_domain():
    rng = np.random.default_rng(0)
    records, by_hand = [], {}
    for number in range(24):
        generator, domain = ("identity", "cel")[number % 2], ("animation", "live_action")[number // 2 % 2]
        each = job(number // 4, "o", generator, domain)
        each = replace(each, settings={**each.settings, "crf": number})
        value = float(rng.random())
        records.append(record(each, sharpness_loss=value))
        by_hand.setdefault((generator, domain), {}).setdefault(number // 4, []).append(value)
    table = page.medians(summary.table_of(records)).set_index(["generator", "domain", "metric"])
    for (generator, domain), clips in by_hand.items():
        row = table.loc[generator, domain, "sharpness_loss"]
        assert row["value"] == pytest.approx(np.median([np.mean(values) for values in clips.values()]))
        assert row["n"] == len(clips)
