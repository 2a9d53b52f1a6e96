"""A session as its user sees it: the feed, what was picked, and how patient the user still is."""

from vrsim.envs.rendering import SHOWN, describe
from vrsim.session import Sessions, Turn

__all__ = ["write_session"]


def write_session(sessions: Sessions, turn: Turn | None) -> str:
    """The first session as text; ``turn`` is its last one, None = nothing was shown yet."""
    catalog = sessions.world.catalog
    user = int(sessions.position[0, 0])
    lines = [f"User {user}, turn {int(sessions.turns[0])}, patience {sessions.patience[0]:g}. Had last:"]
    lines += [f"    {describe(catalog, item)}" for item in sessions.history[0].tolist()[-SHOWN:] if item]
    if turn is None:
        lines += ["Could be shown:"]
        return "\n".join(lines + [f"    {describe(catalog, item)}" for item in sessions.pool.items[0].tolist() if item])
    lines += ["Shown:"]
    picked = int(turn.item[0])
    for item in turn.slate[0].tolist():
        mark = "  " if item != picked else "+ " if turn.consumed[0] else "- "
        lines.append(f"  {mark}{describe(catalog, item)}")
    if not picked:
        lines.append("No answer that could be read.")
    elif turn.consumed[0]:
        lines.append(f"Consumed: {describe(catalog, picked)}.")
    else:
        lines.append("Nothing consumed.")
    if turn.left[0]:
        wish = f" {sessions.instructions[0]}" if sessions.instructions[0] else ""
        lines.append(("Left, and came back." if turn.returned[0] else "Left for good.") + wish)
    return "\n".join(lines)
