/**
 * A program: answers every DNS question over UDP with one A record, until it is killed. `node dns-answerer.js PORT ADDRESS`
 */
import { createSocket } from 'node:dgram';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** The compiled program. */
export const DNS_ANSWERER = fileURLToPath(import.meta.url);

/** RFC 1035 §4.1.1: bytes of a header; offsets of flags and counts in it. */
const HEADER_LEN = 12;
const FLAGS = 2;
const ANSWERS = 6;
const ADDITIONAL = 10;
/** A response, authoritative, to a query that asked for recursion. */
const RESPONSE = 0x8580;
/** An A record, class IN, 5 s, whose name is the question's (a pointer to it). */
const RECORD = [0xc0, HEADER_LEN, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4];

if (process.argv[1] === DNS_ANSWERER) {
  const [, , port, address] = process.argv;
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    // The question: labels up to an empty one, type and class. What follows (EDNS) is not answered.
    let end = HEADER_LEN;
    while (query[end]! !== 0 && end < query.length) end += 1 + query[end]!;
    const answer = Buffer.concat([
      query.subarray(0, end + 5),
      Buffer.from([...RECORD, ...address!.split('.').map(Number)]),
    ]);
    answer.writeUInt16BE(RESPONSE, FLAGS);
    answer.writeUInt16BE(1, ANSWERS);
    answer.writeUInt16BE(0, ADDITIONAL);
    socket.send(answer, from.port, from.address);
  });
  socket.bind(Number(port), () => console.log('ready'));
}
