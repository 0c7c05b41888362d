/* Local days and hours of a time zone, by fixed rules: a turn that is run again on another machine must count the same
 * day. Knows UTC, "+HH:MM" and the names of zone_names(); what the European Union and the United States decide about
 * summer time is in the rules. Pure; any thread. */
#ifndef CVM_COMMON_ZONE_H
#define CVM_COMMON_ZONE_H

#include <cvm/cvm.h>

#define ZONE_DAY_SIZE 11 /* "2026-03-29" */

struct zone {
    int standard_min; /* minutes east of Greenwich in winter */
    int rule;         /* of summer time; enum in zone.c */
};

/* CVM_ENOENT: a name that is not known; *ret_zone is untouched. */
CVM_MUST_USE int zone_find(const char *name, struct zone *ret_zone);
/* The names that are known, separated by ", ", cut to the room. Gives `buf`. */
const char *zone_names(char *buf, size_t size);

/* Minutes to add to UTC at that instant. */
int zone_offset_min(const struct zone *z, int64_t utc_ms);
/* The local date. Gives `day`. */
const char *zone_day(const struct zone *z, int64_t utc_ms, char day[ZONE_DAY_SIZE]);
/* Minutes since local midnight, 0 to 1439. */
int zone_minute(const struct zone *z, int64_t utc_ms);
/* The next instant, later than `utc_ms`, at which local clocks show `minute`; where summer time leaves that minute out,
 * the one an hour later. */
int64_t zone_next(const struct zone *z, int64_t utc_ms, int minute);
/* "08:30" -> 510, "24:00" -> 1440; -1: it is none. */
int zone_clock(const char *text);

#endif
