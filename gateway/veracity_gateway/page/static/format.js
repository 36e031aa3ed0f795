// Numbers, times and sizes as people read them.

/** 0.2348 → "23 %" */
export function percent(value, digits = 0) {
  return `${(100 * value).toFixed(digits)} %`;
}

/** A share of clips: small ones keep a digit, so that 0.4 % is not "0 %". */
export function share(value) {
  return percent(value, value > 0 && value < 0.1 ? 1 : 0);
}

/** 75.2 → "1:15.20" */
export function clock(seconds, digits = 2) {
  const all = Math.max(0, seconds || 0);
  const rest = (all % 60).toFixed(digits);
  const carried = Number(rest) >= 60 ? 1 : 0;
  const minutes = Math.floor(all / 60) + carried;
  return `${minutes}:${(carried ? (0).toFixed(digits) : rest).padStart(digits ? 3 + digits : 2, "0")}`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "";
  const units = ["B", "KB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${(count / 1000 ** power).toFixed(power && count / 1000 ** power < 100 ? 1 : 0)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** An RFC 3339 time in the reader's own zone and form. */
export function when(text) {
  return text ? WHEN.format(new Date(text)) : "";
}

/** 10^0.58 → "4"; a large one is rounded to two figures. */
export function times(log10) {
  const factor = 10 ** Math.abs(log10);
  if (factor < 10) return factor.toFixed(1);
  return Number(factor.toPrecision(2)).toLocaleString("en-GB");
}
