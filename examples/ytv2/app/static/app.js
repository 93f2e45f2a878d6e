// Writes go through the JSON API; everything else on these pages works without this file.
"use strict";

const toast = document.getElementById("toast");

function say(words) {
  toast.textContent = words;
  toast.hidden = false;
}

async function ask(method, path, body) {
  const request = { method };
  if (body) {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function remove(button) {
  if (!confirm(`Delete “${button.dataset.title}” and its summaries?`)) return;
  button.disabled = true;
  try {
    await ask("DELETE", `/api/delete/${encodeURIComponent(button.dataset.id)}`);
    if (button.closest("li.card")) location.reload();
    else location.assign("/");
  } catch (error) {
    button.disabled = false;
    say(`Not deleted: ${error.message}`);
  }
}

async function ingest(form) {
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
  const { category, summary, duration_seconds: seconds, ...video } = given;
  if (category) video.categories = [{ category }];
  if (summary) video.summary = { text: summary };
  if (seconds) video.duration_seconds = Number(seconds);
  try {
    const stored = await ask("POST", "/api/content", video);
    location.assign(`/${encodeURIComponent(stored.id)}.html`);
  } catch (error) {
    say(`Not added: ${error.message}`);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.delete");
  if (button) remove(button);
});

document.getElementById("ingest")?.addEventListener("submit", (event) => {
  event.preventDefault();
  ingest(event.target);
});

document.getElementById("sort")?.addEventListener("change", (event) => event.target.form.requestSubmit());
