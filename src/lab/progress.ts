/** How something long tells how far it has come. The command line shows it; the lab does not know how. */

export interface Progress {
  /** A step begins. */
  begin(step: string, text: string): void;
  /** It goes on. */
  update(text: string): void;
  /** It is over. */
  done(text: string): void;
}
