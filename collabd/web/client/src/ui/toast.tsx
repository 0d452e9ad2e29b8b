import { useEffect, useState } from "preact/hooks";

export interface Message {
  text: string;
  action?: { label: string; run: () => void };
}

const READ_MS = 2500;
/** Long enough to see that something went wrong, and to find the button. */
const ACT_MS = 15_000;

/** Says for a moment what happened. It stays while it is pointed at or has the focus. */
export function Toast({ message, onGone }: { message: Message | null; onGone: () => void }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (!message || held) return;
    const timer = setTimeout(onGone, message.action ? ACT_MS : READ_MS);
    return () => clearTimeout(timer);
  }, [message, held]);
  useEffect(() => {
    if (!message) setHeld(false);
  }, [message]);
  return (
    <div
      class="toast"
      role="status"
      data-shown={message !== null}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocusIn={() => setHeld(true)}
      onFocusOut={() => setHeld(false)}
    >
      {message?.text}
      {message?.action && (
        <button type="button" onClick={message.action.run}>
          {message.action.label}
        </button>
      )}
    </div>
  );
}
