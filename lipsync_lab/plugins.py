"""Registries: detectors and generators announce themselves here, one file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def in_precision(loaded: Any, precision: str) -> Any:
    """A detector or generator as `Settings.precision` asks: "auto" calls the ``coarser()`` of its class, if it has one.

    Of its class: an object that wraps another, and passes on what it lacks, stays what it is.
    """
    return loaded.coarser() if precision == "auto" and hasattr(type(loaded), "coarser") else loaded


@dataclass(frozen=True)
class Plugin:
    """One kind of detector or generator.

    Attributes
    ----------
    name : str
        Of the kind, such as "s3fd".
    names : tuple of str
        What a user can ask for: names of its weights, or variants.
    suffixes : tuple of str
        Endings, lower case, of the files that it opens. "" stands for files that no other kind opens.
    open : callable
        ``open(name_or_path, device)`` makes one.
    """

    name: str
    names: tuple[str, ...]
    suffixes: tuple[str, ...]
    open: Callable[[Any, str], Any]


class Registry:
    """Kinds by name, in the order in which they were registered."""

    def __init__(self):
        self.plugins: dict[str, Plugin] = {}

    def register(self, name: str, *, names: Sequence[str] = (), suffixes: Sequence[str] = ()) -> Callable:
        """Decorator for the function ``open(name_or_path, device)`` of a kind, or for a class with that signature."""

        def add(open_: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
            self.plugins[name] = Plugin(name, tuple(names), tuple(suffixes), open_)
            return open_

        return add

    def names(self, first: str) -> tuple[str, ...]:
        """Everything that a user can ask for by name; the kind that has the name `first` comes first."""
        ordered = sorted(self.plugins.values(), key=lambda plugin: first not in plugin.names)
        return tuple(name for plugin in ordered for name in plugin.names)

    def find(self, name: str, suffix: str) -> Plugin:
        """The kind for a name, or else for a file's ending; KeyError if no kind opens such a file."""
        for plugin in self.plugins.values():
            if name in plugin.names:
                return plugin
        by_suffix = {ending: plugin for plugin in self.plugins.values() for ending in plugin.suffixes}
        return by_suffix.get(suffix) or by_suffix[""]


def import_all(package: str, path: Sequence[str]) -> None:
    """Import every module of a package, so that all kinds in it are registered."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")
