"""SIGKILL at random moments of dub, report, evaluate, sweep and train: does the next call complete, and what changed?

    python benchmarks/kill.py --out FOLDER [--commands dub evaluate train sweep report] [--kills 30] [--seed 1]

Each command works on tiny inputs in a folder of its own. Two uninterrupted calls say what the folder holds in the end
(files that differ between the two, such as those with seconds in them, are compared by name only) and how much
processor time a call takes. Then a call gets SIGKILL after a random share of that time, and the same call is given
again and must complete. Of `sweep` and `report`, up to five calls are killed one after the other in the same folder
before one completes. It is counted whether

- the completing call's exit code is 0, and the folder holds the same files as after an uninterrupted call, with the
  same contents: nothing is left behind, the folder for temporary files included;
- what was complete when the process died is there unchanged and was not written again (an audit hook notes renames);
- what stood at its final name right after the kill was whole: earlier or new;
- no process goes on 10 s after the kill.

A call is a fork of this process, which has done the same call once (of `sweep` and `report`, which begin threads, it
has only imported what they need): the moments lie in the work, not in imports.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from lipsync_lab import cli, files, reporting
from lipsync_lab.media import audio, segments, video
from lipsync_lab.settings import Settings
from lipsync_lab.training import clips, loop

#: What the calls import, before the forks.
IMPORTED = (
    *("torch", "pandas", "pyarrow.parquet", "matplotlib.pyplot", "papermill", "nbconvert", "jupyter_client"),
    *("lipsync_lab.pipeline", "lipsync_lab.evaluation.evaluate", "lipsync_lab.reporting.evaluation_page"),
    *("lipsync_lab.sweep.client", "lipsync_lab.sweep.page", "lipsync_lab.figures", "lipsync_lab.training.tasks"),
)

#: When a page of a report was written: two calls in one minute would agree on it.
MINUTE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC")

#: Variable by which the descendants of a call are known.
MARK = "LIPSYNC_LAB_KILL"
FRAMES, SIDES = 10, (128, 96)
BOX = ["--box", "20", "80", "30", "90"]
QUIET = ["--quiet", "--device", "cpu"]


@dataclass(frozen=True)
class Command:
    """A command, and what may be asked of its folder.

    Attributes
    ----------
    call : callable
        Does the work in the current folder; its exit code.
    begin : callable
        Makes the folder's inputs.
    complete : callable
        What is complete in the folder now: name -> content.
    chain : int
        Kills in the same folder before a call completes.
    growing : tuple of str
        Files that are replaced by a later version many times: `complete` reads them, and fails where one is torn.
    warm : bool
        Do the call once in this process.
    """

    call: Callable[[], int]
    begin: Callable[[Path], None]
    complete: Callable[[Path], dict[str, str]]
    chain: int = 1
    growing: tuple[str, ...] = ()
    warm: bool = False


@dataclass
class Count:
    kills: int = 0
    completed: int = 0
    failed: int = 0
    complete: int = 0
    changed: int = 0
    torn: int = 0
    left: int = 0
    other: int = 0
    running: int = 0
    faults: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------------- the inputs


def pictures(shift: int = 0) -> list[np.ndarray]:
    y, x = np.mgrid[0 : SIDES[1], 0 : SIDES[0]].astype(float)
    waves = (128 + 90 * np.sin(x / 17 + (number + shift) / 5) * np.cos(y / 13) for number in range(FRAMES))
    return [np.repeat(wave[..., None], 3, axis=2).astype(np.uint8) for wave in waves]


def clip(path: Path, shift: int = 0) -> Path:
    time_ = np.arange(audio.SAMPLE_RATE * FRAMES // 25) / audio.SAMPLE_RATE
    wave = (0.4 * np.sin(2 * np.pi * (220 + 30 * shift) * time_) * np.abs(np.sin(15 * time_))).astype(np.float32)
    return video.write_clip(path, pictures(shift), 25, sound=audio.Sound.from_wave(wave))


def dub_words(crf: int, face: str = "in.mp4", out: str = "out.mp4") -> list[str]:
    words = ["dub", *QUIET, *BOX, "--generator", "identity", "--face", face, "--audio", face, "--outfile", out]
    return [*words, "--crf", str(crf)]


def begin_dub(home: Path) -> None:
    """A clip, and an earlier run of it that the next call replaces."""
    clip(home / "in.mp4")
    assert cli.main(dub_words(40)) == 0


def call_dub() -> int:
    segments.SECONDS = 0.16  # 4 frames: what is written in segments is killed too
    return cli.main(dub_words(20))


def complete_dub(home: Path) -> dict[str, str]:
    """Finished segments."""
    return {path.relative_to(home).as_posix(): digest(path) for path in home.glob(".out.*.segments/[0-9]*.mp4")}


def begin_evaluate(home: Path) -> None:
    rows = ["source,output"]
    for number in range(2):
        clip(home / f"source{number}.mp4", number)
        assert cli.main(dub_words(30, f"source{number}.mp4", f"output{number}.mp4")) == 0
        shutil.rmtree(home / f"output{number}")
        rows.append(f"source{number}.mp4,output{number}.mp4")
    (home / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def call_evaluate() -> int:
    return cli.main(["evaluate", "--pairs", "pairs.csv", "--out", "out", *QUIET])


def complete_evaluate(home: Path) -> dict[str, str]:
    """Tables whose hashes stand in their about.json, which is written last; rows of the table of all pairs."""
    known = {}
    if (home / "out" / "pairs.csv").is_file():
        known = {
            f"row of {line.partition(',')[0]}": line for line in (home / "out" / "pairs.csv").read_text().splitlines()
        }
    for about in home.rglob("about.json"):
        with contextlib.suppress(ValueError, KeyError):
            for name, sha256 in json.loads(about.read_text(encoding="utf-8"))["tables"].items():
                if files.sha256(about.parent / name) == sha256:
                    known[(about.parent / name).relative_to(home).as_posix()] = sha256
    return known


def begin_sweep(home: Path) -> None:
    for number in range(2):
        clip(home / f"clip{number}.mp4", number)
    (home / "boxes.json").write_text(json.dumps({"frames": FRAMES, "boxes": [[30, 20, 90, 80]] * FRAMES}))
    text = "clips: [clip0.mp4, clip1.mp4]\nvoices: [clip0.mp4]\ngenerators: [identity]\ndetectors: [boxes.json]\n"
    (home / "sweep.yaml").write_text(text + "settings: {crf: [20, 25, 30]}\nout: out\n", encoding="utf-8")


def call_sweep() -> int:
    return cli.main(["sweep", "sweep.yaml", "--workers", "1", *QUIET])


def complete_sweep(home: Path) -> dict[str, str]:
    """Records, and the runs of which there is one."""
    known = {}
    for record in (home / "out" / "records").glob("*.json"):
        whole = [record, *(path for path in (home / "out" / "runs" / record.stem).rglob("*") if path.is_file())]
        known |= {path.relative_to(home).as_posix(): digest(path) for path in whole}
    return known


def begin_report(home: Path) -> None:
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    for number in range(2):
        clip(home / f"clip{number}.mp4", number)
    (home / "boxes.json").write_text(json.dumps({"frames": FRAMES, "boxes": [[30, 20, 90, 80]] * FRAMES}))
    given = new_code_cell('runs_folder = ""', metadata={"tags": ["parameters"]})
    cells = [given, new_code_cell("import os\nlen(os.listdir(runs_folder))")]
    book = new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    nbformat.write(book, home / "count.ipynb")


def call_report() -> int:
    done = reporting.report(
        "out",
        ["clip0.mp4", "clip1.mp4"],
        generators=["identity"],
        detector="boxes.json",
        settings=Settings(codec="ffv1"),
        notebooks=["count.ipynb"],
    )
    return 0 if done.ok else 1


def complete_report(home: Path) -> dict[str, str]:
    """Runs with a request, which is written last; their evaluations; notebooks, of which the page is written first."""
    known = complete_evaluate(home)
    for request in home.rglob("request.json"):
        own = [path for path in request.parent.iterdir() if path.is_file()]
        known |= {path.relative_to(home).as_posix(): digest(path) for path in own}
    for notebook in (home / "out" / "notebooks").rglob("*.ipynb"):
        if files.is_private(notebook.parent):
            continue
        for path in (notebook, notebook.with_suffix(".html")):
            known[path.relative_to(home).as_posix()] = digest(path)
    return known


def begin_train(home: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("validation", 1)):
        made = []
        for number in range(count):
            faces = rng.integers(0, 255, (10, 96, 96, 3)).astype(np.uint8)
            gap, mel = rng.uniform(0, 9, 10).astype(np.float32), rng.uniform(-4, 4, (80, 60)).astype(np.float32)
            box = np.stack([np.full(10, 32), 70 - gap / 2, np.full(10, 64), 70 + gap / 2], axis=1).astype(np.float32)
            names = "animation", f"{part} {number}", "a line"
            made.append(clips.Clip(faces, mel, 0, *names, gap / 9, gap, box))
        clips.write_shard(home / "data" / part / "faces-000", made)


def call_train() -> int:
    words = ["steps=24", "check_every=4", "log_every=2", "warmup=2", "width=0.125", "faces=4"]
    line = ["train", "fit", "mouth_openness", "--data", "data", "--out", "out", "--quiet", "--set", *words]
    return cli.main(line)


def complete_train(home: Path) -> dict[str, str]:
    """Rows of the log up to the step of the saved state."""
    if not (home / "out" / loop.STATE).is_file():
        return {}
    step = loop.read_state(home / "out" / loop.STATE)["step"]
    with (home / "out" / loop.LOG).open(newline="", encoding="utf-8") as lines:
        rows = {f"row {row['step']}": str(sorted(row.items())) for row in csv.DictReader(lines)}
    return {name: text for name, text in rows.items() if int(name[4:]) <= step}


COMMANDS = {
    "dub": Command(call_dub, begin_dub, complete_dub, warm=True),
    "evaluate": Command(call_evaluate, begin_evaluate, complete_evaluate, growing=("out/pairs.csv",), warm=True),
    "train": Command(call_train, begin_train, complete_train, growing=("out/log.csv", "out/state.pt"), warm=True),
    "sweep": Command(call_sweep, begin_sweep, complete_sweep, chain=5),
    "report": Command(call_report, begin_report, complete_report, chain=5),
}


# ------------------------------------------------------------------------------------------------------- the kills


def digest(path: Path) -> str:
    """SHA-256 of a file; of pages, and of a training's state and log, of what no clock is in."""
    if path.name == loop.STATE:
        averages = loop.read_state(path)["averages"]
        parts = (value.numpy().tobytes() for network in averages.values() for value in network.values())
        return hashlib.sha256(b"".join(parts)).hexdigest()
    if path.name == loop.LOG:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(lines)]
        return hashlib.sha256(str(rows).encode()).hexdigest()
    return hashlib.sha256(MINUTE.sub(b"", path.read_bytes())).hexdigest()


def tree(home: Path) -> dict[str, str]:
    """Every file and folder below a folder, with the files' digests."""
    return {
        path.relative_to(home).as_posix(): digest(path) if path.is_file() else "folder"
        for path in sorted(home.rglob("*"))
    }


def start(home: Path, call: Callable[[], int], journal: Path | None = None) -> int:
    """Fork this process, and do the call there; the process's number."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.chdir(home)
        log = os.open(home.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ |= {MARK: str(home), "TMPDIR": str(home / "tmp")}
        if journal is not None:

            def note(event: str, values: tuple) -> None:
                if event == "os.rename":
                    with open(journal, "a") as lines:
                        lines.write(os.path.relpath(values[1], home) + "\n")

            sys.addaudithook(note)
        code = call()
        sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def seconds(pid: int) -> float:
    """Processor time of a process and its living descendants, from /proc, which is quicker than psutil."""
    total = 0.0
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            total += sum(seconds(int(child)) for child in children)
    return total


def finish(pid: int) -> tuple[int, float]:
    """Exit code of a call, and the most processor time that it and its living descendants had."""
    most = 0.0
    while True:
        most = max(most, seconds(pid))
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), most
        time.sleep(0.01)


def killed(pid: int, moment: float) -> bool:
    """Send SIGKILL once a call has had so much processor time; whether it was still there."""
    while seconds(pid) < moment:
        done, _ = os.waitpid(pid, os.WNOHANG)
        if done:
            return False
        time.sleep(0.003)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def still_running(home: Path) -> int:
    """Descendants of a killed call that are there 10 s later; they are ended."""
    limit = time.monotonic() + 10
    while True:
        there = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == str(home):
                    there.append(process)
        if not there or time.monotonic() > limit:
            break
        time.sleep(0.1)
    for process in there:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return len(there)


def torn(home: Path, earlier: dict[str, str], later: dict[str, str], steady: set[str]) -> list[str]:
    """Files at a final name, right after a kill, that are neither the earlier nor the later ones."""
    known = []
    for name, content in tree(home).items():
        private = any(part.endswith((".part", ".segments")) for part in Path(name).parts)
        if private or name not in steady or Path(name).parts[0] == "tmp":
            continue
        if content not in (earlier.get(name), later[name]):
            known.append(name)
    return known


def fresh(home: Path, command: Command) -> dict[str, str]:
    """The folder with its inputs, which are made once and copied then."""
    inputs = home.with_name(f"{home.name} inputs")
    shutil.rmtree(home, ignore_errors=True)
    if inputs.is_dir():
        shutil.copytree(inputs, home)
        return tree(home)
    (home / "tmp").mkdir(parents=True)
    code, _ = finish(start(home, lambda: command.begin(home) or 0))
    if code:
        sys.exit(f"the inputs could not be made; see {home.parent / 'log.txt'}")
    shutil.copytree(home, inputs)
    return tree(home)


def tried(name: str, command: Command, out: Path, kills: int, seed: int) -> Count:
    """Kill a command so often; what was counted."""
    home, count, ends, needed = out / name, Count(), [], 0.0
    if command.warm:
        fresh(home, command)
        with contextlib.chdir(home):
            command.call()
    for _ in range(2):
        earlier = fresh(home, command)
        code, needed = finish(start(home, command.call))
        if code:
            sys.exit(f"{name}: an uninterrupted call ended with code {code}; see {out / 'log.txt'}")
        ends.append(tree(home))
    wanted = ends[1]
    steady = {each for each in wanted if ends[0].get(each) == wanted[each]}
    rng = random.Random(f"{seed} {name}")
    print(f"{name}: {needed:.2f} s of processor time; {len(steady)} of {len(wanted)} names have the same content in "
          "two uninterrupted calls", flush=True)  # fmt: skip
    while count.kills < kills:
        earlier, in_row = fresh(home, command), 0
        while in_row < command.chain and count.kills < kills:
            moment = rng.uniform(0, needed)
            before_kill = command.complete(home)
            if not killed(start(home, command.call), moment):
                break  # it was complete before that moment
            count.kills, in_row = count.kills + 1, in_row + 1
            count.running += still_running(home)
            if bad := torn(home, earlier, wanted, steady - {*command.growing}):
                count.torn += 1
                count.faults.append(f"kill {count.kills} at {moment:.2f} s: torn {bad[:3]}")
            now = command.complete(home)
            lost = [each for each, content in before_kill.items() if now.get(each) != content]
            if lost:
                count.changed += 1
                count.faults.append(f"kill {count.kills} at {moment:.2f} s: changed by a killed call {lost[:3]}")
        if not in_row:
            continue
        print(f"{name}: {count.kills} kills, {len(count.faults)} faults", flush=True)
        before, journal = command.complete(home), out / "journal.txt"
        journal.unlink(missing_ok=True)
        code, _ = finish(start(home, command.call, journal))
        if code:
            count.failed += 1
            count.faults.append(f"kill {count.kills}: the next call ended with code {code}")
            continue
        count.completed += 1
        renamed = set(journal.read_text().splitlines()) if journal.is_file() else set()
        after, end = command.complete(home), tree(home)
        count.complete += len(before)
        again = {each for each, content in before.items() if each in renamed or after.get(each, content) != content}
        again |= {each for each in before if any(parent.as_posix() in renamed for parent in Path(each).parents)}
        count.changed += bool(again)
        left = sorted(end.keys() - wanted.keys())
        other = sorted(each for each in wanted if each not in end or (each in steady and end[each] != wanted[each]))
        count.left, count.other = count.left + bool(left), count.other + bool(other)
        for what, names in (("written again", sorted(again)), ("left behind", left), ("not as wanted", other)):
            if names:
                count.faults.append(f"kill {count.kills}: {what}: {names[:4]}")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for the trials")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--kills", type=int, default=30, help="of every command (30)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    print(f"seed {options.seed}", flush=True)
    for name in IMPORTED:
        importlib.import_module(name)
    cv2.setNumThreads(1)  # its pool of threads does not survive a fork
    rows, faults = [], 0
    for name in options.commands:
        count = tried(name, COMMANDS[name], out, options.kills, options.seed)
        for fault in count.faults:
            print(f"{name}: {fault}", flush=True)
        faults += len(count.faults)
        rows.append(f"{name:10}{count.kills:6}{count.completed:11}{count.failed:8}{count.complete:10}{count.changed:9}"
                    f"{count.torn:6}{count.left:6}{count.other:7}{count.running:9}")  # fmt: skip
        print(rows[-1], flush=True)
    print("command    kills  completed  failed  complete  changed  torn  left  other  running")
    print("\n".join(rows))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
