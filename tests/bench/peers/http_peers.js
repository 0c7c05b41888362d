'use strict';
// PORT, then "fastify" or "moleculer": POST /bench/echo answers the body; POST /bench/chain sends it through three
// components first (fastify: three calls; moleculer: three services). Neither keeps anything.
const fastify = require('fastify');
const { ServiceBroker } = require('moleculer');
const [port, kind] = process.argv.slice(2);
(async () => {
  const app = fastify({ logger: false });
  let chain = async (body) => ({ ...body, seen: 3 });
  if (kind === 'moleculer') {
    const broker = new ServiceBroker({ logger: false });
    broker.createService({ name: 'c1', actions: { go: (c) => c.call('c2.go', c.params) } });
    broker.createService({ name: 'c2', actions: { go: (c) => c.call('c3.go', c.params) } });
    broker.createService({ name: 'c3', actions: { go: (c) => ({ ...c.params, seen: 3 }) } });
    await broker.start();
    chain = (body) => broker.call('c1.go', body);
  }
  app.post('/bench/echo', async (request) => request.body);
  app.post('/bench/chain', async (request) => chain(request.body));
  await app.listen({ port: Number(port), host: '127.0.0.1' });
})();
