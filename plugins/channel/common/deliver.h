/* What every channel does with a message: carries it once, answers all who gave it under the same reference, remembers
 * for a month what is through. A channel adds how it sends and what an answer means. Owns these state keys of the
 * component: ref/<reference> -> a message that is under way or through, ask/<first request> -> its reference,
 * day/<day>/<reference> -> {} for what is through. Built into each channel. Loop thread. */
#ifndef CHANNEL_COMMON_DELIVER_H
#define CHANNEL_COMMON_DELIVER_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define CHANNEL_REFERENCE_MAX 100 /* bytes */

/* Makes the call that `data`, the request of `deliver`, asks for. Its answer has the cookie, and comes no later than
 * `until_ms` and an attempt. */
typedef int (*channel_send)(cvm_turn *t, cvm_id cookie, const json_t *data, int64_t until_ms);

/* The operation `deliver`, once the channel has found the request good. */
CVM_MUST_USE int channel_deliver(cvm_turn *t, const cvm_msg *m, channel_send send);

/* How the answer `m` ends the message. `text` is for people. */
CVM_MUST_USE int channel_sent(cvm_turn *t, const cvm_msg *m, const char *provider_id);
CVM_MUST_USE int channel_failed(cvm_turn *t, const cvm_msg *m, int outcome, const char *code, const char *text);
/* Nobody knows: once more, after a moment; the second time that is the answer. */
CVM_MUST_USE int channel_unknown(cvm_turn *t, const cvm_msg *m);
/* Not now: in `wait_ms` (0: a time that grows), if the message may take as long; else it was not sent, as `text` says.
 */
CVM_MUST_USE int channel_later(cvm_turn *t, const cvm_msg *m, int64_t wait_ms, const char *text);
/* The timer "again". */
CVM_MUST_USE int channel_again(cvm_turn *t, const cvm_msg *m, channel_send send);

/* Whether a secret is there and not empty. */
bool channel_has_secret(cvm_turn *t, const char *name);

#endif
