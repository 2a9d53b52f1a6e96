"""The loop of sessions: users to a policy, its slates to the simulated users, and what came of it as columns."""

from dataclasses import dataclass, fields

import numpy as np

from vrsim.errors import ActionError, OptionError
from vrsim.progress import Progress, silent
from vrsim.seeding import derive, generator
from vrsim.session.engine import Sessions, session_starts
from vrsim.session.policy import Policy, SessionSetting

__all__ = ["SessionLog", "join_logs", "play_sessions"]

BATCH = 1024  # sessions side by side


@dataclass(frozen=True, eq=False)
class SessionLog:
    """Turns of sessions with one policy, one row per turn, sessions one after the other."""

    session: np.ndarray  # int64 (T,): number of the session, from 0
    user: np.ndarray  # int64 (T,)
    turn: np.ndarray  # int64 (T,): from 0
    slate: np.ndarray  # int64 (T, K)
    item: np.ndarray  # int64 (T,): picked, 0 = the answer could not be read
    consumed: np.ndarray  # bool (T,)
    satisfaction: np.ndarray  # float64 (T,)
    valid: np.ndarray  # bool (T,)
    left: np.ndarray  # bool (T,)
    returned: np.ndarray  # bool (T,)
    over: np.ndarray  # bool (T,): the session ended with this turn
    repaired: np.ndarray  # int64 (T,)
    unread: np.ndarray  # bool (T,): the policy's own reply could not be read
    reward: np.ndarray  # float64 (T,)
    instruction: np.ndarray  # object (T,): what would have kept the user who left last, "" = never left

    def __len__(self) -> int:
        return len(self.session)


def play_sessions(
    policy: Policy,
    setting: SessionSetting,
    users: int = 0,
    seed: int = 0,
    *,
    fit: bool = True,
    progress: Progress = silent,
) -> SessionLog:
    """One session with every test user, or with ``users`` of them, drawn by a fixed seed.

    ``fit`` lets the policy learn from training users first. Sessions run ``BATCH`` side by side. Raises OptionError,
    and ActionError for slates that are none.
    """
    if isinstance(users, bool) or not isinstance(users, int) or users < 0:
        raise OptionError(f"users must be an integer from 0 = all, found {users!r}")
    if fit:
        policy.fit(setting)
    starts = len(session_starts(setting.user, setting.config.slate, "test"))
    order = generator(0, "sessions").permutation(starts)
    order = np.sort(order[:users] if users else order)
    logs = []
    for start in range(0, len(order), BATCH):
        which = order[start : start + BATCH]
        logs.append(_play_batch(policy, setting, start, which, derive(seed, "sessions", start)))
        progress(min(start + BATCH, len(order)), len(order), "")
    return join_logs(logs)


def join_logs(logs: list[SessionLog]) -> SessionLog:
    """Several batches as one."""
    return SessionLog(*(np.concatenate([getattr(log, f.name) for log in logs]) for f in fields(SessionLog)))


def _play_batch(policy: Policy, setting: SessionSetting, first: int, which: np.ndarray, seed: int) -> SessionLog:
    """Sessions first, first + 1, ... at the starts ``which`` int64 (B,)."""
    sessions = Sessions(setting.user, setting.config, len(which))
    for row in range(len(which)):
        sessions.seed(row, generator(seed, row))
    policy.reset(derive(seed, "policy"))
    rows = np.arange(len(which))
    sessions.begin(rows, which)
    turns = []
    while len(rows):
        observations = sessions.observe(rows)
        places = policy.act(observations, [sessions.instructions[row] for row in rows])
        _check(policy, places, (len(rows), setting.config.slate), setting.config.candidates)
        turn = sessions.show(rows, places)
        reward = turn.reward(setting.config.reward)
        policy.learn(observations, places, turn, reward)
        over = turn.gone | turn.exhausted | (sessions.turns[rows] >= setting.turns)
        turns.append(
            SessionLog(
                session=first + rows,
                user=sessions.position[rows, 0],
                turn=sessions.turns[rows] - 1,
                **{name: getattr(turn, name) for name in TOLD},
                unread=np.zeros(len(rows), bool) if policy.unread is None else policy.unread,
                over=over,
                reward=reward,
                instruction=np.array([sessions.instructions[row] for row in rows], object),
            )
        )
        rows = rows[~over]
    whole = join_logs(turns)
    order = np.lexsort((whole.turn, whole.session))
    return SessionLog(*(getattr(whole, f.name)[order] for f in fields(SessionLog)))


TOLD = ("slate", "item", "consumed", "satisfaction", "valid", "left", "returned", "repaired")


def _check(policy: Policy, places: np.ndarray, shape: tuple[int, int], candidates: int) -> None:
    name = type(policy).__name__
    if not isinstance(places, np.ndarray) or places.shape != shape or places.dtype.kind not in "iu":
        found = f"{places.dtype} {places.shape}" if isinstance(places, np.ndarray) else type(places).__name__
        raise ActionError(f"{name}.act must return integers of shape {shape}, found {found}")
    if places.min() < 0 or places.max() >= candidates:
        raise ActionError(
            f"{name}.act returned places {places.min()} to {places.max()}, expected 0 to {candidates - 1}"
        )
