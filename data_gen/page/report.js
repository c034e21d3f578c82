"use strict";
// Draws the report from the JSON in #content. Strings of the corpus become text nodes and nothing else.

const data = JSON.parse(document.getElementById("content").textContent);
const PAGE = 50; // cards drawn at a time
const $ = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en");
const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined); // a tool may be called "constructor"
const nats = (x) => (x < 0 ? "−" : "") + Math.abs(x).toFixed(2);

// Characters that are not seen, or that turn the line around: shown by their code, so that nobody is fooled by them.
const HIDDEN = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;
const SEEN = new Set(["\n", "\t"]);

/** An element with a class, and children: strings become text. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** A string of the corpus; as a `bdi`, on its own as to the direction of writing. */
function written(string, name = "", tag = "bdi") {
  const element = make(tag, name);
  let run = "";
  for (const character of string) {
    if (!HIDDEN.test(character) || SEEN.has(character)) {
      run += character;
      continue;
    }
    const code = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    element.append(run, make("span", "hidden-character", code));
    run = "";
  }
  element.append(run);
  return element;
}

const hue = (tool) => "tool hue" + (data.tools.indexOf(tool) % 8);

// ---- The call in its place

const LOSSES = [["loss_plain", "without the call"], ["loss_call", "with the call, no result"], ["loss_result", "with its result"]];
const facts = new Map(); // element -> what its tooltip says

function chip(call) {
  const asked = call.input !== undefined && call.input !== null;
  const element = make("span", "call " + hue(call.tool), make("b", "", call.tool));
  if (asked) element.append(make("span", "bracket", "("), written(call.input), make("span", "bracket", ")"));
  if (call.result !== undefined && call.result !== null) element.append(make("span", "arrow", " → "), written(call.result, "result"));
  element.dir = "ltr";
  element.tabIndex = 0;
  element.setAttribute("role", "note");
  element.setAttribute("aria-label", [call.tool + (asked ? ` asked ${call.input}` : ""), ...numbers(call)].join(", "));
  facts.set(element, call);
  return element;
}

function numbers(call) {
  const said = call.gain === undefined ? [] : [`gain ${nats(call.gain)}`];
  for (const [name, label] of LOSSES) if (call[name] !== undefined) said.push(`loss ${label} ${nats(call[name])}`);
  if (call.p_open !== undefined) said.push(`opened with probability ${call.p_open.toPrecision(2)}`);
  return said;
}

function showTip(element) {
  const call = facts.get(element), tip = $("tip");
  const known = LOSSES.filter(([name]) => call[name] !== undefined);
  const most = Math.max(...known.map(([name]) => call[name]), 1e-9);
  tip.replaceChildren(make("p", "tip-head " + hue(call.tool), make("b", "", call.tool),
    call.gain === undefined ? "no gain known" : `gain ${call.loss_call === undefined ? "at most " : ""}${nats(call.gain)}`));
  for (const [name, label] of known) {
    const bar = make("span", "bar " + name);
    bar.style.width = `${(100 * call[name]) / most}%`;
    tip.append(make("p", "tip-row", make("span", "", label), make("span", "track", bar), make("span", "number", nats(call[name]))));
  }
  if (call.p_open !== undefined) tip.append(make("p", "tip-foot", `probability that a call opens here: ${call.p_open.toPrecision(2)}`));
  tip.hidden = false;
  const at = element.getClientRects()[0], box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(at.left, 8), document.documentElement.clientWidth - box.width - 8);
  const below = at.bottom + 8 + box.height < window.innerHeight;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${below ? at.bottom + 6 : Math.max(at.top - box.height - 6, 8)}px`;
}

const hideTip = () => { $("tip").hidden = true; };
const chipOf = (event) => (event.target instanceof Element ? event.target.closest(".call") : null);
for (const [come, go] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
  document.addEventListener(come, (event) => { const element = chipOf(event); if (element && facts.has(element)) showTip(element); });
  document.addEventListener(go, hideTip);
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
window.addEventListener("scroll", hideTip, { passive: true });

// ---- What is counted

function drawTotals() {
  const calls = Object.values(data.texts.calls).reduce((a, b) => a + b, 0);
  const totals = [["texts read", data.documents], ["texts kept", data.texts.total], ["calls kept", calls], ["rejected", data.rejected.total]];
  for (const [label, number] of totals) {
    if (number !== null) $("totals").append(make("div", "", make("dt", "", label), make("dd", "", count(number))));
  }
  document.title = `${data.name} · toolformer report`;
  $("name").append(written(data.name));
  $("config").querySelector("pre").append(written(data.config));
}

function drawTool(tool) {
  const card = make("article", hue(tool), make("h3", "", written(tool)));
  const steps = Object.entries(own(data.funnel, tool) ?? {});
  const most = Math.max(...steps.map(([, number]) => number), 1);
  const funnel = make("div", "funnel");
  steps.forEach(([step, number], index) => {
    const bar = make("span", "bar");
    bar.style.width = `${(100 * number) / most}%`;
    const before = index > 1 ? steps[index - 1][1] : 0; // samples are no share of positions
    const share = before ? `${((100 * number) / before).toFixed(number && number < before / 100 ? 1 : 0)}%` : "";
    funnel.append(make("span", "", step), make("span", "track", bar), make("span", "number", count(number)), make("span", "share", share));
  });
  card.append(funnel, histogram(tool));
  const threshold = own(data.thresholds, tool);
  if (threshold) card.append(make("p", "hint threshold", writtenThreshold(threshold)), ...decoys(tool, threshold));
  return card;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function histogram(tool) {
  const { first, width, tools } = data.gains, gained = own(tools, tool);
  if (!gained) return make("p", "hint", "No call was scored.");
  const { kept = [], rejected = [] } = gained;
  return stackedBars(first, width, kept, rejected, ["kept", "rejected"], `Histogram of the gains of ${tool}`);
}

function writtenThreshold({ value, found, candidates, share, kept }) {
  if (!found) return `Threshold ${nats(value)}, the lesson's own: ${count(candidates)} scored calls are too few to find one.`;
  return `Threshold ${nats(value)}, found from decoys: of ${count(kept)} calls above it, ${(100 * share).toFixed(1)}% are chance, by estimate. Below: decoys dark, calls pale.`;
}

function decoys(tool, { found, first, width, gains, decoys: chance }) {
  if (!found) return [];
  const title = `Gains of ${tool} with the right results, and with those of other calls (decoys)`;
  // Where a call has several decoys, each counts for less.
  const sum = (counts) => counts.reduce((a, b) => a + b, 0), each = sum(gains) / (sum(chance) || 1);
  return [stackedBars(first, width, chance.map((n) => Math.round(n * each)), gains, ["decoys", "calls"], title)];
}

function stackedBars(first, width, kept, rejected, [front, back], title) {
  const bars = Math.max(kept.length, rejected.length), W = 320, H = 84, unit = W / bars;
  const totals = Array.from({ length: bars }, (_, i) => (kept[i] ?? 0) + (rejected[i] ?? 0));
  const high = (n) => (n ? Math.max((H * Math.sqrt(n)) / Math.sqrt(Math.max(...totals)), 1.5) : 0);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H + 18}`, role: "img", "aria-label": title });
  for (let i = 0; i < bars; i++) {
    if (!totals[i]) continue;
    const from = first + i * width, all = high(totals[i]);
    const part = totals[i] ? (all * (kept[i] ?? 0)) / totals[i] : 0;
    const label = `gain ${nats(from)} to ${nats(from + width)}: ${count(kept[i] ?? 0)} ${front}, ${count(rejected[i] ?? 0)} ${back}`;
    const box = { x: (i * unit + unit * 0.08).toFixed(2), width: (unit * 0.84).toFixed(2) };
    const group = svg("g", {}, svg("title", {}, label), svg("rect", { x: (i * unit).toFixed(2), width: unit.toFixed(2), y: 0, height: H, class: "reach" }));
    if (all > part) group.append(svg("rect", { ...box, y: (H - all).toFixed(2), height: (all - part).toFixed(2), class: "rejected" }));
    if (part) group.append(svg("rect", { ...box, y: (H - part).toFixed(2), height: part.toFixed(2), class: "kept" }));
    picture.append(group);
  }
  picture.append(svg("line", { x1: 0, x2: W, y1: H, y2: H, class: "axis" }));
  const span = bars * width, tick = [0.2, 0.5, 1, 2, 5, 10].find((t) => span / t <= 8) ?? 10;
  for (let x = Math.ceil(first / tick) * tick; x <= first + span + 1e-9; x += tick) {
    const at = ((x - first) / span) * W;
    if (at < 6 || at > W - 6) continue;
    picture.append(svg("line", { x1: at, x2: at, y1: H, y2: H + 3, class: "axis" }));
    picture.append(svg("text", { x: at, y: H + 15 }, String(+x.toFixed(1)).replace("-", "−")));
  }
  return picture;
}

// ---- Filters; what they are set to stands in the address behind #, so that a view can be sent as a link

const gains = [...data.texts.shown.flatMap((text) => text.calls), ...data.rejected.shown].map((call) => call.gain).filter((gain) => gain !== undefined);
const LEAST = Math.floor(gains.reduce((a, b) => Math.min(a, b), 0)), MOST = Math.ceil(gains.reduce((a, b) => Math.max(a, b), 1));
const reasonOf = (one) => `${one.stage}: ${one.kind}`;
let view, drawn = PAGE;

function readView() {
  const given = new URLSearchParams(location.hash.slice(1));
  const gain = Number.parseFloat(given.get("gain") ?? "");
  view = {
    tab: given.get("tab") === "rejected" ? "rejected" : "texts",
    tools: new Set((given.get("tool") ?? "").split(",").filter((tool) => data.tools.includes(tool))),
    gain: Number.isFinite(gain) ? Math.min(Math.max(gain, LEAST), MOST) : LEAST,
    reason: given.get("reason") ?? "",
    sort: given.get("sort") ?? "",
    q: given.get("q") ?? "",
  };
}

function change(changes) {
  Object.assign(view, changes);
  const hash = new URLSearchParams();
  if (view.tab !== "texts") hash.set("tab", view.tab);
  if (view.tools.size) hash.set("tool", [...view.tools].join(","));
  if (view.gain > LEAST) hash.set("gain", String(view.gain));
  for (const name of ["reason", "sort", "q"]) if (view[name]) hash.set(name, view[name]);
  history.replaceState(null, "", "#" + hash);
  draw();
}

const ofTool = (call) => !view.tools.size || view.tools.has(call.tool);
const gainsEnough = (call) => view.gain <= LEAST || (call.gain !== undefined && call.gain >= view.gain);
const matches = (call) => ofTool(call) && gainsEnough(call);
const haystacks = new Map(); // record -> its strings in small letters

function found(record) {
  if (!haystacks.has(record)) {
    const strings = [];
    JSON.stringify(record, (_, value) => { if (typeof value === "string") strings.push(value); return value; });
    haystacks.set(record, strings.join("\n").toLowerCase());
  }
  return haystacks.get(record).includes(view.q.toLowerCase());
}

function selected() {
  const wanted = view.q ? found : () => true;
  if (view.tab === "rejected") {
    const order = new Map(data.rejected.groups.map((group, place) => [reasonOf(group), place]).reverse());
    const chosen = data.rejected.shown.filter((one) => matches(one) && (!view.reason || reasonOf(one) === view.reason) && wanted(one));
    return chosen.sort((a, b) => order.get(reasonOf(a)) - order.get(reasonOf(b)) || byGain(a.gain, b.gain));
  }
  const best = (text) => Math[view.sort === "least" ? "min" : "max"](...text.calls.filter(matches).map((call) => call.gain ?? LEAST));
  return data.texts.shown.filter((text) => text.calls.some(matches) && wanted(text)).sort((a, b) => byGain(best(a), best(b)));
}

function byGain(a = LEAST, b = LEAST) {
  return view.sort === "most" ? b - a : view.sort === "least" ? a - b : 0;
}

// ---- Cards

/** A stretch of a text. Its paragraph takes the direction of the text, which it would not take from a `bdi`. */
const running = (string) => written(string, "", "span");

function paragraph(...children) {
  const body = make("p", "text", ...children);
  body.dir = "auto";
  return body;
}

function textCard(text) {
  const body = paragraph();
  text.pieces.forEach((piece, index) => {
    if (index) {
      const call = text.calls[index - 1], element = chip(call);
      element.classList.toggle("other", !matches(call));
      body.append(element);
    }
    if (typeof piece === "string") body.append(running(piece));
    else body.append(running(piece[0]), make("span", "left-out", `${count(piece[1])} characters`), running(piece[2]));
  });
  const head = make("p", "card-head", written(text.id, "id"), ...text.about.map((fact) => written(fact, "about")));
  return make("article", "card", head, body);
}

function rejectedCard(one) {
  const body = paragraph(running(one.near[0]), chip(one), running(one.near[1]));
  const head = make("p", "card-head", written(one.id, "id"), ...(one.gain === undefined ? [] : [make("span", "about", `gain ${nats(one.gain)}`)]));
  const card = make("article", "card", head, body);
  if (one.reason !== one.kind) card.append(make("p", "why", written(one.reason)));
  return card;
}

function drawList() {
  const records = selected(), list = $("list");
  facts.clear();
  hideTip();
  list.replaceChildren();
  let group = "";
  for (const record of records.slice(0, drawn)) {
    if (view.tab === "rejected" && reasonOf(record) !== group) {
      group = reasonOf(record);
      list.append(reasonHead(record));
    }
    list.append(view.tab === "rejected" ? rejectedCard(record) : textCard(record));
  }
  if (!records.length) list.append(make("p", "empty", "Nothing here fits the filters."));
  $("more").hidden = records.length <= drawn;
  const all = data[view.tab], unit = view.tab === "rejected" ? "rejected calls" : "texts";
  const sampled = all.shown.length < all.total ? ` This page holds ${count(all.shown.length)} of ${count(all.total)} ${unit}, chosen by a hash${view.tab === "rejected" ? " from every kind" : ""}; the counts are of all.` : "";
  $("status").textContent = `Fitting the filters: ${count(records.length)} of ${count(all.shown.length)} ${unit}.${sampled}`;
}

function reasonHead(record) {
  const groups = data.rejected.groups.filter((group) => reasonOf(group) === reasonOf(record) && ofTool(group));
  const total = groups.reduce((sum, group) => sum + group.count, 0);
  return make("h3", "reason", make("span", "stage", record.stage), written(record.kind), make("span", "number", `${count(total)} in all`));
}

function draw() {
  for (const tab of ["texts", "rejected"]) $(`tab-${tab}`).setAttribute("aria-selected", String(view.tab === tab));
  $("list").setAttribute("aria-labelledby", `tab-${view.tab}`);
  for (const button of $("tool-filter").children) button.setAttribute("aria-pressed", String(view.tools.has(button.value)));
  $("reason-filter").hidden = view.tab !== "rejected";
  $("gain").value = view.gain;
  document.querySelector("#gain-filter output").textContent = view.gain <= LEAST ? "any" : nats(view.gain);
  $("reason").value = view.reason;
  $("sort").value = view.sort;
  if ($("search").value !== view.q) $("search").value = view.q;
  drawn = PAGE;
  drawList();
}

function setUp() {
  drawTotals();
  $("tools").append(...data.tools.map(drawTool));
  for (const tab of ["texts", "rejected"]) {
    $(`tab-${tab}`).querySelector("b").textContent = count(data[tab].total);
    $(`tab-${tab}`).addEventListener("click", () => change({ tab }));
  }
  for (const tool of data.tools) {
    const button = make("button", hue(tool), written(tool));
    button.value = tool;
    button.addEventListener("click", () => { view.tools.has(tool) ? view.tools.delete(tool) : view.tools.add(tool); change({}); });
    $("tool-filter").append(button);
  }
  Object.assign($("gain"), { min: LEAST, max: MOST, step: 0.1 });
  $("gain").addEventListener("input", () => change({ gain: Number($("gain").value) }));
  $("reason").append(new Option("any", ""), ...[...new Set(data.rejected.groups.map(reasonOf))].sort().map((reason) => new Option(reason, reason)));
  $("reason").addEventListener("change", () => change({ reason: $("reason").value }));
  $("sort").addEventListener("change", () => change({ sort: $("sort").value }));
  $("search").addEventListener("input", () => change({ q: $("search").value }));
  $("reset").addEventListener("click", () => change({ tools: new Set(), gain: LEAST, reason: "", sort: "", q: "" }));
  $("more").addEventListener("click", () => { drawn += PAGE; drawList(); });
  window.addEventListener("hashchange", () => { readView(); draw(); });
  readView();
  draw();
}

setUp();
