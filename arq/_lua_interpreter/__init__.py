"""A small interpreter for the scripts in `arq/lua`: for servers in tests that have no Lua, as fakeredis without lupa.

It knows as much of Lua as these scripts use. A script is run command by command over the connection, so it is not
atomic: fine for the tests of an application, which have one process, and for nothing else. The scripts themselves stay
the only place that says what they do.
"""
