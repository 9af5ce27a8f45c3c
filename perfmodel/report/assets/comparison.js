// The comparison of devices: intervals side by side, curves over a dimension, Pareto fronts.
"use strict";
const PALETTE = ["compute", "dram", "l2", "vector", "power", "link", "launch", "bad"], SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];
// The same shapes as text, for the key.
const GLYPHS = ["\u25cf", "\u25a0", "\u25b2", "\u25c6", "\u271a", "\u25bc", "\u25b6", "\u25c0"];
const DEVICES = PM.data.devices.map((d, i) => ({ ...d, i, colour: () => PM.colour(PALETTE[i % PALETTE.length]), shape: SHAPES[i % SHAPES.length], glyph: GLYPHS[i % GLYPHS.length] }));
const figure = (device, label) => device.headline.find((row) => row.label === label) || { text: "unknown", ends: null };
const money = (v) => (v >= 0.001 ? PM.digits(v) : v.toExponential(2));
const mass = (g) => { const [f, n] = PM.scale(g, GRAMS); return `${PM.digits(g / f)} ${n}`; };
const SHOWN = { latency: PM.time, energy: PM.energy, carbon: mass, money };
const GRAMS = [[1e-9, "ng"], [1e-6, "\u00b5g"], [1e-3, "mg"], [1, "g"], [1e3, "kg"], [1e6, "t"]];
const called = (by) => PM.data.labels[by];
// Factor and name of the unit of an axis that reaches up to a value.
const axisUnit = (by, most) => {
  if (by === "latency" || by.startsWith("time ")) return PM.timeScale(most);
  if (by.startsWith("energy")) return PM.energyScale(most);
  if (by === "carbon") { const [factor, name] = PM.scale(most, GRAMS); return [factor, `${name} CO2e`]; }
  return [1, "currency of the prices"];
};
// Money is small: it is shown for a million samples or tokens.
const MILLION = 1e6, named = (by, unit) => (by === "money" ? `money for a million ${unit}s` : `${called(by)} for each ${unit}`);
const WORK = ((figure(DEVICES[0], "throughput").note || "samples").split(";")[0]).replace(/s$/, "");
// About six round numbers between two: 1, 2, 5, 10, ... or the powers of ten alone.
const roundTicks = (low, high) => {
  const all = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) for (const m of [1, 2, 5]) all.push(Number(`${m}e${e}`));
  const inside = all.filter((v) => v >= low && v <= high), decades = inside.filter((v) => /^1(e|0*$)|^0\.0*1$/.test(String(v)));
  return inside.length > 9 && decades.length > 2 ? decades : inside;
};
const LETTER = 6.9; // pixel of one in the charts' text, about

// ------------------------------------------------------------------------------------------------ side by side
const intervals = (label) => (width) => {
  const rows = DEVICES.map((d) => ({ d, f: figure(d, label) })).filter((r) => r.f.ends).sort((a, b) => a.f.ends[0] - b.f.ends[0]);
  const most = Math.max(1e-30, ...rows.map((r) => r.f.ends[2]));
  if (!rows.length) return { label: "", empty: `The ${label} is unknown.`, items: [] };
  const [factor, unit] = axisUnit(label, most);
  const ROW = 34;
  return {
    label: `${label} of ${rows.length} devices: ${rows.map((r) => `${r.d.name} ${r.f.text}`).join(", ")}.`,
    items: rows.map((r, i) => ({ i, title: r.d.name, rows: () => [[label, r.f.text], ["90 % interval", r.f.interval]], x: (v) => v.scale("x")(r.f.ends[0] / factor), y: () => i * ROW + ROW / 2 })),
    spec: {
      width, height: rows.length * ROW + 44, signals: [PM.focusSignal],
      data: [{ name: "r", values: rows.map((r, i) => ({ i, v: r.f.ends[0] / factor, low: r.f.ends[1] / factor, high: r.f.ends[2] / factor, c: r.d.colour(), shape: r.d.shape, name: PM.spread(r.d.name, 30), end: (width * r.f.ends[1]) / most / 1.05 + LETTER * Math.min(30, r.d.name.length) > width - 20 })) }],
      scales: [{ name: "x", domain: [0, (most / factor) * 1.05], range: "width" }, { name: "y", type: "band", domain: rows.map((r, i) => i), range: "height" }],
      axes: [{ scale: "x", orient: "bottom", grid: true, title: `${label} [${unit}]`, tickCount: 5 }],
      marks: [
        { type: "text", interactive: false, from: { data: "r" }, encode: { enter: { x: [{ test: "datum.end", signal: "width" }, { scale: "x", field: "low" }], align: { signal: "datum.end ? 'right' : 'left'" }, y: { scale: "y", field: "i", band: 0.5, offset: -9 }, text: { field: "name" }, fill: { value: PM.colour("ink") } } } },
        { type: "rect", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "low" }, x2: { scale: "x", field: "high" }, y: { scale: "y", field: "i", band: 0.5, offset: 2 }, height: { value: 4 }, cornerRadius: { value: 2 }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { fillOpacity: { signal: "focus === datum.i ? 0.9 : 0.4" } } } },
        { type: "symbol", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "v" }, y: { scale: "y", field: "i", band: 0.5, offset: 4 }, size: { value: 85 }, shape: { field: "shape" }, fill: { field: "c" }, tooltip: { signal: "datum" } } } },
      ],
    },
  };
};

// ------------------------------------------------------------------------------------------------------- over
const state = { quantity: null, front: null };
// Places [pixel] of names of curves that end close together, pushed apart; all inside a height.
const apart = (places, height, gap) => {
  const at = [...places];
  for (let k = 1; k < at.length; k++) at[k] = Math.max(at[k], at[k - 1] + gap);
  for (let k = at.length - 1, most = height; k >= 0; k--) { at[k] = Math.min(at[k], most); most = at[k] - gap; }
  return at;
};
const overChart = (width) => {
  const over = PM.data.over, by = state.quantity, many = by === "money" ? MILLION : 1, points = [], sizes = over.sizes, last = sizes[sizes.length - 1];
  const curves = Object.fromEntries(Object.entries(over.curves[by]).map(([id, values]) => [id, values.map((v) => v * many)]));
  for (const d of DEVICES) sizes.forEach((size, k) => points.push({ d, size, v: curves[d.id][k] }));
  const crossings = over.crossings.filter((c) => c.by === by);
  const values = points.map((p) => p.v).filter((v) => v > 0), least = Math.min(...values), most = Math.max(...values);
  const height = width < 560 ? 320 : 400, inner = height - 50;
  // Names stand beside the ends of the curves, where nothing else is; a narrow screen has the key alone.
  const longest = Math.max(...DEVICES.map((d) => Math.min(24, d.name.length))), margin = width < 560 ? 6 : longest * LETTER + 26;
  // Crossovers are named above the curves, one line each where they are too close for one.
  const place = (size) => ((width - margin - 60) * Math.log(size / sizes[0])) / Math.log(last / sizes[0]);
  const marked = [], lanes = [];
  for (const c of crossings) {
    const text = `${over.dimension}=${c.size}`, wide = text.length * LETTER + 12, x = place(c.size), left = x + wide > width - margin - 60, from = left ? x - wide : x;
    let lane = lanes.findIndex((end) => end < from);
    if (lane < 0) lane = lanes.push(0) - 1;
    lanes[lane] = from + wide;
    marked.push({ x: c.size, text, left, y: 10 + 15 * lane });
  }
  const low = least / 1.3, high = most * 1.15 * (most * 1.3 / low) ** ((15 * lanes.length) / inner), span = Math.log(high / low);
  const [factor, unit] = axisUnit(by, most);
  const level = (v) => inner * (1 - Math.log(v / low) / span);
  const ends = DEVICES.map((d) => ({ d, v: curves[d.id][sizes.length - 1] })).filter((e) => e.v > 0).sort((a, b) => b.v - a.v);
  const at = apart(ends.map((e) => level(e.v)), inner - 6, 17);
  return {
    label: `${named(by, over.unit)} over ${over.dimension} from ${sizes[0]} to ${last}; ${PM.count(crossings.length, "crossover")}.`,
    items: points.map((p, i) => ({ i, title: p.d.name, rows: () => [[over.dimension, String(p.size)], [named(by, over.unit), SHOWN[by](p.v)]], x: (v) => v.scale("x")(p.size), y: (v) => v.scale("y")(p.v / factor) })),
    spec: {
      width, height, signals: [PM.focusSignal, { name: "right", update: `width - ${margin}` }],
      data: [
        { name: "r", values: points.map((p, i) => ({ i, x: p.size, y: p.v / factor, id: p.d.i, c: p.d.colour(), shape: p.d.shape })) },
        { name: "ends", values: width < 560 ? [] : ends.map((e, k) => ({ name: PM.spread(e.d.name, 24), c: e.d.colour(), y: e.v / factor, at: Math.exp(span * (1 - at[k] / inner)) * low / factor })) },
        { name: "crossings", values: marked },
      ],
      scales: [
        { name: "x", type: "log", base: 2, domain: [sizes[0], last * 1.0001], range: [0, { signal: "right" }] },
        { name: "y", type: "log", domain: [low / factor, high / factor], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: over.dimension, values: sizes, format: "d" },
        { scale: "y", orient: "left", grid: true, title: `${named(by, over.unit)} [${unit}]`, values: roundTicks(low / factor, high / factor), format: "~g" },
      ],
      marks: [
        { type: "rule", interactive: false, from: { data: "crossings" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { field: "y", offset: -8 }, y2: { signal: "height" }, stroke: { value: PM.colour("faint") }, strokeDash: { value: [3, 3] } } } },
        { type: "group", from: { facet: { name: "one", data: "r", groupby: "id" } }, marks: [
          { type: "line", interactive: false, from: { data: "one" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { field: "c" }, strokeWidth: { value: 2 } } } },
        ] },
        { type: "symbol", name: "points", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { field: "shape" }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { size: { signal: "focus === datum.i ? 190 : 55" } } } },
        ...PM.haloed({ type: "text", interactive: false, from: { data: "crossings" }, encode: { enter: { x: { scale: "x", field: "x", offset: { signal: "datum.left ? -5 : 5" } }, align: { signal: "datum.left ? 'right' : 'left'" }, y: { field: "y" }, text: { field: "text" }, fill: { value: PM.colour("ink") } } } }),
        { type: "rule", interactive: false, from: { data: "ends" }, encode: { enter: { x: { signal: "right", offset: 6 }, x2: { signal: "right", offset: 18 }, y: { scale: "y", field: "y" }, y2: { scale: "y", field: "at" }, stroke: { field: "c" }, strokeWidth: { value: 1.5 } } } },
        { type: "text", interactive: false, name: "names", from: { data: "ends" }, encode: { enter: { x: { signal: "right", offset: 22 }, y: { scale: "y", field: "at" }, baseline: { value: "middle" }, text: { field: "name" }, fill: { value: PM.colour("ink") } } } },
      ],
    },
  };
};

// ----------------------------------------------------------------------------------------------------- Pareto
const paretoChart = (width) => {
  const by = state.front, front = PM.data.fronts[by] || [];
  const rows = DEVICES.map((d) => ({ d, t: figure(d, "latency").ends, q: figure(d, called(by)).ends })).filter((r) => r.t && r.q);
  const line = rows.filter((r) => front.includes(r.d.id)).sort((a, b) => a.t[0] - b.t[0]);
  if (!rows.length) return { label: "", empty: `Latency or ${called(by)} is unknown.`, items: [] };
  const [factor, unit] = PM.timeScale(Math.max(1e-30, ...rows.map((r) => r.t[2]))), [per, perUnit] = axisUnit(by, Math.max(1e-30, ...rows.map((r) => r.q[2])));
  return {
    label: `Latency against ${called(by)}; on the front: ${line.map((r) => r.d.name).join(", ")}.`,
    items: rows.map((r, i) => ({ i, title: r.d.name, rows: () => [["latency", PM.time(r.t[0])], [called(by), SHOWN[by](r.q[0])], ["front", front.includes(r.d.id) ? "yes" : "no"]], x: (v) => v.scale("x")(r.t[0] / factor), y: (v) => v.scale("y")(r.q[0] / per) })),
    spec: {
      width, height: 360, signals: [PM.focusSignal],
      data: [
        { name: "r", values: rows.map((r, i) => ({ i, x: r.t[0] / factor, xl: r.t[1] / factor, xh: r.t[2] / factor, y: r.q[0] / per, yl: r.q[1] / per, yh: r.q[2] / per, c: r.d.colour(), shape: r.d.shape, name: PM.spread(r.d.name, 24) })) },
        { name: "front", values: line.map((r) => ({ x: r.t[0] / factor, y: r.q[0] / per })) },
      ],
      scales: [
        { name: "x", domain: [0, Math.max(1e-12, ...rows.map((r) => r.t[2] / factor)) * 1.03], range: "width" },
        { name: "y", domain: [0, Math.max(1e-30, ...rows.map((r) => r.q[2] / per)) * 1.05], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, title: `latency [${unit}]`, tickCount: 6 },
        { scale: "y", orient: "left", grid: true, title: `${by === "money" ? named(by, WORK) : called(by)} [${perUnit}]`, tickCount: 6 },
      ],
      marks: [
        { type: "rule", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "xl" }, x2: { scale: "x", field: "xh" }, y: { scale: "y", field: "y" }, stroke: { field: "c" }, strokeOpacity: { value: 0.35 } } } },
        { type: "rule", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "yl" }, y2: { scale: "y", field: "yh" }, stroke: { field: "c" }, strokeOpacity: { value: 0.35 } } } },
        { type: "line", name: "frontline", interactive: false, from: { data: "front" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { value: PM.colour("faint") }, strokeDash: { value: [4, 3] } } } },
        { type: "symbol", name: "points", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { field: "shape" }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { size: { signal: "focus === datum.i ? 260 : 110" } } } },
        // Where there is room, and over nothing else; the key names all, and on a narrow screen alone.
        ...(width < 560 ? [] : [{ type: "text", name: "names", interactive: false, from: { data: "points" }, encode: { enter: { text: { field: "datum.name" }, fill: { value: PM.colour("ink") } } },
          transform: [{ type: "label", size: { signal: "[width, height]" }, avoidMarks: ["points", "frontline"], anchor: ["top-right", "bottom-right", "top-left", "bottom-left", "top", "bottom"], offset: [5] }] }]),
      ],
    },
  };
};

const fillKeys = () => {
  for (const key of document.querySelectorAll(".devices-key")) key.replaceChildren(...DEVICES.map((d) => {
    const glyph = PM.element("span", { class: "glyph", "aria-hidden": "true" }, d.glyph);
    glyph.style.color = d.colour();
    return PM.element("li", {}, glyph, d.name);
  }));
};
fillKeys();
PM.redraws.push(fillKeys);
// Of a generation request; other pages have none.
for (const [id, label] of [["chart-first-token", "time to first token"], ["chart-next-token", "time per output token"]]) {
  const place = document.getElementById(id);
  if (place) PM.chart(place, intervals(label));
}
PM.chart(document.getElementById("chart-latency"), intervals("latency"));
PM.chart(document.getElementById("chart-energy"), intervals(called("energy")));
const choose = (key, draw) => {
  const buttons = [...document.querySelectorAll(`[data-${key}]`)];
  if (buttons.length) state[key] = buttons[0].dataset[key];
  for (const button of buttons) button.addEventListener("click", () => {
    state[key] = button.dataset[key];
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    draw();
  });
};
if (PM.data.over) { const draw = PM.chart(document.getElementById("chart-over"), overChart); choose("quantity", draw); }
if (Object.keys(PM.data.fronts).length) { const draw = PM.chart(document.getElementById("chart-pareto"), paretoChart); choose("front", draw); }
document.documentElement.dataset.ready = "true";
