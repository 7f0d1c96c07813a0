import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isInterpreter } from '../../src/spiffe/interpreters.js';

test('interpreters are told by the name of their file, with any version, also once an update replaced it', () => {
  for (const path of [
    '/usr/bin/python3.11',
    '/usr/bin/perl5.36-x86_64-linux-gnu',
    '/usr/bin/node',
    '/bin/dash',
    '/usr/bin/lua5.4',
    '/usr/lib64/ld-linux-x86-64.so.2',
    '/usr/bin/qemu-aarch64-static',
    '/opt/jdk/bin/java',
    '/usr/bin/ruby3.1',
    '/usr/bin/python3.11 (deleted)',
    '/usr/bin/sh (deleted)',
  ])
    assert.ok(isInterpreter(path), path);
  for (const path of [
    '/usr/sbin/nginx',
    '/usr/bin/nodejs-exporter',
    '/opt/python-server',
    '/usr/bin/shutdown',
    '/app',
  ])
    assert.ok(!isInterpreter(path), path);
});
