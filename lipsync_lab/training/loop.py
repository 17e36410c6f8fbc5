"""The one loop that trains everything: seeds, mixed precision, running mean of the weights, log, state, resume.

Every random choice of a step follows from the seed and the step's number, so that a run which was stopped and taken
up again does the same steps as one that was not.
"""

from __future__ import annotations

import csv
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lipsync_lab import files
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lipsync_lab.training.recipes import Schedule

#: File of the state within a run's folder, and of its log.
STATE, LOG = "state.pt", "log.csv"
PRECISIONS = ("auto", "bf16", "fp32")
#: Batches that wait for the network.
_WAITING = 4


class Task(Protocol):
    """Something to be learnt.

    Attributes
    ----------
    kind : str
        Name of the network that is wanted in the end, a key of `networks`.
    recipe : dataclass
        With a `schedule` and a `width`.
    networks : dict of str -> torch.nn.Module
        All that is trained, on the device.
    """

    kind: str
    recipe: Any
    networks: dict[str, nn.Module]

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Material of one step; called in other threads."""
        ...

    def losses(self, batch: dict[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict[str, Tensor | float]]]:
        """Yield (network, its loss, numbers for the log), one network after the other; each is brought forward before
        the next is asked for."""
        ...

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Numbers on held-out material, of these networks (the running means, in evaluation mode)."""
        ...


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network whose first weights follow from the seed, whatever torch was used for before."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def pixels(faces: Tensor) -> Tensor:
    """uint8 RGB (..., H, W, 3) to what the networks see: float32 BGR in [0, 1], (N, 3, H, W)."""
    # the flip makes new memory in the order of the channels' last place, which convolutions like
    return faces.flatten(0, -4).flip(-1).permute(0, 3, 1, 2).float() / 255


def tensor(array: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """A copy of an array, which may be mapped from a file or turned round."""
    import torch

    return torch.from_numpy(np.array(array, order="C")).to(device)


def device_of(network: nn.Module) -> torch.device | str:
    """Where a network is; one without parameters, such as `identity`, is anywhere."""
    return next((parameter.device for parameter in network.parameters()), "cpu")


def rate(schedule: Schedule, step: int) -> float:
    """Learning rate of a step, counted from 0."""
    rise = min((step + 1) / max(schedule.warmup, 1), 1.0)
    share = min(max(step - schedule.warmup, 0) / max(schedule.steps - schedule.warmup, 1), 1.0)
    return schedule.lr * rise * (schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * share)))


def has_bf16(device: str) -> bool:
    """Whether bfloat16 is quick there: on GPUs, and on CPUs that calculate in it. Others imitate it, eight times
    slower than float32."""
    import torch

    if not device.startswith("cpu"):
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def train(
    task: Task,
    out: str | Path,
    *,
    device: str = "cpu",
    precision: str = "auto",
    minutes: float | None = None,
    begun_from: str = "",
    progress: Progress | None = None,
) -> dict[str, nn.Module]:
    """Train a task to the end of its schedule, from where it was left.

    Parameters
    ----------
    task : Task
        Its networks are brought forward in place.
    out : path
        Folder of the run: `LOG` and `STATE` lie there. A state that is there already is taken up.
    device : str
    precision : {"auto", "bf16", "fp32"}
        Of the forward pass; "auto" is bfloat16 where that is quick.
    minutes : float, optional
        Stop after so long, with the state saved; the schedule does not change.
    begun_from : str
        Whose weights the task's networks have at the first step, in words for the card; their own random ones if not
        given. A state that is taken up keeps what it was told.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    dict of str -> torch.nn.Module
        Running means of the networks, in evaluation mode.

    Raises
    ------
    CheckpointError
        The state belongs to another recipe, or cannot be read.
    ParameterError
        No such precision, or a loss that is no number.
    """
    import torch

    if precision not in PRECISIONS:
        raise ParameterError(f"precision {precision!r} does not exist; take {', '.join(PRECISIONS)}")
    bf16 = precision == "bf16" or (precision == "auto" and has_bf16(device))
    schedule, out = task.recipe.schedule, Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(task, schedule, device, begun_from)
    run.load(out / STATE)
    log = _Log(out / LOG, run.step)
    started, before = time.perf_counter(), run.seconds
    if progress:
        progress(f"train {task.kind}", run.step, schedule.steps)
    for step, batch in _ahead(task, schedule, run.step):
        tensors = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in batch.items()}
        for name, value in run.forward(tensors, step, bf16).items():
            log.add(name, value)
        run.seconds = before + time.perf_counter() - started
        late = minutes is not None and time.perf_counter() - started > 60 * minutes
        last = run.step == schedule.steps or late
        checked = last or run.step % schedule.check_every == 0
        if checked or run.step % schedule.log_every == 0:
            held_out = task.check(run.means()) if checked else {}
            log.write(run.step, run.seconds, rate(schedule, step), held_out)
        if checked:
            run.save(out / STATE)
        if progress:
            progress(f"train {task.kind}", run.step, schedule.steps)
        if late:
            break
    return run.means()


def _ahead(task: Task, schedule: Schedule, first: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Steps and their batches, some of which are made ready while the network is at work."""
    with ThreadPoolExecutor(schedule.readers) as pool:

        def ask(step: int):
            return step, pool.submit(task.batch, np.random.default_rng([schedule.seed, step]), step)

        asked = deque(ask(step) for step in range(first, min(first + schedule.readers + _WAITING, schedule.steps)))
        try:
            while asked:
                step, batch = asked.popleft()
                following = asked[-1][0] + 1 if asked else step + 1
                if following < schedule.steps:
                    asked.append(ask(following))
                yield step, batch.result()
        finally:
            for _, batch in asked:
                batch.cancel()


class _Run:
    """Networks, their running means and optimisers, and how far they are."""

    def __init__(self, task: Task, schedule: Schedule, device: str, begun_from: str = ""):
        import torch
        from torch.optim.swa_utils import AveragedModel

        self.task, self.schedule, self.device = task, schedule, device
        self.step, self.seconds, self.begun_from = 0, 0.0, begun_from
        self.averages, self.optimisers = {}, {}
        for name, network in task.networks.items():
            network.to(device, memory_format=torch.channels_last).train()
            # running variances are averaged with the weights that they belong to
            self.averages[name] = AveragedModel(network, avg_fn=_mean_of(schedule.average), use_buffers=True)
            self.optimisers[name] = torch.optim.Adam(network.parameters(), schedule.lr, betas=schedule.betas)

    def forward(self, batch: dict[str, Tensor], step: int, bf16: bool) -> dict[str, float]:
        """One step of every network; returns the numbers for the log."""
        import torch

        numbers = {}
        kind = self.device.split(":")[0]
        parts = self.task.losses(batch, step)
        while True:
            with torch.autocast(kind, torch.bfloat16) if bf16 else nullcontext():
                part = next(parts, None)
            if part is None:
                break
            name, loss, told = part
            network, optimiser = self.task.networks[name], self.optimisers[name]
            if not torch.isfinite(loss):
                raise ParameterError(f"the loss of the {name} is no number at step {step}; take a lower learning rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), self.schedule.clip)
            for group in optimiser.param_groups:
                group["lr"] = rate(self.schedule, step)
            optimiser.step()
            self.averages[name].update_parameters(network)
            numbers |= {key: float(torch.as_tensor(value).detach()) for key, value in told.items()}
        self.step = step + 1
        return numbers

    def means(self) -> dict[str, nn.Module]:
        return {name: average.module.eval() for name, average in self.averages.items()}

    def save(self, path: Path) -> None:
        import torch

        parts = {"networks": self.task.networks, "averages": self.averages, "optimisers": self.optimisers}
        content = {kind: {name: one.state_dict() for name, one in some.items()} for kind, some in parts.items()}
        content |= {"step": self.step, "seconds": self.seconds, "kind": self.task.kind, "recipe": self._recipe()}
        content["begun_from"] = self.begun_from
        # through a stream, since torch writes a file's name into it
        with files.atomic_file(path) as part, part.open("wb") as stream:
            torch.save(content, stream)

    def load(self, path: Path) -> None:
        if not path.is_file():
            return
        content = read_state(path)
        if content["kind"] != self.task.kind or content["recipe"] != self._recipe():
            raise CheckpointError(
                f"{path}: was begun as {content['kind']} with other numbers; go on with the same recipe, or give "
                "another folder"
            )
        parts = {"networks": self.task.networks, "averages": self.averages, "optimisers": self.optimisers}
        for kind, some in parts.items():
            for name, one in some.items():
                one.load_state_dict(content[kind][name])
        self.step, self.seconds, self.begun_from = content["step"], content["seconds"], content["begun_from"]

    def _recipe(self) -> dict[str, Any]:
        return plain(asdict(self.task.recipe))


def _mean_of(decay: float) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Running mean that forgets its first steps sooner than its later ones, or short runs would keep them all."""

    def average(mean: Tensor, now: Tensor, steps: Tensor) -> Tensor:
        return mean + (now - mean) * max(1 - decay, 9 / (10 + int(steps)))

    return average


def plain(value: Any) -> Any:
    """Numbers, words, lists and dicts alone: what can be saved and compared."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple | list) else value


def read_state(path: str | Path) -> dict[str, Any]:
    """What a run has saved: networks, averages, optimisers, step, seconds, kind, recipe, begun_from.

    Raises
    ------
    CheckpointError
        There is none, or it cannot be read.
    """
    import pickle

    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such state of a training; train first, or give the run's folder")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as the state of a training; train again") from error
    if not isinstance(content, dict) or "averages" not in content:
        raise CheckpointError(f"{path}: is no state of a training; give the run's folder")
    return content


class _Log:
    """``log.csv``: one row a stretch of steps, with means of what was told since the last."""

    def __init__(self, path: Path, step: int):
        self.path, self.told = path, defaultdict(list)
        self.rows = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                self.rows = [row for row in csv.DictReader(lines) if int(row["step"]) <= step]

    def add(self, name: str, value: float) -> None:
        self.told[name].append(value)

    def write(self, step: int, seconds: float, lr: float, held_out: dict[str, float]) -> None:
        means = {name: f"{np.mean(values):.6g}" for name, values in self.told.items()}
        row = {"step": step, "seconds": f"{seconds:.1f}", "lr": f"{lr:.3g}", **means}
        self.rows.append(row | {f"held_out_{name}": f"{value:.6g}" for name, value in held_out.items()})
        self.told.clear()
        # written whole: columns may come later, and it is small
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with files.atomic_file(self.path) as part, part.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
