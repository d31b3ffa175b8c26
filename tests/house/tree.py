"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "strongroom"


def python_files(*folders: str) -> list[Path]:
    """Return every Python file below these folders of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def rooms() -> list[Path]:
    """Return every folder of the package that holds code, at any depth but the top."""
    return sorted({path.parent for path in python_files("src")} - {PACKAGE})


def top_names() -> set[str]:
    """Return the rooms and the modules at the top of the package: the words of the house."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.is_dir() and path in rooms()) or (path.suffix == ".py")
    } - {"__init__", "__main__"}


def pages() -> list[Path]:
    """Return every page that people read."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md")]
    return sorted([*(path for path in top if path.exists()), *(ROOT / "docs").rglob("*.md")])
