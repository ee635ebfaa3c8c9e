// Sends a text to a task and shows the answer. Text is set as text, never as markup.
const form = document.querySelector("#try");
const answer = document.querySelector("#answer");

function coloured(text, spans) {
  answer.replaceChildren();
  let at = 0;
  const letters = [...text].length === text.length ? text : null;
  const cut = (from, to) => letters ? letters.slice(from, to) : [...text].slice(from, to).join("");
  for (const { start, end, name } of spans.sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    const mark = document.createElement("mark");
    mark.textContent = cut(start, end);
    mark.title = name;
    answer.append(cut(at, start), mark);
    at = end;
  }
  answer.append(cut(at, [...text].length));
}

function table(rows) {
  const made = document.createElement("table");
  for (const row of rows) {
    const line = made.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  answer.append(made);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = new FormData(form), task = values.get("task"), text = values.get("text");
  const body = { inputs: [text] };
  if (task === "classify") body.options = { labels: values.get("labels").split(/[,、，]/).map((label) => label.trim()).filter(Boolean) };
  answer.textContent = "…";
  const reply = await fetch("/tasks/" + task, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const found = await reply.json();
  if (!reply.ok) { answer.textContent = typeof found.error === "string" ? found.error : found.error.message; return; }
  const result = (found.results || found)[0];
  answer.replaceChildren();
  if (task === "toxicity" || task === "pii") {
    const spans = (result.spans || []).filter((span) => span.end > span.start);
    if (!spans.length) { answer.textContent = form.dataset.clean; return; }
    coloured(text, spans.map((span) => ({ ...span, name: span.category || span.reason || "" })));
  } else if (task === "classify") {
    table(Object.entries(result.scores).map(([label, score]) => [label, (100 * score).toFixed(1) + " %"]));
  } else {
    table(result.fills.map((fill) => [fill.tokens.join(" "), (100 * fill.score).toFixed(1) + " %", fill.sequence]));
  }
});
