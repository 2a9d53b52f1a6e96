"""One thread per test process: the processes of pytest-xdist share the cores already."""

import gzip
import os
import sys
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")  # or they wait for the other processes of pytest-xdist

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import trained
from tests.reports import SHORTCUTS, Page, make_run
from tests.small_models import save_small_model
from vrsim import cli, registry
from vrsim.bench import BenchConfig, run_bench
from vrsim.building import BuildConfig, build
from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.interactions import Interactions
from vrsim.models.local import LocalConfig, LocalModel
from vrsim.models.store import Store
from vrsim.tiny import tiny_data
from vrsim.training.sft import train_sft
from vrsim.world import World

# Tables


@pytest.fixture
def write(tmp_path):
    """Write text or bytes into a file; .gz files are compressed."""

    def write(content, name="log.csv"):
        content = content if isinstance(content, bytes) else content.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path):
    """Write columns into a parquet file."""

    def write(name="log.parquet", **columns):
        pq.write_table(pa.table(columns), tmp_path / name)
        return tmp_path / name

    return write


# Worlds


@pytest.fixture(scope="session")
def data():
    """The data of the tiny world."""
    return tiny_data()


@pytest.fixture(scope="module")
def tiny():
    """The tiny world."""
    return World.load("tiny")


@pytest.fixture
def failing():
    """Make a recommender that raises an error instead of answering."""

    class Failing:
        def __init__(self, error):
            self.error = error

        def score(self, users, histories):
            raise self.error

    return Failing


@pytest.fixture
def no_recbole(monkeypatch):
    """Nothing in the test may need RecBole: importing it fails."""
    for name in ("recbole", "vrsim.recommender.recbole_models", "vrsim.recommender.recbole_setup"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="session")
def crowd():
    """Make up people with five interactions each: enough test users for several batches."""

    def make(users: int = 700, seed: int = 0) -> Data:
        rng = np.random.default_rng(seed)
        items = np.concatenate([rng.permutation(40)[:5] + 1 for _ in range(users)]).astype(np.int32)
        columns = {"item_id": [f"i{i}" for i in range(40)], "title": [f"Film {i}" for i in range(40)], "year": [0] * 40}
        table = pa.table(columns | {"genres": [[]] * 40, "caption": [""] * 40}, schema=Catalog.SCHEMA)
        names = pa.array([f"u{i}" for i in range(users)], pa.string())
        return Data(Interactions(np.arange(users + 1) * 5, items), Catalog(table), names, {})

    return make


@pytest.fixture(scope="session")
def town(tmp_path_factory, crowd):
    """The folder of a world with 350 test users: judgments come in three batches, selections in two."""
    folder = tmp_path_factory.mktemp("worlds") / "town"
    build(folder, crowd(), BuildConfig(recommender="transitions"))
    return folder


# Language models


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory):
    """A cache folder that all processes of the tests share: a language model is built once per world."""
    shared = tmp_path_factory.getbasetemp()
    return (shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared) / "home"


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folder of a tiny model of some kind; each is made once."""
    folder = tmp_path_factory.mktemp("models")
    return lambda kind: folder / kind if (folder / kind).exists() else save_small_model(kind, folder / kind)


@pytest.fixture(scope="session")
def model(saved):
    """A loaded model of some kind; each is loaded once."""
    made = {}

    def load(kind="qwen2"):
        if kind not in made:
            made[kind] = LocalModel(LocalConfig(str(saved(kind))))
        return made[kind]

    return load


@pytest.fixture(scope="session")
def small_pocket(tmp_path_factory):
    """The name of a pocket model of the tiny world that knows nothing yet, ready to be trained."""
    return trained.small_pocket(tmp_path_factory.mktemp("pocket") / "small")


@pytest.fixture(scope="session")
def warm_pocket(tmp_path_factory, small_pocket):
    """The name of a checkpoint that has learned to write well-formed replies, and little more."""
    out = tmp_path_factory.mktemp("warm") / "sft"
    train_sft(trained.sft(small_pocket), out)
    return f"checkpoint:{out}"


@pytest.fixture
def store(tmp_path):
    """An empty store; it is closed after the test."""
    store = Store(tmp_path / "answers.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache folder that the tests of a module share: what one of them trained is there for the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRSIM_HOME", str(tmp_path_factory.mktemp("home")))
        yield


# The command line


@pytest.fixture
def vrsim_command(monkeypatch, capsys, tmp_path):
    """Run a command line in this process, in a folder and with a cache of its own; a traceback would fail the test."""
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})

    def run(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vrsim", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run


# Reports


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a run full of hostile text."""
    return make_run(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def report(run, tmp_path_factory):
    """The report about that run; its folder has a blank in its name."""
    from vrsim.report import write_report

    return write_report([run], tmp_path_factory.mktemp("a report") / "report.html", shortcuts=SHORTCUTS)


@pytest.fixture(scope="session")
def source(report):
    """Its HTML."""
    return report.page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(source):
    """Its HTML, taken apart."""
    return Page(source)


@pytest.fixture
def tiny_run(tmp_path):
    """Make a small run on the tiny world."""

    def make(name="tiny", **change):
        config = BenchConfig("tiny", ("uniform", "popularity"), ("uniform",), ("selection",), (3,), seeds=1)
        run_bench(replace(config, **change), tmp_path / name)
        return tmp_path / name

    return make
