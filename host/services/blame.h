/* What a dead host leaves on the page, and what follows from it: messages that are suspects, components and plugins to
 * blame, those that the next start leaves out. Any thread; in the supervisor, and in tests. */
#ifndef HOST_SERVICES_BLAME_H
#define HOST_SERVICES_BLAME_H

#include "core/page.h"

/* A page in memory of its own that a child can inherit. Gives the descriptor and the mapping. */
int blame_page_new(int *ret_fd, struct page **ret_page) __attribute__((warn_unused_result));

/* When a crash came, and how long it counts. Steady clock. */
struct blame_time {
    int64_t now_ms, window_ms;
};

/* What died while what ran: counts the message among the suspects and the component, or the plugin that was being
 * loaded, among the blames, names on the page who is to be quarantined, clears the marks of the dead process and writes
 * one sentence into `ret_text` ("" where no code of a plugin was running). */
void blame_examine(struct page *page, int wait_status, struct blame_time time, char *ret_text, size_t size);

/* How the process ended, in words; `exit_reason` is the page's. */
void blame_how(int wait_status, int exit_reason, char *ret_text, size_t size);

/* For safe mode: whoever ran in a crash of the window is to be quarantined. Gives how many, and their names. */
int blame_all(struct page *page, struct blame_time time, char *ret_names, size_t size);

#endif
