/* For targets that need the whole core: a home with test plugins, in memory where the machine has room for files there,
 * whose data are set back before each input. One thread. */
#ifndef TESTS_FUZZ_FUZZ_HOME_H
#define TESTS_FUZZ_FUZZ_HOME_H

#include "core/core.h"
#include <sqlite3.h>

/* Makes it, once: `plugins` are pairs of a manifest's name and the library built for it, and end with NULL. */
void fuzz_home_make(const char *const *plugins, const char *config);
const char *fuzz_home_path(void);
const struct config *fuzz_home_config(void);

/* An input that is a JSON array, before a fresh home of these plugins, all inside the host. Gives; NULL: it is none. */
json_t *fuzz_home_input(const uint8_t *data, size_t size, const char *const *plugins);

/* The data as they are after a first start and stop. */
void fuzz_home_reset(void);
/* The database, to put something into it before a start. */
sqlite3 *fuzz_home_database(void);
/* Opens, loads and starts a core under the virtual clock. NULL: refused; then *ret_why says why, in one sentence. */
struct core *fuzz_home_open(char ret_why[512]);
bool fuzz_home_fatal(void); /* the core that is open wants the host to end */

/* Text for SQLite: a JSON string as it is, any other value as JSON. Gives it for free(). */
char *fuzz_home_text(const json_t *value);
/* Runs `sql` with up to six values: integers, texts (fuzz_home_text), NULL for null. */
void fuzz_home_run(sqlite3 *db, const char *sql, const json_t *const *values, int n);

#endif
