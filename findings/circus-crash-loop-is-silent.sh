#!/usr/bin/env bash
# circus: max_retry does not bound a crash loop, and the loop is silent: "active", no line in the log.
#
# Most would guess: `max_retry = 3` (5 when nothing is said) stops a watcher whose process ends at once with an error
#   again and again, as supervisord's startretries and systemd's StartLimitBurst do; each end is logged with its code.
# What is so: max_retry counts attempts at which the program could not be started at all. A process that runs for 0.2 s
#   and exits with 3 was started well: it is started again at each look (check_delay, 1 s), for ever. At the default log
#   level nothing of this is written, neither the ends nor their codes, `circusctl status` says active throughout, and
#   the number of processes is right whenever one asks just after a look. (A plugin, flapping, counts ends; it is off.)
# Versions: circus 0.19.0, Python 3.11, Linux.
# Output seen:
#   max_retry = 3: 15 starts in 14 s, status "crash: active", 1 line about it in the log ("crash started")
# Why it matters to a supervisor: workers whose settings cannot be imported burn a core and connect to Redis once a
#   second, and nobody is told. What has to be limited are ends within a window, with the exit code in the log.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check circus==0.19.0
cd "$work"
cat >crash.sh <<'SHELL'
echo start >>starts
sleep 0.2
exit 3
SHELL
cat >circus.ini <<'INI'
[circus]
check_delay = 1
endpoint = ipc://endpoint
pubsub_endpoint = ipc://events

[watcher:crash]
cmd = /bin/sh crash.sh
numprocesses = 1
max_retry = 3
INI
"$work/venv/bin/circusd" circus.ini >log 2>&1 &
circusd=$!
trap 'kill "$circusd" 2>/dev/null || true; wait "$circusd" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    [ -s starts ] && break
    sleep 0.1
done
sleep 14
starts=$(wc -l <starts)
status=$("$work/venv/bin/circusctl" --endpoint ipc://endpoint status)
lines=$(grep -c "crash" log)
echo "max_retry = 3: $starts starts in 14 s, status \"$status\", $lines line about it in the log (\"$(grep -o 'crash [a-z]*' log)\")"
kill -0 "$circusd"
[ "$starts" -gt 6 ] && [ "$status" = "crash: active" ] && [ "$lines" -eq 1 ] && ! grep -qiE "exit|status 3|retr" log
