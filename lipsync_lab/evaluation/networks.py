"""The networks that an evaluation asks: named and hashed before the cache is read, loaded after a miss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lipsync_lab import files, renamed
from lipsync_lab.models import registry

#: The default sync expert and discriminator; published networks take their place by name.
SYNC_EXPERT, DISCRIMINATOR = registry.DEFAULTS["sync_expert"], registry.DEFAULTS["discriminator"]
#: Network of the published LSE scores, which are undefined without it.
LSE = registry.DEFAULTS["lse"]
#: Mouth-openness regressor, used on synthetic clips alone: elsewhere it was not validated.
MOUTH_OPENNESS = registry.DEFAULTS["mouth_openness"]


def identified(names: Mapping[str, str | Path | None]) -> dict[str, dict[str, Any]]:
    """Each network's name with the SHA-256 of its file, or with the reason why it is absent; no network is loaded.

    Parameters
    ----------
    names : mapping of str to str, path or None
        By kind, as in `models.registry.KINDS`.

    Returns
    -------
    dict of str to dict
        ``name`` and either ``sha256`` or ``absent``. Weights that could be fetched and are not there are absent.

    Raises
    ------
    CheckpointError
        A name that is neither a model's nor a file's.
    """
    about = {}
    for kind, name in names.items():
        if name is None:
            about[kind] = {"name": None, "absent": "none was asked for"}
            continue
        name = renamed.model(str(name))
        model = registry.MODELS.get(name)
        path = Path(name) if model is None else model.path
        if model is not None and path is not None and not path.is_file():
            # without the folder: tables are to be the same on every machine
            reason = f"the weights of {name} are not here: weights fetch {name}"
            about[kind] = {"name": str(name), "absent": reason}
        elif path is None or not path.is_file():
            registry.load(name, kind)  # raises, with the names that are possible
        else:
            about[kind] = {"name": str(name) if model else path.name, "sha256": files.sha256(path)}
    return about


def loaded(
    names: Mapping[str, str | Path | None], about: Mapping[str, dict[str, Any]], device: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The networks that are not absent, by kind, and `about` with the name, hash and width of what was loaded."""
    networks, complete = {}, dict(about)
    for kind, name in names.items():
        if "absent" not in about[kind]:
            weights = registry.load(name, kind, device)
            networks[kind] = weights.model
            complete[kind] = {"name": weights.name, "sha256": weights.sha256, "width": weights.width}
    return networks, complete
