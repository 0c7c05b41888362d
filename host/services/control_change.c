/* Answers "change": plugins reloaded, rolled back, enabled, disabled, removed. The answer is the report of the change
 * as core/reload.h describes it; one that was refused says why in its "error". Loop thread. */
#include "services/control_private.h"

#include "core/log.h"
#include "core/reload.h"

static const struct {
    const char *name;
    enum core_change what;
    bool named; /* it is of one plugin */
} changes[] = {{"reload", CHANGE_RELOAD, false},
               {"rollback", CHANGE_ROLLBACK, true},
               {"enable", CHANGE_ENABLE, true},
               {"disable", CHANGE_DISABLE, true},
               {"remove", CHANGE_REMOVE, true},
               {"move inline", CHANGE_MOVE_INLINE, true},
               {"move process", CHANGE_MOVE_PROCESS, true}};

static const char *code_of(int error)
{
    switch (error) {
    case CVM_ENOENT:
        return "NOT_FOUND";
    case CVM_EACCES:
        return "DENIED";
    case CVM_ESTATE:
        return "BAD_STATE";
    case CVM_EBUSY:
        return "BUSY";
    default:
        return "REFUSED";
    }
}

/* Gives a report whose "error" says code and text wherever there was an error. Takes `report`. To take out is refused
 * by rules alone; to take in, for what is wrong with a plugin. */
static json_t *completed(int error, bool taking_out, json_t *report)
{
    if (!report)
        report = json_pack("{s:s, s:[]}", "result", error < 0 ? "refused" : "unchanged", "plugins");
    json_t *said = json_object_get(report, "error");
    if (error < 0 && !json_is_object(said)) {
        json_object_set_new(
            report, "error",
            json_pack("{s:s, s:n, s:n, s:s}", "code", code_of(error), "step", "plugin", "text", cvm_strerror(error)));
    } else if (taking_out && strcmp(cvm_json_str(said, "code", ""), "NOT_TRUSTED") == 0) {
        json_object_set_new(said, "code", json_string("DENIED"));
    } else if (error < 0 && (error == CVM_ENOENT || !json_object_get(said, "code"))) {
        json_object_set_new(said, "code", json_string(code_of(error)));
    }
    return report;
}

static void end(struct exchange *x, int error, bool taking_out, json_t *report)
{
    report = completed(error, taking_out, report);
    if (control__resume(x))
        control__answer(x, report);
    else
        json_decref(report); /* the change stands, nobody waits to hear of it */
}

static void taken_in(void *arg, int error, json_t *report)
{
    struct exchange *x = arg;
    (void)core_canary(x->core, NULL, 0); /* it has begun, or nothing was changed */
    end(arg, error, false, report);
}

static void taken_out(void *arg, int error, json_t *report)
{
    end(arg, error, true, report);
}

void control__change(struct exchange *x, const json_t *request)
{
    const char *what = cvm_json_str(request, "what", ""), *plugin = cvm_json_str(request, "plugin", NULL);
    const json_t *now = json_object_get(request, "now");
    const int64_t canary = json_object_get(request, "canary") ? cvm_json_int(request, "canary", -1) : 0;
    size_t i = 0, n = sizeof changes / sizeof *changes;
    while (i < n && strcmp(what, changes[i].name) != 0)
        i++;
    if (i == n) {
        control__fail(x, CVM_EINVAL, "what",
                      "what: expected reload, rollback, enable, disable, remove, move inline or move process");
    } else if ((json_object_get(request, "plugin") && !plugin) ||
               (plugin && (!*plugin || strlen(plugin) > CVM_NAME_MAX))) {
        control__fail(x, CVM_EINVAL, "plugin", "plugin: expected a name of 1 to %d bytes", CVM_NAME_MAX);
    } else if (!plugin && changes[i].named) {
        control__fail(x, CVM_EINVAL, "plugin", "plugin: is missing");
    } else if (now && !json_is_boolean(now)) {
        control__fail(x, CVM_EINVAL, "now", "now: expected true or false");
    } else if (canary && (canary < 1 || canary > 99 || changes[i].what != CHANGE_RELOAD || !plugin)) {
        control__fail(x, CVM_EINVAL, "canary", "canary: expected 1 to 99, of a reload of one plugin");
    } else if (canary && core_canary(x->core, plugin, (int)canary) < 0) {
        control__fail(x, CVM_ENOENT, "plugin", "there is no plugin %s in service", plugin);
    } else {
        log_info("control", "%s%s%s asked for", what, plugin ? " of " : " of all", plugin ? plugin : "");
        control__suspend(x);
        bool out = changes[i].what == CHANGE_DISABLE || changes[i].what == CHANGE_REMOVE;
        core_change(x->core, changes[i].what, plugin, json_is_true(now), out ? taken_out : taken_in, x);
    }
}

static void revived(void *arg, int error, json_t *report)
{
    struct exchange *x = arg;
    const json_t *said = json_object_get(report, "error"), *one = json_array_get(json_object_get(report, "plugins"), 0);
    const char *plugin = cvm_json_str(one, "plugin", "");
    if (!control__resume(x))
        ; /* nobody waits to hear of it */
    else if (error < 0 || json_is_object(said))
        control__fail(x, error < 0 ? error : CVM_EREFUSED, "name", "%s",
                      cvm_json_str(said, "text", cvm_strerror(error)));
    else
        control__answer(x, json_pack("{s:s, s:b}", "plugin", plugin, "revived", 1));
    json_decref(report);
}

void control__revive(struct exchange *x, const char *plugin)
{
    log_info("control", "revive of %s asked for", plugin);
    control__suspend(x);
    core_change(x->core, CHANGE_ENABLE, plugin, false, revived, x);
}
