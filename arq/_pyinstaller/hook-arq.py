"""The Lua scripts."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("arq", includes=["lua/**/*.lua"])
