"""The Lua scripts, and commands that only a text names."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("arq", includes=["lua/**/*.lua"])
hiddenimports = collect_submodules("arq._commands")
