"""Files that the hosting site reads: workflow, issue forms, citation."""

import re
from pathlib import Path

import yaml

import lipsync_lab

ROOT = Path(__file__).resolve().parents[1]


def _read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_workflow_calls_the_commands_of_ci_run():
    ours = re.findall(r"^make \w+$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    job = _read(".github/workflows/ci.yml")["jobs"]["ci"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ours
    assert ours == ["make lint", "make docs", "make test"]
    assert job["strategy"]["matrix"]["python-version"] == ["3.11", "3.13"]
    assert any(step.get("with", {}).get("cache") == "pip" for step in job["steps"])
    assert "secrets" not in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_the_bug_form_asks_for_version_command_and_run():
    form = _read(".github/ISSUE_TEMPLATE/bug.yml")
    fields = {field["id"]: field for field in form["body"]}
    assert {"version", "command", "run"} <= set(fields)
    assert "--version" in fields["version"]["attributes"]["description"]
    assert fields["run"]["attributes"]["label"] == "run.json"
    for each in (form, _read(".github/ISSUE_TEMPLATE/feature.yml")):
        assert {"name", "description", "body"} <= set(each)
        assert all({"type", "attributes"} <= set(field) for field in each["body"])


def test_the_citation_names_this_version_and_wav2lip():
    cited = _read("CITATION.cff")
    assert str(cited["version"]) == lipsync_lab.__version__
    assert {"cff-version", "message", "title", "authors", "license", "type"} <= set(cited)
    assert cited["references"][0]["doi"] == "10.1145/3394171.3413532"
    assert cited["title"].partition(": where ")[2] in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
