/** The part of npm's raw-socket (1.8) that we use. */
declare module 'raw-socket' {
  import type { EventEmitter } from 'node:events';

  export interface Socket extends EventEmitter {
    on(event: 'message', listener: (packet: Buffer, source: string) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    on(event: 'close', listener: () => void): this;
    setOption(level: number, option: number, value: Buffer, length: number): void;
    close(): this;
  }
  const rawSocket: {
    /** The socket is made before this returns, in the network namespace of the calling thread. */
    createSocket(options: { protocol: number; bufferSize?: number }): Socket;
    readonly Protocol: { readonly ICMP: number };
  };
  export default rawSocket;
}
