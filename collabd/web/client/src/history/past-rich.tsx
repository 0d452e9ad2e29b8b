import { DOMSerializer } from "prosemirror-model";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { yXmlFragmentToProseMirrorRootNode } from "y-prosemirror";
import type * as Y from "yjs";
import { firstForeign } from "../editors/rich/foreign";
import { isSafeLink, schema } from "../editors/rich/schema";

interface Props {
  /** Of a document that nobody else uses: the binding deletes what it cannot show. */
  fragment: Y.XmlFragment;
  onForeign: () => void;
}

/** Rich text as it was, dressed as in its editor. */
export default function PastRich({ fragment, onForeign }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [isEmpty, setEmpty] = useState(false);
  useLayoutEffect(() => {
    if (firstForeign(fragment) !== null) return onForeign();
    const root = yXmlFragmentToProseMirrorRootNode(fragment, schema);
    setEmpty(root.textContent === "" && root.childCount < 2);
    place.current!.replaceChildren(DOMSerializer.fromSchema(schema).serializeFragment(root.content));
  }, [fragment]);
  return (
    <div class="sheet rich">
      {isEmpty && <p class="past-empty">There was nothing in it.</p>}
      <div
        ref={place}
        class="ProseMirror prose"
        onClick={(event) => {
          const href = (event.target as Element).closest("a[href]")?.getAttribute("href");
          if (!href) return;
          event.preventDefault();
          if (isSafeLink(href)) open(href, "_blank", "noopener,noreferrer");
        }}
      />
    </div>
  );
}
