"""``vrsim augment`` on the command line."""

import json
from pathlib import Path

import pytest

from vrsim.augmentation import suite as augment_suite


@pytest.fixture
def command(vrsim_command):
    """The command on the tiny world."""
    return lambda *words: vrsim_command("augment", "--world", "tiny", "--agent", "content", *words)


def test_it_prints_tables_that_fit_a_terminal(command):
    code, text, err = command("--users", "cold:40", "--seeds", 2, "--out", "run")
    assert code == 0, err
    for word in (
        "of 10 items shown",
        "random of",
        "dislikes",
        ".0678",
        ".1003",
        "40 users asked (cold:40), 200 in all",
    ):
        assert word in text
    assert "the users asked" in text
    assert "all users" in text
    assert max(len(line) for line in text.splitlines() if line.startswith((" ", "─"))) <= 80


def test_it_prints_json_and_goes_on_with_more_seeds(command):
    words = ("--users", "cold:40", "--row", "likes", "--row", "random", "--out", "run", "--json")
    code, text, _ = command(*words, "--seeds", 1)
    assert code == 0
    told = json.loads(text)
    assert told == {"out": "run", **json.loads(Path("run/augmentation.json").read_text()), "costs": []}
    assert [row["name"] for row in told["rows"]] == ["before", "nothing added", "likes", "random"]
    assert told["rows"][1]["hits"] is None
    code, text, _ = command(*words, "--seeds", 2)
    more = json.loads(text)
    assert [len(row["by_seed"]["all"]) for row in more["rows"]] == [1, 2, 2, 2]
    assert more["rows"][3]["by_seed"]["all"][:1] == told["rows"][3]["by_seed"]["all"]


def test_an_interrupted_command_says_how_to_go_on(command, monkeypatch):
    def interrupted(*anything):
        raise KeyboardInterrupt

    monkeypatch.setattr(augment_suite, "retrain", interrupted)
    code, _, err = command("--users", "cold:40", "--out", "run")
    assert code == 130
    assert "stopped; the same command goes on where it stopped" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--users warm:5", "users must be cold:N, all:N or N, with N from 1, found 'warm:5'"),
        ("--users 0", "with N from 1, found '0'"),
        ("--agent kontent", "unknown agent 'kontent'. Did you mean 'content'"),
        ("--protocol unifrom", "unknown protocol 'unifrom'. Did you mean 'uniform'"),
        ("--protocol mllm-msr --world tiny:holdout=1 --shown 200", "candidates of some users, 200 are to be shown"),
        ("--option epoch=2", "unknown option of the training 'epoch'. Did you mean 'epochs'"),
        ("--option epochs", "expected --option NAME=VALUE, found 'epochs'"),
        ("--option warm=maybe", "warm must be True or False, found 'maybe'"),
        ("--row liked", "unknown row of augment 'liked'. Did you mean 'likes'"),
        ("--seeds 0", "seeds must be an integer from 1, found 0"),
        ("--budget -1", "-1"),
    ],
)
def test_wrong_input_is_one_clear_error_before_anybody_is_asked(words, message, command, tmp_path):
    code, out, err = command(*words.split())
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())
    assert not (tmp_path / "runs").exists()
