import { type ErrorRow, row } from './row.js';

/** Error codes of command line, configuration and calls. */
export const cliErrors = {
  // cli
  file_unreadable: row('INVALID_ARGUMENT', 'Check the path, and that the file is what the command expects.'),
  agent_unreachable: row(
    'UNAVAILABLE',
    'Start the agent, or name its socket with -socketPath or SPIFFE_ENDPOINT_SOCKET.',
  ),
  server_unreachable: row('UNAVAILABLE', 'Start the server, or name its socket with -socketPath.'),
  dev_failed: row('INTERNAL', 'The lines above are the end of its log; --dir keeps the rest.'),
  request_refused: row('FAILED_PRECONDITION', 'The server says why; nothing else was changed.'),
  not_serving: row('UNAVAILABLE', 'Look at its log, or wait until it has started.'),
  data_invalid: row('INVALID_ARGUMENT', 'Correct every place that is named; nothing was sent.'),
  flag_invalid: row('INVALID_ARGUMENT', 'Look at the flags with --help.'),
  // config
  config_unreadable: row(
    'FAILED_PRECONDITION',
    'Check the path and the permissions of the file, or give another with -config.',
  ),
  config_invalid: row(
    'FAILED_PRECONDITION',
    'Correct the places that are named; `validate` shows all of them at once.',
  ),
  // wire
  wire_invalid: row('INVALID_ARGUMENT', 'Correct the field that the message names.'),
  // rpc
  health_unknown: row('NOT_FOUND', 'Ask for the empty name, or for a service that reflection lists.'),
  request_malformed: row(
    'INVALID_ARGUMENT',
    'Send the message of that name in protobuf, as the files in proto/ define it.',
  ),
  request_too_large: row('RESOURCE_EXHAUSTED', 'Split the request; the message names the limit in bytes.'),
  method_unimplemented: row('UNIMPLEMENTED', 'This method is not offered here; use another.'),
  call_deadline: row('DEADLINE_EXCEEDED', 'Give the call more time, or look for what slows the server.'),
  connection_closed: row('UNAVAILABLE', 'Connect again.'),
  reader_stuck: row('RESOURCE_EXHAUSTED', 'Read the stream, or close it.'),
  socket_in_use: row('FAILED_PRECONDITION', 'Stop the process that serves on it, or choose another path.'),
  socket_path_invalid: row(
    'FAILED_PRECONDITION',
    'Choose an absolute path of at most 107 bytes that is free.',
  ),
} as const satisfies Record<string, ErrorRow>;
