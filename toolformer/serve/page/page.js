"use strict";
// What the pages have in common. Everything that a model or a tool says becomes text nodes, never markup.

const $ = (id) => document.getElementById(id);
let model = "";

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
  made.append(element("small", "", `rank ${call.rank + 1}, probability ${call.probability.toFixed(2)}, ${call.seconds.toFixed(2)} s`));
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

// What is written behind a request, chunk by chunk: { text, calls, finish }.
async function* written(path, asked, signal) {
  const got = await fetch(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({ model, stream: true, toolformer: true, max_tokens: Number($("most").value), ...asked }),
    signal,
  });
  if (!got.ok) throw await failed(got);
  for await (const event of events(got.body)) {
    if (event.error) throw new Error(event.error.message);
    const [choice] = event.choices;
    const told = choice.delta ?? choice;
    yield { text: told.content ?? told.text ?? "", calls: told.toolformer?.calls ?? [], finish: choice.finish_reason };
  }
}

function show(shown, chunk) {
  for (const call of chunk.calls) shown.append(card(call));
  if (chunk.text) shown.append(chunk.text);
  if (chunk.finish === "length") shown.append(" …");
  shown.scrollIntoView({ block: "end" });
}

// The form: Enter sends what is written, an example is put where it can be sent, k shows its value.
function listen(send) {
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
  for (const example of $("examples").children) {
    example.addEventListener("click", () => {
      $("text").value = example.textContent;
      $("text").focus();
    });
  }
  begin().catch((error) => say(error.message, true));
}
