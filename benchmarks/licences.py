"""Print the licence of every installed package, a line each: name, version, licence, as the package itself says."""

from __future__ import annotations

from importlib.metadata import distributions


def licence(about) -> str:
    """The SPDX expression; else what the classifiers say; else the first line of the licence field."""
    if expression := about.get("License-Expression"):
        return expression
    classified = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License :: ")]
    return "; ".join(classified) or (about.get("License") or "unknown").strip().splitlines()[0]


if __name__ == "__main__":
    rows = sorted({(each.metadata["Name"].lower(), each.version, licence(each.metadata)) for each in distributions()})
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for name, number, words in rows:
        print(f"{name:{widths[0]}}  {number:{widths[1]}}  {words}")
