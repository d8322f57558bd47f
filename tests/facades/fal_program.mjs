// The calls of the package for JavaScript that Farebox serves. Arguments: the gateway, a key,
// a key without credits, a key at its limit.
import { createFalClient } from "@fal-ai/client";

const [gateway, key, poorKey, limitedKey] = process.argv.slice(2);
const at = { "queue.fal.run": `${gateway}/fal`, "fal.run": `${gateway}/fal/run` };
const moved = (url) => url.replace(/^https:\/\/((?:queue\.)?fal\.run)/, (_, host) => at[host]);
const requestMiddleware = async (one) => ({ ...one, url: moved(one.url) });
const clientOf = (credentials) => createFalClient({ credentials, requestMiddleware });
const [client, poor, limited] = [key, poorKey, limitedKey].map(clientOf);
const model = "fal-ai/flux/dev";

const errorOf = async (call) => {
  try {
    await call();
    return ["no error"];
  } catch (error) {
    const body = error.body ?? {};
    return [error.constructor.name, error.status ?? null, body.error?.code ?? null, JSON.stringify(body.detail)];
  }
};

const seen = { statuses: [] };
const onQueueUpdate = (one) => seen.statuses.push(one.status);
const two = await client.subscribe(model, { input: { prompt: "a cat", num_images: 2 }, onQueueUpdate });
seen.two = two.data.images.length;
seen.run = (await client.run(model, { input: { prompt: "a dog" } })).data.images.length;
const stream = await client.stream(model, { input: { prompt: "a bird" } });
seen.streamed = (await stream.done()).images.length;
const same = [1, 2, 3].map(() => client.subscribe(model, { input: { prompt: "the same" } }));
seen.same = new Set((await Promise.all(same)).map((one) => one.requestId)).size;
const slow = await client.queue.submit(model, { input: { prompt: "slow", sandbox: { hang: true } } });
const requestId = slow.request_id;
await client.queue.cancel(model, { requestId });
seen.cancelled = [
  (await client.queue.status(model, { requestId })).status,
  await errorOf(() => client.queue.result(model, { requestId })),
];
const input = { prompt: "x" };
seen.errors = {
  failed: await errorOf(() => client.subscribe(model, { input: { ...input, sandbox: { fail: "moderated" } } })),
  size: await errorOf(() => client.subscribe(model, { input: { ...input, image_size: "huge" } })),
  gated: await errorOf(() => client.subscribe("fal-ai/nano-banana-pro", { input })),
  poor: await errorOf(() => poor.subscribe("fal-ai/flux-2-pro", { input })),
  limited: await errorOf(() => limited.subscribe(model, { input })),
  "poor in run": await errorOf(() => poor.run("fal-ai/flux-2-pro", { input })),
};
console.log(JSON.stringify(seen));
