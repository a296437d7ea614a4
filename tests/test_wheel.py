"""The package as a wheel: what is in it, and that it runs without the repository."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[1]


def python(*argv: str, **settings) -> str:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy of what a release holds, so that the build leaves nothing behind in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    python(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)
    )
    (found,) = folder.glob("*.whl")
    return found


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= set(names)
    assert "chainrule/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"chainrule", f"chainrule-{version()}.dist-info"}
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_it_runs_from_a_folder_of_its_own(wheel, tmp_path):
    target = tmp_path / "site"
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    code = f"""
import sys
sys.path.insert(0, {str(target)!r})
import chainrule as torch
assert torch.__file__.startswith({str(target)!r}), torch.__file__
assert torch.__version__ == {version()!r}, torch.__version__
x = torch.tensor([2.0], requires_grad=True)
(x * x).backward()
print(x.grad)
"""
    # -I: neither the current folder nor PYTHONPATH can lend the repository's copy.
    assert python("-I", "-c", code, cwd=tmp_path) == "tensor([4.])\n"
    assert (target / "bin" / "chainrule").exists() or (target / "Scripts" / "chainrule.exe").exists()
