/** `podwire kubeconfig`: print what lets kubectl into a lab. */

import { readFileSync } from 'node:fs';
import { labPaths } from '../lab/record.js';
import { LAB_FLAG, pickLab } from './pick-lab.js';
import { CommandError, defineVerb } from './verb.js';

export const kubeconfig = defineVerb({
  usage: ['kubeconfig [--lab NAME]'],
  description:
    "Print the kubeconfig of a lab: its server's address, the certificate to trust, and the token. Whoever has it may do " +
    'everything in that lab. `podwire up` has written the same to a file that only this user can read.',
  options: { lab: LAB_FLAG },
  example: ['podwire kubeconfig > lab.kubeconfig', 'export KUBECONFIG=/run/podwire/demo/kubeconfig'],
  async run({ flags, io }) {
    const { name } = pickLab(flags.lab);
    const path = labPaths(name).kubeconfig;
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      throw new CommandError(`Cannot read ${path}: ${(error as Error).message}; has the server come up?`);
    }
    io.stdout.write(text);
    return 0;
  },
});
