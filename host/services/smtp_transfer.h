/* A mail on its way: what of an http_transfer is different where the method is MAIL. libcurl connects, greets, encrypts
 * and logs in; the rest of the dialogue is ours, since libcurl's own waits for the server's word in the middle of the
 * loop. The connection is the mail's own. Loop thread. */
#ifndef HOST_SERVICES_SMTP_TRANSFER_H
#define HOST_SERVICES_SMTP_TRANSFER_H

#include "services/http_transfer.h"

struct smtp_transfer;

/* Makes the message of a request with the method MAIL: its headers and body are those of cvm_mail_of. Fills url, body
 * and mail of a zeroed transfer. CVM_EINVAL: the mail has a fault; CVM_ELIMIT; CVM_ENOMEM. */
int smtp_transfer_init(struct http_transfer *transfer, const struct http_request *request);
void smtp_transfer_free(struct smtp_transfer *mail);

/* libcurl waits for the socket, or does so no more. */
void smtp_transfer_socket(struct smtp_transfer *mail, curl_socket_t socket, bool gone);

/* As the functions of http_transfer.h. */
const char *smtp_transfer_url_fault(const char *url);
void smtp_transfer_arm(struct http_transfer *transfer, CURL *easy, long timeout_ms);

/* The connection stands: goes on with the dialogue as far as it goes without waiting. */
enum smtp_want { SMTP_WANTS_READ, SMTP_WANTS_WRITE, SMTP_OVER };
enum smtp_want smtp_transfer_talk(struct http_transfer *transfer);

/* What became of it: with the code that ended the connecting; or after the dialogue, with CURLE_OK; or in the midst of
 * it, with CURLE_OPERATION_TIMEDOUT. */
enum http_fate smtp_transfer_fate(struct http_transfer *transfer, CURLcode code, long *ret_status);

#endif
