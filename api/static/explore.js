// Plots that one reads values off: the numbers of /v1/plots/{kind}.json, drawn by Plotly.
"use strict";

const HOVER = { x: "%{x:.4~s}", y: "%{y:.4f}" };
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const INK = dark ? "#e4e7eb" : "#1b1f24";
const LINE = dark ? "#333b44" : "#dde1e6";

function points(name, rows, extra) {
  return Object.assign({
    name, x: rows.map((p) => p[0]), y: rows.map((p) => p[1]), mode: "markers",
    hovertemplate: `${HOVER.x}, ${HOVER.y}`,
  }, extra);
}

function line(name, x, y, extra) {
  return Object.assign({ name, x, y, mode: "lines", hovertemplate: `${HOVER.x}, %{y:.4~g}` }, extra);
}

function band(grid, low, high) {
  const shape = { x: grid.concat(grid.slice().reverse()), y: high.concat(low.slice().reverse()) };
  return Object.assign(shape, {
    name: "90 %", mode: "lines", line: { width: 0 }, fill: "toself",
    fillcolor: "rgba(128,128,128,.25)", hoverinfo: "skip",
  });
}

function dash(name, trusted) {
  return { line: { width: name === trusted ? 3 : 1.2, dash: name === trusted ? "solid" : "dash" } };
}

const DRAW = {
  isoflop(curves) {
    const traces = curves.flatMap((c, i) => {
      const color = `hsl(${265 - (200 * i) / Math.max(curves.length - 1, 1)} 60% 50%)`;
      const name = `${c.flops.toExponential(2)} FLOP`;
      const group = { legendgroup: name, marker: { color }, line: { color, width: 1.2 } };
      const least = c.minimum ? [points("minimum", [c.minimum], { ...group, showlegend: false, marker: { color, size: 13, symbol: "star" } })] : [];
      return [
        points(name, c.measured, group),
        line(name, c.fitted.map((p) => p[0]), c.fitted.map((p) => p[1]), { ...group, showlegend: false }),
        ...least,
      ];
    });
    return [traces, "Parameters N", "Loss", "linear"];
  },
  frontier(f) {
    const traces = [points("runs", f.runs, { text: f.runs.map((r) => `N ${r[2].toPrecision(4)}`), marker: { color: "gray" } })];
    traces.push(band(f.grid, f.low, f.high));
    for (const [name, y] of Object.entries(f.approaches)) traces.push(line(name, f.grid, y, dash(name, f.trusted)));
    if (f.prediction) traces.push(points("forecast", [f.prediction], { error_y: { array: [f.prediction[3] - f.prediction[1]], arrayminus: [f.prediction[1] - f.prediction[2]] } }));
    if (f.outcome) traces.push(points("final run", [f.outcome], { marker: { symbol: "star", size: 13 } }));
    return [traces, "Compute C (FLOP)", "Loss", "log"];
  },
  allocation(a) {
    const traces = [band(a.grid, a.low, a.high)];
    for (const [name, y] of Object.entries(a.sizes)) traces.push(line(name, a.grid, y, dash(name, a.trusted)));
    traces.push(points("minima of parabolas", a.minima, { hovertemplate: "%{x:.4~s}, %{y:.4~s}" }));
    if (a.final) traces.push(points("final run", [a.final], { marker: { symbol: "star", size: 13 } }));
    return [traces, "Compute C (FLOP)", "Optimal parameters N*", "log"];
  },
};

async function draw(place) {
  const answer = await fetch(place.dataset.numbers);
  const said = await answer.json();
  if (!answer.ok) { place.textContent = said.detail; return; }
  const [traces, x, y, scale] = DRAW[place.dataset.kind](said);
  const axis = { gridcolor: LINE, zeroline: false, exponentformat: "power" };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: INK },
    margin: { t: 36, r: 10 }, modebar: { bgcolor: "rgba(0,0,0,0)", color: "#8a949e" }, xaxis: { ...axis, title: { text: x }, type: "log" },
    yaxis: { ...axis, title: { text: y }, type: scale },
  };
  Plotly.newPlot(place, traces, layout, { responsive: true, displaylogo: false });
}

document.querySelectorAll("[data-numbers]").forEach(draw);
