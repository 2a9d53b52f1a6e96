"""The benchmark of policies: what it measures, what it writes, how it goes on; sessions as a Minari data set."""

import json

import numpy as np
import pytest

from vrsim.baselines.recommending.fixed import RandomSlate
from vrsim.errors import OptionError, ResultsError, UnknownNameError
from vrsim.registry import agent_class, make_policy
from vrsim.session import Mood, SessionConfig
from vrsim.session import bench as session_bench
from vrsim.session.bench import SessionBenchConfig, run_session_bench, session_json
from vrsim.session.files import read_sessions, write_sessions
from vrsim.session.loop import play_sessions
from vrsim.session.metrics import METRICS, score_sessions, user_columns
from vrsim.session.policy import SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

TINY = World.load("tiny")
QUICK = {"world": "tiny", "policies": ("greedy", "random"), "seeds": 2, "users": 30}


@pytest.fixture(scope="module")
def log():
    setting = SessionSetting(SimulatedUser("content", TINY), SessionConfig(mood=Mood(loyalty=0.9)))
    return play_sessions(make_policy("random"), setting, seed=3)


def test_every_test_user_has_one_session_whose_turns_follow_each_other(log):
    assert len(np.unique(log.user)) == 100
    starts = np.flatnonzero(log.turn == 0)
    np.testing.assert_array_equal(np.flatnonzero(log.over), np.append(starts[1:], len(log)) - 1)
    np.testing.assert_array_equal(log.session[starts], np.arange(100))
    assert (np.diff(log.turn)[~log.over[:-1]] == 1).all()
    assert log.turn.max() == 19


def test_the_loop_plays_with_the_users_of_the_environment(log):
    import gymnasium as gym

    sessions = gym.make("vrsim/Session-v0", world="tiny", loyalty=0.9).unwrapped.sessions
    sessions.seed(0, np.random.default_rng(0))
    sessions.begin(np.array([0]), np.array([7]))
    first = np.flatnonzero(log.session == 7)[:1]
    assert log.user[first] == sessions.position[0, 0]
    picked = sessions.user.choose(sessions.position, sessions.history, log.slate[first]).action
    assert log.item[first] == log.slate[first][0, picked]


def test_the_metrics_are_what_they_say(log):
    columns, genres = user_columns(TINY, [log]), TINY.catalog.genres
    popularity = TINY.popularity
    order = np.argsort(popularity[1:], kind="stable") + 1
    rank = {int(item): place / (TINY.n_items - 1) for place, item in enumerate(order)}
    for place, user in enumerate(np.unique(log.user)[:10].tolist()):
        own = np.flatnonzero(log.user == user)
        real = set(TINY.interactions.of(user)[-1:].tolist())
        consumed = log.item[own][log.consumed[own]]
        distances = [
            1 - len({*genres[a]} & {*genres[b]}) / len({*genres[a]} | {*genres[b]})
            for slate in log.slate[own].tolist()
            for i, a in enumerate(slate)
            for b in slate[i + 1 :]
        ]
        history = [rank[int(item)] for item in TINY.interactions.of(user)[:-1]]
        expected = {
            "return": log.consumed[own].sum(),
            "length": len(own),
            "consumed": log.consumed[own].mean(),
            "satisfaction": log.satisfaction[own].mean(),
            "retention": log.returned[own].sum() / log.left[own].sum() if log.left[own].any() else np.nan,
            "diversity": np.mean(distances),
            "novelty": np.mean([-np.log2(max(popularity[i], 1) / 200) for i in log.slate[own].ravel()]),
            "popularity bias": np.mean([rank[i] for i in log.slate[own].ravel().tolist()]) - np.mean(history),
            "went on": np.mean([item in real for item in consumed]) if len(consumed) else np.nan,
        }
        assert expected.keys() == METRICS.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(columns[name][place], value, err_msg=name)
    score = score_sessions(TINY, [log])
    assert score.coverage == len({*log.slate.ravel().tolist()}) / TINY.n_items
    np.testing.assert_allclose(score.metrics["return"].value, np.mean(columns["return"]))


def test_turns_survive_their_file(log, tmp_path):
    write_sessions(log, tmp_path / "log.parquet")
    again = read_sessions(tmp_path / "log.parquet")
    for name, column in vars(log).items():
        np.testing.assert_array_equal(getattr(again, name), column)
        assert getattr(again, name).dtype == column.dtype
    with pytest.raises(ResultsError, match="holds sessions of '', not of 'greedy'"):
        read_sessions(tmp_path / "log.parquet", "greedy")
    (tmp_path / "log.parquet").write_bytes(b"something else")
    with pytest.raises(ResultsError, match="holds no sessions"):
        read_sessions(tmp_path / "log.parquet")


def test_a_stopped_benchmark_goes_on_and_comes_to_the_same(tmp_path, monkeypatch):
    whole = run_session_bench(SessionBenchConfig(**QUICK), tmp_path / "whole")
    asked, kept = [], session_bench.play_sessions

    def killed(policy, *args, **kwargs):
        asked.append(type(policy).__name__)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return kept(policy, *args, **kwargs)

    monkeypatch.setattr(session_bench, "play_sessions", killed)
    with pytest.raises(KeyboardInterrupt):
        run_session_bench(SessionBenchConfig(**QUICK), tmp_path / "part")
    again = run_session_bench(SessionBenchConfig(**QUICK), tmp_path / "part")
    assert asked == ["GreedySlate", "GreedySlate", "RandomSlate", "RandomSlate", "RandomSlate"]
    assert session_json(again) == session_json(whole)
    assert json.loads((tmp_path / "part" / "result.json").read_text()) == session_json(whole)
    more = SessionBenchConfig(**QUICK | {"policies": ("greedy", "random", "popularity")})
    assert len(run_session_bench(more, tmp_path / "part").rows) == 3
    assert asked[5:] == ["PopularSlate"] * 2
    with pytest.raises(ResultsError, match="already holds another table: turns is 20 there and 5 now"):
        run_session_bench(SessionBenchConfig(**QUICK, turns=5), tmp_path / "part")


def test_turns_with_another_user_or_policy_behind_the_same_name_are_not_reused(tmp_path, monkeypatch):
    quick = SessionBenchConfig("tiny", ("greedy", "random"), seeds=1, users=3)
    run_session_bench(quick, tmp_path)
    played, kept = [], session_bench.play_sessions
    monkeypatch.setattr(session_bench, "play_sessions", lambda *args, **kw: played.append(args[0]) or kept(*args, **kw))
    monkeypatch.setattr(RandomSlate, "about", lambda self: {"hash": "trained again"})
    run_session_bench(quick, tmp_path)
    assert [type(policy) for policy in played] == [RandomSlate]
    monkeypatch.setattr(agent_class(quick.user), "about", lambda self: {"hash": "trained again"})
    with pytest.raises(ResultsError, match="already holds another table: about is"):
        run_session_bench(quick, tmp_path)


def test_the_policies_are_compared_with_greedy_user_by_user(tmp_path):
    result = run_session_bench(SessionBenchConfig(**QUICK), tmp_path / "run")
    rows = {row.policy: row for row in result.rows}
    assert rows["greedy"].over is None
    one, other = (rows[name].score.metrics["return"].value for name in ("random", "greedy"))
    np.testing.assert_allclose(rows["random"].over.difference.value.value, one - other)


def test_turns_of_unknown_sessions_are_not_reused(tmp_path):
    run_session_bench(SessionBenchConfig("tiny", ("greedy",), seeds=1, users=3), tmp_path)
    (tmp_path / "asked.json").unlink()
    with pytest.raises(ResultsError, match=r"has lost its asked\.json"):
        run_session_bench(SessionBenchConfig("tiny", ("greedy",), user="popularity", seeds=1, users=3), tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"policies": ("gredy",)}, UnknownNameError, "unknown policy 'gredy'. Did you mean 'greedy'?"),
        ({"policies": ("greedy", "greedy")}, OptionError, "name at least one policy and none twice"),
        ({"user": "nobody"}, UnknownNameError, "unknown agent 'nobody'"),
        ({"options": {"slate": 30}}, OptionError, "a slate of 30 cannot be chosen from 20 candidates"),
        ({"seeds": 0}, OptionError, "seeds must be an integer from 1, found 0"),
        ({"users": -1}, OptionError, "users must be an integer from 0, found -1"),
    ],
)
def test_what_cannot_be_played_is_refused_at_once(changes, error, words):
    with pytest.raises(error) as caught:
        SessionBenchConfig(**QUICK | changes)
    assert words in str(caught.value)


def test_sessions_become_a_minari_data_set_that_makes_the_environment_again(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason="the extra vrsim[minari] is not installed")
    from vrsim.session.minari import export_minari

    folder = export_minari("vrsim/tiny/greedy-v0", world="tiny", options={"slate": 3}, sessions=4, folder=tmp_path)
    assert folder == tmp_path / "vrsim" / "tiny" / "greedy-v0"
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    dataset = minari.load_dataset("vrsim/tiny/greedy-v0")
    assert dataset.total_episodes == 4
    env = dataset.recover_environment()
    for episode, seed in zip(dataset.iterate_episodes(), dataset.storage.get_episode_metadata(range(4)), strict=True):
        seen, _ = env.reset(seed=seed["seed"], options={"episode": episode.id})
        for turn, action in enumerate(episode.actions):
            for name, column in episode.observations.items():
                np.testing.assert_array_equal(column[turn], seen[name])
            seen, reward, terminated, truncated, info = env.step(action)
            assert reward == episode.rewards[turn]
            assert (terminated, truncated) == (episode.terminations[turn], episode.truncations[turn])
            assert info["item"] == episode.infos["item"][turn + 1, 0]
        assert terminated or truncated
    with pytest.raises(ResultsError, match="exists already"):
        export_minari("vrsim/tiny/greedy-v0", world="tiny", sessions=4, folder=tmp_path)
    with pytest.raises(OptionError, match="expected the name of a Minari data set"):
        export_minari("tiny", world="tiny", folder=tmp_path)
    with pytest.raises(OptionError, match="100 test users for a session each, fewer than 101"):
        export_minari("other-v0", world="tiny", sessions=101, folder=tmp_path)


def test_a_minari_data_set_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason="the extra vrsim[minari] is not installed")
    from vrsim.session.minari import export_minari

    kept = minari.create_dataset_from_buffers

    def full(name, *args, **options):
        kept(name, *args, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(minari, "create_dataset_from_buffers", full)
    with pytest.raises(ResultsError, match=r"greedy-v0 could not be written: .*No space left"):
        export_minari("tiny/greedy-v0", world="tiny", sessions=2, folder=tmp_path)
    assert not (tmp_path / "tiny" / "greedy-v0").exists()
    monkeypatch.setattr(minari, "create_dataset_from_buffers", kept)
    assert export_minari("tiny/greedy-v0", world="tiny", sessions=2, folder=tmp_path).exists()
