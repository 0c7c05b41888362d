'use strict';
// Moleculer, one broker without transporter: a calls b, b calls c, c answers.
const { ServiceBroker } = require('moleculer');
const { next, drive } = require('./message.js');
(async () => {
  const broker = new ServiceBroker({ logger: false });
  broker.createService({ name: 'a', actions: { hop: (c) => c.call('b.hop', next(c.params, 'a', 'b')) } });
  broker.createService({ name: 'b', actions: { hop: (c) => c.call('c.hop', next(c.params, 'b', 'c')) } });
  broker.createService({ name: 'c', actions: { hop: (c) => next(c.params, 'c', 'producer') } });
  await broker.start();
  for (const width of [1, 64]) await drive(`moleculer ${ServiceBroker.MOLECULER_VERSION}`, width, (m) => broker.call('a.hop', m));
  await broker.stop();
})();
