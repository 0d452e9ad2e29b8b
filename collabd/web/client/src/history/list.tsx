import { Bookmark } from "lucide";
import { Fragment } from "preact";
import { useRef } from "preact/hooks";
import type { Peer } from "../document/presence";
import { Icon } from "../ui/icon";
import { peopleOf } from "./authors";
import { daysOf, timesOf, type Entry, type Known } from "./timeline";

interface Props {
  known: Known;
  peers: Peer[];
  chosen: Entry | null;
  onChoose: (entry: Entry) => void;
}

/** The chosen version; or the change it was the end of, should that have gone on since. */
function isChosen(entry: Entry, chosen: Entry | null, all: Entry[]): boolean {
  if (chosen === null) return false;
  const exact = all.some((one) => one.seq === chosen.seq);
  return exact ? entry.seq === chosen.seq : entry.first === chosen.first && entry.seq === entry.change.seq;
}

/** The versions, newest first and day by day. The arrow keys go from one to the next. */
export function VersionList({ known, peers, chosen, onChoose }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const days = daysOf(known.changes);
  const all = days.flatMap((day) => day.entries);

  const onKeyDown = (event: KeyboardEvent) => {
    const rows = [...list.current!.querySelectorAll<HTMLElement>(".version")];
    const now = rows.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: now + 1, ArrowUp: Math.max(now - 1, 0), Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    rows[Math.min(to, rows.length - 1)]?.focus();
  };

  return (
    <div ref={list} class="versions" onKeyDown={onKeyDown}>
      {days.map(({ label, entries }) => (
        <Fragment key={label}>
          <h3>{label}</h3>
          <ul>
            {entries.map((entry) => (
              <li key={entry.seq === entry.change.seq ? `change ${entry.first}` : `version ${entry.seq}`}>
                <Row
                  entry={entry}
                  peers={peers}
                  isNow={entry.seq === known.head}
                  chosen={isChosen(entry, chosen, all)}
                  onChoose={() => onChoose(entry)}
                />
              </li>
            ))}
          </ul>
        </Fragment>
      ))}
    </div>
  );
}

interface RowProps {
  entry: Entry;
  peers: Peer[];
  isNow: boolean;
  chosen: boolean;
  onChoose: () => void;
}

function Row({ entry, peers, isNow, chosen, onChoose }: RowProps) {
  const times = timesOf(entry.change);
  const people = peopleOf(entry.change.authors, peers);
  return (
    <button
      type="button"
      class="version"
      data-seq={entry.seq}
      data-named={entry.name !== null}
      aria-current={chosen ? "true" : "false"}
      onClick={onChoose}
    >
      <span class="version-title">
        {entry.name !== null && <Icon of={Bookmark} size={15} />}
        <span>{entry.name ?? times}</span>
      </span>
      {(entry.name !== null || isNow) && (
        <span class="version-when">
          {[entry.name !== null && times, isNow && "As it is now"].filter(Boolean).join(" · ")}
        </span>
      )}
      <span class="version-people">
        {people.map(({ name, color }) => (
          <span key={name} class="person" style={{ "--who": color }}>
            {name}
          </span>
        ))}
      </span>
    </button>
  );
}
