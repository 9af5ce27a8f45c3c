// A generation request over the tokens that it generates, and the choice of the run that the other charts show.
"use strict";
PM.course = () => PM.data.devices[PM.shown].course;
const tokens = (from, to) => (from === to ? `token ${from}` : `tokens ${from} to ${to}`);
const ALONE = "One token is generated, by prefill: there is no decode step.";

// Time or energy of a token: the decode steps that were predicted, with their intervals.
const perToken = (key, title, scaleOf, show) => (width) => {
  const { steps, generate } = PM.course();
  if (!steps.length) return { label: "", empty: ALONE, items: [] };
  if (!steps[0][key]) return { label: "", empty: "The power is unknown.", items: [] };
  const [factor, unit] = scaleOf(Math.max(1e-30, ...steps.map((s) => s[key][2])));
  const rows = steps.map((s, i) => ({ i, x: s.at, y: s[key][0] / factor, low: s[key][1] / factor, high: s[key][2] / factor }));
  const first = steps[0][key][0], last = steps[steps.length - 1][key][0];
  return {
    label: `${title} from token 2 to ${generate}: ${show(first)} at first, ${show(last)} at the end.`,
    items: steps.map((s, i) => ({
      i, title: `token ${s.at}`, rows: () => [[title, show(s[key][0])], ["90 % interval", `${show(s[key][1])} to ${show(s[key][2])}`], ["in the cache", PM.count(s.cached, "token")], ["stands for", tokens(s.from, s.to)]],
      x: (v) => v.scale("x")(s.at), y: (v) => v.scale("y")(s[key][0] / factor),
    })),
    spec: {
      width, height: 240, signals: [PM.focusSignal],
      data: [{ name: "r", values: rows }],
      scales: [
        { name: "x", domain: [1, Math.max(3, generate)], range: "width", nice: false, zero: false },
        { name: "y", domain: [0, Math.max(1e-30, ...rows.map((r) => r.high)) * 1.08], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: "token that is generated", tickCount: Math.min(6, generate), format: "d", tickMinStep: 1 },
        { scale: "y", orient: "left", grid: true, title: `${title} [${unit}]`, tickCount: 5 },
      ],
      marks: [
        { type: "area", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "high" }, y2: { scale: "y", field: "low" }, fill: { value: PM.colour("accent") }, fillOpacity: { value: 0.18 } } } },
        { type: "rule", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" }, stroke: { value: PM.colour("accent") }, strokeOpacity: { value: 0.5 } } } },
        { type: "line", interactive: false, from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { value: PM.colour("accent") }, strokeWidth: { value: 2 } } } },
        { type: "symbol", name: "points", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, fill: { value: PM.colour("accent") }, tooltip: { signal: "datum" } }, update: { size: { signal: "focus === datum.i ? 220 : 80" } } } },
      ],
    },
  };
};

// Weights, keys and values, and what a run needs beside them, from the first token on.
const memoryOfTokens = (width) => {
  const { memory, generate, device_bytes: all } = PM.course();
  const total = (m, end) => m.weights + m.cache[end] + m.rest;
  const most = Math.max(1, ...memory.flatMap((m) => [total(m, 0), total(m, 1)]));
  // Where weights are nearly all of it, what grows is shown alone.
  const under = memory[0].weights > 0.8 * most ? memory[0].weights : 0, beyond = (b) => Math.max(0, b - under);
  const [factor, unit] = PM.byteScale(Math.max(1, beyond(most))), near = !under && all < 1.6 * most;
  // A token is as wide as one; the cache grows inside a stretch, what else is needed is that of the step that stands for it.
  const corners = memory.flatMap((m) => [0, 1].map((end) => ({
    x: (end ? m.to : m.from) + (end ? 0.5 : -0.5), a: beyond(m.weights) / factor, b: beyond(m.weights + m.cache[end]) / factor, c: beyond(total(m, end)) / factor,
  })));
  const last = memory[memory.length - 1];
  const layer = (colour, opacity, top, low) => ({ type: "area", interactive: false, from: { data: "corners" }, encode: { enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: top }, y2: low ? { scale: "y", field: low } : { signal: "height" }, fill: { value: PM.colour(colour) }, fillOpacity: { value: opacity } } } });
  return {
    label: `Memory from token 1 to ${generate}: ${PM.bytes(total(last, 1))} at the last, of it ${PM.bytes(last.cache[1])} of keys and values.`,
    items: memory.map((m, i) => ({
      i, title: m.from === 1 ? "token 1, by prefill" : tokens(m.from, m.to),
      rows: () => [["in use", `up to ${PM.bytes(total(m, 1))}`], ["weights", PM.bytes(m.weights)], ["keys and values", PM.bytes(m.cache[1])], ["activations, rest", PM.bytes(m.rest)]],
      x: (v) => v.scale("x")((m.from + m.to) / 2), y: (v) => v.scale("y")(beyond(total(m, 1)) / factor),
    })),
    spec: {
      width, height: 240, signals: [PM.focusSignal],
      data: [
        { name: "corners", values: corners },
        { name: "r", values: memory.map((m, i) => ({ i, x: m.from - 0.5, x2: m.to + 0.5 })) },
        { name: "lines", values: near ? [{ y: all / factor, text: `the device's ${PM.bytes(all)}` }] : [] },
      ],
      scales: [
        { name: "x", domain: [0.5, generate + 0.5], range: "width", nice: false, zero: false },
        { name: "y", domain: [0, (Math.max(1, beyond(most), near ? all : 0) / factor) * 1.1], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: "token that is generated", tickCount: Math.min(6, generate), format: "d", tickMinStep: 1 },
        { scale: "y", orient: "left", grid: true, title: under ? `beyond ${PM.bytes(under)} of weights [${unit}]` : `in use [${unit}]`, tickCount: 5 },
      ],
      marks: [
        layer("launch", 0.42, "a"), layer("dram", 0.6, "b", "a"), layer("accent", 0.45, "c", "b"),
        { type: "rect", from: { data: "r" }, encode: { enter: { x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2" }, y: { value: 0 }, y2: { signal: "height" }, fill: { value: PM.colour("ink") }, tooltip: { signal: "datum" } }, update: { fillOpacity: { signal: "focus === datum.i ? 0.3 : 0" } } } },
        { type: "rule", interactive: false, from: { data: "lines" }, encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", field: "y" }, stroke: { value: PM.colour("muted") }, strokeDash: { value: [2, 2] } } } },
        ...PM.haloed({ type: "text", interactive: false, from: { data: "lines" }, encode: { enter: { x: { value: 6 }, y: { scale: "y", field: "y", offset: -4 }, text: { field: "text" }, fill: { value: PM.colour("ink") } } } }),
      ],
    },
  };
};

PM.chart(document.getElementById("chart-token-time"), perToken("t", "time per token", PM.timeScale, PM.time));
PM.chart(document.getElementById("chart-token-energy"), perToken("j", "energy per token", PM.energyScale, PM.energy));
PM.chart(document.getElementById("chart-token-memory"), memoryOfTokens);
PM.chart(document.getElementById("chart-request-power"), (width) => PM.powerOver(PM.course().power, width));

const choices = [...document.querySelectorAll("[data-choose-run]")];
for (const button of choices) button.addEventListener("click", () => {
  for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
  PM.showDevice(PM.shown, Number(button.dataset.chooseRun));
  PM.say(`${PM.device().run} is shown`);
});
