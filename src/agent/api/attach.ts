/**
 * `POST /pods/NAMESPACE/NAME/attach?container=&stdin=`: the input and output of a container's own program, in the
 * channels of exec.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RESIZE, STDERR, STDIN, STDOUT } from '../../wire/channel-frame.js';
import { attach } from '../pods/attach.js';
import type { PodState } from '../pods/state.js';
import { containerOf, copy, endChannels, followSize, startChannels } from './exec.js';
import { exitStatus } from './exit-status.js';

/**
 * @param dir  the pod's folder
 * @throws ApiError, or a RangeError for what does not run, before any answer
 */
export async function serveAttach(
  dir: string,
  state: PodState,
  container: string | null,
  hasStdin: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const record = containerOf(state, container);
  const attachment = attach(dir, state, record, hasStdin);
  const channels = startChannels(request, response, [STDIN, RESIZE]);
  followSize(channels.input(RESIZE), (columns, rows) => attachment.resize(columns, rows));
  const typed = channels.input(STDIN);
  if (attachment.stdin) void copy(typed, attachment.stdin).finally(() => attachment.inputEnded());
  else typed.resume();
  response.once('close', () => {
    attachment.stdout.destroy();
    attachment.stderr.destroy();
    attachment.inputEnded();
  });
  await Promise.all([
    copy(attachment.stdout, channels.output(STDOUT)),
    copy(attachment.stderr, channels.output(STDERR)),
  ]);
  attachment.stdin?.destroy();
  // As the kubelet has it: how the program ended stands in the pod's status.
  await endChannels(channels, response, exitStatus(0));
}
