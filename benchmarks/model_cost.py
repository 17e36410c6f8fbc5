"""Memory and CPU time of every bundled model, and of the published networks, for one input on one thread.

    python benchmarks/model_cost.py            # about a minute; prints a table in Markdown

Each network runs in a process of its own. Memory is what loading it and one call add to the peak of the process.
Operations are counted, and are the same everywhere. Time is CPU time, the least of ten calls, since other work on the
machine lengthens it. The published networks have random weights here: their cost does not depend on them.
"""

from __future__ import annotations

import subprocess
import sys
import time

import torch
from peak_memory import peak_memory
from torch.utils.flop_counter import FlopCounterMode

from lipsync_lab.models import registry, s3fd, wav2lip

#: By model: shapes of its inputs, and what one call is for.
INPUTS = {
    "s3fd-lab": ([(1, 3, 320, 320)], "frame"),
    "s3fd": ([(1, 3, 640, 640)], "frame"),
    "wav2lip-lab": ([(1, 1, 80, 16), (1, 6, 96, 96)], "face"),
    "wav2lip": ([(1, 1, 80, 16), (1, 6, 96, 96)], "face"),
    "syncnet-lab": ([(1, 1, 80, 16), (1, 15, 48, 96)], "window of 0.2 s"),
    "discriminator-lab": ([(1, 3, 1, 96, 96)], "face"),
    "mouth-openness-lab": ([(1, 3, 96, 96)], "face"),
    "mouth-locator-lab": ([(1, 3, 64, 64)], "face"),
    "mouth-restorer-lab": ([(1, 6, 96, 96)], "face"),
    "visemes-lab": ([(1, 80, 80)], "second of sound"),
}
PUBLISHED = {"s3fd": s3fd.S3FD, "wav2lip": wav2lip.Wav2Lip}


def cost(name: str) -> tuple[float, float, float]:
    """MB that a network adds, and millions of operations and CPU milliseconds of a call."""
    torch.set_num_threads(1)
    torch.nn.Conv2d(3, 8, 3)(torch.rand(1, 3, 64, 64))  # the libraries that any network loads
    before = peak_memory()
    if name in PUBLISHED:
        network = PUBLISHED[name]().eval()
    else:
        network = registry.load(name, registry.MODELS[name].kind).model.eval()
    inputs, times = [torch.rand(shape) for shape in INPUTS[name][0]], []
    with torch.inference_mode():
        for _ in range(11):
            start = time.process_time()
            network(*inputs)
            times.append(1000 * (time.process_time() - start))
        memory = peak_memory() - before
        with FlopCounterMode(display=False) as counted:
            network(*inputs)
    return memory, counted.get_total_flops() / 1e6, min(times)


def main() -> None:
    if len(sys.argv) > 1:
        print(*cost(sys.argv[1]))
        return
    print("| model | file, MB | memory, MB | million operations | CPU ms | for one |\n|---|---|---|---|---|---|")
    for name, (_, what) in INPUTS.items():
        done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
        memory, operations, milliseconds = map(float, done.stdout.split())
        size = registry.MODELS[name].size / 1e6
        print(f"| `{name}` | {size:.1f} | {memory:.0f} | {operations:,.0f} | {milliseconds:.1f} | {what} |", flush=True)


if __name__ == "__main__":
    main()
