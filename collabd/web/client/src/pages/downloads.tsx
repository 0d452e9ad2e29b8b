import { Download } from "lucide";
import type { ComponentChildren } from "preact";
import type { Place } from "../address";
import { askAbout } from "../document/server";
import type { Kind, Shape } from "../document/shape";
import { address } from "../here";
import { fileNameIn, splitName } from "../names";
import { MenuDownload, MenuItem } from "../ui/menu";

type Export = [format: string, label: string];

const MARKDOWN: Export = ["markdown", "Markdown"];
const HTML: Export = ["html", "HTML"];
const TEXT: Export = ["text", "Plain text"];
const NOTEBOOK: Export = ["ipynb", "Notebook"];
/** What everything can be had as. */
const DATA: Export[] = [
  ["json", "JSON"],
  ["update", "Yjs update"],
];

const EXPORTS: Record<Kind | "notebook" | "other", Export[]> = {
  rich: [MARKDOWN, HTML, TEXT, ...DATA],
  markdown: [MARKDOWN, HTML, TEXT, ...DATA],
  text: [TEXT, MARKDOWN, HTML, ...DATA],
  notebook: [NOTEBOOK, ...DATA],
  other: DATA,
};

const exportsOf = (shape: Shape) =>
  EXPORTS[shape.is === "editable" ? shape.kind : shape.is === "notebook" ? "notebook" : "other"];

/** Saves bytes from this page as a file. */
export function saveFile(bytes: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(bytes);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const addressOf = (place: Place, format: string) => address.document(place.name, { format, download: "1" });

/** Downloads through the page: what a browser fetches itself goes without the link. */
async function fetchFile(place: Place, format: string): Promise<void> {
  const response = await askAbout(place, addressOf(place, format));
  const name = fileNameIn(response.headers.get("Content-Disposition")) ?? splitName(place.name).leaf;
  saveFile(await response.blob(), name);
}

interface DownloadProps {
  place: Place;
  format: string;
  onProblem: (words: string) => void;
}

/** What there is to download, as parts of a menu. */
export function MenuDownloads({
  place,
  shape,
  reachable,
  onProblem,
}: Omit<DownloadProps, "format"> & { shape: Shape; reachable: boolean }) {
  return (
    <>
      {exportsOf(shape).map(([format, label]) =>
        place.link === null ? (
          <MenuDownload key={format} icon={Download} disabled={!reachable} href={addressOf(place, format)}>
            {label}
          </MenuDownload>
        ) : (
          <MenuItem
            key={format}
            icon={Download}
            disabled={!reachable}
            onSelect={() => void fetchFile(place, format).catch((error: Error) => onProblem(error.message))}
          >
            {label}
          </MenuItem>
        ),
      )}
    </>
  );
}

export function DownloadButton({ place, format, onProblem, children }: DownloadProps & { children: ComponentChildren }) {
  if (place.link === null) {
    return (
      <a class="button" href={addressOf(place, format)} download="">
        {children}
      </a>
    );
  }
  const fetchIt = () => void fetchFile(place, format).catch((error: Error) => onProblem(error.message));
  return (
    <button type="button" class="button" onClick={fetchIt}>
      {children}
    </button>
  );
}
