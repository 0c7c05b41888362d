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

/* Where the settings have none, the four networks and their prefixes as they are known. */
void networks_read(const json_t *settings, struct networks *ret_networks);
size_t networks_count(const struct networks *networks);
const char *networks_at(const struct networks *networks, size_t i); /* its code */
/* The code of a network by any accepted name. CVM_ENOENT: not supported. */
CVM_MUST_USE int network_code(const struct networks *networks, const char *name, char ret_code[NETWORK_SIZE]);
/* Whose prefix the number has, the longest one counting; "" in ret_code for none. */
void network_of_prefix(const struct networks *networks, const char *e164, char ret_code[NETWORK_SIZE]);
/* "MTN, AIRTEL, GLO, 9MOBILE" */
const char *networks_text(const struct networks *networks, char *buf, size_t size);
/* Whether the number looks like another network's than `code`. ret_other: whose. */
bool network_differs(const struct networks *networks, const char *e164, const char *code, char ret_other[NETWORK_SIZE]);
/* Whether the customer says that the number was ported, or confirms. */
bool network_confirmed(const char *words);
/* Asks whether the number, which looks like one of `other`, is on `code`. */
void network_ask_text(const char *e164, const char *other, const char *code, char *ret_text, size_t size);

#endif
