/* What the flow tests of electricity share: its meters, sales, and how often the companies were asked. */
#ifndef TESTS_FLOW_FLOW_POWER_H
#define TESTS_FLOW_FLOW_POWER_H

#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUY "/api/v1/transactions/power"
#define METER "45012345678" /* of class R3, band A; see disco_sim --help */
#define POSTPAID "65012345678"

/* Five customers pay in turn, so that none is too hasty. */
static inline const char *payer(void)
{
    static const char *const payers[] = {"08021234567", "08031234567", "08051234567", "08022423871", "08052437442"};
    static size_t turn;
    return payers[turn++ % 5];
}

/* Sells over HTTP; the answer's JSON (json_decref). */
static inline json_t *sell(struct flow *f, const char *disco, const char *meter, const char *amount, int *ret_status)
{
    struct flow_answer a;
    char body[256];
    snprintf(body, sizeof body,
             "{\"disco\": \"%s\", \"meter_number\": \"%s\", \"amount\": %s, \"customer_phone\": \"%s\"}", disco, meter,
             amount, payer());
    *ret_status = flow_http(f, "POST", BUY, body, NULL, &a);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    return answer;
}

static inline json_t *call(struct flow *f, const char *to, const char *type, const char *data)
{
    json_t *r = flow_call(f, to, type, data, NULL);
    ck_assert_msg(r, "%s %s %s failed", to, type, data);
    return r;
}

static inline int64_t pending(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'");
}

/* How often the companies were asked for something. */
static inline int asked(struct flow *f, const char *what)
{
    int n = 0;
    char *log = flow_read(f, "disco_sim.txt");
    for (const char *at = log ? strstr(log, what) : NULL; at; at = strstr(at + 1, what))
        n++;
    free(log);
    return n;
}

static inline bool twenty_digits(const char *token)
{
    return strlen(token) == 20 && strspn(token, "0123456789") == 20;
}

/* Says a message that must be answered by an agent, with these words in the answer. */
static inline json_t *said(struct flow *f, const char *channel, const char *message, const char *agent,
                           const char *words)
{
    json_t *a = desk_say(f, payer(), channel, message);
    ck_assert_msg(listed(json_object_get(a, "agents_involved"), agent), "\"%s\": not by %s but %s: %s", message, agent,
                  json_dumps(json_object_get(a, "agents_involved"), 0), text_of(a, "response_text"));
    ck_assert_msg(strstr(text_of(a, "response_text"), words), "\"%s\": no \"%s\" in: %s", message, words,
                  text_of(a, "response_text"));
    return a;
}

#endif
