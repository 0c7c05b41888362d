/* Where secrets come from: the environment, HOME/.env, a protected file; in this order, and an empty value counts as
 * not set. Values never go into a message or log. Only config.c uses this. Loop thread. */
#ifndef HOST_CORE_SECRETS_H
#define HOST_CORE_SECRETS_H

#include <jansson.h>
#include <stddef.h>

#define SECRETS_FILE_MAX_BYTES (1024 * 1024)

struct secrets {
    json_t *env;  /* .env: object of strings; NULL: there is none */
    json_t *file; /* the protected file: object of strings; NULL: there is none */
};

/* Reads HOME/.env, which may be absent. CVM_EINVAL with file and line in `ret_error`, CVM_EIO, CVM_ELIMIT. */
int secrets_read_env(struct secrets *secrets, const char *home, char *ret_error, size_t error_size);
/* Reads the protected file, which must be there with mode 0600 or 0400. */
int secrets_read_file(struct secrets *secrets, const char *path, char *ret_error, size_t error_size);
void secrets_fini(struct secrets *secrets);

/* Borrowed; NULL: not set. */
const char *secrets_get(const struct secrets *secrets, const char *name);
/* Name -> "set" or "not set", of .env and the file. Gives a new object. */
json_t *secrets_names(const struct secrets *secrets);

#endif
