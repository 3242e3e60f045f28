// What points buy: ready rewards in one tap and a question, the others with the reason why not.

import { book } from "./view-book.js";
import { ask, clone, dialog, once, slots } from "./view-parts.js";
import { till } from "./view-state.js";
import { counted, moment, money, points, say } from "./view-words.js";

const READY_SHOWN = 3;

/** Draw `member`'s rewards into the member's screen. */
export function drawRewards(parts, member, context) {
  const ready = [];
  const rows = [];
  // Without network only so many points go, and nothing that works once.
  const limit = till.queue.online ? Infinity : till.now.rules.offline_points ?? 0;
  const offline = limit ? say("redeem_offline", { points: points(limit) }) : say("redeem_needs_network");
  for (const issued of member.issued ?? []) {
    const use = (button) => useIssued(button, issued, member, context);
    const price = issued.expires_at ? say("until", { time: moment(issued.expires_at) }) : say("has_it");
    const can = till.queue.online;
    if (can) ready.push([issued.name, price, use]);
    rows.push(row(issued.name, can ? price : say("redeem_needs_network"), use, say("use"), can));
  }
  const sorted = [...(member.rewards ?? [])].filter((one) => one.kind !== "points_as_money").sort((a, b) => a.points - b.points);
  for (const reward of sorted) {
    const redeem = (button) => redeemReward(button, reward, member, context);
    const can = reward.ready && reward.points <= limit;
    if (can) ready.push([reward.name, points(reward.points), redeem]);
    const words = can ? keeps(member, reward) : reward.ready ? offline : missing(reward);
    rows.push(row(reward.name, words, redeem, say("redeem"), can));
  }
  const asMoney = context.quoted()?.as_money ?? member.as_money ?? [];
  for (const offered of asMoney) {
    const most = Math.min(offered.most, Math.floor(limit / offered.step) * offered.step);
    const way = { ...offered, most: most < offered.least ? 0 : most };
    const can = way.most > 0;
    const pay = (button) => payWithPoints(button, way, member, context);
    const words = can ? say("worth_up_to", { amount: money(worth(way, way.most)), points: points(way.most) }) : offered.most ? offline : say("too_few", { points: points(way.least || way.step) });
    rows.push(row(way.name, words, pay, say("redeem"), can));
    if (can) ready.push([way.name, say("up_to", { amount: money(worth(way, way.most)) }), pay]);
  }
  // The dearest that can be had is what people come for.
  const shown = [...ready].reverse().slice(0, READY_SHOWN);
  parts.ready.replaceChildren(...shown.map(([name, price, act]) => {
    const button = clone("part-ready");
    const own = slots(button);
    own.name.textContent = name;
    own.price.textContent = price;
    button.addEventListener("click", () => act(button));
    return button;
  }), ...nearly(member, ready.length, shown.length));
  parts.rewards.hidden = rows.length === 0;
  parts.rewardRows.replaceChildren(...rows);
}

function nearly(member, readyCount, shownCount) {
  const words = [];
  if (readyCount > shownCount) words.push(counted("more_ready", readyCount - shownCount));
  const next = member.next_reward;
  if (next?.missing) words.push(say("nearly", { points: points(next.missing), reward: next.name }));
  if (!words.length) return [];
  const line = document.createElement("p");
  line.className = "nearly";
  line.textContent = words.join(" · ");
  return [line];
}

function row(name, words, act, label, enabled) {
  const node = clone("part-reward");
  const own = slots(node);
  own.name.textContent = name;
  own.words.textContent = words;
  own.use.textContent = label;
  own.use.setAttribute("aria-label", `${label}: ${name}`);
  own.use.hidden = !enabled;
  node.classList.toggle("not-yet", !enabled);
  own.use.addEventListener("click", () => act(own.use));
  return node;
}

const keeps = (member, reward) => say("leaves", { price: points(reward.points), rest: points(member.balance - reward.points) });
const missing = (reward) => (reward.missing ? say("to_go", { price: points(reward.points), points: points(reward.missing) }) : reward.why ?? "");
const worth = (way, count) => Math.floor(count / way.step) * way.step_minor;

async function redeemReward(button, reward, member, context) {
  const rest = member.balance - reward.points;
  const sure = await ask({
    title: say("redeem_title", { reward: reward.name, points: points(reward.points) }),
    text: say("redeem_text", { name: member.name || member.code, rest: points(rest) }) + offlineNote(),
    yes: say("redeem"),
  });
  if (!sure) return;
  await bookReward(button, context, {
    operation: "redeemReward",
    body: { code: member.handle ?? member.code, reward: reward.key },
    about: { code: member.code, name: member.name || member.code, words: reward.name },
    expected: { points: -reward.points, balance_before: member.balance, balance: rest, amount_minor: null },
  });
}

async function useIssued(button, issued, member, context) {
  const sure = await ask({
    title: say("use_title", { reward: issued.name }),
    text: say("use_text", { name: member.name || member.code }),
    yes: say("use"),
  });
  if (!sure) return;
  await bookReward(button, context, {
    operation: "useReward",
    body: { code: member.handle ?? member.code, redemption_id: issued.id },
    about: { code: member.code, name: member.name || member.code, words: issued.name },
    expected: { points: 0, balance_before: member.balance, balance: member.balance, amount_minor: null },
  });
}

async function payWithPoints(button, way, member, context) {
  const { amount_minor: basket } = context.amount.basket();
  const chosen = await choosePoints(way, member);
  if (chosen === null) return;
  await bookReward(button, context, {
    operation: "redeemReward",
    body: { code: member.handle ?? member.code, reward: way.reward, points: chosen, ...(basket === null ? {} : { basket_minor: basket }) },
    about: { code: member.code, name: member.name || member.code, words: say("off_the_bill", { amount: money(worth(way, chosen)) }) },
    expected: { points: -chosen, balance_before: member.balance, balance: member.balance - chosen, amount_minor: null },
  });
}

function choosePoints(way, member) {
  return dialog("dialog-points", (node, parts, close) => {
    const least = Math.max(1, Math.ceil((way.least || way.step) / way.step));
    const most = Math.max(least, Math.floor(way.most / way.step));
    parts.title.textContent = way.name;
    parts.steps.min = String(least);
    parts.steps.max = String(most);
    parts.steps.value = String(most);
    const draw = () => {
      const count = Number(parts.steps.value) * way.step;
      parts.worth.textContent = money(worth(way, count));
      parts.points.textContent = points(count);
      parts.keeps.textContent = say("redeem_text", { name: member.name || member.code, rest: points(member.balance - count) }) + offlineNote();
      parts.steps.setAttribute("aria-valuetext", `${money(worth(way, count))}, ${points(count)}`);
      parts.fewer.disabled = Number(parts.steps.value) <= least;
      parts.more.disabled = Number(parts.steps.value) >= most;
    };
    const step = (by) => () => {
      parts.steps.value = String(Number(parts.steps.value) + by);
      draw();
    };
    parts.steps.addEventListener("input", draw);
    parts.fewer.addEventListener("click", step(-1));
    parts.more.addEventListener("click", step(1));
    parts.yes.addEventListener("click", () => close(Number(parts.steps.value) * way.step));
    draw();
  });
}

function offlineNote() {
  if (till.queue.online) return "";
  const limit = till.now.rules.offline_points;
  return ` ${limit ? say("redeem_offline", { points: points(limit) }) : say("redeem_needs_network")}`;
}

async function bookReward(button, context, item) {
  await once(button, async () => {
    const result = await book(item);
    if (result.state === "given-up") return;
    if (result.state === "refused") context.refuse(result.problem);
    else await context.onBooked({ kind: "reward", result, about: item.about });
  });
}

