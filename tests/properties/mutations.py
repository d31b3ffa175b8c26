"""What an attacker makes of valid bytes: flipped, cut, doubled; fields gone, added or swapped."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

DEEP = "<<deep>>"
DEPTHS = (3, 200, 900, 5_000)
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2**31,
    2**53,
    2**63,
    2**64,
    10**30,
    int("9" * 4000),
    1.5,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    ".",
    "..",
    "/",
    "a\0b",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "é",
    "x" * 20_000,
    "0" * 32,
    "0" * 64,
    [],
    [[]],
    {},
    {"a": 1},
    [1] * 5_000,
    DEEP,
)


def text_of(data: bytes) -> str:
    """Return what a terminal would hand over for such bytes."""
    return data.decode("utf-8", "surrogateescape")


def noise() -> st.SearchStrategy[bytes]:
    """Any bytes, and such as look like JSON."""
    return st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='[]{},:"\\u0019-+.eE tfn', max_size=200).map(str.encode),
        st.sampled_from(DEPTHS).map(lambda depth: b"[" * depth),
        st.sampled_from(DEPTHS).map(lambda depth: b'{"a":' * depth),
    )


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return valid bytes with one or two things wrong with them."""
    data = valid
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(1, 40)))
        match draw(st.sampled_from(["flip", "cut", "drop", "double", "insert", "extend", "ones"])):
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            case "cut":
                data = data[:at]
            case "drop":
                data = data[:at] + data[end:]
            case "double":
                data = data[:end] + data[at:]
            case "insert":
                data = data[:at] + draw(st.binary(min_size=1, max_size=20)) + data[at:]
            case "ones":
                # The greatest number there is, wherever a length or a count may stand.
                data = data[:at] + b"\xff" * (end - at) + data[end:]
            case _:
                data += draw(st.binary(min_size=1, max_size=200))
    return data


@st.composite
def altered_json(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return valid JSON with one to three fields gone, added, swapped, doubled or made hostile."""
    value = json.loads(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["remove", "hostile", "add", "swap", "repeat"])):
            case "remove":
                del holder[key]
            case "hostile":
                holder[key] = draw(_hostile())
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["", "x", "type", "\0"]))] = draw(_hostile())
            case "swap":
                other, name = draw(st.sampled_from(places))
                holder[key], other[name] = copy.deepcopy((other[name], holder[key]))
            case "repeat" if isinstance(holder, list):
                holder.extend([copy.deepcopy(holder[key])] * draw(st.sampled_from([1, 40])))
            case _:
                holder[key] = [copy.deepcopy(holder[key])]
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    depth = draw(st.sampled_from(DEPTHS))
    text = text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)
    return text.encode("utf-8", "surrogatepass")


def _hostile() -> st.SearchStrategy[Any]:
    # A copy: what is put in is mutated further.
    return st.sampled_from(HOSTILE).map(copy.deepcopy)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return everywhere that something stands in a JSON value, as what holds it and its key."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])
    return found
