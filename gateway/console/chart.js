// Charts as SVG: stacked bars, and lines over time with gaps for missing data. Each is redrawn when its width changes,
// shows values under the pointer and with the arrow keys, and is accompanied by a table with all values.

import { announce, drawing, element, show } from "./dom.js";

const DAY_MS = 86_400_000;
const HEIGHT = 240;
const LOW = 170;
const LEFT = 52;
const BOTTOM = 24;
const TOP = 10;
const TICKS = 4;
const LABEL_WIDTH = 64;
/** A number for an axis: 1500 → "1.5K". */
export const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format;

/**
 * Stacked bars. `labels` and `titles` have one text per bar (below it, or null for none, and in full), `series` are
 * `{name, color, values}`, `format` formats a value, `axis` one at the axis, `label` describes the chart.
 */
export function bars(root, { labels, titles, series, format, axis = compact, label, low }) {
  const totals = labels.map((_, index) => series.reduce((total, { values }) => total + (values[index] ?? 0), 0));
  const top = niceTop(Math.max(0, ...totals));
  const draw = (plot) => {
    const width = plot.width / labels.length;
    const bar = Math.max(1, Math.min(28, width * 0.72));
    return labels.map((_, index) => {
      let below = 0;
      return series.map(({ color, values }) => {
        const value = values[index] ?? 0;
        const height = (value / top) * plot.height;
        const y = plot.bottom - below - height;
        below += height;
        // A thin gap between two parts, unless that would hide a small one.
        const visible = Math.max(height - (height > 3 ? 1 : 0), value ? 0.75 : 0);
        return value ? drawing("rect", { x: plot.x(index) - bar / 2, y, width: bar, height: visible, rx: Math.min(2, visible / 2), fill: color }) : null;
      });
    });
  };
  const tell = (index) => ({
    title: titles[index],
    rows: series.map(({ name, color, values }) => ({ name, color, value: values[index] ?? 0 })).filter(({ value }) => value).sort((a, b) => b.value - a.value),
    total: series.length > 1 ? totals[index] : null,
  });
  chart(root, { count: labels.length, labels, top, format, axis, label, draw, tell, height: low ? LOW : HEIGHT });
}

/** A piece of a line as in `lines`, for a legend. */
export function dashed(color, index) {
  return drawing("svg", { class: "dash", viewBox: "0 0 24 6", "aria-hidden": "true" }, drawing("path", { d: "M0 3H24", stroke: color, "stroke-dasharray": dashOf(index), class: "line" }));
}

/** The dash pattern of a series: lines never differ by colour alone. */
function dashOf(index) {
  return ["", "6 4", "2 3", "10 3 2 3"][index % 4];
}

/** Lines over time; a null in `values` is a gap. */
export function lines(root, { labels, titles, series, format, axis = compact, nice = niceTop, label }) {
  const top = nice(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const draw = (plot) =>
    series.map(({ color, values }, index) => {
      const points = values.map((value, at) => (value === null ? null : [plot.x(at), plot.bottom - (value / top) * plot.height]));
      return drawing("path", { d: pathOf(points), stroke: color, "stroke-dasharray": dashOf(index), class: "line" });
    });
  const tell = (index) => {
    const rows = series.map(({ name, color, values }) => ({ name, color, value: values[index] })).filter(({ value }) => value !== null);
    return { title: titles[index], rows, total: null };
  };
  chart(root, { count: labels.length, labels, top, format, axis, label, draw, tell, height: LOW });
}

/** The days from first to last, as "2026-11-30". */
export function daysOf(first, last) {
  return Array.from({ length: 1 + (Date.parse(last) - Date.parse(first)) / DAY_MS }, (_, count) => dayAfter(first, count));
}

/** The day so many days later. */
function dayAfter(day, count) {
  return new Date(Date.parse(day) + count * DAY_MS).toISOString().slice(0, 10);
}

/** A period takes the place of two dates, and a date that of the period. */
export function periodOrDate({ elements: { period, from, to } }, changed) {
  if (changed === "period") from.value = to.value = "";
  if (changed === "from" || changed === "to") for (const choice of period) choice.checked = false;
}

/** The dates of the chosen period, which ends on this day. */
export function takePeriod({ elements: { period, from, to } }, last) {
  if (!period.value) return;
  to.value = last;
  from.value = dayAfter(last, 1 - period.value);
}

/** A small square of a colour. */
export function swatch(color) {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  made.style.setProperty("--swatch", color);
  return made;
}

// `draw(plot)` draws the marks, `tell(index)` returns the tooltip.
function chart(root, { count, labels, top, format, axis, label, draw, tell, height }) {
  root.classList.add("chart");
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `${label}. Use the arrow keys to read values; the table lists all of them.`);
  const tip = element("div", { class: "tip", hidden: true });
  const svg = drawing("svg", { "aria-hidden": "true", height });
  show(root, svg, tip);
  let plot = null;
  let shown = null;

  function redraw() {
    const width = root.clientWidth;
    if (!width) return;
    const inner = Math.max(1, width - LEFT - 8);
    plot = { width: inner, height: height - TOP - BOTTOM, bottom: height - BOTTOM, x: (index) => LEFT + ((index + 0.5) * inner) / count };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const marked = labels.flatMap((text, index) => (text && plot.x(index) + 20 <= width ? [index] : []));
    const every = Math.ceil(marked.length / Math.max(1, Math.floor(inner / LABEL_WIDTH)));
    const below = marked.filter((_, mark) => mark % every === 0).map((index) => drawing("text", { x: Math.max(plot.x(index), LEFT), y: height - 6, "text-anchor": "middle" }, labels[index]));
    show(svg, gridOf(plot, top, axis, width), below, drawing("rect", { class: "cursor", width: Math.max(2, inner / count), height: plot.height, y: TOP, visibility: "hidden" }), draw(plot));
    if (shown !== null) tellAt(shown);
  }

  function tellAt(index) {
    shown = index;
    const cursor = svg.querySelector(".cursor");
    cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    tip.hidden = index === null;
    if (index === null) return;
    cursor.setAttribute("x", plot.x(index) - cursor.getAttribute("width") / 2);
    show(tip, ...tipOf(tell(index), format));
    const left = plot.x(index) + 14;
    tip.style.left = `${left + tip.offsetWidth > root.clientWidth ? Math.max(0, plot.x(index) - 14 - tip.offsetWidth) : left}px`;
  }

  root.onpointermove = (event) => {
    if (!plot) return;
    const at = Math.floor(((event.clientX - root.getBoundingClientRect().left - LEFT) / plot.width) * count);
    tellAt(at < 0 || at >= count ? null : at);
  };
  root.onpointerleave = () => tellAt(null);
  root.onblur = () => tellAt(null);
  root.onkeydown = (event) => {
    const moved = { ArrowLeft: (shown ?? count) - 1, ArrowRight: (shown ?? -1) + 1, Home: 0, End: count - 1, Escape: null }[event.key];
    if (moved === undefined || !plot) return;
    event.preventDefault();
    tellAt(moved === null ? null : Math.min(count - 1, Math.max(0, moved)));
    if (shown !== null) announce(tip.innerText.replaceAll("\n", " "));
  };
  watchWidth(root, redraw);
}

function watchWidth(root, redraw) {
  root.observer?.disconnect(); // of what was drawn here before
  let width = root.clientWidth;
  const observer = new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    redraw();
  });
  root.observer = observer;
  observer.observe(root);
  redraw();
}

function gridOf(plot, top, axis, width) {
  return Array.from({ length: TICKS + 1 }, (_, index) => {
    const y = plot.bottom - (index / TICKS) * plot.height;
    const value = (top * index) / TICKS;
    return [drawing("line", { x1: LEFT, x2: width, y1: y, y2: y, class: "grid" }), drawing("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, axis(value))];
  });
}

function tipOf({ title, rows, total }, format) {
  const row = ({ name, color, value }) => element("li", {}, swatch(color), element("span", {}, name), element("b", {}, format(value)));
  return [
    element("strong", {}, title),
    rows.length ? element("ul", { class: "plain" }, rows.map(row)) : element("span", { class: "quiet-text" }, total === null ? "no sample" : "nothing"),
    total !== null && rows.length > 1 && element("p", { class: "row apart" }, element("span", {}, "Total"), element("b", {}, format(total))),
  ];
}

/** The smallest round number at or above `most` whose quarters are round too. */
export function niceTop(most) {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(most || 1)));
  return (power === 1 ? [4, 8, 12] : [1.2, 2, 4, 6, 8, 12].map((step) => step * power)).find((top) => top >= most);
}

function pathOf(points) {
  let pen = "M";
  let path = "";
  points.forEach((point, index) => {
    if (point) {
      const alone = pen === "M" && !points[index + 1];
      path += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}${alone ? "h.5" : ""}`;
    }
    pen = point ? "L" : "M";
  });
  return path;
}
