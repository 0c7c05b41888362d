/* Who may do what over HTTP: tokens of the configuration (access.tokens) and the permissions they hold. A token is kept
 * as its SHA-256 only. Knows no HTTP library and no core. Loop thread. */
#ifndef HOST_SERVICES_ACCESS_H
#define HOST_SERVICES_ACCESS_H

#include <jansson.h>
#include <stddef.h>

#define ACCESS_TOKEN_MIN_BYTES 16
#define ACCESS_TOKEN_MAX_BYTES 512

struct access;

enum access_answer { ACCESS_GRANTED, ACCESS_NO_TOKEN, ACCESS_UNKNOWN_TOKEN, ACCESS_LACKING };

/* Reads [{"name", "secret" or "sha256", "permissions": ["sell", "*"]}], which the schema of the configuration has
 * checked. `secret` gives a secret by name, NULL where it is not set: nobody then holds that token, and a sentence goes
 * into `warnings` (an array; NULL: nobody wants to know). Gives *ret_access, or CVM_EINVAL with a sentence. */
int access_new(const json_t *tokens, const char *(*secret)(const void *arg, const char *name), const void *arg,
               json_t *warnings, struct access **ret_access, char *ret_error, size_t error_size);
void access_free(struct access *access); /* accepts NULL */

/* Whether the bearer of an Authorization header (NULL: none came) holds `permission`. *ret_name is the token's name
 * where it is known, else "". Takes the same time whichever token comes. */
enum access_answer access_ask(const struct access *access, const char *authorization, const char *permission,
                              const char **ret_name);

/* Whether a list of permissions, as configured, has this one. */
int access_holds(const json_t *permissions, const char *permission);

#endif
