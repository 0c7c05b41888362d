/* The audit of tickets: every operation and every step of an agent, in order. Owns the table support_audit and the
 * state key "audit", the number of its last row. Loop thread. */
#include "support.h"

#include "../../common/object.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_ENTRIES_MAX 64

void text_clip(char *text, size_t chars)
{
    text[text_behind(text, chars) - text] = 0;
}

void audit_summary(const json_t *output, char ret_text[SUMMARY_MAX * 4 + 1])
{
    static const char *const said[] = {"summary", "root_cause", "analysis", "subject", "message"};
    const char *text = NULL;
    for (size_t i = 0; i < sizeof said / sizeof *said && !text; i++)
        text = cvm_json_str(output, said[i], NULL);
    char *dumped = text ? NULL : json_dumps(output, JSON_COMPACT | JSON_ENCODE_ANY);
    text = text ? text : dumped ? dumped : "";
    size_t n = (size_t)(text_behind(text, SUMMARY_MAX) - text);
    memcpy(ret_text, text, n);
    ret_text[n] = 0;
    free(dumped);
}

json_t *audit_clipped(const char *text)
{
    return text ? json_stringn(text, (size_t)(text_behind(text, SUMMARY_MAX) - text)) : json_string("");
}

int audit_row(cvm_turn *t, const cvm_msg *m, const struct audit *a)
{
    int64_t n;
    char id[24], at[TIME_SIZE];
    CVM_TRY(cvm_state_int(t, "audit", &n));
    CVM_TRY(cvm_state_put_int(t, "audit", n + 1));
    text_digits(text_digits(id, (uint32_t)((n + 1) / 100000000), 8, 0) - 1, (uint32_t)((n + 1) % 100000000), 8, 0);
    json_t *row = json_object();
    OBJECT_KNOWN(row, "id", id);
    OBJECT_TEXT(row, "ticket_id", a->ticket);
    OBJECT_KNOWN(row, "time", text_of_time(a->at_ms ? a->at_ms : cvm_now_ms(t), at));
    OBJECT_KNOWN(row, "actor", a->actor);
    OBJECT_KNOWN(row, "step", a->step ? a->step : "");
    OBJECT_KNOWN(row, "what", a->what);
    OBJECT_PUT(row, "input", audit_clipped(a->input));
    OBJECT_PUT(row, "output", audit_clipped(a->output));
    OBJECT_KNOWN(row, "conversation", m->conversation);
    if (a->duration_ms >= 0)
        OBJECT_INT(row, "duration_ms", a->duration_ms);
    return row ? cvm_row_put(t, "support_audit", row) : CVM_ENOMEM;
}

/* One thing that an activity says it did; `about` has what the message itself says. */
static int entry_row(cvm_turn *t, const cvm_msg *m, struct audit about, const json_t *entry)
{
    char input[SUMMARY_MAX * 4 + 1], output[SUMMARY_MAX * 4 + 1];
    const json_t *in = json_object_get(entry, "input"), *out = json_object_get(entry, "output");
    const json_t *duration = json_object_get(entry, "duration_ms");
    about.what = cvm_json_str(entry, "what", "");
    about.at_ms = m->timestamp_ms;
    about.duration_ms = json_is_number(duration) ? (int64_t)json_number_value(duration) : -1;
    if (json_is_string(in))
        about.input = json_string_value(in);
    else if (in)
        audit_summary(in, input), about.input = input;
    if (json_is_string(out))
        about.output = json_string_value(out);
    else if (out)
        audit_summary(out, output), about.output = output;
    return audit_row(t, m, &about);
}

/* What an activity says it did before it has ended, or for a ticket that has ended: its calls to tools, mostly. */
int audit_message(cvm_turn *t, const cvm_msg *m)
{
    size_t i;
    json_t *one;
    struct audit about = {.ticket = cvm_json_str(m->data, "ticket_id", ""),
                          .actor = cvm_json_str(m->data, "actor", *m->sender ? m->sender : "outside"),
                          .step = cvm_json_str(m->data, "step", "")};
    CVM_TRY(entry_row(t, m, about, m->data));
    json_array_foreach(json_object_get(m->data, "more"), i, one) CVM_TRY(entry_row(t, m, about, one));
    return m->requires_response ? cvm_reply(t, m, NULL) : CVM_OK;
}

/* What came with an activity's answer, whether the ticket is open still or not: its lane says which it is. */
int audit_answer(cvm_turn *t, const cvm_msg *m)
{
    char ticket[INSTANCE_SIZE];
    size_t i, prefix = strlen(INSTANCE_PREFIX), behind = sizeof "-00000000" - 1, n = strlen(m->conversation);
    json_t *one;
    if (n <= prefix + behind || strncmp(m->conversation, INSTANCE_PREFIX, prefix) != 0)
        return CVM_OK;
    snprintf(ticket, sizeof ticket, "%.*s", (int)(n - prefix - behind), m->conversation + prefix);
    struct audit about = {.ticket = ticket, .actor = m->sender};
    json_array_foreach(json_object_get(m->data, "audit"), i, one) if (i < ANSWER_ENTRIES_MAX)
        CVM_TRY(entry_row(t, m, about, one));
    return CVM_OK;
}
