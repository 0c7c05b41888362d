/* The mobile networks: their names, and whose prefix a number has. A prefix is a hint only, because numbers are ported.
 * Pure; any thread. */
#ifndef SERVICE_COMMON_NETWORKS_H
#define SERVICE_COMMON_NETWORKS_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define NETWORK_SIZE 21

/* Read from the settings of a component; borrows them. */
struct networks {
    const json_t *codes, *aliases, *prefixes; /* array of codes; alias -> code; code -> array of prefixes */
};

void networks_read(const json_t *settings, struct networks *ret_networks);
/* The code of a network by any accepted name. CVM_ENOENT: not supported. */
CVM_MUST_USE int network_code(const struct networks *networks, const char *name, char ret_code[NETWORK_SIZE]);
/* Whose prefix the number has, the longest one counting; "" in ret_code for none. */
void network_of_prefix(const struct networks *networks, const char *e164, char ret_code[NETWORK_SIZE]);
/* "MTN, AIRTEL, GLO, 9MOBILE" */
const char *networks_text(const struct networks *networks, char *buf, size_t size);
/* Whether the number looks like another network's than `code`. ret_other: whose. */
bool network_differs(const struct networks *networks, const char *e164, const char *code, char ret_other[NETWORK_SIZE]);

#endif
