"""How `vault check` tells what could be destroyed from this machine: one calm line a location."""

from collections.abc import Sequence

from strongroom.operations.check_credentials import Answer, Rights, every_copy


def tell_rights(rights: Sequence[Rights]) -> list[str]:
    """Return the lines for people; the last says what all of them mean together."""
    title = "What could be destroyed, tried on an object made for it:"
    return [title, *(f"  {_line(one)}" for one in rights), _all(rights)]


def _line(one: Rights) -> str:
    who = "this machine" if one.folder else "the worker's credential"
    found = {"overwrite": one.overwrite, "delete": one.delete}
    can = " and ".join(verb for verb, answer in found.items() if answer is Answer.YES)
    cannot = " or ".join(verb for verb, answer in found.items() if answer is Answer.NO)
    unknown = " or ".join(verb for verb, answer in found.items() if answer is Answer.UNKNOWN)
    parts = []
    if can:
        parts.append(f"{who} can {can}" + (", older versions are kept" if one.versions else ""))
    if cannot:
        parts.append(f"{who} cannot {cannot}")
    if unknown:
        parts.append(f"unknown whether {who} can {unknown} ({one.why})")
    if one.janitor_here:
        parts.append("a credential that may delete is sealed here")
    return f"{one.location}: {'; '.join(parts)}."


def _all(rights: Sequence[Rights]) -> str:
    match every_copy(rights):
        case Answer.YES:
            return "Every copy can be destroyed from this machine: held with exceptions."
        case Answer.UNKNOWN:
            return "Unknown whether every copy can be destroyed from this machine."
        case Answer.NO:
            safe = ", ".join(one.location for one in rights if one.destroy is Answer.NO)
            return f"Not every copy can be destroyed from this machine: safe at {safe}."
