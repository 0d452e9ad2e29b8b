import { Annotation, type Extension, type Range } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate, WidgetType } from "@codemirror/view";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import type { User } from "../../document/presence";
import { caretElement } from "../carets";

/**
 * Other people's carets and selections, and one's own sent to them, in the awareness field that
 * y-codemirror.next uses: clients of either see each other.
 */
const peersMoved = Annotation.define<true>();

class CaretWidget extends WidgetType {
  constructor(
    readonly client: number,
    readonly user: User,
  ) {
    super();
  }

  override eq(other: CaretWidget): boolean {
    return other.client === this.client;
  }

  override toDOM(): HTMLElement {
    return caretElement(this.client, this.user);
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

interface Cursor {
  anchor: Y.RelativePosition;
  head: Y.RelativePosition;
}

class RemoteCarets {
  decorations: DecorationSet;

  constructor(
    readonly view: EditorView,
    readonly text: Y.Text,
    readonly awareness: Awareness,
  ) {
    this.awareness.on("change", this.#onChange);
    this.decorations = this.#draw();
  }

  update(update: ViewUpdate): void {
    if (update.docChanged || update.selectionSet || update.focusChanged) this.#publish();
    if (update.docChanged || update.transactions.some((one) => one.annotation(peersMoved))) {
      this.decorations = this.#draw();
    }
  }

  destroy(): void {
    this.awareness.off("change", this.#onChange);
    this.awareness.setLocalStateField("cursor", null);
  }

  #onChange = ({ added, updated, removed }: Record<"added" | "updated" | "removed", number[]>): void => {
    const others = [...added, ...updated, ...removed].some((client) => client !== this.awareness.clientID);
    if (others) this.view.dispatch({ annotations: peersMoved.of(true) });
  };

  #publish(): void {
    const known = this.awareness.getLocalState()?.["cursor"] as Cursor | null | undefined;
    if (!this.view.hasFocus) return;
    const { anchor, head } = this.view.state.selection.main;
    const next: Cursor = {
      anchor: Y.createRelativePositionFromTypeIndex(this.text, anchor),
      head: Y.createRelativePositionFromTypeIndex(this.text, head),
    };
    const same =
      known &&
      Y.compareRelativePositions(known.anchor, next.anchor) &&
      Y.compareRelativePositions(known.head, next.head);
    if (!same) this.awareness.setLocalStateField("cursor", next);
  }

  #offset(position: Y.RelativePosition): number | null {
    const absolute = Y.createAbsolutePositionFromRelativePosition(position, this.text.doc!);
    if (absolute?.type !== this.text) return null;
    return Math.min(absolute.index, this.view.state.doc.length);
  }

  #draw(): DecorationSet {
    const marks: Range<Decoration>[] = [];
    for (const [client, state] of this.awareness.getStates()) {
      const cursor = state["cursor"] as Cursor | null | undefined;
      if (client === this.awareness.clientID || !cursor) continue;
      const anchor = this.#offset(cursor.anchor);
      const head = this.#offset(cursor.head);
      if (anchor === null || head === null) continue;
      const user = state["user"] as User;
      if (anchor !== head) {
        const selection = Decoration.mark({
          class: "remote-selection",
          attributes: { style: `--who: ${user.color}` },
        });
        marks.push(selection.range(Math.min(anchor, head), Math.max(anchor, head)));
      }
      const side = head > anchor ? -1 : 1;
      marks.push(Decoration.widget({ side, widget: new CaretWidget(client, user) }).range(head));
    }
    return Decoration.set(marks, true);
  }
}

export const remoteCarets = (text: Y.Text, awareness: Awareness): Extension =>
  ViewPlugin.define((view) => new RemoteCarets(view, text, awareness), { decorations: (carets) => carets.decorations });
