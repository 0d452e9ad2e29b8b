import { useState } from "preact/hooks";
import { account, self } from "../account";
import { initials } from "../document/presence";
import { COLORS, identity } from "../identity";
import { Dialog, DialogEnd } from "./dialog";

export function IdentityDialog({ onClose }: { onClose: () => void }) {
  const { signedIn } = account.value;
  const [chosen, setName] = useState(identity.value.name);
  const name = signedIn ? self.value.name : chosen;
  const [color, setColor] = useState(identity.value.color);
  return (
    <Dialog title="How others see you" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          identity.value = { name: chosen.trim() || identity.value.name, color };
          onClose();
        }}
      >
        {signedIn ? (
          <p class="field">
            You are signed in as <strong>{name}</strong>, and others see you under this name.
          </p>
        ) : (
          <label class="field">
            <span>Name</span>
            <input
              data-autofocus
              type="text"
              value={name}
              maxLength={40}
              autocomplete="nickname"
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
        )}
        <fieldset class="field swatches">
          <legend>Colour</legend>
          {COLORS.map((one) => (
            <label key={one.value} class="swatch" title={one.name} style={{ "--swatch": one.value }}>
              <input
                type="radio"
                name="color"
                value={one.value}
                checked={color === one.value}
                aria-label={one.name}
                onChange={() => setColor(one.value)}
              />
            </label>
          ))}
        </fieldset>
        <p class="identity-preview">
          <span class="avatar" style={{ "--who": color }} aria-hidden="true">
            {initials(name || "?")}
          </span>
          <span class="caret-sample">
            Your caret
            <span class="remote-caret" style={{ "--who": color }}>
              <span class="remote-caret-name shown">{name || "Guest"}</span>
            </span>
          </span>
        </p>
        <DialogEnd does="Save" onClose={onClose} />
      </form>
    </Dialog>
  );
}
