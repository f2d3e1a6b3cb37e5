// Keeps a page current: the server sends its changing part again, regions that differ are swapped.
const SILENCE = 6000;
const badge = document.getElementById("live");
const told = document.getElementById("told");
const dialog = document.getElementById("confirm");
const sent = new Map();
let heard = Date.now();

function say(word, text) {
  if (badge.textContent === text) return;
  badge.className = `live ${word}`;
  badge.textContent = text;
}

function beat() {
  heard = Date.now();
  say("fresh", "● live");
}

function swap(id, next) {
  const old = document.getElementById(id);
  if (!old) return;
  const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...old.querySelectorAll("details[open][id]")].map((one) => one.id);
  old.replaceWith(next);
  for (const one of open) document.getElementById(one)?.setAttribute("open", "");
  if (focus) document.getElementById(focus)?.focus();
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const region of page.querySelectorAll("[data-live]")) {
    if (sent.get(region.id) === region.outerHTML) continue;
    sent.set(region.id, region.outerHTML);
    swap(region.id, region);
  }
}

const events = new EventSource(`/api/events?page=${encodeURIComponent(badge.dataset.page)}`);
events.addEventListener("open", beat);
events.addEventListener("beat", beat);
events.addEventListener("page", (message) => { beat(); show(message.data); });
events.addEventListener("failure", (message) => {
  say("stale", `⚠ stale: ${JSON.parse(message.data).error.message}`);
});
setInterval(() => {
  if (Date.now() - heard < SILENCE) return;
  say("stale", `⚠ stale since ${new Date(heard).toLocaleTimeString()}`);
}, 1000);

async function order(button) {
  told.textContent = `${button.textContent} …`;
  try {
    const answer = await fetch(button.dataset.path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Trimtab-Action": "1" },
      body: button.dataset.body,
    });
    const body = await answer.json();
    told.textContent = answer.ok
      ? `✔ ${button.textContent}${body.undo ? `; undo: ${body.undo}` : ""}`
      : `✖ ${body.error.message}${body.error.hint ? ` (hint: ${body.error.hint})` : ""}`;
  } catch {
    told.textContent = "✖ the server did not answer; nothing is known to have changed";
  }
}

document.addEventListener("click", (click) => {
  const button = click.target.closest("button[data-path]");
  if (!button) return;
  document.getElementById("confirm-title").textContent = `${button.textContent}?`;
  document.getElementById("confirm-text").textContent = button.dataset.consequence;
  document.getElementById("confirm-command").textContent = button.dataset.command;
  document.getElementById("confirm-yes").onclick = () => { dialog.close(); order(button); };
  dialog.showModal();
});
document.getElementById("confirm-no").addEventListener("click", () => dialog.close());
