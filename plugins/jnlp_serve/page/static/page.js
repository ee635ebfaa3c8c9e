// Keys, and answers in place. Without this script the page works by links and forms.
const results = document.querySelector("#results");
const box = document.querySelector("#q");
const reader = document.querySelector("#reader");
let chosen = -1;

const hits = () => [...results.querySelectorAll("#hits article")];

function choose(number) {
  const all = hits();
  if (!all.length) return;
  chosen = Math.max(0, Math.min(number, all.length - 1));
  all.forEach((hit, n) => hit.classList.toggle("chosen", n === chosen));
  const link = all[chosen].querySelector("a");
  link.focus({ preventScroll: true });
  all[chosen].scrollIntoView({ block: "nearest" });
}

async function show(address, remember) {
  const url = new URL(address, location);
  const answer = await fetch(url.pathname + url.search + (url.search ? "&" : "?") + "part=results", { headers: { accept: "text/html" } });
  if (!answer.ok) { location.assign(address); return; }
  results.innerHTML = await answer.text();
  box.value = url.searchParams.get("q") || "";
  for (const name of ["index", "kind", "folder", "since"]) {
    document.querySelectorAll(`#form [name=${name}]`).forEach((old) => old.remove());
    const value = url.searchParams.get(name);
    if (value) {
      const kept = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      document.querySelector("#form").append(kept);
    }
  }
  chosen = -1;
  if (remember) history.pushState(null, "", url);
}

async function open(address) {
  const url = new URL(address, location);
  const answer = await fetch(url.pathname + url.search + "&part=reader");
  if (!answer.ok) { location.assign(address); return; }
  reader.innerHTML = await answer.text();
  reader.showModal();
  reader.querySelector("#passage")?.scrollIntoView({ block: "center" });
}

document.addEventListener("submit", (event) => {
  const query = new URLSearchParams(new FormData(event.target));
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  event.preventDefault();
  show("/?" + query, true);
});

document.addEventListener("change", (event) => {
  if (event.target.name === "since") event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  if (event.target.closest(".close")) { reader.close(); return; }
  if (event.target === reader) { reader.close(); return; }
  const link = event.target.closest("#results a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const url = new URL(link.href);
  if (url.pathname === "/view") open(link.href); else show(link.href, true);
});

document.addEventListener("keydown", (event) => {
  if (reader.open) return;
  const typing = event.target === box;
  if (event.key === "/" && !typing && !/INPUT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); box.focus(); box.select(); }
  if (event.key === "ArrowDown" && !event.isComposing) { event.preventDefault(); choose(chosen + 1); }
  if (event.key === "ArrowUp" && !event.isComposing) { event.preventDefault(); if (chosen <= 0) { chosen = -1; box.focus(); } else choose(chosen - 1); }
  if (event.key === "Escape") { hits().forEach((hit) => hit.classList.remove("chosen")); chosen = -1; box.focus(); }
});

addEventListener("popstate", () => show(location.href, false));
