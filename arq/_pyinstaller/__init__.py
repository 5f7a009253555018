"""What PyInstaller asks for when a program uses arq: files that are no modules, and modules that nobody names."""

from pathlib import Path


def hook_directories() -> list[str]:
    """The directory of the hooks (entry point `pyinstaller40`)."""
    return [str(Path(__file__).parent)]
