'use strict';
// The same work in every peer: a message of 400 bytes; each component gives it a new id and time, says who it is from
// and for, and shares the body. `drive` keeps `width` requests under way for SECONDS and prints a line.
const SECONDS = Number(process.env.SECONDS || 3);

const body = { enquiry: 'ENQ-1f2e3d4c5b6a', text: 'x'.repeat(180), amount: 1000, network: 'MTN', tags: ['a', 'b'] };
let count = 0;

exports.message = () => ({ message_id: `MSG-${++count}`, timestamp: Date.now(), sender: 'producer', recipient: 'a',
  message_type: 'request', type: 'hop', priority: 1, conversation: 'ENQ-1f2e3d4c5b6a', structured_data: body });

exports.next = (m, from, to) => ({ ...m, message_id: `MSG-${++count}`, timestamp: Date.now(), sender: from, recipient: to });

exports.drive = async (name, width, request) => {
  const waits = [];
  let done = 0;
  const until = async (end) => {
    while (performance.now() < end) {
      const begun = performance.now();
      await request(exports.message());
      if (waits.length < 200000) waits.push(performance.now() - begun);
      done++;
    }
  };
  await Promise.all(Array.from({ length: width }, () => until(performance.now() + 500))); // warm
  waits.length = 0;
  done = 0;
  const begun = performance.now();
  await Promise.all(Array.from({ length: width }, () => until(begun + SECONDS * 1000)));
  const rate = done / ((performance.now() - begun) / 1000);
  waits.sort((a, b) => a - b);
  const at = (share) => (1000 * waits[Math.floor(share * (waits.length - 1))]).toFixed(1);
  console.log(`${name.padEnd(34)} ${String(width).padStart(5)} ${rate.toFixed(0).padStart(11)} ${at(0.5).padStart(10)} ${at(0.99).padStart(10)}`);
};
