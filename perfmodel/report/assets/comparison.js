// The comparison of devices: intervals side by side, curves over a dimension, Pareto fronts.
"use strict";
const PALETTE = ["compute", "dram", "l2", "vector", "power", "link", "launch", "accent"], SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];
const DEVICES = PM.data.devices.map((d, i) => ({ ...d, i, colour: () => PM.colour(PALETTE[i % PALETTE.length]), shape: SHAPES[i % SHAPES.length] }));
const figure = (device, label) => device.headline.find((row) => row.label === label) || { text: "unknown", ends: null };
const money = (v) => (v >= 0.001 ? PM.digits(v) : v.toExponential(2));
const mass = (g) => { const [f, n] = PM.scale(g, [[1e-9, "ng"], [1e-6, "\u00b5g"], [1e-3, "mg"], [1, "g"], [1e3, "kg"]]); return `${PM.digits(g / f)} ${n}`; };
const SHOWN = { latency: PM.time, energy: PM.energy, carbon: mass, money };
const UNITS = { latency: "s", energy: "J", carbon: "g CO2e", money: "money" };

// ------------------------------------------------------------------------------------------------ side by side
const intervals = (label) => (width) => {
  const rows = DEVICES.map((d) => ({ d, f: figure(d, label) })).filter((r) => r.f.ends).sort((a, b) => a.f.ends[0] - b.f.ends[0]);
  const most = Math.max(1e-30, ...rows.map((r) => r.f.ends[2])), low = Math.min(...rows.map((r) => r.f.ends[1]));
  const [factor, unit] = label === "latency" ? PM.timeScale(most) : PM.scale(most, [[1e-6, "\u00b5J"], [1e-3, "mJ"], [1, "J"], [1e3, "kJ"]]);
  const ROW = 34;
  return {
    label: `${label} of ${rows.length} devices: ${rows.map((r) => `${r.d.name} ${r.f.text}`).join(", ")}.`,
    items: rows.map((r, i) => ({ i, title: r.d.name, rows: () => [[label, r.f.text], ["90 % interval", r.f.interval]], x: (v) => v.scale("x")(r.f.ends[0] / factor), y: () => i * ROW + ROW / 2 })),
    spec: {
      width, height: rows.length * ROW + 44, signals: [PM.focusSignal],
      data: [{ name: "r", values: rows.map((r, i) => ({ i, v: r.f.ends[0] / factor, low: r.f.ends[1] / factor, high: r.f.ends[2] / factor, c: r.d.colour(), name: PM.spread(r.d.name, 26) })) }],
      scales: [{ name: "x", domain: [0, (most / factor) * 1.05], range: "width" }, { name: "y", type: "band", domain: rows.map((r, i) => i), range: "height" }],
      axes: [{ scale: "x", orient: "bottom", grid: true, title: `${label} [${unit}]`, tickCount: 5 }],
      marks: [
        { type: "text", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "low" }, y: { scale: "y", field: "i", band: 0.5, offset: -9 }, text: { field: "name" }, fill: { value: PM.colour("muted") } } } },
        { type: "rect", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "low" }, x2: { scale: "x", field: "high" }, y: { scale: "y", field: "i", band: 0.5, offset: 2 }, height: { value: 4 }, cornerRadius: { value: 2 }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { fillOpacity: { signal: "focus === datum.i ? 0.9 : 0.4" } } } },
        { type: "symbol", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "v" }, y: { scale: "y", field: "i", band: 0.5, offset: 4 }, size: { value: 85 }, fill: { field: "c" }, tooltip: { signal: "datum" } } } },
      ],
    },
  };
};

// ------------------------------------------------------------------------------------------------------- over
const state = { quantity: null, front: null };
const overChart = (width) => {
  const over = PM.data.over, by = state.quantity, curves = over.curves[by], points = [];
  for (const d of DEVICES) over.sizes.forEach((size, k) => points.push({ d, size, v: curves[d.id][k] }));
  const crossings = over.crossings.filter((c) => c.by === by);
  const values = points.map((p) => p.v), low = Math.min(...values) / 1.3, high = Math.max(...values) * 1.3;
  const ends = DEVICES.map((d) => ({ name: PM.spread(d.name, 22), c: d.colour(), x: over.sizes[over.sizes.length - 1], y: curves[d.id][over.sizes.length - 1] })).sort((a, b) => a.y - b.y);
  // Names of curves that end close together are pushed apart.
  const apart = (high / low) ** (17 / 330);
  ends.forEach((e, k) => { e.at = k ? Math.max(e.y, ends[k - 1].at * apart) : e.y; });
  return {
    label: `${by} for each ${over.unit} over ${over.dimension} from ${over.sizes[0]} to ${over.sizes[over.sizes.length - 1]}; ${crossings.length} crossovers.`,
    items: points.map((p, i) => ({ i, title: p.d.name, rows: () => [[over.dimension, String(p.size)], [`${by} a ${over.unit}`, SHOWN[by](p.v)]], x: (v) => v.scale("x")(p.size), y: (v) => v.scale("y")(p.v) })),
    spec: {
      width, height: width < 560 ? 320 : 400, signals: [PM.focusSignal], padding: { right: 8 },
      data: [
        { name: "r", values: points.map((p, i) => ({ i, x: p.size, y: p.v, id: p.d.i, c: p.d.colour(), shape: p.d.shape })) },
        { name: "ends", values: ends }, { name: "crossings", values: crossings.map((c) => ({ x: c.size, text: `${over.dimension}=${c.size}` })) },
      ],
      scales: [
        { name: "x", type: "log", base: 2, domain: [over.sizes[0], over.sizes[over.sizes.length - 1] * 1.0001], range: "width" },
        { name: "y", type: "log", domain: [low, high], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: over.dimension, values: over.sizes, format: "d" },
        { scale: "y", orient: "left", grid: true, title: `${by} for each ${over.unit} [${UNITS[by]}]`, format: by === "money" ? "~g" : "~s", tickCount: 6 },
      ],
      marks: [
        { type: "rule", interactive: false, from: { data: "crossings" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { value: 0 }, y2: { signal: "height" }, stroke: { value: PM.colour("faint") }, strokeDash: { value: [3, 3] } } } },
        { type: "text", interactive: false, from: { data: "crossings" }, encode: { enter: { x: { scale: "x", field: "x", offset: 5 }, y: { value: 10 }, text: { field: "text" }, fill: { value: PM.colour("muted") } } } },
        { type: "group", from: { facet: { name: "one", data: "r", groupby: "id" } }, marks: [
          { type: "line", interactive: false, from: { data: "one" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { field: "c" }, strokeWidth: { value: 2 } } } },
        ] },
        { type: "symbol", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { field: "shape" }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { size: { signal: "focus === datum.i ? 190 : 55" } } } },
        { type: "text", interactive: false, name: "names", from: { data: "ends" }, encode: { enter: { x: { scale: "x", field: "x", offset: -8 }, y: { scale: "y", field: "at", offset: -9 }, align: { value: "right" }, text: { field: "name" }, fill: { field: "c" }, fontWeight: { value: 600 } } } },
      ],
    },
  };
};

// ----------------------------------------------------------------------------------------------------- Pareto
const paretoChart = (width) => {
  const by = state.front, front = PM.data.fronts[by] || [];
  const rows = DEVICES.map((d) => ({ d, t: figure(d, "latency").ends, q: figure(d, by).ends })).filter((r) => r.t && r.q);
  const line = rows.filter((r) => front.includes(r.d.id)).sort((a, b) => a.t[0] - b.t[0]);
  const [factor, unit] = PM.timeScale(Math.max(1e-30, ...rows.map((r) => r.t[2])));
  return {
    label: `Latency against ${by}; on the front: ${line.map((r) => r.d.name).join(", ")}.`,
    items: rows.map((r, i) => ({ i, title: r.d.name, rows: () => [["latency", PM.time(r.t[0])], [by, SHOWN[by](r.q[0])], ["front", front.includes(r.d.id) ? "yes" : "no"]], x: (v) => v.scale("x")(r.t[0] / factor), y: (v) => v.scale("y")(r.q[0]) })),
    spec: {
      width, height: 360, signals: [PM.focusSignal],
      data: [
        { name: "r", values: rows.map((r, i) => ({ i, x: r.t[0] / factor, xl: r.t[1] / factor, xh: r.t[2] / factor, y: r.q[0], yl: r.q[1], yh: r.q[2], c: r.d.colour(), shape: r.d.shape, name: PM.spread(r.d.name, 24), left: r.t[0] > 0.6 * Math.max(...rows.map((o) => o.t[2])) })) },
        { name: "front", values: line.map((r) => ({ x: r.t[0] / factor, y: r.q[0] })) },
      ],
      scales: [
        { name: "x", domain: [0, Math.max(1e-12, ...rows.map((r) => r.t[2] / factor)) * 1.03], range: "width" },
        { name: "y", domain: [0, Math.max(1e-30, ...rows.map((r) => r.q[2])) * 1.05], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, title: `latency [${unit}]`, tickCount: 6 },
        { scale: "y", orient: "left", grid: true, title: `${by} [${UNITS[by]}]`, format: by === "money" ? "~g" : "~s", tickCount: 6 },
      ],
      marks: [
        { type: "rule", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "xl" }, x2: { scale: "x", field: "xh" }, y: { scale: "y", field: "y" }, stroke: { field: "c" }, strokeOpacity: { value: 0.35 } } } },
        { type: "rule", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "yl" }, y2: { scale: "y", field: "yh" }, stroke: { field: "c" }, strokeOpacity: { value: 0.35 } } } },
        { type: "line", interactive: false, from: { data: "front" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { value: PM.colour("faint") }, strokeDash: { value: [4, 3] } } } },
        { type: "symbol", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { field: "shape" }, fill: { field: "c" }, tooltip: { signal: "datum" } }, update: { size: { signal: "focus === datum.i ? 260 : 110" } } } },
        { type: "text", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x", offset: { signal: "datum.left ? -9 : 9" } }, align: { signal: "datum.left ? 'right' : 'left'" }, y: { scale: "y", field: "y", offset: -9 }, text: { field: "name" }, fill: { value: PM.colour("ink") } } } },
      ],
    },
  };
};

PM.chart(document.getElementById("chart-latency"), intervals("latency"));
PM.chart(document.getElementById("chart-energy"), intervals("energy"));
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
