"""The Lua scripts, the files of the dashboard, and commands that only a text names."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("arq", includes=["lua/**/*.lua", "_web/static/*", "_web/templates/*"])
hiddenimports = collect_submodules("arq._commands")
