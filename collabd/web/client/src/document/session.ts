import { effect, signal } from "@preact/signals";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { IndexeddbPersistence } from "y-indexeddb";
import { readAuthMessage } from "y-protocols/auth";
import { applyAwarenessUpdate } from "y-protocols/awareness";
import { messageAuth, messageAwareness, WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { self } from "../account";
import type { Place } from "../address";
import { address } from "../here";
import { lookWhoIAm } from "../sign-in";
import { readStored, writeStored } from "../stored";
import { adopted, type Adopted } from "./adopt";
import { cacheName, canKeep } from "./local-copy";
import { canInflate, MESSAGE_PACKED, unpack } from "./packed";
import { asUser, cleanAwareness, peersFrom, type Peer } from "./presence";
import { asSentence, EXPIRED, isFinal, readReason, refusalFrom, SIGN_IN, type Refusal } from "./refusal";
import { SaveTracker, type SaveState } from "./save-state";
import { findDocument } from "./server";
import { setKind, shapeOf, type Kind, type Shape } from "./shape";

/** Agreed with the server, they add message 100: how many of this connection's sync messages are committed. */
const PLAIN = "collabd.1";
/** This one also adds compressed messages. */
const COMPRESSED = "collabd.2";
/** With the secret behind it, the link that the document is opened by. */
const LINK = "collabd.link.";
const MESSAGE_COMMITTED = 100;
const MESSAGE_SYNC = 0;
const SYNC_STEP2 = 1;
const SYNC_UPDATE = 2;

/** Where the copy in this browser keeps the id of the document it is a copy of. */
const ID_KEY = "id";

/** How to begin, when the document is being created from here. */
export interface Beginning {
  kind?: Kind;
  content?: Uint8Array;
}

/** How long a browser without a network may wait for a confirmation before the page calls itself offline. */
const STALL_MS = 3000;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** One open document: the shared text, its copy in this browser, the connection and who else is there. */
export class DocumentSession {
  readonly doc = new Y.Doc();
  readonly shape = signal<Shape>({ is: "unknown" });
  readonly save = signal<SaveState>({ is: "opening" });
  readonly peers = signal<Peer[]>([]);
  readonly refusal = signal<Refusal | null>(null);
  /** Why this person may read but not write; null when they may write. */
  readonly readOnly = signal<string | null>(null);
  /**
   * Grows whenever what this person may do is to be found out anew: once the document is known to be on the
   * server, and when the server says that a right has changed. 0 before.
   */
  readonly rights = signal(0);
  /** What the server said when it last closed the connection for a while. */
  readonly trouble = signal("");
  /** Whether edits outlive the page without the server. */
  readonly kept = signal(true);
  /** What undoes this person's edits, while an editor is open. */
  undoManager: Y.UndoManager | null = null;

  readonly #tracker: SaveTracker;
  readonly #unsafeKey: string;
  readonly #provider: WebsocketProvider;
  #local: IndexeddbPersistence | null = null;
  /** Done when the compressed messages that came so far are read: one after the other. */
  #unpacking = Promise.resolve();
  #complete = false;
  /** Whether the connection as it is now was in step with the server. */
  #met = false;
  #closed = false;
  #asking = false;
  #stallTimer = 0;
  readonly #stopIdentity: () => void;

  constructor(
    readonly place: Place,
    beginning: Beginning = {},
  ) {
    this.#unsafeKey = `unsafe:${address.mount}${place.name}`;
    this.#tracker = new SaveTracker(readStored(this.#unsafeKey, isCount) ?? 0);
    // Before the provider's own listener, so that a change is counted when its message goes out.
    this.doc.on("update", this.#onUpdate);
    this.#provider = this.#connectable();
    this.#stopIdentity = effect(() => {
      const { name, color } = self.value;
      this.awareness.setLocalStateField("user", asUser(name, color));
    });
    this.awareness.on("change", this.#onAwareness);
    this.#onAwareness();
    addEventListener("online", this.#onOnline);
    addEventListener("pagehide", this.#onPageHide);
    addEventListener("pageshow", this.#onPageShow);
    addEventListener("beforeunload", this.#onBeforeUnload);
    void this.#begin(beginning);
  }

  get name(): string {
    return this.place.name;
  }

  get awareness(): WebsocketProvider["awareness"] {
    return this.#provider.awareness;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#stallTimer);
    this.#stopIdentity();
    removeEventListener("online", this.#onOnline);
    removeEventListener("pagehide", this.#onPageHide);
    removeEventListener("pageshow", this.#onPageShow);
    removeEventListener("beforeunload", this.#onBeforeUnload);
    this.awareness.destroy();
    this.#provider.destroy();
    this.doc.destroy();
  }

  /** Opens the connection anew, with the rights that there are now. */
  reconnect(): void {
    if (!this.#provider.shouldConnect) return;
    this.#provider.disconnect();
    this.#provider.connect();
  }

  /** Makes the empty document one of a kind. */
  start(kind: Kind): void {
    setKind(this.doc, kind);
    this.#look();
  }

  /** Has the server make an edit (its number is the answer; null if there is none) that undo takes for one's own. */
  async adopt(ask: () => Promise<number | null>): Promise<{ seq: number | null; adopted: Adopted | null }> {
    if (!this.undoManager) return { seq: await ask(), adopted: null };
    return adopted(this.undoManager, this.#provider, ask);
  }

  /** Forgets this browser's copy, unconfirmed changes included. The session must be closed next. */
  async forget(): Promise<void> {
    writeStored(this.#unsafeKey, null);
    await this.#local?.clearData();
  }

  async #begin(beginning: Beginning): Promise<void> {
    const kept = await canKeep();
    if (this.#closed) return;
    this.kept.value = kept;
    if (kept) {
      this.#local = new IndexeddbPersistence(cacheName(this.name), this.doc);
      await this.#local.whenSynced;
      const id: unknown = await this.#local.get(ID_KEY);
      if (this.#closed) return;
      if (typeof id === "number") this.#name(id);
    }
    if (beginning.content) Y.applyUpdate(this.doc, beginning.content);
    this.#look();
    if (beginning.kind && this.shape.peek().is === "unknown") this.start(beginning.kind);
    this.#provider.connect();
  }

  /**
   * From now on only the document with this id will do: should it have been deleted and made anew while this
   * browser was away, its old text must not be merged into the new one.
   */
  #name(id: number): void {
    this.#provider.params = { id: String(id) };
  }

  /** Learns the document's id once it has one. */
  async #learnId(): Promise<void> {
    if ("id" in this.#provider.params || this.#asking || !this.#local) return;
    this.#asking = true;
    const found = await findDocument(this.name).catch(() => undefined);
    // What is open by a link only is not in the list, and will not be there at the next question.
    this.#asking = found === null && this.place.link !== null;
    if (this.#closed || !found) return;
    this.#name(found.id);
    await this.#local.set(ID_KEY, found.id);
  }

  #protocols(compressed: boolean): string[] {
    const { link } = this.place;
    return [...(compressed ? [COMPRESSED] : []), PLAIN, ...(link === null ? [] : [LINK + link])];
  }

  #connectable(): WebsocketProvider {
    const sent = (data: unknown) => this.#onSent(data);
    class CountedSocket extends WebSocket {
      override send(data: Parameters<WebSocket["send"]>[0]): void {
        super.send(data);
        sent(data);
      }
    }
    const provider = new WebsocketProvider(address.socket, address.encode(this.name), this.doc, {
      connect: false,
      protocols: this.#protocols(canInflate()),
      WebSocketPolyfill: CountedSocket,
      shouldReconnect: (event) => !isFinal(event.code),
      // Tabs meet at the server; between themselves they would tell each other that everyone had left
      // whenever one of them lost its connection.
      disableBc: true,
    });
    provider.messageHandlers[MESSAGE_COMMITTED] = (_encoder, decoder) => {
      this.#tracker.committed(decoding.readVarUint(decoder));
      this.#publish();
      if (this.save.peek().is !== "saved") return;
      void this.#learnId();
      if (!this.#met) this.rights.value++;
      this.#met = true;
    };
    provider.messageHandlers[MESSAGE_PACKED] = (_encoder, decoder, _provider, emitSynced) => {
      const socket = provider.ws;
      const read = () => this.#onPacked(decoder, emitSynced, socket);
      this.#unpacking = this.#unpacking.then(read).catch(reportError);
    };
    provider.messageHandlers[messageAwareness] = (_encoder, decoder) => {
      applyAwarenessUpdate(provider.awareness, cleanAwareness(decoding.readVarUint8Array(decoder)), provider);
    };
    provider.messageHandlers[messageAuth] = (_encoder, decoder) => {
      readAuthMessage(decoder, this.doc, (_doc, reason) => {
        this.readOnly.value = asSentence(readReason(reason)) || "You may read this document, but not change it.";
        if (this.#met) this.rights.value++;
      });
    };
    provider.on("status", ({ status }) => {
      if (status !== "connected") return;
      this.#tracker.opened();
      this.trouble.value = "";
      this.readOnly.value = null;
      this.#met = false;
      this.#publish();
      // Those who saw this client leave ignore it until its presence carries a newer clock.
      this.awareness.setLocalState(this.awareness.getLocalState());
    });
    provider.on("connection-close", (event) => {
      const final = event !== null && isFinal(event.code);
      this.#tracker.closed(final);
      this.trouble.value = event ? readReason(event.reason) : "";
      if (final) this.refusal.value = refusalFrom(event, this.#complete, this.place.link !== null);
      if (event?.code === EXPIRED || event?.code === SIGN_IN) void lookWhoIAm();
      this.#publish();
    });
    provider.on("sync", (synced) => {
      if (!synced) return;
      this.#complete = true;
      this.#look();
    });
    return provider;
  }

  /** Does with the message inside what its handler would have done, had it come as it is. */
  async #onPacked(decoder: decoding.Decoder, emitSynced: boolean, socket: WebSocket | null): Promise<void> {
    const message = await unpack(decoder).catch(() => null);
    const provider = this.#provider;
    if (this.#closed || provider.ws !== socket) return;
    if (message?.[0] === MESSAGE_SYNC && (message[1] === SYNC_STEP2 || message[1] === SYNC_UPDATE)) {
      const inner = decoding.createDecoder(message.subarray(1));
      provider.messageHandlers[MESSAGE_SYNC]?.(encoding.createEncoder(), inner, provider, emitSynced, MESSAGE_SYNC);
    } else {
      // Without what was in it the document would be wrong: it is asked for again, as it is.
      provider.protocols = this.#protocols(false);
      socket?.close();
    }
  }

  /** Sees what the document is, until that is settled; then only `meta` can change it. */
  #look(): void {
    if (this.#closed) return;
    const shape = shapeOf(this.doc, this.name, this.#complete);
    const known = this.shape.peek();
    if (shape.is === "editable" && known.is === "editable" && shape.kind === known.kind) return;
    this.shape.value = shape;
  }

  #onUpdate = (_update: Uint8Array, origin: unknown): void => {
    if (origin === this.#provider || this.shape.peek().is !== "editable") queueMicrotask(() => this.#look());
    if (origin === this.#provider || origin === this.#local) return;
    this.#tracker.changed();
    this.#publish();
  };

  #onSent(data: unknown): void {
    if (!(data instanceof Uint8Array) || data[0] !== MESSAGE_SYNC) return;
    if (data[1] === SYNC_STEP2) this.#tracker.sent("step2");
    else if (data[1] === SYNC_UPDATE) this.#tracker.sent("update");
    else return;
    this.#publish();
  }

  #publish(): void {
    clearTimeout(this.#stallTimer);
    if (this.#provider?.wsconnected && this.#tracker.unsafe > 0) {
      this.#stallTimer = setTimeout(this.#onStall, STALL_MS);
    }
    writeStored(this.#unsafeKey, this.#tracker.unsafe || null);
    const next = this.#tracker.state;
    if (JSON.stringify(next) !== JSON.stringify(this.save.peek())) this.save.value = next;
  }

  #onAwareness = (): void => {
    this.peers.value = peersFrom(this.awareness.getStates() as Map<number, Record<string, unknown>>, this.doc.clientID);
  };

  #onStall = (): void => {
    if (this.#closed || navigator.onLine) return;
    this.#tracker.stalled();
    this.save.value = this.#tracker.state;
  };

  /** The network is back: try now, not at the end of the current pause. */
  #onOnline = (): void => {
    if (this.#provider.shouldConnect) this.#provider.connect();
  };

  #onPageHide = (): void => {
    if (this.#provider.shouldConnect) this.#provider.disconnect();
  };

  /** Back from the browser's back/forward cache. */
  #onPageShow = (event: PageTransitionEvent): void => {
    if (event.persisted && !this.refusal.peek()) this.#provider.connect();
  };

  #onBeforeUnload = (event: BeforeUnloadEvent): void => {
    if (!this.kept.peek() && this.#tracker.unsafe > 0) event.preventDefault();
  };
}
