/* Answers "upgrade" and "upgrade.status": the host is the postman between an operator and its supervisor, by the page
 * that they share. What was asked survives the host: the next one tells how it ended. Loop thread. */
#include "services/control_private.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* "program": an absolute path; without it the one that the supervisor was started from. "one_way": also where there
 * would be no way back. */
void control__upgrade(struct exchange *x, const json_t *request)
{
    struct page *page = x->options->page;
    struct page_upgrade *u = page ? &page->upgrade : NULL;
    const char *program = cvm_json_str(request, "program", "");
    if (!page) {
        control__fail(x, CVM_ESTATE, "", "this host runs without a supervisor: stop it, then start the other one");
    } else if (*program && (*program != '/' || strlen(program) >= sizeof u->path)) {
        control__fail(x, CVM_EINVAL, "program", "program: expected an absolute path of less than %zu bytes",
                      sizeof u->path);
    } else if (atomic_load(&u->state) == PAGE_UPGRADE_ASKED) {
        control__fail(x, CVM_EBUSY, "", "an upgrade is under way already");
    } else {
        snprintf(u->path, sizeof u->path, "%s", program);
        u->one_way = cvm_json_bool(request, "one_way", false);
        u->text[0] = 0;
        atomic_store(&u->state, PAGE_UPGRADE_ASKED);
        kill(getppid(), SIGUSR2);
        control__answer(x, json_pack("{s:b}", "asked", 1));
    }
}

/* The first answer of the new host may come much later than it could have been given. */
void control__upgrade_status(struct exchange *x)
{
    static const char *const states[] = {"none", "asked", "done", "refused", "back"};
    const struct page *page = x->options->page;
    const struct page_upgrade *u = page ? &page->upgrade : NULL;
    uint64_t state = page ? atomic_load(&u->state) : PAGE_UPGRADE_NONE;
    int64_t first = page ? atomic_load(&page->first_answer_ns) : 0;
    json_t *status =
        json_pack("{s:s, s:s, s:s}", "state", states[state <= PAGE_UPGRADE_BACK ? state : PAGE_UPGRADE_NONE], "text",
                  page ? u->text : "", "version", x->options->version ? x->options->version : "");
    if (state == PAGE_UPGRADE_DONE) {
        json_object_set_new(status, "from", json_string(u->from));
        json_object_set_new(status, "to", json_string(u->to));
        json_object_set_new(status, "ready_ms", json_real((double)(u->ready_ns - u->stopped_ns) / 1e6));
        json_object_set_new(status, "first_answer_ms",
                            first ? json_real((double)(first - u->stopped_ns) / 1e6) : json_null());
    }
    control__answer(x, status);
}
