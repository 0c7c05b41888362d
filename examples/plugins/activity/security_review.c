/* SecurityReviewAgent: looks at the steps that the expert proposes, before a person approves them. Shows a new agent
 * and its activity in the support desk's workflow: the manifest adds the step, this file is the agent. What it warns of
 * stands in its settings; no plugin but this one is built. */
#include <ctype.h>
#include <cvm/cvm.h>
#include <cvm/json.h>

#define REVIEW "review.security"

/* Whether `part` stands in `text`, without regard to case. */
static bool says(const char *text, const char *part)
{
    for (; *text && *part; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* The tool: which of the settings' risks a text has. Gives [{"risk", "why"}]. */
static void review(cvm_turn *t, const char *text, int step, json_t *findings)
{
    const json_t *risks = json_object_get(cvm_settings(t), "risks");
    const char *risk;
    json_t *why;
    json_object_foreach((json_t *)risks, risk, why) if (says(text, risk))
        json_array_append_new(findings, json_pack("{s:i, s:s, s:O}", "step", step, "risk", risk, "why", why));
}

/* Tells the ticket's audit what the tool was used for. Nobody is told where no workflow is loaded. */
static int tell(cvm_turn *t, const cvm_msg *m, size_t steps, size_t found)
{
    int e = cvm_send(t, "support.workflow", "audit",
                     json_pack("{s:s, s:s, s:s, s:{s:I}, s:{s:I}, s:i}", "ticket_id",
                               cvm_json_str(json_object_get(m->data, "ticket"), "ticket_id", ""), "actor", REVIEW,
                               "what", "review_steps", "input", "steps", (json_int_t)steps, "output", "findings",
                               (json_int_t)found, "duration_ms", 0));
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* The activity: {"ticket", "outputs": {"analysis": {"resolution_steps"}}} -> {"risk", "findings", "reviewed_steps"}. */
static int check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *analysis = json_object_get(json_object_get(m->data, "outputs"), "analysis");
    const json_t *steps = json_object_get(analysis, "resolution_steps");
    json_t *findings = json_array();
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *text = json_string_value(json_array_get(steps, i));
        if (text)
            review(t, text, (int)i + 1, findings);
    }
    size_t n = json_array_size(findings);
    int e = tell(t, m, json_array_size(steps), n);
    if (e < 0) {
        json_decref(findings);
        return e;
    }
    cvm_log(t, CVM_LOG_INFO, "%zu findings in %zu steps", n, json_array_size(steps));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:o, s:I}", "risk", n ? "high" : "low", "findings", findings, "reviewed_steps",
                               (json_int_t)json_array_size(steps)));
}

static const cvm_component components[] = {{.id = REVIEW, .state_version = 1}, {0}};
static const cvm_route routes[] = {{REVIEW, "check", check}, {0}};

CVM_PLUGIN(.name = "security_review", .version = "1.0.0", .components = components, .routes = routes);
