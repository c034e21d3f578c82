"use strict";
// Everything that a model or a tool says becomes text nodes, never markup.

const $ = (id) => document.getElementById(id);
const messages = [];
let model = "";
let stopping = null;

function element(kind, name, text = "") {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = text;
  return made;
}

function headers() {
  const key = $("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").className = wrong ? "wrong" : "";
}

async function failed(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Error(said.error?.message ?? `status ${answer.status}`);
}

async function begin() {
  const answer = await fetch("v1/tools", { headers: headers() });
  if (!answer.ok) throw await failed(answer);
  const known = await answer.json();
  model = known.model;
  $("model").textContent = document.title = model;
  $("k").value = known.k;
  showK();
  $("tools").replaceChildren(
    ...known.tools.flatMap((tool) => [element("dt", "", tool.name), element("dd", "", tool.description)]),
  );
}

function showK() {
  $("k-shown").textContent = $("k").value;
}

function card(call) {
  const made = element("span", "call");
  made.setAttribute("role", "note");
  made.setAttribute("aria-label", `Call of ${call.tool}`);
  made.append(element("b", "", call.tool), `(${call.input}) → ${call.result}`);
  made.append(element("small", "", `rank ${call.rank + 1}, probability ${call.probability.toFixed(2)}`));
  return made;
}

// The data of each server-sent event, as it comes.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part !== "data: [DONE]") yield JSON.parse(part.slice("data: ".length));
  }
}

async function answer(shown, told) {
  const asked = {
    model,
    messages,
    stream: true,
    toolformer: true,
    k: $("tools-on").checked ? Number($("k").value) : 0,
    max_tokens: Number($("most").value),
  };
  stopping = new AbortController();
  const got = await fetch("v1/chat/completions", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(asked),
    signal: stopping.signal,
  });
  if (!got.ok) throw await failed(got);
  for await (const event of events(got.body)) {
    if (event.error) throw new Error(event.error.message);
    const [choice] = event.choices;
    for (const call of choice.delta.toolformer?.calls ?? []) {
      told.toolformer.calls.push(call);
      shown.append(card(call));
    }
    if (choice.delta.content) {
      told.content += choice.delta.content;
      shown.append(choice.delta.content);
    }
    if (choice.finish_reason === "length") shown.append(" …");
    shown.scrollIntoView({ block: "end" });
  }
}

async function send(text) {
  if (stopping) return;
  const own = element("div", "turn user", text);
  const shown = element("div", "turn assistant");
  const told = { role: "assistant", content: "", toolformer: { calls: [] } };
  $("turns").append(own, shown);
  messages.push({ role: "user", content: text });
  $("stop").hidden = false;
  say("writing …");
  try {
    if (!model) await begin();
    await answer(shown, told);
    say("");
  } catch (error) {
    say(error.name === "AbortError" ? "stopped" : error.message, error.name !== "AbortError");
  }
  stopping = null;
  $("stop").hidden = true;
  if (shown.textContent) {
    messages.push(told);
  } else {
    messages.pop();
    own.remove();
    shown.remove();
  }
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  $("text").value = "";
  if (text.trim()) send(text);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
});
$("k").addEventListener("input", showK);
$("stop").addEventListener("click", () => stopping?.abort());
$("clear").addEventListener("click", () => {
  stopping?.abort();
  messages.length = 0;
  $("turns").replaceChildren();
});
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(messages.map((one) => `${one.role}: ${one.content}`).join("\n\n"));
  say("copied");
});
$("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ model, messages }, null, 2)], { type: "application/json" }));
  link.download = "conversation.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
for (const example of $("examples").children) {
  example.addEventListener("click", () => {
    $("text").value = example.textContent;
    $("text").focus();
  });
}
begin().catch((error) => say(error.message, true));
