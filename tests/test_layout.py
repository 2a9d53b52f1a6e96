"""The shape of the source: arrows point down, heavy imports wait, every module introduces itself."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import vrsim

ROOT = Path(__file__).resolve().parent.parent
SIBLINGS = ("vrsim.envs", "vrsim.agents", "vrsim.baselines")  # they meet in the loop only
LOWEST = ("vrsim.errors", "vrsim.seeding", "vrsim.scoring", "vrsim.naming", "vrsim.progress")
HIGHEST = (
    "vrsim.loop",
    "vrsim.records",
    "vrsim.rows",
    "vrsim.questions",
    "vrsim.runs",
    "vrsim.estimates",
    "vrsim.probabilities",
    "vrsim.statistics",
    "vrsim.comparisons",
    "vrsim.audit",
    "vrsim.report",
    "vrsim.published",
    "vrsim.bench",
    "vrsim.cluster.cells",
    "vrsim.cluster.worker",
    "vrsim.suites",
    "vrsim.variants",
    "vrsim.us_ablation",
    "vrsim.recommender_suite",
    "vrsim.augmentation",
    "vrsim.fidelity",
    "vrsim.table_parts",
    "vrsim.tables",
    "vrsim.cli",
    "vrsim.__main__",
    "vrsim.session.loop",
    "vrsim.session.metrics",
    "vrsim.session.bench",
    "vrsim.session.files",
    "vrsim.session.tables",
    "vrsim.testing",
    "vrsim.testing_policies",
    "vrsim.testing_sessions",
)
HEAVY = {
    "accelerate", "av", "datasets", "huggingface_hub", "kmeans_pytorch", "matplotlib", "minari", "open_clip", "openai",
    "pandas", "peft", "ray", "recbole", "stable_baselines3", "tokenizers", "torch", "torchvision", "transformers",
    "trl", "vllm",
}  # fmt: skip
LONGEST = 300


@dataclass(frozen=True)
class Import:
    """One imported name and where it is imported."""

    name: str  # dotted, as far as it is a module
    line: int
    at_once: bool  # when the module is imported, not in a function
    for_types: bool  # below ``if TYPE_CHECKING``


class Module:
    """One source file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.source = file.read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts if parts[0] == "vrsim" else ("vrsim", *parts)
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.imports = list(self._imports(self.tree, True, False))

    def _imports(self, node, at_once, for_types):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_once, for_types)
            elif isinstance(child, ast.ImportFrom):
                package = self.name.split(".")
                if child.level:
                    package = package[: len(package) - child.level + self.is_package]
                    base = ".".join([*package, *filter(None, [child.module])])
                else:
                    base = child.module
                for alias in child.names:
                    full = f"{base}.{alias.name}"
                    yield Import(full if full in NAMES else base, child.lineno, at_once, for_types)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                yield from self._imports(child, at_once, True)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from self._imports(child, at_once and not inside, for_types)

    @property
    def names_defined(self) -> set[str]:
        """What exists at module level after the import."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {alias.asname or alias.name for alias in node.names}
        return found


def is_in(name: str, packages) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


FILES = sorted(f for folder in ("vrsim", "envs", "agents", "baselines") for f in (ROOT / folder).rglob("*.py"))
NAMES: set[str] = set()
NAMES |= {Module(file).name for file in FILES}
MODULES = [Module(file) for file in FILES]
CORE = [module for module in MODULES if not is_in(module.name, SIBLINGS)]

every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def found(module: Module, wrong) -> list[str]:
    """The imports of a module that are wrong, as file:line."""
    return [f"{module.file.relative_to(ROOT)}:{i.line} imports {i.name}" for i in module.imports if wrong(i)]


def test_there_is_something_to_look_at():
    names = {module.name for module in MODULES}
    assert {"vrsim", "vrsim.loop", "vrsim.envs.selection", "vrsim.baselines.scores", "vrsim.agents"} <= names
    own = {i.name for module in MODULES for i in module.imports if is_in(i.name, ["vrsim"])}
    assert own - {"vrsim"} <= names


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_the_core_never_imports_environments_or_agents(module):
    assert found(module, lambda i: is_in(i.name, SIBLINGS)) == []


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_only_the_registries_name_environments_and_agents(module):
    strings = [node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant)]
    named = [s for s in strings if isinstance(s, str) and s.rstrip(".").startswith(SIBLINGS)]
    assert named == [] or module.name in ("vrsim", "vrsim.registry")


@every_module
def test_environments_agents_and_baselines_never_import_each_other(module):
    others = [package for package in SIBLINGS if not is_in(module.name, [package])]
    assert not is_in(module.name, SIBLINGS) or found(module, lambda i: is_in(i.name, others)) == []


@every_module
def test_arrows_point_down(module):
    if not is_in(module.name, HIGHEST):
        assert found(module, lambda i: is_in(i.name, HIGHEST)) == []
    if is_in(module.name, LOWEST):
        assert found(module, lambda i: is_in(i.name, ["vrsim"]) and not is_in(i.name, LOWEST)) == []


def test_no_modules_import_each_other_in_a_circle():
    arrows = {m.name: {i.name for i in m.imports if i.at_once and not i.for_types and i.name in NAMES} for m in MODULES}
    arrows = {name: targets - {name, "vrsim"} for name, targets in arrows.items()}
    while leaves := {name for name, targets in arrows.items() if not targets & arrows.keys()}:
        for name in leaves:
            del arrows[name]
    assert arrows == {}


@every_module
def test_packages_are_imported_under_their_full_name(module):
    assert found(module, lambda i: is_in(i.name, ["envs", "agents", "baselines", "benchmarks", "tests"])) == []


@every_module
def test_libraries_that_learn_are_imported_by_the_recommender_the_models_and_the_training_only(module):
    recommends, trains = is_in(module.name, ["vrsim.recommender"]), is_in(module.name, ["vrsim.training"])
    asks = trains or is_in(module.name, ["vrsim.models"])

    def wrong(i):
        if is_in(i.name, ["recbole", "kmeans_pytorch"]):
            return not recommends
        if is_in(i.name, ["transformers", "peft", "accelerate", "openai", "vllm", "tokenizers"]):
            return not asks
        if is_in(i.name, ["trl", "datasets"]):
            return not trains
        at_a_look = module.name == "vrsim.cli.lists" and not i.at_once  # vrsim doctor names the GPU
        looks = is_in(module.name, ["vrsim.perception"])
        if is_in(i.name, ["av", "open_clip"]):
            return not looks
        return is_in(i.name, ["torch"]) and not (
            recommends or asks or looks or at_a_look or module.name == "vrsim.threads"
        )

    assert found(module, wrong) == []


@every_module
def test_heavy_libraries_are_imported_where_they_are_used(module):
    def heavy(i):
        return i.at_once and not i.for_types and is_in(i.name, HEAVY)

    learns = ["vrsim.recommender", "vrsim.training"]
    subclasses = [m.name for m in MODULES if is_in(m.name, learns) and any(map(heavy, m.imports))]
    if module.name not in subclasses:  # they subclass what they import, and are imported late themselves
        assert found(module, lambda i: heavy(i) or (i.at_once and is_in(i.name, subclasses))) == []


@every_module
def test_every_module_says_what_it_is(module):
    docstring = ast.get_docstring(module.tree)
    assert docstring
    assert docstring.split("\n\n")[0].rstrip().endswith((".", "?", ":")), "the first paragraph is no sentence"


@every_module
def test_every_module_lists_public_names_that_exist(module):
    lists = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]
    ]
    assert len(lists) == 1, f"{module.name} has no __all__"
    names = vrsim.__all__ if module.name == "vrsim" else ast.literal_eval(lists[0])
    assert len(set(names)) == len(names)
    if module.name == "vrsim":
        assert all(hasattr(vrsim, name) for name in names)
    else:
        assert set(names) <= module.names_defined


def test_no_public_name_is_that_of_a_module_which_would_replace_it():
    modules = {module.name.split(".")[1] for module in MODULES if "." in module.name}
    assert {"loop", "protocols", "envs", "agents", "baselines"} <= modules
    assert not modules & {*vrsim._HOME}


TWICE = """
import vrsim

for _ in range(2):
    episodes = vrsim.make_episodes(vrsim.World.load("tiny"), "uniform", "selection")
    print(len(vrsim.play(vrsim.make_agent("uniform"), episodes).correct), len(vrsim.list_protocols()) > 1)
"""


def test_public_names_stay_what_they_are_after_their_first_use():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("100 True\n" * 2, "")


@every_module
def test_no_module_is_longer_than_a_person_reads(module):
    lines = len(module.source.splitlines())
    assert lines <= LONGEST


def test_importing_vrsim_is_as_cheap_as_importing_gymnasium_and_silent():
    heavy = [*HEAVY, "pyarrow", "scipy", "sklearn", "rich", "typer", "PIL"]
    code = f"import sys, vrsim\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:vrsim", "-c", code], capture_output=True)
    assert (done.returncode, done.stdout.decode().strip(), done.stderr.decode()) == (0, "[]", "")


@pytest.mark.parametrize("package", ["envs", "agents", "baselines"])
def test_a_folder_cannot_be_imported_under_its_bare_name(package):
    done = subprocess.run([sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"ImportError: this package is vrsim.{package}, not {package}" in done.stderr
    full = subprocess.run([sys.executable, "-c", f"import vrsim.{package}"], cwd=ROOT, capture_output=True, text=True)
    assert full.returncode == 0, full.stderr
