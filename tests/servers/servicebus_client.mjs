// The official client for JavaScript, @azure/service-bus, doing one thing with a topic and its subscription `inbox`.
// What it has seen it prints as JSON; whether that is right is for tests/federation/test_servicebus_broker.py to say.
// Usage: node servicebus_client.mjs FOLDER_OF_NODE_MODULES CONNECTION_STRING TOPIC SCENARIO

import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, connection, topic, scenario] = process.argv.slice(2);
const { ServiceBusClient } = createRequire(join(folder, "from-here.js"))("@azure/service-bus");

const PATIENCE = { maxWaitTimeInMs: 30000 };
const client = new ServiceBusClient(connection, { retryOptions: { maxRetries: 0 } });
const sender = client.createSender(topic);
const receiver = client.createReceiver(topic, "inbox", { maxAutoLockRenewalDurationInMs: 0 });

const send = (...names) => sender.sendMessages(names.map((name) => ({ body: name, messageId: name })));
const one = async (from = receiver) => (await from.receiveMessages(1, PATIENCE))[0];
const deadLetters = () => client.createReceiver(topic, "inbox", { subQueueType: "deadLetter" });
const failure = (promise) => promise.then(() => null, (error) => error.code ?? error.name);
const seen = (message) => ({
  body: message.body,
  id: message.messageId,
  count: message.deliveryCount,
  sequence: message.sequenceNumber.toString(),
  reason: message.deadLetterReason,
  description: message.deadLetterErrorDescription,
});

const scenarios = {
  async send() {
    const sent = new Date();
    await sender.sendMessages({
      body: Buffer.from([0, 255, 128]),
      messageId: "m",
      correlationId: "c",
      subject: "s",
      to: "t",
      contentType: "x/y",
      timeToLive: 60000,
      applicationProperties: { text: "é", number: 7, flag: true },
    });
    const message = await one();
    await receiver.completeMessage(message);
    return {
      ...seen(message),
      body: [...message.body],
      fields: [message.correlationId, message.subject, message.to, message.contentType, message.timeToLive],
      properties: message.applicationProperties,
      token: message.lockToken,
      times: message.enqueuedTimeUtc >= new Date(sent - 1) && message.lockedUntilUtc > message.enqueuedTimeUtc,
    };
  },
  async batch() {
    const batch = await sender.createMessageBatch();
    for (const name of ["a", "b", "c"]) batch.tryAddMessage({ body: name, messageId: name });
    const tooMuch = batch.tryAddMessage({ body: Buffer.alloc(batch.maxSizeInBytes) });
    await sender.sendMessages(batch);
    const messages = [];
    while (messages.length < 3) messages.push(...(await receiver.receiveMessages(3, PATIENCE)));
    for (const message of messages) await receiver.completeMessage(message);
    return { most: batch.maxSizeInBytes, tooMuch, messages: messages.map(seen) };
  },
  async complete() {
    await send("a", "b");
    await receiver.completeMessage(await one());
    return (await receiver.peekMessages(10)).map(seen);
  },
  async abandon() {
    await send("a");
    const counts = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const message = await one();
      counts.push(message.deliveryCount);
      await receiver.abandonMessage(message);
    }
    return { counts, left: (await receiver.peekMessages(10)).length, dead: seen(await one(deadLetters())) };
  },
  async deadLetter() {
    await send("a");
    await receiver.deadLetterMessage(await one(), { deadLetterReason: "why", deadLetterErrorDescription: "because" });
    const dead = deadLetters();
    const message = await one(dead);
    await dead.completeMessage(message);
    return { left: (await receiver.peekMessages(10)).length, dead: seen(message) };
  },
  async lockExpiry() {
    await send("a");
    const first = await one();
    const again = await one();
    const lost = await failure(receiver.completeMessage(first));
    await receiver.completeMessage(again);
    return { counts: [first.deliveryCount, again.deliveryCount], lost, other: first.lockToken !== again.lockToken };
  },
  async renew() {
    await send("a");
    const message = await one();
    const before = message.lockedUntilUtc;
    const later = (await receiver.renewMessageLock(message)) > before;
    await receiver.completeMessage(message);
    return { later, lost: await failure(receiver.renewMessageLock({ ...message })) };
  },
  async tooLarge() {
    return failure(sender.sendMessages({ body: Buffer.alloc(300000) }));
  },
  async unknown() {
    const names = [client.createSender("nobody").sendMessages({ body: "a" })];
    names.push(client.createReceiver(topic, "nobody").receiveMessages(1, PATIENCE));
    return Promise.all(names.map(failure));
  },
  async unauthorized() {
    return failure(send("a"));
  },
};

try {
  console.log(JSON.stringify(await scenarios[scenario]()));
} finally {
  await client.close();
}
