import * as Y from "yjs";

/** How long an edit that the server has made may take to arrive here. */
const LATE_MS = 3000;

/** The stack item that an edit became, and how to take it back. */
export interface Adopted {
  undo: () => void;
}

type StackEvent = { stackItem: Y.UndoManager["undoStack"][number]; type: "undo" | "redo"; origin: unknown };

/**
 * Has the server make an edit for this person, and lets undo take it for their own.
 *
 * Otherwise undo would go on with what they did before it, and bring back beside the restored text what the edit
 * has brought back already. What others write in the moment until it arrives counts as part of it.
 *
 * `origin` is what the edit arrives by; `ask` answers null if there was nothing to do. Returns null if the edit
 * did not arrive in time.
 */
export async function adopted(
  manager: Y.UndoManager,
  origin: unknown,
  ask: () => Promise<number | null>,
): Promise<{ seq: number | null; adopted: Adopted | null }> {
  let item: StackEvent["stackItem"] | null = null;
  let arrived = () => {};
  const onItem = (event: StackEvent) => {
    if (event.origin !== origin || event.type !== "undo") return;
    item = event.stackItem;
    arrived();
  };
  const isTracked = manager.trackedOrigins.has(origin);
  manager.stopCapturing();
  manager.trackedOrigins.add(origin);
  manager.on("stack-item-added", onItem);
  manager.on("stack-item-updated", onItem);
  try {
    const seq = await ask();
    if (seq !== null && item === null) {
      await new Promise<void>((resolve) => {
        arrived = resolve;
        setTimeout(resolve, LATE_MS);
      });
    }
    return { seq, adopted: item && { undo: () => undoItem(manager, item!) } };
  } finally {
    manager.off("stack-item-added", onItem);
    manager.off("stack-item-updated", onItem);
    if (!isTracked) manager.trackedOrigins.delete(origin);
    manager.stopCapturing();
  }
}

/** Undoes one item, whatever was done since; nothing, if it was undone already. */
function undoItem(manager: Y.UndoManager, item: StackEvent["stackItem"]): void {
  const at = manager.undoStack.indexOf(item);
  if (at < 0) return;
  manager.undoStack.push(...manager.undoStack.splice(at, 1));
  manager.stopCapturing();
  manager.undo();
}
