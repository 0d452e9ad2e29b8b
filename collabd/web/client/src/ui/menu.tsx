import type { IconNode } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

interface Props {
  label: string;
  icon: IconNode;
  /** Words beside the icon. */
  face?: ComponentChildren;
  children: ComponentChildren;
}

/** A button that opens a menu: arrow keys, Home, End, letters and Escape work as in any menu. */
export function Menu({ label, icon, face, children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const items = () =>
    [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])].filter(
      (item) => item.getAttribute("aria-disabled") !== "true",
    );

  useEffect(() => {
    if (!open) return;
    items()[0]?.focus();
    const outside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const all = items();
    const now = all.indexOf(document.activeElement as HTMLElement);
    const goTo = (index: number) => {
      event.preventDefault();
      all.at(index % all.length)?.focus();
    };
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") setOpen(false);
    else if (event.key === "ArrowDown") goTo(now + 1);
    else if (event.key === "ArrowUp") goTo(now - 1);
    else if (event.key === "Home") goTo(0);
    else if (event.key === "End") goTo(-1);
    else if (/^\p{L}$/u.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const letter = event.key.toLocaleLowerCase();
      const after = [...all.slice(now + 1), ...all.slice(0, now + 1)];
      after.find((item) => item.textContent.trim().toLocaleLowerCase().startsWith(letter))?.focus();
    }
  };

  return (
    <div class="menu-root" ref={root}>
      <button
        ref={button}
        type="button"
        class={face ? "icon-button with-words" : "icon-button"}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" && !open) {
            event.preventDefault();
            setOpen(true);
          }
        }}
      >
        <Icon of={icon} size={20} />
        {face && <span class="words">{face}</span>}
      </button>
      {open && (
        <div
          id={id}
          class="menu"
          role="menu"
          aria-label={label}
          onKeyDown={onKeyDown}
          onClick={(event) => {
            const item = (event.target as Element).closest("[role^=menuitem]");
            if (item && item.getAttribute("aria-disabled") !== "true") close();
          }}
        >
          {children}
        </div>
      )}
    </div>
  );
}

export function MenuGroup({ label, children }: { label: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <div role="group" aria-labelledby={id} class="menu-group">
      <div id={id} class="menu-label">
        {label}
      </div>
      {children}
    </div>
  );
}

interface ItemProps {
  icon?: IconNode;
  children: ComponentChildren;
  onSelect: () => void;
  danger?: boolean;
  disabled?: boolean;
}

export function MenuItem({ icon, children, onSelect, danger = false, disabled = false }: ItemProps) {
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      class={danger ? "danger" : ""}
      aria-disabled={disabled ? "true" : "false"}
      onClick={disabled ? undefined : onSelect}
    >
      {icon && <Icon of={icon} size={17} />}
      <span>{children}</span>
    </button>
  );
}

interface LinkProps {
  href: string;
  icon?: IconNode;
  children: ComponentChildren;
  disabled?: boolean;
}

/** Downloads what it points at. */
export function MenuDownload({ href, icon, children, disabled = false }: LinkProps) {
  return (
    <a
      role="menuitem"
      tabIndex={-1}
      {...(disabled ? {} : { href })}
      download=""
      aria-disabled={disabled ? "true" : "false"}
    >
      {icon && <Icon of={icon} size={17} />}
      <span>{children}</span>
    </a>
  );
}

interface ChoiceProps {
  checked: boolean;
  icon: IconNode;
  children: ComponentChildren;
  onSelect: () => void;
}

export function MenuChoice({ checked, icon, children, onSelect }: ChoiceProps) {
  return (
    <button type="button" role="menuitemradio" tabIndex={-1} aria-checked={checked} onClick={onSelect}>
      <Icon of={icon} size={17} />
      <span>{children}</span>
    </button>
  );
}
