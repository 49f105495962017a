"use strict";
// The overview strip and the two plots; they share the axis, the bands and the marks of the lanes.
const Plots = (() => {
  const QUANTILES = [["p50", []], ["p95", [6, 3]], ["p99", [2, 3]]];

  function overview(canvas, run) {
    const { context, width, height } = Axis.prepare(canvas, 56);
    const toX = (time) => Axis.LEFT + time * Axis.scale(width, 0, run.end);
    Axis.bands(context, run, toX, height);
    density(context, run, toX, width, height);
    context.fillStyle = Axis.colours.evidence;
    for (const i of run.evidenceRows) context.fillRect(toX(run.start[i]) - 1, height - 7, 3, 7);
    Axis.primaries(context, run, toX, height);
    brush(context, toX, width, height);
    context.fillStyle = Axis.colours.muted;
    context.fillText("overview", 6, height / 2);
  }

  function density(context, run, toX, width, height) {
    const columns = Math.max(1, Math.floor((width - Axis.LEFT - Axis.RIGHT) / 2));
    const counts = [new Uint32Array(columns), new Uint32Array(columns), new Uint32Array(columns)];
    for (let i = 0; i < run.count; i++) {
      if (run.kept && !run.kept[i]) continue;
      counts[run.status[i]][Math.min(columns - 1, Math.floor((run.start[i] / run.end) * columns))]++;
    }
    let most = 1;
    for (let c = 0; c < columns; c++) most = Math.max(most, counts[0][c] + counts[1][c] + counts[2][c]);
    ["ok", "fail", "info"].forEach((name, status) => {
      context.fillStyle = Axis.colours[name];
      for (let c = 0; c < columns; c++) {
        const count = counts[status][c];
        if (!count) continue;
        const below = status > 0 ? counts[0][c] + (status > 1 ? counts[1][c] : 0) : 0;
        const tall = Math.max(status ? 2 : 1, (count / most) * (height - 14));
        context.fillRect(Axis.LEFT + c * 2, height - 8 - (below / most) * (height - 14) - tall, 2, tall);
      }
    });
  }

  function brush(context, toX, width, height) {
    const [left, right] = [toX(Axis.view.from), toX(Axis.view.to)];
    context.fillStyle = Axis.colours.muted;
    context.globalAlpha = 0.25;
    context.fillRect(Axis.LEFT, 0, left - Axis.LEFT, height);
    context.fillRect(right, 0, width - Axis.RIGHT - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = Axis.colours.link;
    context.lineWidth = 2;
    context.strokeRect(left, 1, Math.max(3, right - left), height - 2);
    context.lineWidth = 1;
  }

  function frame(canvas, run, height, top, unit) {
    const box = Axis.prepare(canvas, height);
    const toX = (time) => Axis.x(time, box.width);
    Axis.ticks(box.context, box.width, 9, height);
    Axis.clip(box.context, box.width, height);
    Axis.bands(box.context, run, toX, height, { top: 18 });
    Axis.primaries(box.context, run, toX, height, { top: 18 });
    box.context.restore();
    return { ...box, toX, floor: height - 6, roof: 24, top, unit };
  }

  function rate(canvas, run) {
    const { rate: rates, bin } = run.series;
    const sums = rates.ok.map((ok, b) => ok + rates.fail[b] + rates.info[b]);
    const most = Math.max(1, ...sums);
    const box = frame(canvas, run, 140);
    const toY = (value) => box.floor - (value / most) * (box.floor - box.roof);
    grid(box, linear(most), toY, (value) => `${value.toLocaleString("en")}/s`);
    Axis.clip(box.context, box.width, box.height);
    const below = rates.ok.map(() => 0);
    for (const name of ["ok", "fail", "info"]) {
      stack(box, rates[name], below, bin, toY, Axis.colours[name]);
      rates[name].forEach((value, b) => { below[b] += value; });
    }
    box.context.restore();
  }

  function stack({ context, toX }, values, below, bin, toY, colour) {
    context.fillStyle = colour;
    values.forEach((value, b) => {
      if (!value) return;
      const left = toX(b * bin * 1e6);
      const right = toX((b + 1) * bin * 1e6);
      context.fillRect(left, toY(below[b] + value), Math.max(1, right - left - 0.5), toY(below[b]) - toY(below[b] + value));
    });
  }

  function latency(canvas, run, name) {
    const lines = run.series.latency[name];
    const values = QUANTILES.flatMap(([quantile]) => lines[quantile]).filter((value) => value > 0);
    const box = frame(canvas, run, 150);
    if (!values.length) return;
    const low = Math.log10(Math.min(...values)) - 0.05;
    const high = Math.max(Math.log10(Math.max(...values)) + 0.05, low + 0.3);
    const toY = (value) => box.floor - ((Math.log10(value) - low) / (high - low)) * (box.floor - box.roof);
    grid(box, decades(low, high), toY, (value) => `${Number(value.toPrecision(2))} ms`);
    Axis.clip(box.context, box.width, box.height);
    for (const [quantile, dash] of QUANTILES) line(box, lines[quantile], run.series.bin, toY, dash);
    box.context.restore();
  }

  function line({ context, toX }, values, bin, toY, dash) {
    context.strokeStyle = Axis.colours.ink;
    context.lineWidth = 1.5;
    context.setLineDash(dash);
    context.beginPath();
    let open = false;
    values.forEach((value, b) => {
      if (value === null || value <= 0) { open = false; return; }
      context[open ? "lineTo" : "moveTo"](toX((b + 0.5) * bin * 1e6), toY(value));
      open = true;
    });
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
  }

  function linear(most) {
    const size = Axis.step(most, 3);
    return Array.from({ length: Math.floor(most / size) + 1 }, (_, k) => k * size);
  }

  function decades(low, high) {
    const values = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const factor of high - low < 1.2 ? [1, 2, 5] : [1]) {
        const at = Math.log10(factor) + power;
        if (at >= low && at <= high) values.push(factor * 10 ** power);
      }
    }
    return values;
  }

  function grid({ context, width }, values, toY, text) {
    for (const value of values) {
      const y = Math.round(toY(value)) + 0.5;
      context.strokeStyle = Axis.colours.line;
      context.beginPath();
      context.moveTo(Axis.LEFT, y);
      context.lineTo(width - Axis.RIGHT, y);
      context.stroke();
      context.fillStyle = Axis.colours.muted;
      context.textAlign = "right";
      context.fillText(text(value), Axis.LEFT - 6, y);
      context.textAlign = "left";
    }
  }

  // Returns the values of the bin at a time, in words, for both plots.
  function read(run, time, name) {
    const b = Math.floor(time / (run.series.bin * 1e6));
    const { rate: rates, latency: latencies } = run.series;
    if (b < 0 || b >= rates.ok.length) return ["", ""];
    const at = `at ${(b * run.series.bin).toFixed(2)} s`;
    const ms = (value) => (value === null ? "none" : `${value} ms`);
    return [
      `${at}: ok ${rates.ok[b]}/s, fail ${rates.fail[b]}/s, info ${rates.info[b]}/s`,
      `${at}: ${QUANTILES.map(([quantile]) => `${quantile} ${ms(latencies[name][quantile][b])}`).join(", ")}`,
    ];
  }

  return { overview, rate, latency, read };
})();
