/* Few long writes to the log instead of two for each page; see wal_gather.c. */
#ifndef HOST_CORE_WAL_GATHER_H
#define HOST_CORE_WAL_GATHER_H

#include <sqlite3.h>
#include <stdbool.h>

/* Of the connection that writes, after it has opened its log. Where there is no memory it goes without. */
void wal_gather_open(sqlite3 *db);
/* Around a transaction whose commit is synced; what it gathered is in the file when it is over. */
void wal_gather(sqlite3 *db, bool on);

#endif
