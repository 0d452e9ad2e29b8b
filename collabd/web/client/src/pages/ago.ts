const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["minute", 60],
  ["hour", 60],
  ["day", 24],
];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const thisYear = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const anyYear = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", year: "numeric" });

/** How long ago, the way people say it; the date once that is clearer. */
export function ago(time: number, now = Date.now()): string {
  if (!Number.isFinite(time)) return "";
  let amount = (now - time) / 1000;
  if (amount < 60) return "just now";
  for (const [unit, size] of STEPS) {
    amount /= size;
    const limit = { minute: 60, hour: 24, day: 7 }[unit as "minute" | "hour" | "day"];
    if (amount < limit) return relative.format(-Math.floor(amount), unit);
  }
  const date = new Date(time);
  return (date.getFullYear() === new Date(now).getFullYear() ? thisYear : anyYear).format(date);
}
