/* A mail on its way: what of an http_transfer is different where the method is MAIL. The connection is its own, so that
 * what the server said is about this mail alone. Loop thread. */
#ifndef HOST_SERVICES_SMTP_TRANSFER_H
#define HOST_SERVICES_SMTP_TRANSFER_H

#include "services/http_transfer.h"

struct smtp_transfer;

/* Makes the message of a request with the method MAIL: its headers and body are those of cvm_mail_of. Fills url, body
 * and mail of a zeroed transfer. CVM_EINVAL: the mail has a fault; CVM_ELIMIT; CVM_ENOMEM. */
int smtp_transfer_init(struct http_transfer *transfer, const struct http_request *request);
void smtp_transfer_free(struct smtp_transfer *mail, const struct curl_lib *curl);

/* As the functions of http_transfer.h. */
const char *smtp_transfer_url_fault(const char *url);
void smtp_transfer_arm(struct http_transfer *transfer, CURL *easy);
enum http_fate smtp_transfer_fate(struct http_transfer *transfer, CURLcode code, long *ret_status);

#endif
