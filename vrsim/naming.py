"""Names with options in one string: ``recommender:model=EASE,order=lowest``."""

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from vrsim.errors import OptionError, UnknownNameError

__all__ = ["check_options", "parse_name", "parse_value", "write_name"]


def parse_name(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value`` into the name and its options.

    Numbers, True, False, None and lists of them become values; everything else stays a string. Commas
    inside brackets do not separate. A first part without "=" (``llm:Qwen/Qwen2.5-7B``) is the option "".
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for place, part in enumerate(re.findall(r"(?:\[[^\]]*\]|[^,])+", rest)):
        key, equals, value = part.partition("=")
        if not equals and place == 0:
            key, value = "", part
        elif not equals or not key.strip():
            raise OptionError(f"expected name:option=value,option=value, found {part!r} in {text!r}")
        if key.strip() in options:
            raise OptionError(f"option {key.strip()!r} stands twice in {text!r}")
        options[key.strip()] = parse_value(value.strip())
    return name.strip(), options


def parse_value(text: str) -> Any:
    """The Python number, True, False, None or list that ``text`` spells, else ``text`` itself."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, bool | int | float | list) else text


def write_name(name: str, options: Mapping[str, Any]) -> str:
    """The inverse of ``parse_name``, options in alphabetical order."""
    written = ",".join(f"{key}={options[key]}" for key in sorted(options))
    return f"{name}:{written}" if written else name


def check_options(kind: str, make: Callable, options: Mapping[str, Any]) -> None:
    """Raise UnknownNameError for an option that ``make`` does not take as an argument."""
    parameters = inspect.signature(make).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            raise UnknownNameError(f"option of {kind}", name, parameters)
