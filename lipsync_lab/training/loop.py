"""The training loop of all tasks: seeds, mixed precision, running mean of the weights, log, state, resume.

The seed and the number of a step determine its random choices, so that a resumed run does the same steps as an
uninterrupted one.
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

from lipsync_lab import files, renamed
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lipsync_lab.training.recipes import Schedule

#: Files of the state and of the log in a run's folder.
STATE, LOG = "state.pt", "log.csv"
PRECISIONS = ("auto", "bf16", "fp32")
#: Batches that are prepared in advance.
_WAITING = 4


class Task(Protocol):
    """A training task.

    Attributes
    ----------
    kind : str
        Key in `networks` of the model that the run is for.
    recipe : dataclass
        With a `schedule` and a `width`.
    networks : dict of str -> torch.nn.Module
        All networks that are trained, on the device.
    """

    kind: str
    recipe: Any
    networks: dict[str, nn.Module]

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Return the arrays of one step; called in other threads."""
        ...

    def losses(self, batch: dict[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict[str, Tensor | float]]]:
        """Yield (network, loss, numbers for the log); each network is updated before the next loss is computed."""
        ...

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Return measurements of the networks (running means, in evaluation mode) on held-out material."""
        ...


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network with initial weights that depend on the seed only."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def pixels(faces: Tensor) -> Tensor:
    """Convert uint8 RGB (..., H, W, 3) to the input of the networks: float32 BGR in [0, 1], (N, 3, H, W)."""
    # the flip allocates memory with the channels last, which is the fast layout for convolutions
    return faces.flatten(0, -4).flip(-1).permute(0, 3, 1, 2).float() / 255


def tensor(array: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """Copy an array to the device; it may be memory-mapped or have negative strides."""
    import torch

    return torch.from_numpy(np.array(array, order="C")).to(device)


def device_of(network: nn.Module) -> torch.device | str:
    """Return the device of a network; "cpu" for one without parameters, such as `identity`."""
    return next((parameter.device for parameter in network.parameters()), "cpu")


def rate(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    rise = min((step + 1) / max(schedule.warmup, 1), 1.0)
    share = min(max(step - schedule.warmup, 0) / max(schedule.steps - schedule.warmup, 1), 1.0)
    return schedule.lr * rise * (schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * share)))


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
    """Train a task to the end of its schedule, or continue its training.

    Parameters
    ----------
    task : Task
        Its networks are trained in place.
    out : path
        Folder of the run, for `LOG` and `STATE`. Training continues from an existing state.
    device : str
    precision : {"auto", "bf16", "fp32"}
        Of the forward pass; "auto" is bfloat16 where `inference.has_bf16`.
    minutes : float, optional
        Stop after this time and save the state; the schedule does not change.
    begun_from : str
        Origin of the initial weights, for the model card; empty for random weights. An existing state keeps its own.
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
        The precision is unknown, or a loss is not finite.
    """
    import torch

    if precision not in PRECISIONS:
        raise ParameterError(f"precision {precision!r} does not exist; take {', '.join(PRECISIONS)}")
    from lipsync_lab.models import inference

    bf16 = precision == "bf16" or (precision == "auto" and inference.has_bf16(device))
    schedule, out = task.recipe.schedule, Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(task, schedule, device, begun_from)
    run.load(out / STATE)
    log = _Log(out / LOG, run.step)
    started, before = time.perf_counter(), run.seconds
    if progress:
        progress(f"train {task.kind}", run.step, schedule.steps)
    for step, batch in _batches(task, schedule, run.step):
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


def _batches(task: Task, schedule: Schedule, first: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield steps with their batches, which other threads prepare in advance."""
    with ThreadPoolExecutor(schedule.workers) as pool:

        def submit(step: int):
            return step, pool.submit(task.batch, np.random.default_rng([schedule.seed, step]), step)

        pending = deque(submit(step) for step in range(first, min(first + schedule.workers + _WAITING, schedule.steps)))
        try:
            while pending:
                step, batch = pending.popleft()
                following = pending[-1][0] + 1 if pending else step + 1
                if following < schedule.steps:
                    pending.append(submit(following))
                yield step, batch.result()
        finally:
            for _, batch in pending:
                batch.cancel()


class _Run:
    """State of a run: networks, running means, optimisers, number of steps."""

    def __init__(self, task: Task, schedule: Schedule, device: str, begun_from: str = ""):
        import torch
        from torch.optim.swa_utils import AveragedModel

        self.task, self.schedule, self.device = task, schedule, device
        self.step, self.seconds, self.begun_from = 0, 0.0, begun_from
        self.averages, self.optimisers = {}, {}
        for name, network in task.networks.items():
            network.to(device, memory_format=torch.channels_last).train()
            # the buffers (running variances) are averaged like the weights
            self.averages[name] = AveragedModel(network, avg_fn=_mean_of(schedule.average), use_buffers=True)
            self.optimisers[name] = torch.optim.Adam(network.parameters(), schedule.lr, betas=schedule.betas)

    def forward(self, batch: dict[str, Tensor], step: int, bf16: bool) -> dict[str, float]:
        """Do one step of all networks; return the numbers for the log."""
        import torch

        numbers = {}
        kind = self.device.split(":")[0]
        parts = self.task.losses(batch, step)
        while True:
            with torch.autocast(kind, torch.bfloat16) if bf16 else nullcontext():
                part = next(parts, None)
            if part is None:
                break
            name, loss, values = part
            network, optimiser = self.task.networks[name], self.optimisers[name]
            if not torch.isfinite(loss):
                raise ParameterError(f"the loss of the {name} is not finite at step {step}; take a lower learning rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), self.schedule.clip)
            for group in optimiser.param_groups:
                group["lr"] = rate(self.schedule, step)
            optimiser.step()
            self.averages[name].update_parameters(network)
            numbers |= {key: float(torch.as_tensor(value).detach()) for key, value in values.items()}
        self.step = step + 1
        return numbers

    def means(self) -> dict[str, nn.Module]:
        return {name: average.module.eval() for name, average in self.averages.items()}

    def save(self, path: Path) -> None:
        import torch

        parts = {"networks": self.task.networks, "averages": self.averages, "optimisers": self.optimisers}
        content = {part: {name: item.state_dict() for name, item in items.items()} for part, items in parts.items()}
        content |= {"step": self.step, "seconds": self.seconds, "kind": self.task.kind, "recipe": self._recipe()}
        content["begun_from"] = self.begun_from
        # through a stream, since torch writes the name of a file into it
        with files.atomic_file(path) as part, part.open("wb") as stream:
            torch.save(content, stream)

    def load(self, path: Path) -> None:
        if not path.is_file():
            return
        content = read_state(path)
        if content["kind"] != self.task.kind or content["recipe"] != self._recipe():
            raise CheckpointError(
                f"{path}: is a run of {content['kind']} with another recipe; continue with the same recipe, or give "
                "another folder"
            )
        parts = {"networks": self.task.networks, "averages": self.averages, "optimisers": self.optimisers}
        for part, items in parts.items():
            for name, item in items.items():
                item.load_state_dict(content[part][name])
        self.step, self.seconds, self.begun_from = content["step"], content["seconds"], content["begun_from"]

    def _recipe(self) -> dict[str, Any]:
        return plain(asdict(self.task.recipe))


def _mean_of(decay: float) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Return a running mean with a faster decay in the first steps, which otherwise dominate short runs."""

    def average(mean: Tensor, now: Tensor, steps: Tensor) -> Tensor:
        return mean + (now - mean) * max(1 - decay, 9 / (10 + int(steps)))

    return average


def plain(value: Any) -> Any:
    """Convert to numbers, strings, lists and dicts, which can be saved and compared."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def read_state(path: str | Path) -> dict[str, Any]:
    """Read the state of a run: networks, averages, optimisers, step, seconds, kind, recipe, begun_from.

    Names of earlier versions are translated (`renamed`).

    Raises
    ------
    CheckpointError
        The file is absent, or cannot be read.
    """
    import pickle

    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such state; train first, or give the run's folder")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as the state of a run; train again") from error
    if not isinstance(content, dict) or "averages" not in content:
        raise CheckpointError(f"{path}: is not the state of a run; give the run's folder")
    networks = {
        part: {renamed.MODELS.get(name, name): value for name, value in content[part].items()}
        for part in ("networks", "averages", "optimisers")
    }
    kind = renamed.MODELS.get(content["kind"], content["kind"])
    return content | networks | {"kind": kind, "recipe": _present(content["recipe"])}


def _present(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {
        renamed.RECIPE.get(name, name): _present(value) if isinstance(value, Mapping) else value
        for name, value in recipe.items()
    }


def average_of(state: Mapping[str, Any], kind: str) -> dict[str, Tensor]:
    """Return the running mean of a network's weights as a state dict."""
    prefix = "module."
    average = state["averages"][kind]
    return {key.removeprefix(prefix): value for key, value in average.items() if key.startswith(prefix)}


class _Log:
    """``log.csv``: each row has the means of the numbers since the row before."""

    def __init__(self, path: Path, step: int):
        self.path, self.values = path, defaultdict(list)
        self.rows = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                self.rows = [row for row in csv.DictReader(lines) if int(row["step"]) <= step]

    def add(self, name: str, value: float) -> None:
        self.values[name].append(value)

    def write(self, step: int, seconds: float, lr: float, held_out: dict[str, float]) -> None:
        means = {name: f"{np.mean(values):.6g}" for name, values in self.values.items()}
        row = {"step": step, "seconds": f"{seconds:.1f}", "lr": f"{lr:.3g}", **means}
        self.rows.append(row | {f"held_out_{name}": f"{value:.6g}" for name, value in held_out.items()})
        self.values.clear()
        # the file is written again each time: columns may be added later, and it is small
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with files.atomic_file(self.path) as part, part.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
