import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findEndpoint, parseEndpointAddress } from '../../src/spiffe/endpoint-address.js';
import { throwsCode } from '../support/rejects.js';

const refuses = (message: RegExp, ...texts: string[]) => {
  for (const text of texts) {
    throwsCode('endpoint_address_invalid', message, () => parseEndpointAddress(text), text);
  }
};

test('WE-10: an option wins over the environment, and neither is an error', () => {
  assert.deepEqual(findEndpoint(undefined, 'unix:///a'), { kind: 'unix', path: '/a' });
  assert.deepEqual(findEndpoint('unix:///b', 'unix:///a'), { kind: 'unix', path: '/b' });
  throwsCode('endpoint_address_invalid', /SPIFFE_ENDPOINT_SOCKET is not set/, () =>
    findEndpoint(undefined, undefined),
  );
  throwsCode('endpoint_address_invalid', /neither unix nor tcp/, () => findEndpoint(undefined, ''));
});

test('WE-11: the scheme is unix or tcp', () => {
  refuses(/neither unix nor tcp/, 'http://127.0.0.1:1', '/tmp/a.sock', '', 'UNIX:///a', 'unixx:///a');
});

test('WE-12: unix has an absolute path and nothing else', () => {
  assert.deepEqual(parseEndpointAddress('unix:///a/b.sock'), { kind: 'unix', path: '/a/b.sock' });
  assert.deepEqual(parseEndpointAddress('unix:/a/b.sock'), { kind: 'unix', path: '/a/b.sock' });
  refuses(/path is not absolute/, 'unix://a/b.sock', 'unix:a.sock', 'unix://', 'unix:', 'unix://u@h/p');
  refuses(/names no socket/, 'unix:///', 'unix:/', 'unix:////a', 'unix:///a\0b');
  refuses(
    /query, a fragment or white space/,
    'unix:///a?x',
    'unix:///a#x',
    'unix:///a?',
    'unix:///a b',
    ' unix:///a',
  );
});

test('WE-13: tcp has an IP address and a port, and nothing else', () => {
  assert.deepEqual(parseEndpointAddress('tcp://127.0.0.1:8000'), {
    kind: 'tcp',
    host: '127.0.0.1',
    port: 8000,
  });
  for (const host of ['::1', '::', 'fe80::1', '1:2:3:4:5:6:7:8', '::ffff:10.0.0.1', 'A::']) {
    assert.deepEqual(parseEndpointAddress(`tcp://[${host}]:65535`), { kind: 'tcp', host, port: 65_535 });
  }
  refuses(
    /an IP address and a port, nothing else/,
    'tcp://localhost:8000',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:8000/foo',
    'tcp://127.0.0.1:8000/',
    'tcp://u@127.0.0.1:8000',
    'tcp:127.0.0.1:8000',
    'tcp://127.0.0.256:1',
    'tcp://127.0.0.01:1',
    'tcp://127.0.1:1',
    'tcp://::1:8000',
    'tcp://[::1',
    'tcp://[1::2::3]:1',
    'tcp://[1:2:3:4:5:6:7]:1',
    'tcp://[1:2:3:4:5:6:7:8:9]:1',
    'tcp://[1:2:3:4:5:6:7::8]:1',
    'tcp://[:1]:1',
    'tcp://[12345::]:1',
    'tcp://[::1.2.3]:1',
  );
  refuses(/query, a fragment/, 'tcp://127.0.0.1:8000?x', 'tcp://127.0.0.1:8000#x');
});
