/* What the audit commands share. They read the journal's file themselves: beside a running host, or without one. */
#ifndef HOST_CLI_AUDIT_H
#define HOST_CLI_AUDIT_H

#include "cli/cli.h"
#include "core/audit_verify.h"

/* Opens the home's journal. CLI_OK; else a sentence was said. */
int audit_cli_open(const struct cli *cli, sqlite3 **ret_db);
/* "2026-03-01", "2026-03-01T08:30", "2026-03-01T08:30:15Z" (UTC), or so long ago: "90s", "30m", "12h", "7d". CLI_OK;
 * else a sentence was said. NULL gives 0. */
int audit_cli_since(const char *text, int64_t *ret_ms);

#endif
