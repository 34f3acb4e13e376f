"""What pip installs: one package that works beside a researcher's own folders, whatever these are called."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

from distribution.one_package import rewritten, rooms
from tests.conftest import ROOT
from tests.test_house import tracked

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")
hatchling = pytest.importorskip("hatchling")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXAMPLE = re.search(
    r"```python\n(from torchvision import models\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
)[1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout that a test may change."""
    folder = tmp_path_factory.mktemp("checkout")
    for file in tracked("."):
        part = file.relative_to(ROOT)
        if part.parts[0] not in ("docs", "benchmarks", "tests"):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / part)
    return folder


def install(checkout, kind, folder):
    """Build a wheel ("wheel" or "editable") and unpack it, which is what pip does."""
    code = f"import sys, hatchling.build as b; print(b.build_{kind}(sys.argv[1]))"
    run(checkout, "-c", code, folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def run(cwd, *command, packages=None):
    environment = {"PYTHONPATH": str(packages or ""), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(checkout, tmp_path_factory):
    brought = checkout / "data" / "imagenet_val_25.npz"
    brought.write_bytes(b"the course's, which is not ours to pass on")
    try:
        return install(checkout, "wheel", tmp_path_factory.mktemp("wheel"))
    finally:
        brought.unlink()


@pytest.fixture(scope="module")
def linked(checkout, tmp_path_factory):
    return install(checkout, "editable", tmp_path_factory.mktemp("editable"))


@pytest.fixture
def research(tmp_path):
    """A researcher's folder, with modules of its own under the names of our rooms."""
    for name in rooms(ROOT):
        (tmp_path / f"{name}.py").write_text(
            f"raise AssertionError('the researcher\\'s own {name} was imported')\n"
        )
    (tmp_path / "data.py").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").write_text("MINE = 1\n")
    (tmp_path / "example.py").write_text(f"import data\n\n{EXAMPLE}\nassert data.MINE\n")
    return tmp_path


def test_the_wheel_holds_one_package_and_what_it_needs(installed):
    assert sorted(path.name for path in installed.iterdir()) == ["look_inside", "look_inside-1.0.0.dist-info"]
    files = {
        path.relative_to(installed / "look_inside").as_posix() for path in installed.rglob("look_inside/**/*")
    }
    assert {
        "data/squeezenet1_1.safetensors",
        "py.typed",
        "visualizers/saliency_map.py",
        "saliency_map.py",
    } <= files
    assert set(rooms(ROOT)) <= {name.split("/")[0].removesuffix(".py") for name in files}
    assert not {"tests", "course", "benchmarks", "distribution", "data/imagenet_val_25.npz"} & files


def test_no_module_of_the_wheel_imports_a_room_from_outside(installed):
    names = set(rooms(ROOT))
    for file in installed.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not names & {module.split(".")[0] for module in found}, file


def test_every_module_of_the_wheel_imports(installed, tmp_path):
    package = installed / "look_inside"
    files = [file for file in package.rglob("*.py") if file.parent.name != "shadows"]  # those refuse, and must
    modules = [file.relative_to(installed).with_suffix("").parts for file in files]
    modules = [".".join(parts).removesuffix(".__init__") for parts in modules if parts[-1] != "__main__"]
    code = f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
    run(
        tmp_path,
        "-c",
        code + f"assert not {set(rooms(ROOT)) - {'torchvision_cure'}} & set(sys.modules)",
        packages=installed,
    )


@pytest.mark.parametrize("kind", ["installed", "linked"])
def test_the_readmes_example_runs_beside_folders_of_the_same_names(request, research, kind):
    run(research, "example.py", packages=request.getfixturevalue(kind))
    with Image.open(research / "explained.png") as figure:
        assert figure.width > 600 and figure.height > 600


def test_the_readmes_example_runs_in_the_checkout(checkout):
    run(checkout, "-c", EXAMPLE.replace("look_inside.", ""))


def test_scripts_run_from_the_package(installed, research):
    Image.new("RGB", (224, 224), "red").save(research / "red.png")
    out = run(research, "-m", "look_inside.fooling_image", "--verify", "red.png", packages=installed)
    assert out.startswith("red.png: 224 x 224 pixels")


def test_an_editable_installation_follows_the_checkout_and_leaves_its_bytecode_alone(linked, checkout, research):
    file = checkout / "small.py"  # of the rooms' modules, none imports in no time
    (checkout / "smaller.py").write_text("VALUE = 1\n")
    file.write_text("from smaller import VALUE\n")
    seen = "import look_inside.small as s; print(s.__file__, s.VALUE)"
    assert run(research, "-c", seen, packages=linked) == f"{file} 1\n"
    plain = "import small, sys; print(small.VALUE, 'look_inside' in sys.modules)"
    assert run(checkout, "-c", plain) == "1 False\n"  # in the checkout itself nothing is rewritten
    file.write_text("from smaller import VALUE\nVALUE += 1\n")
    assert run(research, "-c", seen, packages=linked) == f"{file} 2\n"
    assert run(checkout, "-c", plain) == "2 False\n"


def test_a_checkout_that_has_gone_is_named(linked, tmp_path):
    init = linked / "look_inside" / "__init__.py"
    (tmp_path / "look_inside").mkdir()
    gone = re.sub(r"find_in\('.*'\)$", "find_in('/gone')", init.read_text(), flags=re.MULTILINE)
    (tmp_path / "look_inside" / "__init__.py").write_text(gone)
    code = "try: import look_inside\nexcept ImportError as problem: print(problem)"
    assert "installed from '/gone'" in run(tmp_path, "-c", code)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from data import load_network", "from look_inside.data import load_network"),
        ("    from data.samples import (", "    from look_inside.data.samples import ("),
        (">>> from data_utils import *", ">>> from look_inside.data_utils import *"),
        ("import foolbox_utils as peers", "from look_inside import foolbox_utils as peers"),
        ("import data", "from look_inside import data"),
        ("import data  # first", "from look_inside import data  # first"),
        ("import database", "import database"),
        ("from database import x", "from database import x"),
        ("from torch.utils.data import x", "from torch.utils.data import x"),
        ("from data that lie there", "from data that lie there"),
        ("import dataclasses", "import dataclasses"),
    ],
)
def test_rewriting(line, expected):
    assert rewritten(f"# first\n{line}\n", {"data", "data_utils", "foolbox_utils"}) == f"# first\n{expected}\n"


def names(lines):
    requirements = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {requirement.name.lower(): requirement for requirement in requirements}


@pytest.mark.parametrize(
    ("extra", "files"), [(None, ["requirements.txt"]), ("explain", []), ("ray", ["requirements-ray.txt"])]
)
def test_the_pinned_packages_satisfy_the_project(extra, files):
    pins = {}
    for file in ["requirements.txt", "requirements-ray.txt", "requirements-dev.txt", *files]:
        for line in Path(ROOT / file).read_text().splitlines():
            for name, requirement in names([line]).items():
                pins.setdefault(name, []).append(requirement)
    wanted = names(PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra])
    for name, requirement in wanted.items():
        if name == "look-inside":
            continue
        assert name in pins, name
        for pin in pins[name]:
            (exact,) = [one.version for one in pin.specifier if one.operator == "=="]
            assert requirement.specifier.contains(Version(exact)), (name, exact)
