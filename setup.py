"""What pyproject.toml cannot express: a wheel contains the bundled files, which lie outside the package's folder."""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
BUNDLED = runpy.run_path(str(ROOT / "lipsync_lab" / "bundled.py"))
#: Fetched weights may lie beside the bundled ones; a wheel must not contain them.
FETCHED = shutil.ignore_patterns("*.pth", "*.pt", "*.model", "*.onnx", ".*")


class BuildWithBundledFiles(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name, folder in BUNDLED["FOLDERS"].items():
                target = Path(self.build_lib, "lipsync_lab", BUNDLED["PACKAGED"], name)
                shutil.copytree(ROOT / folder, target, ignore=FETCHED, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithBundledFiles})
