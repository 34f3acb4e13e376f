"""torchvision imports first thing in a script, and nothing is declared where it need not be."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import torch
import torchvision

from tests.conftest import ROOT
from torchvision_cure import (
    CureFinder,
    declare_missing_operators,
    install_hook,
    install_into_environment,
)


def run(code, *options, cwd=ROOT):
    done = subprocess.run([sys.executable, *options, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_modules_can_come_first_and_the_compiler_waits_until_it_is_wanted():
    run(
        "import sys, image_utils, torchvision; torchvision.models.squeezenet1_1();"
        "loaded = [name for name in sys.modules if name.startswith('torch._dynamo')]; assert not loaded, loaded;"
        "import torch; from torchvision.ops import roi_align;"
        "waiting = sys.modules['torchvision.ops.roi_align'].is_compile_supported;"
        "supported = waiting('cpu'), waiting('meta'); import torch._dynamo.utils as real;"
        "assert supported == tuple(map(real.is_compile_supported, ('cpu', 'meta'))), supported;"
        "assert torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)) == 2"
    )


def test_the_compilers_module_is_found_by_whoever_asks_first():
    run(
        "import sys, torchvision_cure as cure; cure.install_hook();"
        "cure.CureFinder.find_spec('torchvision.ops.roi_align');"
        "assert type(sys.modules['torch._dynamo.utils']).__name__ == 'NotYet';"
        "from torch._dynamo.utils import counters; import torch._dynamo;"
        "assert torch._dynamo.utils.counters is counters;"
        "assert type(sys.modules['torch._dynamo.utils']).__name__ == 'module'"
    )


def test_installed_cure_lets_torchvision_be_the_first_line(tmp_path):
    install_into_environment(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["torchvision_cure.pth", "torchvision_cure.py"]
    # Without site-packages' own .pth files (-S), what the interpreter does with ours, then a student's first line.
    packages = sysconfig.get_paths()["purelib"]
    start = f"import sys; sys.path.append({packages!r}); import site; site.addsitedir({str(tmp_path)!r});"
    run(f"{start} import torchvision; torchvision.models.squeezenet1_1()", "-S", cwd=tmp_path)


def test_start_up_stays_cheap():
    loaded = run(
        "import sys; before = set(sys.modules);"
        "from importlib.util import spec_from_file_location as spec, module_from_spec;"
        "s = spec('cure', 'torchvision_cure.py'); m = module_from_spec(s); s.loader.exec_module(m);"
        "m.install_hook(); print(sorted(set(sys.modules) - before))"
    )
    assert "torch" not in loaded


def test_hook_is_installed_once_and_finds_nothing_itself():
    install_hook()
    install_hook()
    assert sum(getattr(f, "__name__", "") == "CureFinder" for f in sys.meta_path) == 1
    assert CureFinder.find_spec("no_such_module") is None


def test_declares_nothing_where_the_operators_exist():
    assert torchvision and hasattr(torch.ops.torchvision, "nms")
    assert declare_missing_operators(Path("/nowhere")) is False
