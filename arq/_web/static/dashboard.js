// Keeps an open page fresh: asks for its content again and again, unless it is held. The page works without it.
(() => {
  "use strict";
  const content = document.getElementById("content");
  const hold = document.getElementById("hold");
  const refreshed = document.getElementById("refreshed");
  if (!content || !hold) return;
  const everyMs = Math.min(Math.max(Number(document.body.dataset.refresh) || 5, 2), 60) * 1000;
  let held = false, mark = "", busy = false;

  function touched() {
    // somebody is choosing, typing or reading: what is under their hands must not move
    const active = document.activeElement;
    return content.querySelector("input[type=checkbox]:checked, details[open]") !== null
      || (active !== null && content.contains(active) && active.matches("input, select, textarea, button"))
      || !document.getSelection().isCollapsed;
  }

  async function refresh() {
    if (busy || held || document.hidden || touched()) return;
    busy = true;
    try {
      const headers = { "X-Arq-Fragment": "1" };
      if (mark) headers["If-None-Match"] = mark;
      const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 200 && !held && !touched()) {
        mark = answer.headers.get("ETag") || "";
        const focused = document.activeElement && document.activeElement.id;
        const scrolled = [...content.querySelectorAll(".wide")].map((one) => one.scrollLeft);
        content.innerHTML = await answer.text();
        content.querySelectorAll(".wide").forEach((one, n) => { one.scrollLeft = scrolled[n] || 0; });
        if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
      } else if (answer.status === 401) {
        location.reload();
        return;
      }
      say(answer.ok || answer.status === 304 ? new Date().toLocaleTimeString() : "no answer: " + answer.status);
    } catch (error) {
      say("no connection");
    } finally {
      busy = false;
    }
  }

  function say(text) {
    refreshed.hidden = false;
    refreshed.textContent = text;
  }

  hold.hidden = false;
  hold.addEventListener("click", () => {
    held = !held;
    hold.setAttribute("aria-pressed", String(held));
    hold.textContent = held ? "Held" : "Hold";
    if (!held) refresh();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setInterval(refresh, everyMs);
})();
