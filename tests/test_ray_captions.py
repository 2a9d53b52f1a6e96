"""Captioning on a local Ray cluster of two workers gives what one process gives."""

from dataclasses import replace

import pytest

from tests.captioned import describing, make_folder, run_of
from tests.chat_server import ChatServer
from vrsim.errors import OptionError
from vrsim.perception.captioning import caption_folder

pytest.importorskip("av", reason="PyAV is not installed")
ray = pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


def test_the_captions_are_the_same_and_nothing_is_asked_twice(cluster, tmp_path):
    folder = make_folder(tmp_path / "videos")
    with ChatServer(describing) as server:
        alone = run_of(folder, server.url, tmp_path / "alone" / "out.parquet")
        alone.out.parent.mkdir()
        caption_folder(alone)
        server.counts.clear()
        run = run_of(folder, server.url, tmp_path / "out.parquet")
        caption_folder(replace(run, ray=""), until="choice")
        assert not server.counts
        done = caption_folder(replace(run, ray=""))
        assert max(server.counts.values()) == 1
    assert run.out.read_bytes() == alone.out.read_bytes()
    assert done.usage.calls == 10


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:x"])
def test_a_cluster_that_is_not_there_is_said(tmp_path, address):
    folder = make_folder(tmp_path / "videos")
    if ray.is_initialized():
        ray.shutdown()
    run = run_of(folder, "http://localhost:1", tmp_path / "out.parquet")
    with pytest.raises(OptionError, match="ray start"):
        caption_folder(replace(run, ray=address))
