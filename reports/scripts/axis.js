"use strict";
// What all drawings share: the span of time in view, colours from the style sheet, canvases, bands and ticks.
const Axis = (() => {
  const LEFT = 96;
  const RIGHT = 12;
  const MINIMUM_SPAN = 200; // microseconds
  const view = { from: 0, to: 1, end: 1 };
  let colours = {};

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "muted", "line", "card", "ok", "fail", "info", "evidence", "band", "primary", "link", "partly"];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  function show(from, to) {
    const span = Math.min(view.end, Math.max(MINIMUM_SPAN, to - from));
    const start = Math.min(Math.max(0, from), view.end - span);
    view.from = start;
    view.to = start + span;
  }

  function zoom(factor, around) {
    const span = (view.to - view.from) * factor;
    const share = (around - view.from) / (view.to - view.from);
    show(around - span * share, around + span * (1 - share));
  }

  // Returns the context of a canvas sized to its box, in CSS pixels.
  function prepare(canvas, height) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const wanted = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) [canvas.width, canvas.height] = wanted;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    return { context, width, height };
  }

  const scale = (width, from = view.from, to = view.to) => (width - LEFT - RIGHT) / (to - from);
  const x = (time, width) => LEFT + (time - view.from) * scale(width);
  const time = (pixel, width) => view.from + (pixel - LEFT) / scale(width);

  function clip(context, width, height) {
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT - RIGHT, height);
    context.clip();
  }

  function hatch(context, number) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const brush = tile.getContext("2d");
    brush.strokeStyle = colours.band;
    brush.globalAlpha = 0.55;
    const lines = [[0, 8, 8, 0], [0, 0, 8, 8], [4, 0, 4, 8], [0, 4, 8, 4]][number % 4];
    brush.beginPath();
    brush.moveTo(lines[0], lines[1]);
    brush.lineTo(lines[2], lines[3]);
    brush.stroke();
    return context.createPattern(tile, "repeat");
  }

  // A band is solid where an observer saw an effect of the fault, outlined where none did; each kind has its hatch.
  function bands(context, run, toX, height, { top = 0, labels = false } = {}) {
    const kinds = [...new Set(run.faults.map((fault) => fault.fault))];
    const starts = run.faults.map((fault) => fault.start);
    for (const fault of run.faults) {
      const left = toX(fault.start);
      const width = Math.max(1, toX(fault.end) - left);
      if (fault.effective) {
        context.fillStyle = colours.band;
        context.globalAlpha = 0.2;
        context.fillRect(left, top, width, height - top);
        context.globalAlpha = 0.5;
        context.fillStyle = hatch(context, kinds.indexOf(fault.fault));
        context.fillRect(left, top, width, height - top);
        context.globalAlpha = 1;
      } else {
        context.strokeStyle = colours.band;
        context.setLineDash([5, 4]);
        context.strokeRect(left + 0.5, top + 1, width - 1, height - top - 2);
        context.setLineDash([]);
      }
      if (labels) {
        const next = starts.find((start) => start > fault.start);
        bandLabel(context, fault, left, Math.max(width, (next === undefined ? Infinity : toX(next)) - left), top + 9);
      }
    }
  }

  function bandLabel(context, fault, left, width, y) {
    const shown = Math.max(left, LEFT) + 4;
    const room = Math.min(left + width, context.canvas.clientWidth - RIGHT) - shown;
    if (room < 30 || fault.end < view.from) return;
    context.fillStyle = colours.partly;
    context.font = "600 11.5px system-ui, sans-serif";
    const text = fault.effective ? fault.label : `${fault.label} (no effect seen)`;
    context.fillText(fitted(context, text, room - 6), shown, y);
    context.font = "12px system-ui, sans-serif";
  }

  function fitted(context, text, room) {
    if (context.measureText(text).width <= room) return text;
    let length = text.length;
    while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > room) length--;
    return `${text.slice(0, length)}…`;
  }

  function primaries(context, run, toX, height, { top = 0, labels = false } = {}) {
    const taken = [];
    for (const [at, member] of run.primaries) {
      const place = toX(at);
      context.strokeStyle = colours.primary;
      context.lineWidth = member ? 1.5 : 1;
      context.setLineDash(member ? [] : [2, 3]);
      context.beginPath();
      context.moveTo(place, top);
      context.lineTo(place, height);
      context.stroke();
      context.setLineDash([]);
      context.lineWidth = 1;
    }
    if (!labels) return;
    // Who became primary matters more than that there was none for a moment: it gets its label first.
    const named = run.primaries.filter(([, member]) => member);
    for (const [at, member] of [...named, ...run.primaries.filter(([, member]) => !member)]) {
      const text = member ? `▸ ${member}` : "none";
      const left = toX(at) + 3;
      const right = left + context.measureText(text).width + 5;
      if (taken.some(([from, to]) => left < to && right > from)) continue;
      taken.push([left, right]);
      context.fillStyle = member ? colours.ink : colours.muted;
      context.fillText(text, left, top + 8);
    }
  }

  function step(span, count) {
    const rough = span / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  }

  function timeText(microseconds, size) {
    const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(size / 1e6))));
    return `${(microseconds / 1e6).toFixed(digits)} s`;
  }

  function ticks(context, width, y, height) {
    const size = step(view.to - view.from, Math.max(2, (width - LEFT) / 110));
    for (let at = Math.ceil(view.from / size) * size; at <= view.to; at += size) {
      const place = x(at, width);
      context.strokeStyle = colours.line;
      context.beginPath();
      context.moveTo(place, y + 8);
      context.lineTo(place, height);
      context.stroke();
      context.fillStyle = colours.muted;
      context.fillText(timeText(at, size), Math.min(place + 3, width - 60), y);
    }
  }

  return {
    LEFT, RIGHT, view, show, zoom, prepare, x, time, scale, clip, bands, primaries, ticks, step, fitted, readColours,
    get colours() { return colours; },
  };
})();
