import { account } from "../account";
import { initials, type Peer } from "../document/presence";

const SHOWN = 5;

/** Everyone who has the document open. One's own badge opens the name and colour. */
export function Who({ peers, onEditSelf }: { peers: Peer[]; onEditSelf: () => void }) {
  const changes = account.value.signedIn ? "change colour" : "change name and colour";
  const shown = peers.slice(0, SHOWN);
  const more = peers.slice(SHOWN);
  return (
    <ul class="who" aria-label={`${peers.length} ${peers.length === 1 ? "person" : "people"} here`}>
      {shown.map((peer) => (
        <li key={peer.client} data-peer={peer.name}>
          {peer.self ? (
            <button
              type="button"
              class="avatar"
              style={{ "--who": peer.color }}
              title={`${peer.name} (you): ${changes}`}
              onClick={onEditSelf}
            >
              <span aria-hidden="true">{initials(peer.name)}</span>
              <span class="visually-hidden">{peer.name} (you): {changes}</span>
            </button>
          ) : (
            <span class="avatar" style={{ "--who": peer.color }} title={peer.name} role="img" aria-label={peer.name}>
              {initials(peer.name)}
            </span>
          )}
        </li>
      ))}
      {more.length > 0 && (
        <li>
          <span class="avatar more" title={more.map((peer) => peer.name).join(", ")}>
            +{more.length}
          </span>
        </li>
      )}
    </ul>
  );
}
