import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog: the browser's own, with its focus trap and Escape. */
export function Dialog({ title, onClose, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Before the browser paints: keys pressed at once belong to the dialog already.
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-autofocus=true]")?.focus();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class="dialog"
      aria-labelledby={heading}
      onClose={onClose}
      onMouseDown={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id={heading}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface EndProps {
  onClose: () => void;
  /** What the dialog is for, as its last button says it; without one it is only looked at, and closed. */
  does?: string;
  /** Does it. Without this the button submits the form that it stands in. */
  onDo?: () => void;
  danger?: boolean;
  disabled?: boolean;
  /** Whether the keyboard begins here: in dialogs without a field. */
  first?: boolean;
  /** Further buttons, before the others. */
  children?: ComponentChildren;
}

/** What all dialogs end with: a way out, and the button for what they are about. */
export function DialogEnd({ onClose, does, onDo, danger = false, disabled = false, first = false, children }: EndProps) {
  if (does === undefined) {
    return (
      <div class="actions">
        {children}
        <button type="button" class="button primary" data-autofocus={first} onClick={onClose}>
          Close
        </button>
      </div>
    );
  }
  return (
    <div class="actions">
      {children}
      {/* What cannot be taken back is not what Enter does at once. */}
      <button type="button" class="button" data-autofocus={first && danger} onClick={onClose}>
        Cancel
      </button>
      <button
        type={onDo ? "button" : "submit"}
        class={danger ? "button danger" : "button primary"}
        data-autofocus={first && !danger}
        disabled={disabled}
        onClick={onDo}
      >
        {does}
      </button>
    </div>
  );
}

/** What went wrong, heard when it does. */
export const DialogProblem = ({ children }: { children: string }) => (
  <p class="wrong" aria-live="polite">
    {children}
  </p>
);
