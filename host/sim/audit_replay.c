/* Each recorded turn once more, by the build that ran it: it puts out the same. Turns that were made to fail are what
 * they are by no input that a record could name; they are left out. */
#include "sim/audit_parts.h"

#include "core/replay.h"
#include <stdio.h>
#include <stdlib.h>

static void seen(void *arg, const struct replay_turn *turn)
{
    struct sim *s = arg;
    const json_t *first = json_array_get(turn->differences, 0);
    char seq[24];
    snprintf(seq, sizeof seq, "%lld", (long long)turn->seq);
    if (turn->verdict != REPLAY_DIFFERS || json_object_get(s->audit->meddled, seq))
        return;
    char *text = json_dumps(first, JSON_COMPACT);
    sim_fail(s, INV_SAME, "turn %s, %s of %s, puts out something else when it is replayed: %.400s", seq, turn->type,
             turn->component, text ? text : "");
    free(text);
}

void auditor_replay(struct sim *s)
{
    struct replay_options options = {.home = s->home, .trusted = true, .seen = seen, .arg = s};
    struct replay_report report;
    char error[512] = "";
    disk_rest(s->disk, true);
    int e = replay_home(&options, &report, error, sizeof error);
    disk_rest(s->disk, false);
    if (e)
        sim_fail(s, INV_SAME, "the journal cannot be replayed: %s", error);
}
