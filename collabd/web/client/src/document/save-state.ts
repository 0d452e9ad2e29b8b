/**
 * What is known to be safe on the server's disk.
 *
 * The server tells each connection how many of its sync messages (step 2 and update) it has committed. This
 * counts what was sent, remembers which local changes each message covered, and says what a person should be
 * told. Pure: no clock, no network.
 */
export type SaveState =
  | { is: "opening" }
  | { is: "saved" }
  | { is: "saving"; changes: number }
  | { is: "reconnecting"; changes: number }
  | { is: "offline"; changes: number }
  | { is: "refused"; changes: number };

export class SaveTracker {
  #changes: number;
  #safe = 0;
  /** For each sync message of this connection, how many local changes are safe once it is committed. */
  #covers: number[] = [];
  #committed = 0;
  /** Whether this connection has sent step 2, and with it whatever was changed before it opened. */
  #answered = false;
  #link: "down" | "open" | "refused" = "down";
  #everOpen = false;
  #failures = 0;
  #stalled = false;

  /** `changes` were made here in an earlier visit and never confirmed. */
  constructor(changes = 0) {
    this.#changes = changes;
  }

  changed(): void {
    this.#changes++;
  }

  opened(): void {
    this.#link = "open";
    this.#everOpen = true;
    this.#covers = [];
    this.#committed = 0;
    this.#answered = false;
    this.#stalled = false;
  }

  /** A sync message went out. An update sent before step 2 says nothing about what was changed before it. */
  sent(kind: "step2" | "update"): void {
    if (kind === "step2") this.#answered = true;
    this.#covers.push(this.#answered ? this.#changes : this.#safe);
  }

  get #settled(): boolean {
    return this.#link === "open" && this.#answered && this.#committed === this.#covers.length;
  }

  /** The connection looks open, but there is no network and nothing has been confirmed for a while. */
  stalled(): void {
    this.#stalled = true;
  }

  /** The server has committed the first `count` sync messages of this connection. */
  committed(count: number): void {
    this.#stalled = false;
    this.#committed = Math.max(this.#committed, Math.min(count, this.#covers.length));
    const covered = this.#covers[this.#committed - 1];
    if (covered !== undefined) this.#safe = Math.max(this.#safe, covered);
    if (this.#settled) this.#failures = 0;
  }

  closed(final: boolean): void {
    this.#link = final ? "refused" : "down";
    this.#failures++;
  }

  /** Local changes that the server has not confirmed. */
  get unsafe(): number {
    return this.#changes - this.#safe;
  }

  get state(): SaveState {
    const changes = this.unsafe;
    if (this.#link === "refused") return { is: "refused", changes };
    if (this.#link === "open") {
      if (this.#settled) return { is: "saved" };
      if (this.#stalled) return { is: "offline", changes };
      if (changes > 0) return { is: "saving", changes };
      return this.#failures > 0 ? { is: "reconnecting", changes } : { is: "opening" };
    }
    if (this.#failures > 1) return { is: "offline", changes };
    return this.#everOpen || changes > 0 ? { is: "reconnecting", changes } : { is: "opening" };
  }
}
