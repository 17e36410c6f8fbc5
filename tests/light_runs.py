"""Runs that take no time, for tests of a sweep in several processes: a task, and a client as a program."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from lipsync_lab.settings import Settings
from lipsync_lab.sweep import child, client, summary
from lipsync_lab.sweep.store import Store, locked
from lipsync_lab.sweep.work import COMPLETE, RECORDS, Job, failed


def job(number: int, out: str, generator: str = "identity", domain: str = "animation") -> Job:
    settings = json.loads(json.dumps(Settings(audio_offset=0).as_dict()))
    clip = (f"/clips/{number}.mp4", f"{number:064d}")
    return Job(
        clip=clip,
        voice=clip,
        truth=None,
        generator=(generator, ""),
        detector=("lbp", ""),
        settings=settings,
        domain=domain,
        pair="",
        name=f"{number}.mp4",
        weights={"generator": generator, "version": "1"},
        out=out,
    )


def record(of: Job, **metrics: float) -> dict:
    return {**failed(of, "", 2.0), "status": COMPLETE, "frames": 25, "device": "cpu", "metrics": metrics}


def note(folder: Path, line: str) -> None:
    """A line of the journal, written whole whoever else writes."""
    file = os.open(folder / "journal.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def task(text: str, run_id: str, timeout: float | None, memory: float | None) -> dict:
    """What `child.do` and `work.perform` do, without a dub: the record that is there, or a new one, written last."""
    of = Job.of_json(text)
    store, name = Store(of.out), f"{RECORDS}/{run_id}.json"
    if known := store.json(name):
        return known
    child._running.add(run_id)
    note(store.local.parent, f"begun {run_id}")
    time.sleep(0.1)
    made = record(of, sharpness_loss=0.5)
    store.write(name, json.dumps(made).encode())
    note(store.local.parent, f"done {run_id}")
    child._running.discard(run_id)
    return made


if __name__ == "__main__":
    address, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = Store(out)
    jobs = [job(number, out) for number in range(count)]
    with locked(store), client.dask_workers(address) as (dask, pool):
        plan = client.Plan(store, {each.run_id: each for each in jobs}, summary.known(store))
        client.run(plan, pool, task=task, threads=lambda: client.slots(dask), busy=lambda: client.orphans(dask))
