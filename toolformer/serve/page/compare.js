"use strict";
// The same text continued twice: without calls, and with k.

let stopping = null;

async function side(pair, prompt, k) {
  const shown = element("div", "turn assistant");
  shown.setAttribute("role", "group");
  shown.setAttribute("aria-label", `k = ${k}`);
  shown.append(element("small", "side", k ? `k = ${k}` : "k = 0, no calls"));
  pair.append(shown);
  for await (const chunk of written("v1/completions", { prompt, k }, stopping.signal)) show(shown, chunk);
}

async function compare(prompt) {
  if (stopping) return;
  stopping = new AbortController();
  $("stop").hidden = false;
  say("writing …");
  const pair = element("div", "pair");
  $("turns").append(element("div", "turn user", prompt), pair);
  try {
    if (!model) await begin();
    await Promise.all([side(pair, prompt, 0), side(pair, prompt, Number($("k").value))]);
    say("");
  } catch (error) {
    say(error.name === "AbortError" ? "stopped" : error.message, error.name !== "AbortError");
    stopping.abort();
  }
  stopping = null;
  $("stop").hidden = true;
}

$("stop").addEventListener("click", () => stopping?.abort());
$("clear").addEventListener("click", () => {
  stopping?.abort();
  $("turns").replaceChildren();
});
listen(compare);
