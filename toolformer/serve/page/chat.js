"use strict";
// A conversation.

const messages = [];
let stopping = null;

async function answer(shown, told) {
  stopping = new AbortController();
  const k = $("tools-on").checked ? Number($("k").value) : 0;
  for await (const chunk of written("v1/chat/completions", { messages, k }, stopping.signal)) {
    told.toolformer.calls.push(...chunk.calls);
    told.content += chunk.text;
    show(shown, chunk);
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
  if (!own.isConnected) return; // the conversation was cleared meanwhile
  if (shown.textContent) {
    messages.push(told);
  } else {
    messages.pop();
    own.remove();
    shown.remove();
  }
}

$("stop").addEventListener("click", () => stopping?.abort());
$("clear").addEventListener("click", () => {
  stopping?.abort();
  messages.length = 0;
  $("turns").replaceChildren();
});
$("copy").addEventListener("click", async () => {
  try {
    // Browsers have no clipboard for pages of another machine that come without encryption.
    await navigator.clipboard.writeText(messages.map((one) => `${one.role}: ${one.content}`).join("\n\n"));
    say("copied");
  } catch {
    say("the browser does not let this page copy: Save writes a file", true);
  }
});
$("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ model, messages }, null, 2)], { type: "application/json" }));
  link.download = "conversation.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
listen(send);
