/* What the files of the supervisor share: supervisor.c keeps the host alive, supervisor_upgrade.c replaces it by
 * another version. */
#ifndef HOST_SERVICES_SUPERVISOR_PRIVATE_H
#define HOST_SERVICES_SUPERVISOR_PRIVATE_H

#include "services/supervisor.h"

#define UPGRADE_STOP_MS 10000 /* what a host may take to finish; then it is killed, and nothing accepted is lost */

enum upgrade_step { UPGRADE_NONE, UPGRADE_FINISHING, UPGRADE_TRIAL };

struct upgrade {
    enum upgrade_step step;
    struct program program;
    bool one_way;
    int64_t until_ms; /* finishing: it is killed then */
    int64_t asked_ns, stopped_ns;
    int old_page_fd; /* -1: the page is the same */
    struct page *old_page;
    uint32_t page_bytes;
};

struct supervisor {
    const struct supervisor_options *options;
    struct host_fds fds;
    struct page *page;
    bool foreign_page;      /* of another version: only its head is known */
    struct program program; /* that the host runs; fd -1: the supervisor's own */
    char version[32];       /* of it */
    struct upgrade upgrade;
    int signal_fd;
    int pid_fd;
    pid_t pid;
    int64_t serving_since; /* 0: not yet */
    int64_t ready_by;      /* 0: it serves, or none runs */
    bool aborted;          /* was told to end because it did not become ready */
    int64_t stop_by;       /* 0: not stopping */
    int64_t start_at;      /* 0: no restart planned */
    int in_series;         /* crashes since the last calm time */
    int64_t window_began;  /* restarts are counted from here */
    int n_restarts;
    int64_t safe_until; /* safe mode: one more crash until then is the end; 0: not in safe mode */
    bool ever_served, reloading;
    int64_t watchdog_ms; /* how often the service manager is told that we live; 0: it does not want to know */
    int64_t watchdog_at;
};

/* supervisor.c */
int64_t supervisor__now_ms(void);
int64_t supervisor__now_ns(void);
int supervisor__start_host(struct supervisor *s);
void supervisor__tell_serving(const struct supervisor *s, const char *first);

/* supervisor_upgrade.c */
void upgrade__asked(struct supervisor *s);                      /* SIGUSR2 */
int upgrade__host_ended(struct supervisor *s, const char *how); /* CVM_OK: taken care of; CVM_ENOENT: not its concern */
void upgrade__host_serves(struct supervisor *s);                /* may replace this process */
void upgrade__resumed(struct supervisor *s);                    /* this process was replaced */

#endif
