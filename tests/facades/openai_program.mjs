// The calls of the package for JavaScript that Farebox serves. Arguments: the gateway, a key,
// a key without credits, a key at its limit.
import OpenAI from "openai";

const [gateway, apiKey, poorKey, limitedKey] = process.argv.slice(2);
const baseURL = `${gateway}/openai/v1`;
const client = new OpenAI({ baseURL, apiKey });

const errorOf = async (call) => {
  try {
    await call();
    return ["no error"];
  } catch (error) {
    return [error.constructor.name, error.status ?? null, error.code ?? null, error.message];
  }
};

const ended = async (video) => {
  while (video.status === "queued" || video.status === "in_progress") {
    await new Promise((resolve) => setTimeout(resolve, 200));
    video = await client.videos.retrieve(video.id);
  }
  return video;
};

const seen = {};
const made = await client.images.generate({ model: "gpt-image-1.5", prompt: "a cat", size: "1024x1536", n: 2 });
seen.made = [made.size, made.data.map((one) => Boolean(one.url && one.b64_json))];
seen.events = [];
for await (const event of await client.images.generate({ model: "flux-dev", prompt: "a dog", stream: true })) {
  seen.events.push(event.type);
}
const picture = new File([Buffer.from(made.data[0].b64_json, "base64")], "a.png", { type: "image/png" });
const edited = await client.images.edit({ model: "gpt-image-1.5", prompt: "bluer", image: [picture, picture] });
seen.edited = edited.data.length;
const asked = { model: "wan-2.2", prompt: "a wave", size: "1280x720", seconds: "5" };
const hanging = await client.videos.create({ ...asked, sandbox: { hang: true } });
await client.videos.delete(hanging.id);
const gone = await ended(hanging);
seen.cancelled = [gone.status, gone.error.code];
const video = await ended(await client.videos.create(asked));
const content = await (await client.videos.downloadContent(video.id)).arrayBuffer();
seen.video = [video.status, video.seconds, video.size, Buffer.from(content).toString("latin1", 4, 8)];
const slow = await client.images.generate(
  { model: "flux-dev", prompt: "slow", sandbox: { delay_seconds: 2 } }, { timeout: 1000, maxRetries: 40 });
seen.slow = slow.data.length;
const poor = new OpenAI({ baseURL, apiKey: poorKey });
const limited = new OpenAI({ baseURL, apiKey: limitedKey });
seen.errors = {
  failed: await errorOf(() => client.images.generate(
    { model: "flux-dev", prompt: "x", sandbox: { fail: "moderated" } })),
  size: await errorOf(() => client.images.generate({ model: "flux-dev", prompt: "x", size: "256x256" })),
  gated: await errorOf(() => client.images.generate({ model: "nano-banana-pro", prompt: "x" })),
  poor: await errorOf(() => poor.images.generate({ model: "flux-2-pro", prompt: "x" })),
  limited: await errorOf(() => limited.images.generate({ model: "flux-dev", prompt: "x" })),
};
console.log(JSON.stringify(seen));
