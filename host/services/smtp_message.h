/* The text of a mail as it goes over the wire: RFC 5322 headers, RFC 2045 bodies, RFC 2047 words. Pure; any thread. */
#ifndef HOST_SERVICES_SMTP_MESSAGE_H
#define HOST_SERVICES_SMTP_MESSAGE_H

#include "core/json_text.h"
#include <cvm/cvm.h>

#define SMTP_MESSAGE_MAX_BYTES (4 * 1024 * 1024)
#define SMTP_LINE_MAX 76 /* of what we fold; a line with an address may be longer */

/* Appends the message, with CRLF, without dot-stuffing. `mail` has no fault. `key` makes the Message-ID: the same key
 * and sender, the same id. A failed `text` (limit, memory) stays failed. */
void smtp_message_make(const cvm_mail *mail, const char *key, int64_t date_ms, struct text *text);

#endif
