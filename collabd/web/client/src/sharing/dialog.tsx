import { Globe, Link2, Mail, RefreshCw, UserRound, UsersRound, X, type IconNode } from "lucide";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { account } from "../account";
import type { Place } from "../address";
import { address } from "../here";
import { splitName } from "../names";
import { Dialog, DialogEnd } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { changeSharing, readSharing, type Change } from "./server";
import {
  ACCESS_NAMES,
  ACCESSES,
  EVERYONE,
  KIND_NAMES,
  KINDS,
  labelOf,
  SIGNED_IN,
  whoFrom,
  type Access,
  type Kind,
  type Sharing,
} from "./sharing";
import "../styles/sharing.css";

const ICONS: Record<Kind, IconNode> = { email: Mail, user: UserRound, group: UsersRound };

const NOT_TOLD = "collabd sends no mail: pass the document’s address on to them.";

type Right = Access | "none";

interface RightProps {
  label: string;
  now: Right;
  /** What may be chosen; what is so now can always be seen. */
  choices: readonly Right[];
  none?: string;
  onChoose: (right: Right) => void;
}

function RightChoice({ label, now, choices, none = "", onChoose }: RightProps) {
  const shown = choices.includes(now) ? choices : [...choices, now];
  return (
    <select
      class="choice"
      aria-label={label}
      value={now}
      onChange={(event) => onChoose(event.currentTarget.value as Right)}
    >
      {shown.map((right) => (
        <option key={right} value={right}>
          {right === "none" ? none : ACCESS_NAMES[right]}
        </option>
      ))}
    </select>
  );
}

interface WhoProps {
  icon: IconNode;
  label: string;
  detail: string;
}

function Who({ icon, label, detail }: WhoProps) {
  return (
    <>
      <span class="share-icon">
        <Icon of={icon} size={18} />
      </span>
      <span class="share-words">
        <strong title={label}>{label}</strong>
        {detail && <small>{detail}</small>}
      </span>
    </>
  );
}

/** Changes one after the other, as they were asked for; what is asked for is shown while it is under way. */
function useChanges(place: Place, onChanged: (now: Sharing) => void) {
  const [asked, setAsked] = useState<Record<string, Right>>({});
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const queue = useRef<Promise<unknown>>(Promise.resolve());

  const change = (wanted: Change, words: string): Promise<boolean> => {
    setAsked((before) => ({ ...before, [wanted.who]: wanted.access }));
    const done = queue.current
      .then(() => changeSharing(place, wanted))
      .then(
        (now) => {
          onChanged(now);
          setSaid(words);
          setProblem("");
          return true;
        },
        (error: Error) => {
          setProblem(error.message);
          return false;
        },
      )
      .finally(() => setAsked(({ [wanted.who]: _, ...others }) => others));
    queue.current = done;
    return done;
  };
  return { asked, said, setSaid, problem, setProblem, change };
}

interface Props {
  place: Place;
  sharing: Sharing;
  onChanged: (now: Sharing) => void;
  onClose: () => void;
}

/** Who may open the document and do what in it, for those who may say so. */
export default function SharingDialog({ place, sharing, onChanged, onClose }: Props) {
  const { asked, said, setSaid, problem, setProblem, change } = useChanges(place, onChanged);
  const [kind, setKind] = useState<Kind>("email");
  const [typed, setTyped] = useState("");
  const [access, setAccess] = useState<Right>("write");
  const field = useRef<HTMLInputElement>(null);
  const hint = useId();
  const { owner, link } = sharing;
  const people = sharing.shares.filter(({ who }) => who !== SIGNED_IN);
  const everyone: Right = asked[SIGNED_IN] ?? sharing.shares.find(({ who }) => who === SIGNED_IN)?.access ?? "none";
  const byLink: Right = asked["link"] ?? link?.access ?? "none";
  const toPassOn = address.page(place.name, link?.secret ?? null);

  // Others may have changed it meanwhile.
  useEffect(() => {
    readSharing(place).then(onChanged, (error: Error) => setProblem(error.message));
  }, []);

  const add = async (event: Event) => {
    event.preventDefault();
    const found = whoFrom(kind, typed);
    setSaid("");
    if ("wrong" in found) {
      setProblem(found.wrong);
      return field.current?.focus();
    }
    const { label } = labelOf({ who: found.who, name: "" });
    const right = ACCESS_NAMES[access as Access].toLowerCase();
    if (await change({ who: found.who, access: access as Access }, `${label}: ${right}. ${NOT_TOLD}`)) {
      setTyped("");
    }
  };

  const give = (who: string, label: string, right: Right) =>
    void change({ who, access: right }, right === "none" ? `${label}: no access` : `${label}: ${ACCESS_NAMES[right]}`);

  const remove = (who: string, label: string) => {
    give(who, label, "none");
    // The button goes with the row.
    field.current?.focus();
  };

  const linkTo = (right: Right) =>
    void change(
      { who: "link", access: right as "read" | "write" | "none" },
      right === "none" ? "The link holds no longer." : `Anyone with the link: ${ACCESS_NAMES[right]}`,
    );

  const renew = async () => {
    const { access } = link!;
    if (await change({ who: "link", access: "none" }, "")) {
      await change({ who: "link", access }, "There is a new link. The old one holds no longer.");
    }
  };

  const copy = () => {
    void navigator.clipboard.writeText(toPassOn).then(() => setSaid("Link copied."));
  };

  return (
    <Dialog title={`Share “${splitName(place.name).leaf}”`} onClose={onClose}>
      <form class="share-add" noValidate onSubmit={(event) => void add(event)}>
        <select
          class="choice"
          aria-label="What is typed"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value as Kind)}
        >
          {KINDS.map((one) => (
            <option key={one} value={one}>
              {KIND_NAMES[one]}
            </option>
          ))}
        </select>
        <span class="field">
          <input
            ref={field}
            data-autofocus
            type="text"
            inputMode={kind === "email" ? "email" : "text"}
            aria-label={kind === "email" ? "E-mail address" : kind === "user" ? "Id" : "Name of the group"}
            placeholder={kind === "email" ? "name@example.org" : kind === "user" ? "provider:id" : "Name of the group"}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={typed}
            aria-describedby={hint}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </span>
        <RightChoice label="What they may do" now={access} choices={ACCESSES} onChoose={setAccess} />
        <button type="submit" class="button">
          Add
        </button>
      </form>
      <p id={hint} class="hint" data-wrong={problem !== ""} aria-live="polite">
        {problem || said || "Whoever you add signs in and opens the document’s address."}
      </p>
      <ul class="shares" aria-label="Who has access">
        {owner && (
          <li>
            <Who
              icon={UserRound}
              label={(owner.name || owner.id) + (owner.id === account.value.id ? " (you)" : "")}
              detail={owner.name ? owner.id : ""}
            />
            <span class="share-fixed">Owner</span>
          </li>
        )}
        {people.map((share) => {
          const { kind, label, detail } = labelOf(share);
          return (
            <li key={share.who}>
              <Who icon={kind ? ICONS[kind] : UserRound} label={label} detail={detail} />
              <RightChoice
                label={`What ${label} may do`}
                now={asked[share.who] ?? share.access}
                choices={ACCESSES}
                none="Removed"
                onChoose={(right) => give(share.who, label, right)}
              />
              <button
                type="button"
                class="icon-button"
                aria-label={`Remove ${label}`}
                title="Remove"
                onClick={() => remove(share.who, label)}
              >
                <Icon of={X} size={17} />
              </button>
            </li>
          );
        })}
        <li>
          <Who icon={Globe} label={EVERYONE} detail="" />
          <RightChoice
            label="What everyone may do who signs in here"
            now={everyone}
            choices={["none", "read", "write"]}
            none="No access"
            onChoose={(right) => give(SIGNED_IN, EVERYONE, right)}
          />
        </li>
        {sharing.sharing === "links" && (
          <li>
            <Who
              icon={Link2}
              label="Anyone with the link"
              detail={link ? "Nobody needs to sign in." : "Off: the link is for those above."}
            />
            <RightChoice
              label="What anyone with the link may do"
              now={byLink}
              choices={["none", "read", "write"]}
              none="Off"
              onChoose={linkTo}
            />
            {link && (
              <button
                type="button"
                class="icon-button"
                aria-label="New link"
                title="New link: the one there is now ends"
                onClick={() => void renew()}
              >
                <Icon of={RefreshCw} size={17} />
              </button>
            )}
          </li>
        )}
      </ul>
      {!isSecureContext && (
        <label class="field">
          <span>Link</span>
          <input type="text" readOnly value={toPassOn} onFocus={(event) => event.currentTarget.select()} />
        </label>
      )}
      <DialogEnd onClose={onClose}>
        {/* Browsers give the clipboard to secure pages only. */}
        {isSecureContext && (
          <button type="button" class="button start" onClick={copy}>
            <Icon of={Link2} size={17} />
            Copy link
          </button>
        )}
      </DialogEnd>
    </Dialog>
  );
}
