import { ArrowLeft, Bookmark, RotateCcw } from "lucide";
import { useState } from "preact/hooks";
import type { Place } from "../address";
import { readStored, writeStored } from "../stored";
import { Icon } from "../ui/icon";
import type { Person } from "./authors";
import { ComparisonView } from "./comparison";
import { Past } from "./past";
import { phraseOf, timesOf, titleOf, type Entry } from "./timeline";

interface Props {
  place: Place;
  entry: Entry;
  people: Person[];
  /** The number of the document's last update. */
  head: number;
  /** Whether this person may name and restore. */
  mayWrite: boolean;
  backTo: string;
  onBack: () => void;
  onName: () => void;
  onRestore: () => void;
}

const isFlag = (value: unknown): value is boolean => typeof value === "boolean";

/** One version, read-only, in the place of the text as it is now. */
export function Viewer({ place, entry, people, head, mayWrite, backTo, onBack, onName, onRestore }: Props) {
  const [comparing, setComparing] = useState(() => readStored("comparing", isFlag) ?? false);
  const [against, setAgainst] = useState<"before" | "now">("before");
  const isNow = entry.seq >= head;
  const withNow = against === "now" && !isNow;
  const names = people.map(({ name }) => name).join(", ");
  const times = timesOf(entry.change);
  // What stands in the title already is not said twice.
  const facts = [titleOf(entry).endsWith(times) ? "" : times, names, isNow ? "as it is now" : ""];
  return (
    <section class="viewer" aria-label={`The ${phraseOf(entry)}`}>
      <header class="viewer-bar">
        <button type="button" class="icon-button" aria-label={backTo} title={backTo} onClick={onBack}>
          <Icon of={ArrowLeft} size={20} />
        </button>
        <div class="viewer-title">
          <h2 title={titleOf(entry)}>{titleOf(entry)}</h2>
          <p>{facts.filter(Boolean).join(" · ")}</p>
        </div>
        <div class="viewer-tools">
          <label class="check">
            <input
              type="checkbox"
              checked={comparing}
              onChange={(event) => {
                setComparing(event.currentTarget.checked);
                writeStored("comparing", event.currentTarget.checked);
              }}
            />
            Show changes
          </label>
          {comparing && !isNow && (
            <select
              class="block-choice"
              aria-label="Which changes"
              value={against}
              onChange={(event) => setAgainst(event.currentTarget.value as "before" | "now")}
            >
              <option value="before">made in this version</option>
              <option value="now">made since then</option>
            </select>
          )}
        </div>
        {mayWrite && (
          <div class="viewer-actions">
            <button type="button" class="button" onClick={onName}>
              <Icon of={Bookmark} size={17} />
              {entry.name === null ? "Name this version…" : "Rename…"}
            </button>
            {!isNow && (
              <button type="button" class="button primary" onClick={onRestore}>
                <Icon of={RotateCcw} size={17} />
                Restore this version
              </button>
            )}
          </div>
        )}
      </header>
      {comparing ? (
        <ComparisonView
          place={place}
          from={withNow ? entry.seq : entry.first - 1}
          to={withNow ? head : entry.seq}
        />
      ) : (
        <Past place={place} seq={entry.seq} />
      )}
    </section>
  );
}
