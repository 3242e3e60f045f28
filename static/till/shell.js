// The app on the device: the worker that keeps it, and how a new version takes over.

const WORKER = "/till/worker.js";
const LOOK_EVERY_MS = 30 * 60 * 1000;

// `onNewVersion(reload)` is told once when a newer version waits. Nothing is ever reloaded by itself.
export async function install({ onNewVersion }) {
  if (!("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  let told = false;
  const tell = (reload) => {
    if (told) return;
    told = true;
    onNewVersion(reload);
  };
  const registration = await serviceWorker.register(WORKER).catch(() => null);
  if (!registration) return;

  const look = () => {
    // The first worker of all is not news.
    if (registration.waiting && serviceWorker.controller) tell(() => takeOver(registration.waiting));
  };
  const follow = () => registration.installing?.addEventListener("statechange", look);
  registration.addEventListener("updatefound", follow);
  follow();
  look();

  // Another tab let it take over: what this one has loaded is of the version before.
  const hadOne = Boolean(serviceWorker.controller);
  serviceWorker.addEventListener("controllerchange", () => {
    if (hadOne) tell(() => location.reload());
  });

  const update = () => registration.update().catch(() => {});
  setInterval(update, LOOK_EVERY_MS);
  addEventListener("online", update);
}

function takeOver(waiting) {
  if (!waiting) return location.reload();
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage("take over");
  return undefined;
}
