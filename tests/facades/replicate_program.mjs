// The calls of the package for JavaScript that Farebox serves. Arguments: the gateway, a key,
// a key without credits, a key at its limit.
import Replicate from "replicate";

const [gateway, key, poorKey, limitedKey] = process.argv.slice(2);
const clientOf = (auth) => new Replicate({ auth, baseUrl: `${gateway}/replicate/v1` });
const [client, poor, limited] = [key, poorKey, limitedKey].map(clientOf);
const model = "farebox/flux-dev";

const errorOf = async (call) => {
  try {
    await call();
    return ["no error"];
  } catch (error) {
    return [error.constructor.name, error.response?.status ?? null, error.message];
  }
};

const seen = {};
const made = await client.run(model, { input: { prompt: "a cat", num_outputs: 2 } });
seen.made = made.map((one) => String(one).startsWith(`${gateway}/`));
seen.events = [];
for await (const event of client.stream(model, { input: { prompt: "a dog" } })) {
  seen.events.push(event.event);
}
let slow = await client.predictions.create({ model, input: { prompt: "slow", sandbox: { hang: true } } });
slow = await client.wait(await client.predictions.cancel(slow.id));
seen.cancelled = [slow.status, slow.output];
seen.listed = (await client.predictions.list()).results.length;
const picture = await (await fetch(String(made[0]))).blob();
const edited = await client.run("farebox/nano-banana", { input: { prompt: "bluer", image: picture } });
seen.edited = [edited].flat().length;
seen.errors = {
  failed: await errorOf(() => client.run(model, { input: { prompt: "x", sandbox: { fail: "moderated" } } })),
  setting: await errorOf(() => client.run(model, { input: { prompt: "x", resolution: "9K" } })),
  gated: await errorOf(() => client.run("farebox/nano-banana-pro", { input: { prompt: "x" } })),
  poor: await errorOf(() => poor.run(model, { input: { prompt: "x" } })),
  limited: await errorOf(() => limited.run(model, { input: { prompt: "x" } })),
};
console.log(JSON.stringify(seen));
